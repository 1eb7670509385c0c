"""What class activation maps share."""

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from vxbench.explainers.base import Context, Explainer, in_chunks
from vxbench.explainers.cam.enlarge import UPSAMPLES, enlarge, stretch_frames
from vxbench.explainers.cam.grid import TOKEN_ORDERS, check_grid, to_grid
from vxbench.ranges import one_of

NORMS = ("clip", "frame")


class CAM(Explainer):
    """A layer's channels, weighted and summed at the layer's resolution, then enlarged to the clip.

    A subclass defines `coarse_map`, and `rectified` if its maps may be negative.

    layer: dotted name of a submodule of the classifier.
    upsample: `bilinear` or `spline3`, in space; in time every step is repeated, or linear where T is no multiple
        of T'.
    norm: `frame` stretches every frame to [0, 1] by itself, `clip` leaves the scale to the normaliser.
    token_order, grid: how a transformer's tokens lie, see grid.py; networks without tokens need neither.

    Raises:
        UserError: the classifier has no such layer, or its tokens do not fit the clip.
        NotApplicable: the layer's output is no grid and no tokens, or the layer does not run exactly once.
    """

    rectified = True

    def __init__(
        self,
        layer: str,
        upsample: str = "bilinear",
        norm: str = "clip",
        token_order: str = "patch_major",
        grid: Sequence[int] | None = None,
        chunk: int = 64,
    ):
        super().__init__(chunk)
        self.layer = layer
        self.upsample = one_of("upsample", upsample, UPSAMPLES)
        self.norm = one_of("norm", norm, NORMS)
        self.token_order = one_of("token_order", token_order, TOKEN_ORDERS)
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

    def on_grid(self, output: Tensor, clip: Tensor) -> Tensor:
        """The layer's output, or the gradient there, as (B, K, T', h, w)."""
        return to_grid(output, clip, self.token_order, self.grid)
