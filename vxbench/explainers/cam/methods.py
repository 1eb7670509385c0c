"""Computes class activation maps: Grad-CAM, Grad-CAM++ and Saliency Tubes, over a shared base."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from vxbench.errors import NotApplicable, UserError
from vxbench.explainers.base import Context, Explainer, Passes
from vxbench.explainers.cam.activations import (
    TOKEN_ORDERS,
    UPSAMPLES,
    activation_and_gradient,
    captured,
    check_grid,
    check_patches_matter,
    enlarge,
    find_layer,
    fold,
    layout_of,
    ran_once,
    stretch_frames,
    to_grid,
)
from vxbench.network import SCORES, at_least_float32, in_chunks
from vxbench.ranges import one_of

NORMS = ("clip", "frame")
WEIGHTS = ("per_step", "global")
SPACE, TIME_AND_SPACE = (-2, -1), (-3, -2, -1)


class CAM(Explainer):
    """A layer's channels, weighted and summed at the layer's resolution, then enlarged to the clip.

    A subclass defines `coarse_map`, and `rectified` if its maps may be negative.

    layer: dotted name of a submodule of the classifier.
    upsample: `bilinear` or `spline3`, in space; in time every step is repeated, or linear where T is no multiple
        of T'.
    norm: `frame` stretches every frame to [0, 1] by itself, `clip` leaves the scale to the normaliser.
    token_order, grid: how a transformer's tokens lie, see `to_grid`; networks without tokens need neither. Without a
        token_order the classifier's own holds. Its `cam_layout` says how the layer's axes lie.

    Raises:
        UserError: the classifier has no such layer, or the layer's axes do not fit the clip, or are not known.
        NotApplicable: the layer's output is no grid and no tokens, or the layer does not run exactly once.
    """

    rectified = True

    def __init__(
        self,
        layer: str,
        upsample: str = "bilinear",
        norm: str = "clip",
        token_order: str | None = None,
        grid: Sequence[int] | None = None,
        chunk: int = 64,
    ):
        super().__init__(chunk)
        self.layer = layer
        self.upsample = one_of("upsample", upsample, UPSAMPLES)
        self.norm = one_of("norm", norm, NORMS)
        self.token_order = token_order if token_order is None else one_of("token_order", token_order, TOKEN_ORDERS)
        self.grid = check_grid(grid)

    def explain(self, classifier: nn.Module, clip: Tensor, target: Tensor, context: Context) -> Tensor:
        coarse = in_chunks(partial(self.coarse_map, classifier), self.chunk, clip, target)
        saliency = enlarge(coarse, clip.shape[2:], self.upsample)
        if self.rectified:
            saliency = saliency.relu()  # a spline undershoots
        return stretch_frames(saliency) if self.norm == "frame" else saliency

    def coarse_map(self, classifier: nn.Module, clip: Tensor, target: Tensor) -> Tensor:
        """The map at the layer's resolution, (B, T', h, w)."""
        raise NotImplementedError

    def on_grid(self, classifier: nn.Module, output: Tensor, clip: Tensor) -> Tensor:
        """The layer's output, or the gradient there, as (B, K, T', h, w)."""
        order = self.token_order or getattr(classifier, "token_order", None)
        return to_grid(output, clip, order, self.grid, layout_of(classifier, self.layer, output))


class GradCAM(CAM):
    """S = ReLU(sum_k w_k A_k), w_k the mean of G_k (Selvaraju et al. 2017, eq. 1-2).

    weights: average G over space at each time step (`per_step`, as released with STEP) or over time and space
        (`global`, as pytorch-grad-cam).
    score: differentiates the `logit` (the network's output as it is) or the `prob`.
    The rest: see CAM.

    Raises:
        NotApplicable: the score does not depend on the layer, or of its tokens on the class token alone.
    """

    def __init__(
        self,
        layer: str,
        weights: str = "per_step",
        upsample: str = "bilinear",
        norm: str = "clip",
        score: str = "logit",
        token_order: str | None = None,
        grid: Sequence[int] | None = None,
        chunk: int = 64,
    ):
        super().__init__(layer, upsample, norm, token_order, grid, chunk)
        self.weights = one_of("weights", weights, WEIGHTS)
        self.score = one_of("score", score, SCORES)

    def coarse_map(self, classifier: nn.Module, clip: Tensor, target: Tensor) -> Tensor:
        activation, gradient = activation_and_gradient(classifier, self.layer, clip, target, self.score)
        check_patches_matter(gradient, self.layer, getattr(classifier, "cam_layout", None))
        frame_wise = len(activation) > len(clip)
        activation, gradient = (self.on_grid(classifier, values, clip) for values in (activation, gradient))
        weights = self.channel_weights(activation, gradient, frame_wise)
        return (weights * activation).sum(dim=1).relu()

    def passes(self, shape: tuple[int, int, int]) -> Passes:
        return Passes(1, 1)

    def channel_weights(self, activation: Tensor, gradient: Tensor, frame_wise: bool) -> Tensor:
        """The weights w_k, (B, K, T' or 1, 1, 1). frame_wise: the layer sees one frame at a time."""
        return gradient.mean(SPACE if self.weights == "per_step" else TIME_AND_SPACE, keepdim=True)


class GradCAMPlusPlus(GradCAM):
    """Grad-CAM with w_k = sum ReLU(G) a, a = G^2 / (2 G^2 + (sum A) G^3 + 1e-6).

    The sums run over time and space, or over each frame's space where the layer sees one frame at a time.

    Source: Chattopadhay et al. 2018, eq. 19, as pytorch-grad-cam has it; its 1e-6 decides the weights where
    gradients are below 1e-3.
    """

    def __init__(
        self,
        layer: str,
        upsample: str = "bilinear",
        norm: str = "clip",
        score: str = "logit",
        token_order: str | None = None,
        grid: Sequence[int] | None = None,
        chunk: int = 64,
    ):
        super().__init__(layer, "per_step", upsample, norm, score, token_order, grid, chunk)

    def channel_weights(self, activation: Tensor, gradient: Tensor, frame_wise: bool) -> Tensor:
        over = SPACE if frame_wise else TIME_AND_SPACE
        positive = gradient.relu()  # ReLU(G) drops the rest, whose denominator may vanish
        squared = positive.square()
        mass = activation.sum(over, keepdim=True)
        share = squared / (2 * squared + mass * positive * squared + 1e-6)
        return (positive * share).sum(over, keepdim=True)


class SaliencyTubes(CAM):
    """S = sum_k W[y, k] A_k, W the weights of the linear head: one forward pass, no gradient.

    head: dotted name of the nn.Linear that makes the class scores; None for the last one of the classifier.
    relu: cut the map at 0, which the release does not.
    The rest: see CAM.

    Every forward pass is checked: the head reads the average of the layer over time and space, and the class
    scores are the head's, averaged where it scores frames one by one.

    Source: Stergiou et al. 2019, Saliency Tubes.

    Raises:
        NotApplicable: the classifier is not global average pooling of the layer and one linear head.
        UserError: head is not the name of an nn.Linear.
    """

    def __init__(
        self,
        layer: str,
        head: str | None = None,
        relu: bool = False,
        upsample: str = "bilinear",
        norm: str = "clip",
        token_order: str | None = None,
        grid: Sequence[int] | None = None,
        chunk: int = 64,
    ):
        super().__init__(layer, upsample, norm, token_order, grid, chunk)
        self.head = head
        self.rectified = one_of("relu", relu, (False, True))

    @torch.no_grad()
    def coarse_map(self, classifier: nn.Module, clip: Tensor, target: Tensor) -> Tensor:
        name, head = find_head(classifier, self.head)
        with captured(classifier, self.layer) as outputs, calls_of(head) as calls:
            output = classifier(clip)
        activation = self.on_grid(classifier, ran_once(f"layer {self.layer!r}", outputs), clip)
        features, scores = (_per_clip(rows, len(clip)) for rows in ran_once(f"head {name!r}", calls))
        _check_pooling(self.layer, name, activation.mean(dim=(2, 3, 4)), features)
        _check_scores(name, scores, output, getattr(classifier, "outputs", "logits"))
        saliency = torch.einsum("bk,bkthw->bthw", at_least_float32(head.weight[target]), activation)
        return saliency.relu() if self.rectified else saliency

    def passes(self, shape: tuple[int, int, int]) -> Passes:
        return Passes(forward=1)


def find_head(classifier: nn.Module, head: str | None = None) -> tuple[str, nn.Linear]:
    """Name and module of the linear head: the named one, or the last nn.Linear."""
    linear = [(name, module) for name, module in classifier.named_modules() if isinstance(module, nn.Linear)]
    if head is None:
        if not linear:
            raise NotApplicable("the classifier has no linear head")
        return linear[-1]
    module = find_layer(classifier, head, "head")
    if not isinstance(module, nn.Linear):
        raise UserError(f"head = {head!r} is a {type(module).__name__}, not an nn.Linear")
    return head, module


@contextmanager
def calls_of(module: nn.Module) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Collects (input, output) of the module for every time it runs while inside."""
    calls = []
    handle = module.register_forward_hook(lambda _, inputs, output: calls.append((inputs[0], output)))
    try:
        yield calls
    finally:
        handle.remove()


def _per_clip(rows: Tensor, clips: int) -> Tensor:
    """Averages rows (B * n, K) or (B, n, K) to (B, K)."""
    return fold(rows.flatten(0, -2), clips).mean(dim=1)


def _check_pooling(layer: str, head: str, pooled: Tensor, features: Tensor) -> None:
    if pooled.shape != features.shape:
        raise NotApplicable(
            f"head {head!r} reads {features.shape[1]} features, not the {pooled.shape[1]} channels of layer {layer!r}"
        )
    if _differ(pooled, features):
        raise NotApplicable(f"head {head!r} does not read the global average of layer {layer!r}")


def _check_scores(head: str, scores: Tensor, output: Tensor, outputs: str) -> None:
    expected = scores.softmax(dim=1) if outputs == "probs" else scores
    if expected.shape != output.shape or _differ(expected, output):
        raise NotApplicable(f"the class scores are not those of the linear head {head!r}")


def _differ(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors differ by more than rounding: sqrt(machine epsilon) of the largest value.

    NaN does not differ: the map will hold it, and NaN is a matter of the clip, not of the method.
    """
    scale = torch.maximum(one.abs().max(), other.abs().max())
    return bool((one - other).abs().max() > torch.finfo(other.dtype).eps ** 0.5 * scale)
