"""AOSA: occlusion with holes that follow the motion (Uchiyama et al., Visual Explanation for Video Recognition)."""

from collections.abc import Sequence
from numbers import Real

import numpy as np
from torch import Tensor

from vxbench.errors import UserError
from vxbench.explainers.base import Context, Passes
from vxbench.explainers.occlusion.body import Occlusion
from vxbench.explainers.occlusion.flow import FRAMES, GRAY, eight_bit, farneback, gray_frames
from vxbench.explainers.occlusion.holes import Holes, join
from vxbench.explainers.occlusion.tubes import (
    LETTERBOX,
    TIES,
    Tracks,
    anchors_of,
    field_of,
    follow,
    neighbours_of,
    similarities,
    steps_between,
    tubes,
)
from vxbench.ranges import one_of, whole

COOC = {"flow": lambda tracks: tracks.displacement, "position": steps_between}


class AOSA(Occlusion):
    """Adaptive occlusion sensitivity analysis (Uchiyama et al., section III; uchiyama33/AOSA).

    Every mask hides a tube around an anchor that moves with the optical flow, and the tubes of the `k` anchors
    that move most alike (k = 0: AOSA-single).

    mean, std: the model's own normaliser, one value a channel in units of 0-255: the flow needs 8-bit frames.
    stride, hole: pixels between anchors, and side of the holes.
    cooc: likeness of the raw `flow` at the anchors, or of their `position` differences (eq. 1 as printed).
    ties, gray, letterbox, frames: options of neighbours_of, gray_frames, field_of, eight_bit.

    Raises:
        UserError: no mean and std; no anchor fits into the frames.
    """

    def __init__(
        self,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        stride: int = 8,
        hole: int = 16,
        k: int = 3,
        aggregate: str = "released",
        cooc: str = "flow",
        ties: str = "index",
        gray: str = "bgr_on_rgb",
        letterbox: str = "scaled",
        frames: str = "truncated",
        chunk: int = 64,
    ):
        super().__init__(aggregate, chunk)
        self.mean, self.std = normaliser(mean, std)
        self.stride = whole("stride", stride, 1)
        self.hole = whole("hole", hole, 1)
        self.k = whole("k", k, 0)
        self.cooc = one_of("cooc", cooc, COOC)
        self.ties = one_of("ties", ties, TIES)
        self.gray = one_of("gray", gray, GRAY)
        self.letterbox = one_of("letterbox", or_off(letterbox), LETTERBOX)
        self.frames = one_of("frames", frames, FRAMES)

    def masks(self, clip: Tensor, context: Context) -> Holes:
        frames = eight_bit(clip, self.mean, self.std, self.frames).cpu().numpy()
        return join([self.tubes_of(one, clip.device) for one in frames])

    def passes(self, shape: tuple[int, int, int]) -> Passes:
        """Fewer where the clip has black bars, which hold no anchors."""
        _, height, width = shape
        y, _ = anchors_of(height, width, self.stride, (0, height - 1))
        return Passes(forward=len(y) + 1)

    def tubes_of(self, frames: np.ndarray, device="cpu") -> Holes:
        """The masks of one clip, (T, H, W, 3) uint8."""
        tracks = self.tracks_of(frames)
        precision = np.float32 if self.ties == "released" else np.float64
        near = neighbours_of(similarities(COOC[self.cooc](tracks), precision), self.k, self.ties)
        return tubes(tracks, near, self.hole, frames.shape[1:3], device)

    def tracks_of(self, frames: np.ndarray) -> Tracks:
        """The anchors of one clip along its optical flow."""
        field = field_of(frames, self.letterbox)
        y, x = anchors_of(*frames.shape[1:3], self.stride, field.start)
        return follow(farneback(gray_frames(frames, self.gray)), y, x, field)


def normaliser(mean: Sequence[float] | None, std: Sequence[float] | None) -> tuple[list[float], list[float]]:
    """mean and std, three values each, in units of 0-255.

    Raises:
        UserError: they are something else, such as values in units of 0-1, which would make all frames black.
    """
    for values in (mean, std):
        numbers = isinstance(values, Sequence) and all(isinstance(value, Real) for value in values)
        if not numbers or len(values) != 3:
            raise UserError(f"mean = {mean}, std = {std}: AOSA needs the model's own, three values of 0-255 each")
    if min(std) <= 0 or (max(mean) <= 1 and max(std) <= 1):
        raise UserError(f"mean = {list(mean)}, std = {list(std)} are not in units of 0-255, or no std at all")
    return list(mean), list(std)


def or_off(value: str | bool) -> str | bool:
    """YAML reads a bare `off` as false."""
    return "off" if value is False else value
