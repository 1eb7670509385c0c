"""Measures what remains of the prediction when the network sees only what a map keeps."""

from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from vxbench.explainers.base import Passes
from vxbench.explainers.perturbation.pyramid import Pyramid
from vxbench.fact import Fact
from vxbench.metrics.base import Batch, Metric, Scores, finite
from vxbench.network import in_chunks, probabilities, untouched
from vxbench.ranges import above, one_of, whole

OPERATORS = ("blur", "fade", "product")
LABELS = ("gt", "pred")
NOT_FINITE = "the network's output is not finite"


class Faithfulness(Metric):
    """Drop in confidence and explanation accuracy, from one pass over X and one over X_e, the explained clip.

    dc: 100 max(0, p_y(X) - p_y(X_e)) in points, y the class predicted on X.
    accuracy: 100 where the class predicted on X_e is the label, else 0. Means over clips are the papers' numbers.
    operator: X_e is the clip where the map is 1 and, where it is 0, the blurred clip (`blur`, the pyramid of
        extremal perturbations) or the mean colour (`fade`, the same pyramid; `product`, X times S).
    label: the ground truth (`gt`) or the class predicted on X (`pred`).
    levels, max_sigma: of the pyramid.

    Source: Lin et al. 2021, section 4.1 and eq. 1.
    """

    keys = ("dc", "accuracy")
    facts: ClassVar = {
        "dc": Fact(
            "Drop in Confidence",
            short="DC",
            unit="percent",
            decimals=1,
            low=0,
            high=100,
            higher_is_better=False,
            note="DC {:.0f}",
        ),
        "accuracy": Fact(
            "Accuracy on the explanations",
            short="Acc.",
            unit="percent",
            decimals=1,
            low=0,
            high=100,
            higher_is_better=True,
        ),
    }

    def __init__(
        self,
        operator: str = "blur",
        label: str = "gt",
        levels: int = 8,
        max_sigma: float = 20.0,
        chunk: int = 64,
    ):
        self.operator = one_of("operator", operator, OPERATORS)
        self.label = one_of("label", label, LABELS)
        self.levels = whole("levels", levels, 2)
        self.max_sigma = above("max_sigma", max_sigma, 0)
        self.chunk = whole("chunk", chunk, 1)

    def __call__(self, classifier: nn.Module, batch: Batch, saliency: Tensor) -> Scores:
        """Each key (B,), NaN where the network's output is not finite."""

        def on_explained(clip: Tensor, saliency: Tensor) -> Tensor:
            return probabilities(classifier, self.explained(clip, saliency))

        with torch.no_grad(), untouched(classifier):
            before = in_chunks(partial(probabilities, classifier), self.chunk, batch.clip)
            after = in_chunks(on_explained, self.chunk, batch.clip, finite(saliency))
        return self._scores(before, after, batch.label)

    def passes(self, shape: tuple[int, int, int]) -> Passes:
        return Passes(forward=2)

    def explained(self, clip: Tensor, saliency: Tensor) -> Tensor:
        """X_e, (B, 3, T, H, W), as precise as the clip."""
        saliency = saliency.to(clip)
        if self.operator == "product":
            return clip * saliency[:, None]
        return Pyramid(clip, kind=self.operator, levels=self.levels, max_sigma=self.max_sigma).apply(saliency)

    def _scores(self, before: Tensor, after: Tensor, label: Tensor) -> Scores:
        predicted = before.argmax(dim=1)
        drop = (before - after).gather(1, predicted[:, None])[:, 0].clamp(min=0)
        hit = after.argmax(dim=1) == (label if self.label == "gt" else predicted)
        broken = ~(before.isfinite() & after.isfinite()).all(dim=1)
        values = {"dc": 100 * drop, "accuracy": 100 * hit.to(drop)}
        reasons = dict.fromkeys(broken.nonzero().flatten().tolist(), NOT_FINITE)
        return Scores(
            {key: values[key].masked_fill(broken, torch.nan) for key in self.keys},
            dict.fromkeys(self.keys, reasons) if reasons else None,
        )


class DropInConfidence(Faithfulness):
    """Faithfulness' `dc` alone; lower is better."""

    keys = ("dc",)

    def __init__(self, operator: str = "blur", levels: int = 8, max_sigma: float = 20.0, chunk: int = 64):
        super().__init__(operator, levels=levels, max_sigma=max_sigma, chunk=chunk)


class ExplanationAccuracy(Faithfulness):
    """Faithfulness' `accuracy` alone; higher is better."""

    keys = ("accuracy",)
