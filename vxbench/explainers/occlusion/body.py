"""What all occlusion explainers do: masks -> scores -> weighted sum."""

from typing import Protocol

import torch
from torch import Tensor, nn

from vxbench.explainers.base import Context, Explainer, class_score, whole_scores
from vxbench.explainers.occlusion.aggregate import AGGREGATES
from vxbench.ranges import one_of


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
