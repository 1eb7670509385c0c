"""From a layer's cells to the clip's pixels: first in time, then in space."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from vxbench.explainers.normalise import normalise


def enlarge(coarse: Tensor, size: Sequence[int], upsample: str = "bilinear") -> Tensor:
    """(B, T', h, w) -> (B, T, H, W) with size = (T, H, W)."""
    frames, height, width = size
    return UPSAMPLES[upsample](enlarge_in_time(coarse, frames), height, width)


def enlarge_in_time(coarse: Tensor, frames: int) -> Tensor:
    """(B, T', h, w) -> (B, T, h, w): every step repeated, or linear where T is no multiple of T'."""
    steps = coarse.shape[1]
    if frames % steps == 0:
        return coarse.repeat_interleave(frames // steps, dim=1)
    series = coarse.flatten(2).transpose(1, 2)
    longer = interpolate(series, size=frames, mode="linear", align_corners=False)
    return longer.transpose(1, 2).unflatten(2, coarse.shape[2:])


def stretch_frames(saliency: Tensor) -> Tensor:
    """Every frame to [0, 1] by itself."""
    frames = saliency.flatten(0, 1).unsqueeze(1)
    return normalise(frames, "minmax")[0].view_as(saliency)


def _bilinear(maps: Tensor, height: int, width: int) -> Tensor:
    return interpolate(maps, size=(height, width), mode="bilinear", align_corners=False)


def _spline3(maps: Tensor, height: int, width: int) -> Tensor:
    """Cubic spline; it may leave the range of the cells."""
    from scipy.ndimage import zoom

    factors = (1, 1, height / maps.shape[2], width / maps.shape[3])
    return torch.from_numpy(zoom(maps.cpu().numpy(), factors, order=3)).to(maps)


UPSAMPLES = {"bilinear": _bilinear, "spline3": _spline3}
