"""Measures how long an explanation takes."""

import time
from copy import copy
from typing import ClassVar

import torch
from torch import Tensor, nn

from vxbench.explainers.base import Explainer, Passes
from vxbench.fact import Fact
from vxbench.metrics.base import Batch, Metric, Scores, alone, explain_again
from vxbench.ranges import whole


class GenerationTime(Metric):
    """seconds: wall time of one explanation, the clip alone in the network's batch, its device synchronised.

    All that the explainer does is counted (flow, masks, aggregation); loading and normalising the clip are not. The
    map that is scored beside it plays no part.

    explainer: run anew for every clip, each on a generator in its seeded state.
    warmup: runs on the first clip this metric meets, not counted: the device allocates and chooses its kernels.
    batch: masked copies in the network at once while timed, the explainer's `chunk`; None leaves the explainer's own.

    Source: AOSA (Uchiyama et al.), Table V.
    """

    keys = ("seconds",)
    facts: ClassVar = {
        "seconds": Fact(
            "Mean seconds to make one saliency map",
            unit="seconds",
            low=1e-9,  # no clock is finer; ratios divide by it
            higher_is_better=False,
        )
    }
    measures_time = True

    def __init__(self, explainer: Explainer, warmup: int = 3, batch: int | None = None):
        self.explainer = copy(explainer)
        if batch is not None:
            self.explainer.chunk = whole("batch", batch, 1)
        self.warmup = whole("warmup", warmup, 0)
        self._warm = False

    def __call__(self, classifier: nn.Module, batch: Batch, saliency: Tensor) -> Scores:
        """(B,) seconds."""
        self._warm_up(classifier, alone(batch, 0))
        seconds = [self._seconds(classifier, alone(batch, index)) for index in range(len(batch.clip))]
        return Scores({"seconds": torch.tensor(seconds, dtype=torch.float64)})

    def passes(self, shape: tuple[int, int, int]) -> Passes | None:
        return self.explainer.passes(shape)

    def passes_before(self, shape: tuple[int, int, int]) -> Passes | None:
        once = self.explainer.passes(shape)
        return None if once is None else once * self.warmup

    def _warm_up(self, classifier: nn.Module, one: Batch) -> None:
        if not self._warm:
            for _ in range(self.warmup):
                explain_again(self.explainer, classifier, one)
            self._warm = True

    def _seconds(self, classifier: nn.Module, one: Batch) -> float:
        synchronise(one.clip.device)
        began = time.perf_counter()
        explain_again(self.explainer, classifier, one)
        synchronise(one.clip.device)
        return time.perf_counter() - began


def synchronise(device: torch.device) -> None:
    """Waits until all work queued on the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    else:
        torch.get_device_module(device).synchronize()
