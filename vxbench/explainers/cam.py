"""Class activation maps: a weighted sum of one layer's channels, enlarged to the clip.

A (B, K, T', h, w) are the activations, G the gradient of the target's score with respect to them. Networks
that run on frames give (B * T', K, h, w), which is folded.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from vxbench.errors import NotApplicable, UserError
from vxbench.explainers.base import SCORES, Context, Explainer, class_score, in_chunks
from vxbench.explainers.normalise import normalise
from vxbench.ranges import one_of

WEIGHTS = ("per_step", "global")
NORMS = ("clip", "frame")
SPACE, TIME_AND_SPACE = (-2, -1), (-3, -2, -1)


class GradCAM(Explainer):
    """S = ReLU(sum_k w_k A_k), w_k the mean of G_k (Selvaraju et al. 2017, eq. 1-2).

    layer: dotted name of a submodule of the classifier.
    weights: average G over space at each time step (`per_step`, as released with STEP) or over time and space
        (`global`, as pytorch-grad-cam).
    upsample: `bilinear` or `spline3`, in space; in time every step is repeated, or linear where T is no multiple
        of T'.
    norm: `frame` stretches every frame to [0, 1] by itself, `clip` leaves the scale to the normaliser.
    score: `logit` or `prob`, what is differentiated.

    Raises:
        UserError: the classifier has no such layer.
        NotApplicable: the layer's output is not a 4-D or 5-D tensor, or the layer does not run exactly once.
    """

    def __init__(
        self,
        layer: str,
        weights: str = "per_step",
        upsample: str = "bilinear",
        norm: str = "clip",
        score: str = "logit",
        chunk: int = 64,
    ):
        super().__init__(chunk)
        self.layer = layer
        self.weights = one_of("weights", weights, WEIGHTS)
        self.upsample = one_of("upsample", upsample, UPSAMPLES)
        self.norm = one_of("norm", norm, NORMS)
        self.score = one_of("score", score, SCORES)

    def explain(self, classifier: nn.Module, clip: Tensor, target: Tensor, context: Context) -> Tensor:
        coarse = in_chunks(partial(self.coarse_map, classifier), self.chunk, clip, target)
        frames, height, width = clip.shape[2:]
        saliency = UPSAMPLES[self.upsample](enlarge_in_time(coarse, frames), height, width)
        return _stretch_frames(saliency) if self.norm == "frame" else saliency

    def coarse_map(self, classifier: nn.Module, clip: Tensor, target: Tensor) -> Tensor:
        """The map at the layer's resolution, (B, T', h, w)."""
        activation, gradient = activation_and_gradient(classifier, self.layer, clip, target, self.score)
        frame_wise = activation.ndim == 4
        activation, gradient = fold(activation, len(clip)), fold(gradient, len(clip))
        weights = self.channel_weights(activation, gradient, frame_wise)
        return (weights * activation).sum(dim=1).relu()

    def channel_weights(self, activation: Tensor, gradient: Tensor, frame_wise: bool) -> Tensor:
        """w_k, (B, K, T' or 1, 1, 1)."""
        return gradient.mean(SPACE if self.weights == "per_step" else TIME_AND_SPACE, keepdim=True)


class GradCAMPlusPlus(GradCAM):
    """Grad-CAM with w_k = sum ReLU(G) a, a = G^2 / (2 G^2 + (sum A) G^3 + 1e-6).

    The sums run over time and space, or over each frame's space where the network runs on frames.

    Source: Chattopadhay et al. 2018, eq. 19, as pytorch-grad-cam has it; its 1e-6 decides the weights where
    gradients are below 1e-3.
    """

    def __init__(
        self,
        layer: str,
        upsample: str = "bilinear",
        norm: str = "clip",
        score: str = "logit",
        chunk: int = 64,
    ):
        super().__init__(layer, upsample=upsample, norm=norm, score=score, chunk=chunk)

    def channel_weights(self, activation, gradient, frame_wise):
        over = SPACE if frame_wise else TIME_AND_SPACE
        positive = gradient.relu()  # ReLU(G) drops the rest, whose denominator may vanish
        squared = positive.square()
        mass = activation.sum(over, keepdim=True)
        share = squared / (2 * squared + mass * positive * squared + 1e-6)
        return (positive * share).sum(over, keepdim=True)


def activation_and_gradient(
    classifier: nn.Module, layer: str, clip: Tensor, target: Tensor, score: str = "logit"
) -> tuple[Tensor, Tensor]:
    """The layer's output and the gradient of the target's score there, both as the layer shapes them."""
    with torch.enable_grad(), captured(classifier, layer) as outputs:
        chosen = class_score(classifier, clip, target, score)
        if len(outputs) != 1:
            raise NotApplicable(f"layer {layer!r} runs {len(outputs)} times in a forward pass, not once")
        reached = chosen.requires_grad  # outputs are the only leaves that ask for a gradient
        gradient = torch.autograd.grad(chosen.sum(), outputs[0], allow_unused=True)[0] if reached else None
    if gradient is None:
        raise NotApplicable(f"the class score does not depend on layer {layer!r}")
    return outputs[0].detach(), gradient


@contextmanager
def captured(classifier: nn.Module, layer: str) -> Iterator[list[Tensor]]:
    """The outputs of the layer while inside, as leaves of the graph: nothing before them is kept.

    The network goes on with a copy, so an in-place operation after the layer cannot overwrite what is kept.
    """
    outputs = []

    def keep(module, inputs, output):
        if not isinstance(output, Tensor) or output.ndim not in (4, 5):
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise NotApplicable(f"layer {layer!r} gives {shape}, not channels on a grid (4-D or 5-D)")
        outputs.append(output.detach().requires_grad_())
        return outputs[-1].clone()

    handle = find_layer(classifier, layer).register_forward_hook(keep)
    try:
        yield outputs
    finally:
        handle.remove()


def find_layer(classifier: nn.Module, layer: str) -> nn.Module:
    """The submodule of that dotted name."""
    modules = {name: module for name, module in classifier.named_modules() if name}
    if layer not in modules:
        near = get_close_matches(str(layer), modules, n=3, cutoff=0)
        raise UserError(f"layer = {layer!r} is not in the classifier; did you mean {' or '.join(near)}?")
    return modules[layer]


def fold(activation: Tensor, clips: int) -> Tensor:
    """(B * T', K, h, w) -> (B, K, T', h, w); a 5-D tensor stays."""
    if activation.ndim == 5:
        return activation
    if len(activation) % clips:
        raise NotApplicable(f"{len(activation)} feature maps do not divide among {clips} clips")
    return activation.unflatten(0, (clips, -1)).transpose(1, 2)


def enlarge_in_time(coarse: Tensor, frames: int) -> Tensor:
    """(B, T', h, w) -> (B, T, h, w): every step repeated, or linear where T is no multiple of T'."""
    steps = coarse.shape[1]
    if frames % steps == 0:
        return coarse.repeat_interleave(frames // steps, dim=1)
    series = coarse.flatten(2).transpose(1, 2)
    longer = interpolate(series, size=frames, mode="linear", align_corners=False)
    return longer.transpose(1, 2).unflatten(2, coarse.shape[2:])


def _bilinear(maps: Tensor, height: int, width: int) -> Tensor:
    return interpolate(maps, size=(height, width), mode="bilinear", align_corners=False)


def _spline3(maps: Tensor, height: int, width: int) -> Tensor:
    """Cubic spline; what it undershoots is cut at 0, as the maps are not negative."""
    from scipy.ndimage import zoom

    factors = (1, 1, height / maps.shape[2], width / maps.shape[3])
    return torch.from_numpy(zoom(maps.cpu().numpy(), factors, order=3)).to(maps).clamp(min=0)


def _stretch_frames(saliency: Tensor) -> Tensor:
    frames = saliency.flatten(0, 1).unsqueeze(1)
    return normalise(frames, "minmax")[0].view_as(saliency)


UPSAMPLES = {"bilinear": _bilinear, "spline3": _spline3}
