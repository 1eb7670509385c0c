"""Attention modules of a network and the weights they give."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from functools import partial
from inspect import signature

from torch import Tensor, nn

from vxbench.errors import UserError
from vxbench.hints import did_you_mean


def find_attention(classifier: nn.Module, kind: str, pattern: str) -> list[str]:
    """Names of the modules that match the pattern."""
    modules = {name: module for name, module in classifier.named_modules() if name}
    found = [name for name in modules if fnmatchcase(name, pattern)]
    if not found:
        raise UserError(f"{kind} = {pattern!r} matches no module of the classifier{did_you_mean(pattern, modules)}")
    for name in found:
        if not isinstance(modules[name], nn.MultiheadAttention):
            raise UserError(f"{kind}: {name} is a {type(modules[name]).__name__}, not an nn.MultiheadAttention")
    return found


@contextmanager
def recorded(
    classifier: nn.Module, names: Sequence[str], fuse: Callable[[Tensor], Tensor]
) -> Iterator[list[tuple[str, Tensor]]]:
    """(name, attention weights (N, L, L)) of the modules as they run while inside, heads fused."""
    weights = []

    def ask(module, args, kwargs):
        """For the weights of every head, however the network calls the module."""
        call = signature(module.forward).bind(*args, **kwargs)
        call.arguments.update(need_weights=True, average_attn_weights=False)
        return call.args, call.kwargs

    def keep(name, module, args, output):
        weights.append((name, fuse(output[1])))

    with ExitStack() as hooks:
        for name in names:
            module = classifier.get_submodule(name)
            hooks.callback(module.register_forward_pre_hook(ask, with_kwargs=True).remove)
            hooks.callback(module.register_forward_hook(partial(keep, name)).remove)
        yield weights
