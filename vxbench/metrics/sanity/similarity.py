"""Measures how alike two maps are: rank correlation and structural similarity, in float64."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from vxbench.explainers.normalise import FLAT

WINDOW, SIGMA = 11, 1.5  # pixels
C1, C2 = 0.01**2, 0.03**2  # for values in [0, 1]


def precise(maps: Tensor) -> Tensor:
    """The maps in float64; on the CPU where the device has none."""
    return (maps.cpu() if maps.device.type == "mps" else maps).double()


def flat(values: Tensor) -> Tensor:
    """Whether each row of values (B, ...) is constant, (B,) bool."""
    rows = values.flatten(1)
    return rows.amax(dim=1) - rows.amin(dim=1) < FLAT


def spearman(first: Tensor, second: Tensor) -> Tensor:
    """Spearman's rank correlation of each pair of rows, ties sharing their average rank; NaN where one is constant.

    first, second: (B, ...) float64 -> (B,).
    """
    a, b = _centred_ranks(first.flatten(1)), _centred_ranks(second.flatten(1))
    scale = ((a * a).sum(dim=1) * (b * b).sum(dim=1)).sqrt()
    correlation = ((a * b).sum(dim=1) / scale).clamp(-1, 1)
    return correlation.masked_fill(flat(first) | flat(second), torch.nan)


def _centred_ranks(rows: Tensor) -> Tensor:
    """Average ranks (B, N) less their mean, which is (N + 1) / 2 whatever the ties."""
    rows = rows.contiguous()
    ordered = rows.sort(dim=1).values
    below = torch.searchsorted(ordered, rows)
    not_above = torch.searchsorted(ordered, rows, right=True)
    return (below + not_above - rows.shape[1]).double() / 2


def ssim(first: Tensor, second: Tensor) -> Tensor:
    """Structural similarity of each pair of frames, the mean over all windows that lie inside the frame.

    first, second: (B, T, H, W) float64 in [0, 1] -> (B, T). The window is a Gaussian of 11 x 11 pixels, sigma 1.5; on a
    smaller frame it is cut to the largest odd size that fits.

    Source: Wang et al. 2004, eq. 13 with K1 = .01, K2 = .03.
    """
    mean_a, mean_b = _smooth(first), _smooth(second)
    var_a, var_b = _smooth(first**2) - mean_a**2, _smooth(second**2) - mean_b**2
    both = _smooth(first * second) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    structure = (2 * both + C2) / (var_a + var_b + C2)
    return (luminance * structure).mean(dim=(2, 3))


def _smooth(maps: Tensor) -> Tensor:
    """Weighted means over every window: (B, T, H, W) -> (B, T, H - h + 1, W - w + 1)."""
    frames = maps.flatten(0, 1)[:, None]
    down, across = (_gaussian(size).to(maps) for size in maps.shape[2:])
    frames = conv2d(conv2d(frames, down.view(1, 1, -1, 1)), across.view(1, 1, 1, -1))
    return frames[:, 0].unflatten(0, maps.shape[:2])


def _gaussian(size: int) -> Tensor:
    """Weights of sum 1, at most as many as there are pixels."""
    radius = (min(WINDOW, size) - 1) // 2
    offset = torch.arange(-radius, radius + 1, dtype=torch.float64)
    weight = torch.exp(-(offset**2) / (2 * SIGMA**2))
    return weight / weight.sum()
