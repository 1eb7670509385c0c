"""Excitation backprop: backward passes that carry winner probabilities, not gradients.

A unit of probability P is handed to the units below that excited it, in proportion to how much each did:
P(x_j) = x_j sum_i W+_ij P(y_i) / sum_k W+_ik x_k, with W+ = max(W, 0) and no bias.

Source: Zhang et al. 2016 (Top-down Neural Attention by Excitation Backprop), eq. 5; its residual and
batch-norm rules as in TorchRay.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

EPSILON = 1e-20


def ratio(mass: Tensor, total: Tensor) -> Tensor:
    """mass / total; 0 where total is 0: nothing excited that unit, so its mass has nowhere to go.

    Epsilon keeps the quotient finite where total is faint. It does not stand in for the 0: quotients of 1e20 would
    leak into their neighbours in convolutions by transforms (Winograd), which are not exact.
    """
    return torch.where(total > 0, mass / (total + EPSILON), 0)


class ExcitationRules(TorchFunctionMode):
    """While inside, operations record excitation's backward rule. Run the backward pass outside.

    Convolution, linear layer, average pooling, mean: the rule above. Batch norm: P passes unchanged. Sum of two
    tensors of one shape: P is split in proportion to them. All else, so max-pooling, ReLU and reshaping, keeps its
    gradient. The rules are made for inputs that are not negative; of other inputs they see max(x, 0), so that
    P stays a probability.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        rule = RULES.get(function)
        return rule(function, *args, **(kwargs or {})) if rule else function(*args, **(kwargs or {}))


class _Share(torch.autograd.Function):
    """function(x), whose P is shared among x in proportion to x's part in excitation(x), linear in x."""

    @staticmethod
    def forward(ctx, x: Tensor, function: Callable[[Tensor], Tensor], excitation: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(x)
        ctx.excitation = excitation
        return function(x)

    @staticmethod
    def backward(ctx, mass: Tensor):
        x = ctx.saved_tensors[0].detach().clamp(min=0).requires_grad_()
        with torch.enable_grad():
            total = ctx.excitation(x)
        share = torch.autograd.grad(total, x, ratio(mass, total.detach()))[0]
        return x.detach() * share, None, None


class _Unchanged(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        return function(x)

    @staticmethod
    def backward(ctx, mass: Tensor):
        return mass, None


class _Split(torch.autograd.Function):
    """a + b, written into a if in_place."""

    @staticmethod
    def forward(ctx, a: Tensor, b: Tensor, in_place: bool) -> Tensor:
        ctx.save_for_backward(a.clamp(min=0), b.clamp(min=0))  # copies: a itself may be overwritten
        if not in_place:
            return a + b
        ctx.mark_dirty(a)
        return a.add_(b)

    @staticmethod
    def backward(ctx, mass: Tensor):
        a, b = ctx.saved_tensors
        share = ratio(mass, a + b)
        return a * share, b * share, None


def _weighted(function, input: Tensor, weight: Tensor, bias: Tensor | None = None, *args, **kwargs) -> Tensor:
    return _Share.apply(
        input,
        lambda x: function(x, weight, bias, *args, **kwargs),
        lambda x: function(x, weight.clamp(min=0), None, *args, **kwargs),
    )


def _averaged(function, input: Tensor, *args, **kwargs) -> Tensor:
    def average(x: Tensor) -> Tensor:
        return function(x, *args, **kwargs)

    return _Share.apply(input, average, average)


def _normalised(function, input: Tensor, *args, **kwargs) -> Tensor:
    return _Unchanged.apply(input, lambda x: function(x, *args, **kwargs))


def _added(function, input, other, *, alpha: float = 1) -> Tensor:
    tensors = isinstance(input, Tensor) and isinstance(other, Tensor)
    if not tensors or input.shape != other.shape or alpha != 1:
        return function(input, other, alpha=alpha)
    return _Split.apply(input, other, function is Tensor.add_)


RULES = {
    **dict.fromkeys((F.conv1d, F.conv2d, F.conv3d, F.linear), _weighted),
    **dict.fromkeys((F.avg_pool1d, F.avg_pool2d, F.avg_pool3d), _averaged),
    **dict.fromkeys((F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d), _averaged),
    **dict.fromkeys((torch.mean, Tensor.mean), _averaged),
    F.batch_norm: _normalised,
    **dict.fromkeys((torch.add, Tensor.add, Tensor.add_), _added),
}
