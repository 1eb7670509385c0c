"""Defines the contract every metric keeps: `metric(classifier, batch, saliency) -> Scores`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn

from vxbench.explainers.base import Explainer, Passes
from vxbench.fact import Fact
from vxbench.metrics.facts import declare
from vxbench.network import at_least_float32, check_target, full_float32, ordinary


@dataclass
class Batch:
    """What a metric may look at. B clips of T frames.

    clip: (B, 3, T, H, W) float32, normalised for the model.
    target: (B,) int64, the class explained. label: (B,) int64, the ground truth.
    predicted: (B,) int64, the class with the highest score, or None where nobody asked the network.
    boxes: (B, T, H, W) bool, union of the annotated boxes, or None where the data set has none.
    annotated: (B, T) bool, the frames that carry an annotation, or None.
    action: (B, T) bool, the frames inside the action's segment, or None.
    generators: one CPU torch.Generator a clip, seeded from (seed, clip id); None: every clip draws from seed 0.
    """

    clip: Tensor
    target: Tensor
    label: Tensor
    boxes: Tensor | None = None
    annotated: Tensor | None = None
    action: Tensor | None = None
    generators: list[torch.Generator] | None = None
    predicted: Tensor | None = None

    def mapped(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        """The batch with every one of its tensors changed."""
        tensors = {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}
        return replace(self, **{name: change(tensor) for name, tensor in tensors.items()})


class Scores(dict[str, Tensor]):
    """{name: (B,) float tensor}, NaN where the clip cannot be scored.

    reasons: {name: {index in the batch: why it is NaN}}.
    weights: {name: (B,)}, what a clip counts in the mean over clips; 1 where a name is absent. A rate pooled over
        frames has the clip's number of frames here.
    groups: {name: (B,) int64}, for a mean over groups of each group's weighted mean; one group where absent.
    curves: {name: (B, n)}, the curve a value was computed from, kept to be drawn.
    """

    def __init__(
        self,
        values: dict[str, Tensor],
        reasons: dict[str, dict[int, str]] | None = None,
        weights: dict[str, Tensor] | None = None,
        groups: dict[str, Tensor] | None = None,
        curves: dict[str, Tensor] | None = None,
    ):
        super().__init__(values)
        self.reasons = reasons or {}
        self.weights = weights or {}
        self.groups = groups or {}
        self.curves = curves or {}


class Metric:
    """Base of all metrics. `keys` names what it returns, in the order of the columns; `facts` says what each is.

    A metric whose `calibration` is not 0 is given that many clips of the data set, the same in every run and
    shard, before its first batch: `prepare(classifier, clips)`. One that measures time belongs to a machine, and
    nothing is decoded beside it. One that explains the clips again has its explainer in `explainer`. Whatever
    precision a caller or the network has chosen, `__call__` computes in `full_float32`.
    """

    keys: tuple[str, ...] = ()
    facts: ClassVar[Mapping[str, Fact]] = {}
    calibration: int = 0
    measures_time: bool = False
    explainer: Explainer | None = None

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        declare(cls)
        if "__call__" in vars(cls):
            cls.__call__ = _in_full_float32(cls.__call__)

    def prepare(self, classifier: nn.Module, clips: Tensor) -> None:
        """clips: (calibration, 3, T, H, W) or fewer, normalised for the model."""

    def __call__(self, classifier: nn.Module, batch: Batch, saliency: Tensor) -> Scores:
        """saliency: (B, T, H, W) in [0, 1]."""
        raise NotImplementedError

    @classmethod
    def describe(cls, **options: Any) -> dict[str, str]:
        """{key: a sentence below its table on how these options compute it}, for keys whose definition is open."""
        return {}

    def passes(self, shape: tuple[int, int, int]) -> Passes | None:
        """What one clip of `shape` (T, H, W) costs, at most; None: not known, which leaves the plan a question mark."""
        return None

    def passes_before(self, shape: tuple[int, int, int]) -> Passes | None:
        """What a run costs once, whatever its number of clips: nothing, unless the metric calibrates or warms up."""
        return Passes()


def _in_full_float32(call: Callable[..., Scores]) -> Callable[..., Scores]:
    """A metric's `__call__` that computes in float32 or better, also under a caller's autocast or inference mode."""

    @wraps(call)
    def scored(self: Metric, classifier: nn.Module, batch: Batch, saliency: Tensor) -> Scores:
        check_target(classifier, batch.target, len(batch.clip))
        with full_float32():
            return call(self, classifier, batch.mapped(ordinary), at_least_float32(ordinary(saliency)))

    return scored


def finite(saliency: Tensor) -> Tensor:
    """The maps as they are.

    Raises:
        ValueError: NaN or infinity in a map; such a clip has failed and is never scored.
    """
    if not torch.isfinite(saliency).all():
        raise ValueError("saliency holds NaN or infinity")
    return saliency


def boxed_frames(batch: Batch) -> Tensor:
    """(B, T) bool: frames that carry an annotation and show a part of a box."""
    boxed = batch.boxes.flatten(2).any(dim=2)
    return boxed if batch.annotated is None else boxed & batch.annotated


def generators_of(batch: Batch) -> list[Generator]:
    """One generator a clip: the batch's, or seed 0 for every clip.

    Raises:
        ValueError: not as many generators as clips.
    """
    if batch.generators is None:
        return [Generator().manual_seed(0) for _ in batch.clip]
    if len(batch.generators) != len(batch.clip):
        raise ValueError(f"{len(batch.generators)} generators for {len(batch.clip)} clips")
    return batch.generators


def fresh_generators(batch: Batch) -> list[torch.Generator]:
    """One generator a clip, as the batch's own were when they were seeded; seed 0 without any.

    They draw the same whatever was drawn before, and leave the batch's own generators alone.
    """
    return [torch.Generator().manual_seed(generator.initial_seed()) for generator in generators_of(batch)]


def explain_again(explainer: Explainer, classifier: nn.Module, batch: Batch) -> Tensor:
    """The explainer's map of each clip, not normalised, (B, T, H, W)."""
    return explainer(classifier, batch.clip, batch.target, generators=fresh_generators(batch), boxes=batch.boxes)


def alone(batch: Batch, index: int) -> Batch:
    """One clip of the batch, with what an explainer may look at, as a batch of 1."""
    row = slice(index, index + 1)
    boxes = None if batch.boxes is None else batch.boxes[row]
    generators = None if batch.generators is None else batch.generators[row]
    return Batch(batch.clip[row], batch.target[row], batch.label[row], boxes=boxes, generators=generators)
