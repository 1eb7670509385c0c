"""From the scores of the masked clips to a map.

f_i is the score with mask i, f_0 that of the whole clip, D_i = f_i - f_0, Omega_i the mask (1 visible), N the
number of the clip's masks. In all of them higher = more important, but under eq2 a voxel that no mask hides has
the maximum.
"""

import torch
from torch import Tensor

from vxbench.explainers.occlusion.holes import Holes
from vxbench.explainers.occlusion.sums import hidden_share, paint_hidden


def released(holes: Holes, masked: Tensor, whole: Tensor) -> Tensor:
    """S = (1/N) sum_i D_i Omega_i / mean(Omega_i) (uchiyama33/AOSA): what the masks that show a voxel change.

    masked (N,), whole (B,) -> (B, T, H, W) float64. A mask that shows nothing adds nothing.
    """
    seen = 1 - hidden_share(holes)
    change = masked.double() - whole.double()[holes.owner]
    return _mean_over_masks(holes, torch.where(seen > 0, change / seen, 0), len(whole))


def eq2(holes: Holes, masked: Tensor, whole: Tensor) -> Tensor:
    """S = (1/N) sum_i f_i Omega_i (Uchiyama et al., eq. 2)."""
    return _mean_over_masks(holes, masked.double(), len(whole))


def coverage(holes: Holes, masked: Tensor, whole: Tensor) -> Tensor:
    """S = sum_i -D_i (1 - Omega_i) / sum_i (1 - Omega_i): the mean drop of the masks that hide a voxel; 0 without."""
    drop = whole.double()[holes.owner] - masked.double()
    covered = paint_hidden(torch.ones_like(drop), holes, len(whole))
    return paint_hidden(drop, holes, len(whole)) / covered.clamp(min=1)


AGGREGATES = {"released": released, "eq2": eq2, "coverage": coverage}


def _mean_over_masks(holes: Holes, weight: Tensor, batch: int) -> Tensor:
    """(1/N) sum_i weight_i Omega_i, with Omega = 1 - hidden."""
    total = weight.new_zeros(batch).index_add_(0, holes.owner, weight)
    count = torch.bincount(holes.owner, minlength=batch)
    shape = (-1, 1, 1, 1)
    return (total.view(shape) - paint_hidden(weight, holes, batch)) / count.view(shape)
