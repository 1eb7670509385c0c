"""A layer's output and the gradient of the class score there."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vxbench.errors import NotApplicable, UserError
from vxbench.explainers.base import class_score
from vxbench.hints import did_you_mean


def activation_and_gradient(
    classifier: nn.Module, layer: str, clip: Tensor, target: Tensor, score: str = "logit"
) -> tuple[Tensor, Tensor]:
    """The layer's output and the gradient of the target's score there, both as the layer shapes them."""
    with torch.enable_grad(), captured(classifier, layer) as outputs:
        chosen = class_score(classifier, clip, target, score)
        output = ran_once(f"layer {layer!r}", outputs)
        reached = chosen.requires_grad  # outputs are the only leaves that ask for a gradient
        gradient = torch.autograd.grad(chosen.sum(), output, allow_unused=True)[0] if reached else None
    if gradient is None:
        raise NotApplicable(f"the class score does not depend on layer {layer!r}")
    return output.detach(), gradient


@contextmanager
def captured(classifier: nn.Module, layer: str) -> Iterator[list[Tensor]]:
    """The outputs of the layer while inside, as leaves of the graph: nothing before them is kept.

    The network goes on with a copy, so an in-place operation after the layer cannot overwrite what is kept.
    """
    outputs = []

    def keep(module, inputs, output):
        if not isinstance(output, Tensor) or output.ndim not in (3, 4, 5):
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise NotApplicable(f"layer {layer!r} gives {shape}, not channels on a grid (4-D or 5-D) or tokens (3-D)")
        outputs.append(output.detach().requires_grad_())
        return outputs[-1].clone()

    handle = find_layer(classifier, layer).register_forward_hook(keep)
    try:
        yield outputs
    finally:
        handle.remove()


def ran_once(what: str, records: list):
    """The one record of a forward pass."""
    if len(records) != 1:
        raise NotApplicable(f"{what} runs {len(records)} times in a forward pass, not once")
    return records[0]


def find_layer(classifier: nn.Module, layer: str, key: str = "layer") -> nn.Module:
    """The submodule of that dotted name; key: the setting that names it.

    Raises:
        NotApplicable: no layer is named, as by a model that has none fit for it.
        UserError: the classifier has no layer of that name.
    """
    if layer is None:
        raise NotApplicable("the model names no layer for class activation maps (model.cam_layer)")
    modules = {name: module for name, module in classifier.named_modules() if name}
    if layer not in modules:
        raise UserError(f"{key} = {layer!r} is not in the classifier{did_you_mean(str(layer), modules)}")
    return modules[layer]
