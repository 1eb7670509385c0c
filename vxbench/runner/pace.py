"""How fast this machine is: seconds that a clip takes on its way through a network, and there and back."""

from dataclasses import dataclass
from functools import partial

import torch
from omegaconf import DictConfig, OmegaConf, open_dict
from torch import nn

from vxbench.benchmark.clock import median_time, timed
from vxbench.benchmark.network import CLASSES, forward_and_gradient, network, random_clips
from vxbench.explainers.base import Passes
from vxbench.runner.compute import is_out_of_memory
from vxbench.runner.job import full_precision

REPEATS = 3
SLOW_S = 1.0  # a clip that takes so long has the device to itself: several at once are no faster


@dataclass(frozen=True)
class Pace:
    """forward, both: seconds a clip of the forward pass, and of forward and backward pass to the clip."""

    forward: float
    both: float

    def seconds(self, passes: Passes) -> float:
        """Every backward pass has a forward pass before it."""
        return (passes.forward - passes.backward) * self.forward + passes.backward * self.both


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


def measure(config: DictConfig) -> Pace:
    """Times the config's network on its device, as many clips at once as `runner.chunk` says and memory allows.

    Raises:
        UserError: the network cannot be built.
        RuntimeError: not even one clip fits into memory.
    """
    full_precision()
    config = random_network(config)
    classifier = network(config, config.device)
    chunk = config.runner.chunk if _one_clip(classifier, config) < SLOW_S else 1
    while True:
        try:
            return _pace(classifier, config, chunk)
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
def _pace(classifier: nn.Module, config: DictConfig, chunk: int) -> Pace:
    clip, target = random_clips(config, chunk, config.device)
    there = median_time(partial(classifier, clip), config.device, REPEATS)
    both = median_time(partial(forward_and_gradient, classifier, clip, target), config.device, REPEATS)
    return Pace(there / chunk, both / chunk)
