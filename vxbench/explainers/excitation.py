"""Computes excitation backprop for CNN-RNNs: a backward pass that carries winner probabilities, not gradients.

A unit's probability P is handed to the units below that excited it, in proportion to how much each did:
P(x_j) = x_j sum_i W+_ij P(y_i) / sum_k W+_ik x_k, with W+ = max(W, 0) and no bias.

Source: Zhang et al. 2016 (Top-down Neural Attention by Excitation Backprop), eq. 5; its residual and batch-norm rules
as in TorchRay.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.overrides import TorchFunctionMode

from vxbench.errors import NotApplicable, UserError
from vxbench.explainers.base import Context, Explainer, Passes
from vxbench.explainers.cam.activations import captured, ran_once
from vxbench.network import in_chunks
from vxbench.ranges import one_of

EPSILON = 1e-20  # see `ratio`
PRIORS = ("last", "all")
PROTOCOL = ("frame_features", "lstm.gates", "lstm.cell_weights", "fc8.weight")


class ExcitationBackpropRNN(Explainer):
    """The winner probability of the class, handed down through the LSTM's steps and each frame's CNN.

    layer: where the map is read; a dotted name inside the CNN-RNN. A convolution and the ReLU after it give the
        same map.
    contrastive: subtract what the opposite class (fc8's weights negated) finds, at the frames' features.
    prior: the class wins at the `last` step (as released) or at `all` steps (total mass T).
    through_time: hand mass down to earlier steps. Without it every frame answers for its own step alone; with
        prior `last` that leaves the last frame.
    network: dotted name of the CNN-RNN inside the classifier; None takes the first submodule that is one.
    chunk: at most so many clips, hence chunk * T frames, are in the network at once.

    The CNN-RNN reads the classifier's clips as they are and must have

        frame_features(frames (N, 3, H, W)) -> (N, D)    the CNN, of convolutions, linear layers, pooling, batch
                                                         norm, ReLU and sums; its output is not negative
        lstm.gates(x (B, D), h (B, M)) -> i, f, o, g     of c = f * c_prev + i * g, h = o * ReLU(c); g is the ReLU of
        lstm.cell_weights = (M, D), (M, M)               these weights on x and h, plus a bias
        fc8.weight (K, M)                                the class scores of h

    Source: Bargal et al. 2018 (Excitation Backprop for RNNs), their release's demo for priors and contrast.

    Raises:
        UserError: the classifier has no such network, or the network no such layer.
        NotApplicable: the network is not a CNN-RNN; the layer is not a feature map that the features are made from.
    """

    def __init__(
        self,
        layer: str = "conv5_1",
        contrastive: bool = False,
        prior: str = "last",
        through_time: bool = True,
        network: str | None = None,
        chunk: int = 64,
    ):
        super().__init__(chunk)
        self.layer = layer
        self.contrastive = one_of("contrastive", contrastive, (False, True))
        self.prior = one_of("prior", prior, PRIORS)
        self.through_time = one_of("through_time", through_time, (True, False))
        self.network = network

    def explain(self, classifier: nn.Module, clip: Tensor, target: Tensor, context: Context) -> Tensor:
        network = find_network(classifier, self.network)
        coarse = in_chunks(partial(self.coarse_map, network), self.chunk, clip, target)
        return interpolate(coarse, size=clip.shape[-2:], mode="bilinear", align_corners=False)

    def passes(self, shape: tuple[int, int, int]) -> Passes:
        """One pass each way, contrastive or not: two priors go down the LSTM, their difference down the frames' CNN."""
        return Passes(1, 1)

    def coarse_map(self, network: nn.Module, clip: Tensor, target: Tensor) -> Tensor:
        """The map at the layer's resolution, (B, T, h, w)."""
        return self.layer_mass(network, clip, target).sum(dim=2).clamp(min=0)

    def layer_mass(self, network: nn.Module, clip: Tensor, target: Tensor) -> Tensor:
        """The probability P of the layer's units, (B, T, K, h, w)."""
        frames = clip.transpose(1, 2)
        with torch.enable_grad(), captured(network, self.layer) as outputs, ExcitationRules():
            features = network.frame_features(frames.flatten(0, 1))
        activation = ran_once(f"layer {self.layer!r}", outputs)
        if activation.ndim != 4 or not features.requires_grad:
            raise NotApplicable(f"layer {self.layer!r} is not a feature map that the frames' features are made from")
        mass = self.feature_mass(network, features.detach().unflatten(0, frames.shape[:2]), target)
        return torch.autograd.grad(features, activation, mass.flatten(0, 1))[0].unflatten(0, frames.shape[:2])

    def feature_mass(self, network: nn.Module, features: Tensor, target: Tensor) -> Tensor:
        """The probability P of the frames' features (B, T, D).

        In total it is 1 (prior last) or T (prior all), and 0 if contrastive.
        """
        steps = unroll(network.lstm, features)
        weight = network.fc8.weight[target]
        mass = self._mass_for(network.lstm, steps, weight)
        return mass - self._mass_for(network.lstm, steps, -weight) if self.contrastive else mass

    def _mass_for(self, lstm: nn.Module, steps: list, weight: Tensor) -> Tensor:
        wins = [class_mass(weight, step.h) for step in steps]
        if self.prior == "last":
            wins[:-1] = [torch.zeros_like(win) for win in wins[:-1]]
        mass = down_in_time(lstm, steps, wins, self.through_time)
        total = 1 if self.prior == "last" else len(steps)
        return total * ratio(mass, mass.sum(dim=(1, 2), keepdim=True))


def find_network(classifier: nn.Module, name: str | None = None) -> nn.Module:
    """The CNN-RNN inside the classifier, or the classifier itself if it is one.

    Raises:
        UserError: the classifier has no network of that name.
        NotApplicable: the network is not a CNN-RNN.
    """
    modules = dict(classifier.named_modules())
    if name is None:
        for module in modules.values():
            if not _missing(module):
                return module
        raise NotApplicable(f"the network is not a CNN-RNN: no part of it has {', '.join(PROTOCOL)}")
    if name not in modules:
        raise UserError(f"network = {name!r} is not in the classifier; null finds it")
    if missing := _missing(modules[name]):
        raise NotApplicable(f"network {name!r} is not a CNN-RNN: it has no {missing[0]}")
    return modules[name]


def _missing(module: nn.Module) -> list[str]:
    """The parts of PROTOCOL that the module lacks."""
    return [name for name in PROTOCOL if not _has(module, name)]


def _has(thing, dotted: str) -> bool:
    for name in dotted.split("."):
        if not hasattr(thing, name):
            return False
        thing = getattr(thing, name)
    return True


@dataclass
class LSTMStep:
    """Inputs and outputs of one step of the LSTM: x is (B, D), all else (B, M)."""

    x: Tensor
    h_prev: Tensor
    held: Tensor  # f c_prev
    written: Tensor  # i g
    h: Tensor


def unroll(lstm: nn.Module, features: Tensor) -> list[LSTMStep]:
    """Runs the LSTM on features (B, T, D), from a state of zeros, and returns its steps."""
    weight = lstm.cell_weights[1]
    h = c = features.new_zeros(len(features), weight.shape[1])
    steps = []
    for x in features.unbind(dim=1):
        i, f, o, g = lstm.gates(x, h)
        held, written = f * c, i * g
        previous, c = h, held + written
        h = o * c.relu()
        steps.append(LSTMStep(x, previous, held, written, h))
    return steps


def down_in_time(lstm: nn.Module, steps: list[LSTMStep], mass: list[Tensor], through_time: bool) -> Tensor:
    """Hands P of every step's h (B, M) down to the features, (B, T, D).

    through_time: False drops what goes to the state before the step, so every frame answers for its own step alone.
    """
    weight_x, weight_h = (weight.clamp(min=0) for weight in lstm.cell_weights)
    to_h = to_c = torch.zeros_like(mass[-1])
    found = []
    for step, own in zip(reversed(steps), reversed(mass), strict=True):
        share = ratio(own + to_h + to_c, step.held + step.written)
        x, h = step.x.clamp(min=0), step.h_prev.clamp(min=0)
        excited = ratio(step.written * share, x @ weight_x.T + h @ weight_h.T)
        found.append(x * (excited @ weight_x))
        if through_time:
            to_h, to_c = h * (excited @ weight_h), step.held * share
    return torch.stack(found[::-1], dim=1)


def class_mass(weight: Tensor, h: Tensor) -> Tensor:
    """The probability P of h (B, M) when all of it, 1, is on one class, of weights (B, M) in the last layer."""
    part = weight.clamp(min=0) * h.clamp(min=0)
    return ratio(part, part.sum(dim=1, keepdim=True))


def ratio(mass: Tensor, total: Tensor) -> Tensor:
    """The quotient mass / total, 0 where total is 0: nothing excited that unit, so its mass has nowhere to go.

    EPSILON keeps the quotient finite where total is faint. It alone would not do for a total of 0: quotients of 1e20
    would leak into their neighbours in convolutions by transforms (Winograd), which are not exact.
    """
    return torch.where(total > 0, mass / (total + EPSILON), 0)


class ExcitationRules(TorchFunctionMode):
    """Makes operations inside record excitation's backward rule; the backward pass is run outside.

    Convolution, linear layer, average pooling, mean: the rule above. Batch norm: P passes unchanged. Sum of two
    tensors of one shape: P is split in proportion to them. All else, so max-pooling, ReLU and reshaping, keeps its
    gradient. The rules are made for inputs that are not negative; of other inputs they see max(x, 0), so that
    P stays a probability.
    """

    def __torch_function__(self, function, types, args=(), kwargs=None):
        rule = RULES.get(function)
        return rule(function, *args, **(kwargs or {})) if rule else function(*args, **(kwargs or {}))


class _Share(torch.autograd.Function):
    """Gives function(x); hands P to x in proportion to x's part in excitation(x), which is linear in x."""

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
    """Gives function(x); hands P to x unchanged."""

    @staticmethod
    def forward(ctx, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        return function(x)

    @staticmethod
    def backward(ctx, mass: Tensor):
        return mass, None


class _Split(torch.autograd.Function):
    """Gives a + b, written into a if in_place; hands P to both in proportion to them."""

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
