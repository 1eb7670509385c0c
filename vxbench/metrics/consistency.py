"""Scores how well a map's high values agree with the annotated boxes, over the whole clip."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from vxbench.explainers.base import Passes
from vxbench.fact import Fact
from vxbench.metrics.base import Batch, Metric, Scores, boxed_frames, finite
from vxbench.ranges import one_of, within

NO_BOXES = "no boxes"
NO_BOX_IN_CLIP = "no box in the sampled frames"


def _percent(part: Tensor, whole: Tensor) -> Tensor:
    """100 part / whole, 0 where whole is 0."""
    return 100 * part / whole.clamp(min=1)


# Counts (B,): voxels at or above tau on frames with a box (hot), in a box (box), and both.
NORMS = {
    "recall": lambda both, hot, box: _percent(both, box),
    "precision": lambda both, hot, box: _percent(both, hot),
    "iou": lambda both, hot, box: _percent(both, hot + box - both),
    "count": lambda both, hot, box: both,
}
IN_WORDS = {
    "recall": "the share of the boxes' pixels where the map is at least τ",
    "precision": "the share of the map's pixels of at least τ that lie in a box",
    "iou": "intersection over union of the boxes and the map's pixels of at least τ",
    "count": "the number of box pixels where the map is at least τ",
}


class SpatiotemporalConsistency(Metric):
    """STC (Lin et al. 2021, section 4.1): the overlap of {S >= tau} with the boxes.

    stc: in percent of the boxes' volume (`recall`), of the voxels at or above tau (`precision`) or of the union
        (`iou`); `count` is the printed formula, a number of voxels. Frames without boxes add nothing.
    area_above_tau: 100 mean(S >= tau) over all frames. A map of ones has recall 100: read the two together.
    """

    keys = ("stc", "area_above_tau")
    facts: ClassVar = {
        "stc": Fact(
            "Spatiotemporal Consistency",
            short="STC",
            unit="percent",
            decimals=1,
            low=0,  # no upper end: with norm=count it is a number of voxels
            higher_is_better=True,
            companion="area_above_tau",
            needs="boxes",
        ),
        "area_above_tau": Fact(
            "share of the map at or above τ", short="Area ≥ τ", unit="percent", decimals=1, low=0, high=100
        ),
    }

    def __init__(self, norm: str = "recall", tau: float = 0.5):
        self.norm = one_of("norm", norm, NORMS)
        self.tau = within("tau", tau, 0, 1)

    def __call__(self, classifier: nn.Module, batch: Batch, saliency: Tensor) -> Scores:
        """Each key (B,). stc is NaN where there is no box to agree with."""
        hot = finite(saliency) >= self.tau
        area = 100 * hot.flatten(1).float().mean(dim=1)
        if batch.boxes is None:
            stc, reasons = torch.full_like(area, torch.nan), dict.fromkeys(range(len(hot)), NO_BOXES)
        else:
            boxed = boxed_frames(batch)[:, :, None, None]
            stc, reasons = self._overlap(hot & boxed, batch.boxes & boxed)
        return Scores({"stc": stc, "area_above_tau": area}, {"stc": reasons} if reasons else None)

    @classmethod
    def describe(cls, norm: str = "recall", tau: float = 0.5) -> dict[str, str]:
        """The paper states neither divisor nor threshold."""
        line = f"STC = {IN_WORDS[norm]}, τ = {tau:g} (norm = {norm}; the paper states no divisor)."
        if norm == "recall":
            line += " A map of ones scores 100, so read it with the column beside it."
        return {"stc": line}

    def passes(self, shape: tuple[int, int, int]) -> Passes:
        return Passes()

    def _overlap(self, hot: Tensor, boxes: Tensor) -> tuple[Tensor, dict[int, str]]:
        both, hot_count, box_count = (mask.flatten(1).sum(dim=1).float() for mask in (hot & boxes, hot, boxes))
        empty = box_count == 0
        stc = NORMS[self.norm](both, hot_count, box_count).masked_fill(empty, torch.nan)
        return stc, dict.fromkeys(empty.nonzero().flatten().tolist(), NO_BOX_IN_CLIP)
