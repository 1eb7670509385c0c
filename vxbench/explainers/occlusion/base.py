"""Runs occlusion explainers: masks -> scores -> weighted sum.

Mask i is Omega_i, 1 where the clip is visible; f_i is the score p_y of the clip it leaves, and D_i = f_i - f_0 its
change from the score f_0 of the whole clip.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from vxbench.explainers.base import Context, Explainer
from vxbench.explainers.occlusion.holes import Holes, hidden_share, paint_hidden
from vxbench.network import class_score, whole_scores
from vxbench.ranges import one_of


class Masks(Protocol):
    """N masks over the clips of a batch, which are built a few at a time: dense, all would not fit in memory."""

    owner: Tensor  # (N,), the clip each belongs to

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice) -> "Masks": ...

    def visible(self, dtype: torch.dtype) -> Tensor:
        """The masks as factors of the clip, (N, 1, T, H, W): 1 visible, 0 hidden."""


class Occlusion(Explainer):
    """Base of the family: a subclass defines its `masks`, and overrides `scores` or `combine` if need be.

    aggregate: a key of AGGREGATES.
    """

    def __init__(self, aggregate: str = "released", chunk: int = 64):
        super().__init__(chunk)
        self.aggregate = one_of("aggregate", aggregate, AGGREGATES)

    def explain(self, classifier: nn.Module, clip: Tensor, target: Tensor, context: Context) -> Tensor:
        masks = self.masks(clip, context)
        return self.combine(masks, *self.scores(classifier, clip, target, masks))

    def masks(self, clip: Tensor, context: Context) -> Masks:
        """The masks of all clips, on the clips' device."""
        raise NotImplementedError

    def scores(self, classifier: nn.Module, clip: Tensor, target: Tensor, masks: Masks) -> tuple[Tensor, Tensor]:
        """The score p_y of every masked clip (N,) and of the whole clips (B,)."""
        return masked_scores(classifier, clip, target, masks, self.chunk), whole_scores(
            classifier, clip, target, self.chunk
        )

    def combine(self, masks: Masks, masked: Tensor, whole: Tensor) -> Tensor:
        """The map (B, T, H, W) from the scores of the masked (N,) and the whole clips (B,)."""
        return AGGREGATES[self.aggregate](masks, masked, whole)


@torch.no_grad()
def masked_scores(classifier: nn.Module, clip: Tensor, target: Tensor, masks: Masks, chunk: int) -> Tensor:
    """The scores f_i = p_y(Omega_i * X), (N,). What is hidden becomes 0, the mean colour.

    Masks of different clips share a pass: at most `chunk` masked clips go through the network at once.
    """
    scores = []
    for start in range(0, len(masks), chunk):
        part = masks[start : start + chunk]
        masked = clip[part.owner] * part.visible(clip.dtype)
        scores.append(class_score(classifier, masked, target[part.owner], "prob"))
    return torch.cat(scores)


def released(holes: Holes, masked: Tensor, whole: Tensor) -> Tensor:
    """Averages the change by the masks that show a voxel: S = (1/N) sum_i D_i Omega_i / mean(Omega_i).

    masked (N,), whole (B,) -> (B, T, H, W) float64. A mask that shows nothing adds nothing. Source: uchiyama33/AOSA.
    """
    seen = 1 - hidden_share(holes)
    change = masked.double() - whole.double()[holes.owner]
    return _mean_over_masks(holes, torch.where(seen > 0, change / seen, 0), len(whole))


def eq2(holes: Holes, masked: Tensor, whole: Tensor) -> Tensor:
    """Averages the scores of the masks that show a voxel: S = (1/N) sum_i f_i Omega_i (Uchiyama et al., eq. 2)."""
    return _mean_over_masks(holes, masked.double(), len(whole))


def coverage(holes: Holes, masked: Tensor, whole: Tensor) -> Tensor:
    """Averages the drop by the masks that hide a voxel: S = sum_i -D_i (1 - Omega_i) / sum_i (1 - Omega_i), or 0."""
    drop = whole.double()[holes.owner] - masked.double()
    covered = paint_hidden(torch.ones_like(drop), holes, len(whole))
    return paint_hidden(drop, holes, len(whole)) / covered.clamp(min=1)


AGGREGATES = {"released": released, "eq2": eq2, "coverage": coverage}


def _mean_over_masks(holes: Holes, weight: Tensor, batch: int) -> Tensor:
    """The mean (1/N) sum_i weight_i Omega_i, with Omega = 1 - hidden."""
    total = weight.new_zeros(batch).index_add_(0, holes.owner, weight)
    count = torch.bincount(holes.owner, minlength=batch)
    shape = (-1, 1, 1, 1)
    return (total.view(shape) - paint_hidden(weight, holes, batch)) / count.view(shape)
