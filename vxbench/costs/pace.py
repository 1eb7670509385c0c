"""Times this machine: seconds of a clip in a network, a method or a metric, and to begin a cell."""

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import TypeVar

import torch
from torch import nn

from vxbench.costs.network import CLASSES, forward_and_gradient, network, random_clips
from vxbench.datasets.base import VideoDataset
from vxbench.datasets.pool import DecodePool
from vxbench.device import is_out_of_memory, median_time, now, timed
from vxbench.explainers.base import Passes
from vxbench.explainers.perturbation.loop import Iteration, PerturbationExplainer
from vxbench.metrics.base import Batch, Metric
from vxbench.runner.assemble import Assembled

REPEATS, FEW = 7, 3  # calls that are timed of a network, and of a slow one or of a metric
ITERATIONS = 6  # of a method that iterates
SLOW_S = 1.0  # a clip that takes so long has the device to itself: several at once are no faster

Timed = TypeVar("Timed")


@dataclass(frozen=True)
class Part:
    """What a method or a metric does in a cell.

    key: what decides how long it takes. clips: on how many, or how often on one. passes: through the network, in all.
    """

    key: str
    clips: float
    passes: Passes


@dataclass(frozen=True)
class Timing:
    """forward, both: seconds a clip of the forward pass, and of forward and backward pass to the clip.

    parts: by key of a `Part` seconds a clip, with all that is done beside the network. start: seconds until a cell
    computes: its network built, its first batch decoded.
    """

    forward: float
    both: float
    parts: Mapping[str, float] = field(default_factory=dict)
    start: float = 0.0

    def seconds(self, passes: Passes, parts: Iterable[Part] = ()) -> float:
        """Estimated seconds for a cell with this many passes.

        Parts that were not timed take their passes; of those, a backward pass has a forward pass before it.
        """
        known = [part for part in parts if part.key in self.parts]
        rest = sum((part.passes * -1 for part in known), passes)
        network = (rest.forward - rest.backward) * self.forward + rest.backward * self.both
        return self.start + network + sum(self.parts[part.key] * part.clips for part in known)


def network_key(parts: Assembled) -> str:
    """What decides the pace: equal for cells that share a measurement."""
    return f"{parts.with_random_weights(CLASSES).yaml('model')}\n{parts.device} {parts.settings.chunk}"


def measure(
    parts: Assembled,
    things: Mapping[str, PerturbationExplainer | Metric] | None = None,
    dataset: VideoDataset | None = None,
) -> Timing:
    """Times the cell's network on its device, as many clips at once as `runner.chunk` says and memory allows.

    things: what is timed by itself, by the keys of its parts. With a slow network metrics are not: next to their passes
    the rest of them is nothing. dataset: whose first clips are decoded for `start`; None: decoding is left out.

    Raises:
        UserError: the network cannot be built.
        RuntimeError: not even one clip fits into memory.
    """
    random = parts.with_random_weights(CLASSES)
    classifier = network(random)
    slow = _one_clip(classifier, random) >= SLOW_S
    chunk, repeats = (1, FEW) if slow else (parts.settings.chunk, REPEATS)
    forward, both = _fitting(lambda size: _passes(classifier, random, size, repeats), chunk)
    of_parts = {}
    for key, thing in (things or {}).items():
        if isinstance(thing, PerturbationExplainer):
            of_parts[key] = _fitting(partial(_method, classifier, random, thing), chunk)
        elif not slow:
            of_parts[key] = _fitting(partial(_metric, classifier, random, thing), chunk)
    start = timed(lambda: network(random), parts.device) + _decoding(parts, dataset)
    return Timing(forward, both, of_parts, start)


def _fitting(action: Callable[[int], Timed], chunk: int) -> Timed:
    """The action on `chunk` clips, or on half as many until they fit into memory."""
    while True:
        try:
            return action(chunk)
        except (MemoryError, RuntimeError) as error:
            if chunk == 1 or not is_out_of_memory(error):
                raise
            chunk //= 2


@torch.no_grad()
def _one_clip(classifier: nn.Module, parts: Assembled) -> float:
    clip, _ = random_clips(parts, 1)
    classifier(clip)  # the first call also allocates and chooses kernels
    return timed(partial(classifier, clip), parts.device)


@torch.no_grad()
def _passes(classifier: nn.Module, parts: Assembled, chunk: int, repeats: int) -> tuple[float, float]:
    clip, target = random_clips(parts, chunk)
    there = median_time(partial(classifier, clip), parts.device, repeats)
    both = median_time(partial(forward_and_gradient, classifier, clip, target), parts.device, repeats)
    return there / chunk, both / chunk


def _method(classifier: nn.Module, parts: Assembled, method: PerturbationExplainer, chunk: int) -> float:
    """Seconds a clip: its beginning and a few iterations of one mask, times its areas and iterations.

    STEP's iterations have the core term, as all but the first have.
    """
    quick = method.shortened(ITERATIONS, chunk)
    moments: list[float] = []

    def note(_: Iteration) -> None:
        moments.append(now(parts.device))

    quick.observer = note
    clip, target = random_clips(parts, chunk)
    began = now(parts.device)
    quick(classifier, clip, target)
    iteration = statistics.median(after - before for before, after in pairwise(moments))
    beginning = max(0.0, moments[0] - began - iteration)
    return (beginning + method.iterations * iteration) * len(method.areas) / chunk


@torch.no_grad()
def _metric(classifier: nn.Module, parts: Assembled, metric: Metric, chunk: int) -> float:
    """Seconds a clip of noise with a map of noise, annotated everywhere."""
    clip, target = random_clips(parts, chunk)
    everywhere = torch.ones(clip[:, 0].shape, dtype=torch.bool, device=parts.device)
    frames = everywhere[:, :, 0, 0]
    batch = Batch(clip, target, target, everywhere, frames, frames)
    saliency = torch.rand(everywhere.shape, device=parts.device)
    return median_time(lambda: metric(classifier, batch, saliency), parts.device, FEW) / chunk


def _decoding(parts: Assembled, dataset: VideoDataset | None) -> float:
    """Seconds until the decoding processes have begun and the first batch is there."""
    if dataset is None:
        return 0.0
    began = now("cpu")
    with DecodePool(parts.settings.workers, parts.settings.timeout_s) as pool:
        pool.load(dataset, dataset.clips[: parts.settings.batch_size])
        return now("cpu") - began
