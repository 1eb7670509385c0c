"""Several masks of one clip, one per area, made into one map."""

import torch
from torch import Tensor

from vxbench.explainers.perturbation.pyramid import blur

COMBINE = ("sum_gauss10", "sum_tr", "extremal", "single")
TORCHRAY_SIGMA = 0.09  # of the frame's shorter side


def combine(masks: Tensor, how: str, smoothing: float = 0.0, enough: Tensor | None = None) -> Tensor:
    """masks: (B, A, T, H, W), areas ascending -> (B, T, H, W) in [0, 1].

    One area: the mask itself. Several: `sum_gauss10` sums them, blurs each frame by 10 pixels and divides by the
    clip's maximum (code of Li et al.'s follow-up), `sum_tr` the same with .09 of the shorter side (TorchRay),
    `extremal` takes the smallest area with enough (B, A) true, else the largest (STEP eq. 3), `single` the first.
    smoothing: sigma in pixels of a blur of every mask before that, 0 for none.
    """
    masks = blur(masks, smoothing).clamp(0, 1)
    if masks.shape[1] == 1 or how == "single":
        return masks[:, 0]
    if how == "extremal":
        first = torch.where(enough.any(dim=1), enough.int().argmax(dim=1), masks.shape[1] - 1)
        return masks[torch.arange(len(masks), device=masks.device), first]
    sigma = 10.0 if how == "sum_gauss10" else TORCHRAY_SIGMA * min(masks.shape[-2:])
    total = blur(masks.sum(dim=1), sigma)
    return total / total.flatten(1).amax(dim=1).clamp(min=1e-12).view(-1, 1, 1, 1)
