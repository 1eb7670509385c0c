"""The contract every metric keeps: `metric(classifier, batch, saliency) -> Scores`."""

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass
class Batch:
    """What a metric may look at. B clips of T frames.

    clip: (B, 3, T, H, W) float32, normalised for the model.
    target: (B,) int64, the class explained. label: (B,) int64, the ground truth.
    boxes: (B, T, H, W) bool, union of the annotated boxes, or None where the data set has none.
    annotated: (B, T) bool, the frames that carry an annotation, or None.
    """

    clip: Tensor
    target: Tensor
    label: Tensor
    boxes: Tensor | None = None
    annotated: Tensor | None = None


class Scores(dict[str, Tensor]):
    """{name: (B,) float tensor}, NaN where the clip cannot be scored.

    reasons: {name: {index in the batch: why it is NaN}}.
    """

    def __init__(self, values: dict[str, Tensor], reasons: dict[str, dict[int, str]] | None = None):
        super().__init__(values)
        self.reasons = reasons or {}


class Metric:
    """Base of all metrics. `keys` names what it returns, in the order of the columns."""

    keys: tuple[str, ...] = ()

    def __call__(self, classifier: nn.Module, batch: Batch, saliency: Tensor) -> Scores:
        """saliency: (B, T, H, W) in [0, 1]."""
        raise NotImplementedError
