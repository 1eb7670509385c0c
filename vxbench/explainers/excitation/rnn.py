"""EB-R: excitation backprop for networks that run a CNN on every frame and an LSTM over the frames."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from vxbench.errors import NotApplicable, UserError
from vxbench.explainers.base import Context, Explainer, Passes, in_chunks
from vxbench.explainers.cam.layers import captured, ran_once
from vxbench.explainers.excitation.lstm import class_mass, down_in_time, unroll
from vxbench.explainers.excitation.rules import ExcitationRules, ratio
from vxbench.ranges import one_of

PRIORS = ("last", "all")
PROTOCOL = ("frame_features", "lstm.gates", "lstm.cell_weights", "fc8.weight")


class ExcitationBackpropRNN(Explainer):
    """Winner probabilities of the class, handed down through the LSTM's steps and each frame's CNN.

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
        """Also of the contrastive form: both priors go down the LSTM, and their difference down the frames' CNN."""
        return Passes(1, 1)

    def coarse_map(self, network: nn.Module, clip: Tensor, target: Tensor) -> Tensor:
        """The map at the layer's resolution, (B, T, h, w)."""
        return self.layer_mass(network, clip, target).sum(dim=2).clamp(min=0)

    def layer_mass(self, network: nn.Module, clip: Tensor, target: Tensor) -> Tensor:
        """P of the layer's units, (B, T, K, h, w)."""
        frames = clip.transpose(1, 2)
        with torch.enable_grad(), captured(network, self.layer) as outputs, ExcitationRules():
            features = network.frame_features(frames.flatten(0, 1))
        activation = ran_once(f"layer {self.layer!r}", outputs)
        if activation.ndim != 4 or not features.requires_grad:
            raise NotApplicable(f"layer {self.layer!r} is not a feature map that the frames' features are made from")
        mass = self.feature_mass(network, features.detach().unflatten(0, frames.shape[:2]), target)
        return torch.autograd.grad(features, activation, mass.flatten(0, 1))[0].unflatten(0, frames.shape[:2])

    def feature_mass(self, network: nn.Module, features: Tensor, target: Tensor) -> Tensor:
        """P of the frames' features (B, T, D), of total 1 (prior last) or T (prior all); 0 in all if contrastive."""
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
    """The CNN-RNN inside the classifier, or the classifier itself."""
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
    return [name for name in PROTOCOL if not _has(module, name)]


def _has(thing, dotted: str) -> bool:
    for name in dotted.split("."):
        if not hasattr(thing, name):
            return False
        thing = getattr(thing, name)
    return True
