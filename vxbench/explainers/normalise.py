"""Scales maps to [0, 1], per clip over (T, H, W)."""

import torch
from torch import Tensor

from vxbench.ranges import one_of

FLAT = 1e-12  # a range below this is a constant map


def normalise(saliency: Tensor, how: str) -> tuple[Tensor, Tensor]:
    """Scales maps (B, T, H, W) to [0, 1], and tells, (B,) bool, which were degenerate: constant, returned as zeros.

    `minmax`: (v - min) / (max - min). `p999`: the same with the 99.9th percentile as the top, clipped.
    `none`: left alone, for maps that are in [0, 1] by construction (masks, annotations).

    Raises:
        ValueError: NaN or infinity in a map, which is never filled with zeros.
    """
    one_of("normaliser", how, NORMALISERS)
    if not torch.isfinite(saliency).all():
        raise ValueError("saliency holds NaN or infinity")
    return NORMALISERS[how](saliency)


def _keep(saliency: Tensor) -> tuple[Tensor, Tensor]:
    flat = saliency.flatten(1)
    return saliency, (flat.amax(1) - flat.amin(1)) < FLAT


def _minmax(saliency: Tensor) -> tuple[Tensor, Tensor]:
    return _stretch(saliency, saliency.flatten(1).amax(dim=1))


def _p999(saliency: Tensor) -> tuple[Tensor, Tensor]:
    """Scales with the value at index int(.999 n) of the sorted map as the top, as the released display code does."""
    flat = saliency.flatten(1)
    rank = min(int(0.999 * flat.shape[1]), flat.shape[1] - 1)
    return _stretch(saliency, flat.kthvalue(rank + 1, dim=1).values)


def _stretch(saliency: Tensor, top: Tensor) -> tuple[Tensor, Tensor]:
    low = saliency.flatten(1).amin(dim=1)
    span = top - low
    degenerate = span < FLAT
    shape = (-1, 1, 1, 1)
    scaled = (saliency - low.view(shape)) / span.masked_fill(degenerate, 1).view(shape)
    return scaled.clamp(0, 1).masked_fill(degenerate.view(shape), 0), degenerate


NORMALISERS = {"minmax": _minmax, "p999": _p999, "none": _keep}
