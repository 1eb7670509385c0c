"""Re-initialises a network's layers, one stage after the other."""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from vxbench.errors import OutOfRange, UserError, did_you_mean
from vxbench.network import full_float32

ORIGINAL = "original"
Stages = dict[str, tuple[str, ...]]
Statistics = dict[str, tuple[Tensor, Tensor]]


def read_stages(stages: Mapping[str, Sequence[str]] | Iterable[Mapping[str, Sequence[str]]]) -> Stages:
    """{stage: dotted names of modules}, in order, from such a mapping or from a list of them.

    Raises:
        OutOfRange: no stage, a stage without modules, or a name given twice or reserved.
    """
    parts = [stages] if isinstance(stages, Mapping) else stages or []
    if not isinstance(parts, Iterable) or any(not isinstance(part, Mapping) for part in parts):
        raise OutOfRange(f"stages = {stages} is not a list of {{name: [modules]}}")
    pairs = [(str(name), modules) for part in parts for name, modules in part.items()]
    names = [name for name, _ in pairs]
    if not pairs or len(set(names)) < len(names) or ORIGINAL in names:
        raise OutOfRange(f"stages = {names} must be different names, at least one, none of them {ORIGINAL}")
    for name, modules in pairs:
        if isinstance(modules, str) or not modules:
            raise OutOfRange(f"stages.{name} = {modules!r} is not a list of modules' dotted names")
    return {name: tuple(modules) for name, modules in pairs}


def randomise(network: nn.Module, names: Iterable[str], seed: int, keep_statistics: bool = False) -> None:
    """The named modules, and all inside them, drawn anew by their own initialisers.

    A module's weights depend on the seed and its dotted name only: not on the device, the order or other modules.
    No global generator is changed. keep_statistics: leave batch norm's running mean and variance as they are.

    Raises:
        UserError: an unknown name, one without weights, or weights whose module cannot initialise itself.
    """
    for name in names:
        found = list(_learned(network, name))
        if not found:
            raise UserError(f"stages: {name} has no weights")
        for path, module in found:
            kept = {key: value.clone() for key, value in module.named_buffers(recurse=False)}
            _initialise(path, module, zlib.crc32(f"{seed}\n{path}".encode()))
            if keep_statistics:
                for key, value in kept.items():
                    getattr(module, key).copy_(value)


def _learned(network: nn.Module, name: str) -> Iterator[tuple[str, nn.Module]]:
    """(dotted name, module) of all modules with weights or statistics of their own, in the named one."""
    modules = dict(network.named_modules())
    if name not in modules:
        raise UserError(f"stages: {name} is not a layer of the network{did_you_mean(name, modules)}")
    for path, module in modules[name].named_modules(prefix=name):
        if any(True for _ in module.parameters(recurse=False)) or isinstance(module, _NormBase):
            yield path, module


def _initialise(path: str, module: nn.Module, seed: int) -> None:
    """On the CPU, so that every device gets the same numbers."""
    reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
    if reset is None:
        raise UserError(f"stages: {path} ({type(module).__name__}) has weights and no reset_parameters; leave it out")
    device = next((tensor.device for tensor in [*module.parameters(), *module.buffers()]), torch.device("cpu"))
    module.cpu()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        reset()
    module.to(device)


@full_float32()
def calibrate(network: nn.Module, names: Iterable[str], clips: Tensor, size: int) -> Statistics:
    """Running statistics of the batch norms in the named modules, re-estimated on clips (N, 3, T, H, W).

    They are means over batches of (nearly) `size` clips, each normalised by its own statistics; the rest of the network
    is in eval mode. The network given is worked on: hand over a copy.
    """
    norms = _batch_norms(network, names)
    if not norms:
        return {}
    network.eval()
    device = next(network.parameters()).device
    for norm in norms.values():
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
        norm.train()
    with torch.no_grad():
        for part in clips.tensor_split(-(-len(clips) // size)):
            network(part.to(device))
    network.eval()
    return {path: (norm.running_mean.clone(), norm.running_var.clone()) for path, norm in norms.items()}


def set_statistics(network: nn.Module, statistics: Statistics) -> None:
    for path, (mean, variance) in statistics.items():
        norm = network.get_submodule(path)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)


def holds_batch_norm(network: nn.Module, names: Iterable[str]) -> bool:
    return bool(_batch_norms(network, names))


def _batch_norms(network: nn.Module, names: Iterable[str]) -> dict[str, nn.Module]:
    """Those with running statistics."""
    return {
        path: module
        for name in names
        for path, module in _learned(network, name)
        if isinstance(module, _BatchNorm) and module.running_mean is not None
    }
