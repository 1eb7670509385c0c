"""Saliency Tubes: channels weighted by the classifier's own head."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vxbench.errors import NotApplicable, UserError
from vxbench.explainers.base import Passes
from vxbench.explainers.cam.base import CAM
from vxbench.explainers.cam.grid import fold
from vxbench.explainers.cam.layers import captured, find_layer, ran_once
from vxbench.ranges import one_of


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
        token_order: str = "patch_major",
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
        activation = self.on_grid(ran_once(f"layer {self.layer!r}", outputs), clip)
        features, scores = (_per_clip(rows, len(clip)) for rows in ran_once(f"head {name!r}", calls))
        _check_pooling(self.layer, name, activation.mean(dim=(2, 3, 4)), features)
        _check_scores(name, scores, output, getattr(classifier, "outputs", "logits"))
        saliency = torch.einsum("bk,bkthw->bthw", head.weight[target], activation)
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
    """What goes into the module and what comes out, for every time it runs while inside."""
    calls = []
    handle = module.register_forward_hook(lambda _, inputs, output: calls.append((inputs[0], output)))
    try:
        yield calls
    finally:
        handle.remove()


def _per_clip(rows: Tensor, clips: int) -> Tensor:
    """(B * n, K) or (B, n, K) averaged to (B, K)."""
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
    """By more than rounding: the square root of the unit in the last place, of the largest value.

    NaN does not differ: the map will hold it, and NaN is a matter of the clip, not of the method.
    """
    scale = torch.maximum(one.abs().max(), other.abs().max())
    return bool((one - other).abs().max() > torch.finfo(other.dtype).eps ** 0.5 * scale)
