"""Scores whether the network is right on the clips as they are, as STEP's table 1 does. The map plays no part."""

from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from vxbench.explainers.base import Passes
from vxbench.fact import Fact
from vxbench.metrics.base import Batch, Metric, Scores
from vxbench.metrics.faithfulness import NOT_FINITE
from vxbench.network import in_chunks, outputs, untouched
from vxbench.ranges import whole

RANKS = (1, 5)


def within_top(scores: Tensor, label: Tensor, k: int) -> Tensor:
    """(B,) bool: the label's score is among the k largest of scores (B, K).

    Of equal scores the lower class comes first. A row with NaN at its label is wrong.
    """
    own = scores.gather(1, label[:, None])
    later = torch.arange(scores.shape[1], device=scores.device) >= label[:, None]
    behind = (scores < own) | ((scores == own) & later)  # the label's own entry among them
    return (~behind).sum(dim=1) < k


def too_few(classes: int, k: int) -> str | None:
    """Why top-k says nothing about a network of so few classes; None where it does."""
    return f"of {classes} classes, one is always among the top {k}" if k > 1 and classes <= k else None


class TopK(Metric):
    """1 where the clip's label is the first class (`top1`) or among the first five (`top5`), else 0.

    The means over clips are the accuracies. One forward pass a clip.
    chunk: clips in the network at once; memory only.

    Source: Li et al. 2021 (STEP), table 1.
    """

    keys = ("top1", "top5")
    facts: ClassVar = {
        "top1": Fact(
            "Top-1 classification accuracy of the model", unit="fraction", low=0, high=1, higher_is_better=True
        ),
        "top5": Fact(
            "Top-5 classification accuracy of the model",
            unit="fraction",
            low=0,
            high=1,
            higher_is_better=True,
            needs="classes",
        ),
    }

    def __init__(self, chunk: int = 64):
        self.chunk = whole("chunk", chunk, 1)

    def __call__(self, classifier: nn.Module, batch: Batch, saliency: Tensor) -> Scores:
        """Each key (B,); NaN where the network's output is not finite, and top5 of no more than 5 classes."""
        with torch.no_grad(), untouched(classifier):
            output = in_chunks(partial(outputs, classifier), self.chunk, batch.clip)
        broken = ~output.isfinite().all(dim=1)
        values, reasons = {}, {}
        for key, k in zip(self.keys, RANKS, strict=True):
            always = too_few(output.shape[1], k)
            hopeless = torch.ones_like(broken) if always else broken
            right = within_top(output, batch.label, k).to(torch.float32)
            values[key] = right.masked_fill(hopeless, torch.nan)
            reasons[key] = dict.fromkeys(hopeless.nonzero().flatten().tolist(), always or NOT_FINITE)
        return Scores(values, {key: why for key, why in reasons.items() if why})

    def passes(self, shape: tuple[int, int, int]) -> Passes:
        return Passes(forward=1)
