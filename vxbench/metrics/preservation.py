"""Finds how little of a clip is enough to keep the network's score."""

import copy
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from vxbench.errors import OutOfRange
from vxbench.explainers.base import Context, Passes
from vxbench.explainers.perturbation.loop import PerturbationExplainer
from vxbench.fact import Fact
from vxbench.metrics.base import Batch, Metric, Scores, fresh_generators
from vxbench.metrics.faithfulness import NOT_FINITE
from vxbench.network import untouched, whole_scores
from vxbench.ranges import above, within

GRID = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class MinimumPreservationRatio(Metric):
    """min_preservation_ratio: the smallest share a of the grid with p_y(clip kept by M_a) >= p_y(X) - slack.

    M_a is the mask that the explainer optimises for the area a, y the class explained. It says how much a network needs
    to see: lower is less. The map that is scored beside it plays no part. The cost is that of the explainer with one
    area less than the grid has.

    explainer: a perturbation explainer; the grid takes the place of its own areas, and how it combines several is not
        used. Each clip's generator starts from its seed, so what was explained before does not matter.
    grid: shares of the (padded) mask, above 0 and up to 1. Where no smaller share is enough the ratio is 1: the whole
        clip keeps its score, so no mask is sought for it.
    slack: in units of probability.

    Raises:
        OutOfRange: a grid without 1 or without anything below it, or an explainer without a mask that keeps the class.

    Source: STEP (Li et al. 2021), Table 2; the paper gives no grid.
    """

    keys = ("min_preservation_ratio",)
    facts: ClassVar = {
        "min_preservation_ratio": Fact(
            "Smallest preserved share that keeps the output probability",
            unit="fraction",
            low=0,
            high=1,
            higher_is_better=False,
        )
    }

    def __init__(self, explainer: PerturbationExplainer, grid: Sequence[float] = GRID, slack: float = 0.0):
        shares = grid if isinstance(grid, Sequence) else [grid]
        self.grid = sorted({above("grid", within("grid", share, 0, 1), 0) for share in shares})
        if len(self.grid) < 2 or self.grid[-1] != 1:
            raise OutOfRange(f"grid = {grid} must hold 1, where every clip succeeds, and a share below 1")
        self.slack = within("slack", slack, 0, 1)
        self.explainer = copy.copy(_preserving(explainer))
        self.explainer.areas = self.grid[:-1]

    def __call__(self, classifier: nn.Module, batch: Batch, saliency: Tensor) -> Scores:
        """(B,), NaN where the network's output is not finite. Its curve (B, grid) is p_y of what each mask keeps."""
        clip, target = batch.clip.detach(), batch.target
        with untouched(classifier):
            whole = whole_scores(classifier, clip, target, self.explainer.chunk)
            context = Context(fresh_generators(batch), batch.boxes)
            _, kept = self.explainer.per_area(classifier, clip, target, context)
        return self._scores(torch.cat([kept, whole[:, None]], dim=1).double().cpu())

    def passes(self, shape: tuple[int, int, int]) -> Passes | None:
        if self.explainer.passes(shape) is None:
            return None
        return self.explainer.passes_of_search(len(self.explainer.areas)) + Passes(forward=1)

    def _scores(self, curve: Tensor) -> Scores:
        """curve (B, grid): p_y at each share, ascending; the last is the whole clip's, which always is enough."""
        (key,) = self.keys
        smallest = (curve >= curve[:, -1:] - self.slack).int().argmax(dim=1)  # the first of several
        broken = ~curve.isfinite().all(dim=1)
        ratio = torch.tensor(self.grid, dtype=curve.dtype)[smallest].masked_fill(broken, torch.nan)
        reasons = dict.fromkeys(broken.nonzero().flatten().tolist(), NOT_FINITE)
        return Scores({key: ratio}, {key: reasons} if reasons else None, curves={key: curve})


def _preserving(explainer: PerturbationExplainer) -> PerturbationExplainer:
    if not isinstance(explainer, PerturbationExplainer):
        raise OutOfRange(f"explainer = {type(explainer).__name__} has no mask for a given area; use EP3D or a relative")
    if explainer.mode == "delete":
        raise OutOfRange("explainer.mode = delete never sees the kept clip; use preserve or dual")
    return explainer
