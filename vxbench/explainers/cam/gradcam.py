"""Grad-CAM and Grad-CAM++: channels weighted by the gradient of the class score."""

from collections.abc import Sequence

from torch import Tensor, nn

from vxbench.explainers.base import SCORES, Passes
from vxbench.explainers.cam.base import CAM
from vxbench.explainers.cam.grid import check_patches_matter
from vxbench.explainers.cam.layers import activation_and_gradient
from vxbench.ranges import one_of

WEIGHTS = ("per_step", "global")
SPACE, TIME_AND_SPACE = (-2, -1), (-3, -2, -1)


class GradCAM(CAM):
    """S = ReLU(sum_k w_k A_k), w_k the mean of G_k (Selvaraju et al. 2017, eq. 1-2).

    weights: average G over space at each time step (`per_step`, as released with STEP) or over time and space
        (`global`, as pytorch-grad-cam).
    score: `logit` (the network's output as it is) or `prob`, what is differentiated.
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
        token_order: str = "patch_major",
        grid: Sequence[int] | None = None,
        chunk: int = 64,
    ):
        super().__init__(layer, upsample, norm, token_order, grid, chunk)
        self.weights = one_of("weights", weights, WEIGHTS)
        self.score = one_of("score", score, SCORES)

    def coarse_map(self, classifier: nn.Module, clip: Tensor, target: Tensor) -> Tensor:
        activation, gradient = activation_and_gradient(classifier, self.layer, clip, target, self.score)
        check_patches_matter(gradient, self.layer)
        frame_wise = len(activation) > len(clip)
        activation, gradient = self.on_grid(activation, clip), self.on_grid(gradient, clip)
        weights = self.channel_weights(activation, gradient, frame_wise)
        return (weights * activation).sum(dim=1).relu()

    def passes(self, shape: tuple[int, int, int]) -> Passes:
        return Passes(1, 1)

    def channel_weights(self, activation: Tensor, gradient: Tensor, frame_wise: bool) -> Tensor:
        """w_k, (B, K, T' or 1, 1, 1). frame_wise: the layer sees one frame at a time."""
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
        token_order: str = "patch_major",
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
