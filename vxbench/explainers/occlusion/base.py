"""What all occlusion explainers do: masks -> scores -> weighted sum."""

from typing import Protocol

import torch
from torch import Tensor, nn

from vxbench.explainers.base import Context, Explainer
from vxbench.explainers.occlusion.holes import Holes, hidden_share, paint_hidden
from vxbench.network import class_score, whole_scores
from vxbench.ranges import one_of


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


class Masks(Protocol):
    """N masks over the clips of a batch, built a few at a time: never hold all of them dense."""

    owner: Tensor  # (N,), the clip each belongs to

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice) -> "Masks": ...

    def visible(self, dtype: torch.dtype) -> Tensor:
        """Factors of the clip, (N, 1, T, H, W): 1 visible, 0 hidden."""


class Occlusion(Explainer):
    """The family's body: a subclass says what its `masks` are, and how it scores or combines them if otherwise.

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
        """p_y of every masked clip (N,) and of the clips as they are (B,)."""
        return masked_scores(classifier, clip, target, masks, self.chunk), whole_scores(
            classifier, clip, target, self.chunk
        )

    def combine(self, masks: Masks, masked: Tensor, whole: Tensor) -> Tensor:
        """(B, T, H, W)."""
        return AGGREGATES[self.aggregate](masks, masked, whole)


@torch.no_grad()
def masked_scores(classifier: nn.Module, clip: Tensor, target: Tensor, masks: Masks, chunk: int) -> Tensor:
    """f_i = p_y(Omega_i * X), (N,). What is hidden becomes 0, the mean colour.

    Masks of different clips share a pass: at most `chunk` masked clips go through the network at once.
    """
    scores = []
    for start in range(0, len(masks), chunk):
        part = masks[start : start + chunk]
        masked = clip[part.owner] * part.visible(clip.dtype)
        scores.append(class_score(classifier, masked, target[part.owner], "prob"))
    return torch.cat(scores)
