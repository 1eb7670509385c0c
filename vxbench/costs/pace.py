"""How fast this machine is: seconds of a clip in a network, a method or a metric, and to begin a cell."""

import statistics
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import TypeVar

import torch
from omegaconf import DictConfig, OmegaConf, open_dict
from torch import nn

from vxbench.costs.network import CLASSES, forward_and_gradient, network, random_clips
from vxbench.datasets.base import VideoDataset
from vxbench.datasets.pool import DecodePool
from vxbench.device import full_precision, is_out_of_memory, median_time, now, own_gpu, timed
from vxbench.explainers.base import Passes
from vxbench.explainers.perturbation.loop import PerturbationExplainer, Step
from vxbench.metrics.base import Batch, Metric

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
        """Of a cell of so many passes. Parts that were not timed take their passes; of those, a backward pass has a
        forward pass before it."""
        known = [part for part in parts if part.key in self.parts]
        rest = sum((part.passes * -1 for part in known), passes)
        network = (rest.forward - rest.backward) * self.forward + rest.backward * self.both
        return self.start + network + sum(self.parts[part.key] * part.clips for part in known)


def random_network(config: DictConfig) -> DictConfig:
    """The config with random weights: time does not depend on them, and they need no file."""
    config = config.copy()
    with open_dict(config):
        config.model.checkpoint, config.model.num_classes = None, CLASSES
    return config


def network_key(config: DictConfig) -> str:
    """What decides the pace: equal for cells that share a measurement."""
    model = OmegaConf.to_yaml(random_network(config).model, resolve=True)
    return f"{model}\n{config.device} {config.runner.chunk}"


def measure(
    config: DictConfig,
    things: Mapping[str, PerturbationExplainer | Metric] | None = None,
    dataset: VideoDataset | None = None,
) -> Timing:
    """Times the config's network on its device, as many clips at once as `runner.chunk` says and memory allows.

    things: what is timed by itself, by the keys of its parts. With a slow network metrics are not: next to their passes
    the rest of them is nothing. dataset: whose first clips are decoded for `start`; None: decoding is left out.

    Raises:
        UserError: the network cannot be built.
        RuntimeError: not even one clip fits into memory.
    """
    own_gpu(str(config.device))
    full_precision()
    real, config = config, random_network(config)
    classifier = network(config, config.device)
    slow = _one_clip(classifier, config) >= SLOW_S
    chunk, repeats = (1, FEW) if slow else (config.runner.chunk, REPEATS)
    forward, both = _fitting(lambda size: _passes(classifier, config, size, repeats), chunk)
    parts = {}
    for key, thing in (things or {}).items():
        if isinstance(thing, PerturbationExplainer):
            parts[key] = _fitting(partial(_method, classifier, config, thing), chunk)
        elif not slow:
            parts[key] = _fitting(partial(_metric, classifier, config, thing), chunk)
    start = timed(lambda: network(config, config.device), config.device) + _decoding(real, dataset)
    return Timing(forward, both, parts, start)


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
def _one_clip(classifier: nn.Module, config: DictConfig) -> float:
    clip, _ = random_clips(config, 1, config.device)
    classifier(clip)  # the first call also allocates and chooses kernels
    return timed(partial(classifier, clip), config.device)


@torch.no_grad()
def _passes(classifier: nn.Module, config: DictConfig, chunk: int, repeats: int) -> tuple[float, float]:
    clip, target = random_clips(config, chunk, config.device)
    there = median_time(partial(classifier, clip), config.device, repeats)
    both = median_time(partial(forward_and_gradient, classifier, clip, target), config.device, repeats)
    return there / chunk, both / chunk


def _method(classifier: nn.Module, config: DictConfig, method: PerturbationExplainer, chunk: int) -> float:
    """Seconds a clip: its beginning and a few iterations of one mask, times its areas and iterations.

    STEP's iterations have the core term, as all but the first have.
    """
    quick = copy(method)
    quick.areas, quick.iterations, quick.chunk = method.areas[:1], ITERATIONS, chunk
    if hasattr(quick, "core_start"):
        quick.core_start = 0
    moments: list[float] = []

    def note(_: Step) -> None:
        moments.append(now(config.device))

    quick.observer = note
    clip, target = random_clips(config, chunk, config.device)
    began = now(config.device)
    quick(classifier, clip, target)
    iteration = statistics.median(after - before for before, after in pairwise(moments))
    beginning = max(0.0, moments[0] - began - iteration)
    return (beginning + method.iterations * iteration) * len(method.areas) / chunk


@torch.no_grad()
def _metric(classifier: nn.Module, config: DictConfig, metric: Metric, chunk: int) -> float:
    """Seconds a clip of noise with a map of noise, annotated everywhere."""
    clip, target = random_clips(config, chunk, config.device)
    everywhere = torch.ones(clip[:, 0].shape, dtype=torch.bool, device=config.device)
    frames = everywhere[:, :, 0, 0]
    batch = Batch(clip, target, target, everywhere, frames, frames)
    saliency = torch.rand(everywhere.shape, device=config.device)
    return median_time(lambda: metric(classifier, batch, saliency), config.device, FEW) / chunk


def _decoding(config: DictConfig, dataset: VideoDataset | None) -> float:
    """Until the decoding processes have begun and the first batch is there."""
    if dataset is None:
        return 0.0
    began = now("cpu")
    with DecodePool(config.runner.workers, config.runner.timeout_s) as pool:
        pool.load(dataset, dataset.clips[: config.runner.batch_size])
        return now("cpu") - began
