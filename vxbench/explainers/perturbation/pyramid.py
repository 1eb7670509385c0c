"""Perturbation: a clip at several strengths of blur (or fade), mixed voxel by voxel by a mask."""

import math

import torch
from torch import Tensor

from vxbench.ranges import above, one_of, whole

KINDS = ("blur", "fade")


class Pyramid:
    """Levels 0 (fully perturbed) to L-1 (the clip itself).

    clip: (B, C, T, H, W). `blur`: level l is the clip blurred per frame by a Gaussian of
    max_sigma * (1 - l / (L - 1)) pixels, zero padding, so borders fade to the mean colour.
    `fade`: level l is l / (L - 1) times the clip.

    Source: extremal perturbations (Fong et al. 2019), as released with STEP (Li et al. 2021).
    """

    def __init__(self, clip: Tensor, kind: str = "blur", levels: int = 8, max_sigma: float = 20.0):
        one_of("perturbation", kind, KINDS)
        whole("levels", levels, 2)
        above("max_sigma", max_sigma, 0)
        strength = [1 - level / (levels - 1) for level in range(levels)]
        steps = [blur(clip, max_sigma * s) if kind == "blur" else clip * (1 - s) for s in strength]
        self.levels = torch.stack(steps, dim=1)  # (B, L, C, T, H, W)

    def apply(self, mask: Tensor) -> Tensor:
        """Mix neighbouring levels: mask 1 keeps the clip, 0 takes level 0. Differentiable in the mask.

        mask: (B, T, H, W) in [0, 1]. Returns (B, C, T, H, W).
        """
        top = self.levels.shape[1] - 1
        position = mask * top
        lower = position.detach().floor().clamp(0, top)
        share = (position - lower)[:, None]
        return torch.lerp(self._pick(lower), self._pick((lower + 1).clamp(max=top)), share)

    def _pick(self, level: Tensor) -> Tensor:
        index = level.long()[:, None, None].expand(-1, 1, self.levels.shape[2], -1, -1, -1)
        return self.levels.gather(1, index)[:, 0]


def blur(clip: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of every frame, half-width ceil(4 sigma), unit sum, zero padding; sigma 0 is the identity.

    clip: (..., H, W). A product with one banded matrix per axis: exact, and faster than a convolution with
    a kernel wider than the frame.
    """
    if sigma == 0:
        return clip
    rows = _blur_matrix(clip.shape[-2], sigma).to(clip)
    columns = _blur_matrix(clip.shape[-1], sigma).to(clip)
    return rows @ clip @ columns.T


def _blur_matrix(size: int, sigma: float) -> Tensor:
    half = math.ceil(4 * sigma)
    taps = torch.exp(-0.5 * (torch.arange(-half, half + 1, dtype=torch.float64) / sigma) ** 2)
    taps /= taps.sum()
    place = torch.arange(size)
    offset = place[None, :] - place[:, None]
    return torch.where(offset.abs() <= half, taps[offset.clamp(-half, half) + half], 0.0)
