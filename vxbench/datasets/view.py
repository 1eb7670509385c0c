"""Chooses a clip's frames in a video, and brings frames and boxes to the model's size through one map.

A sampling rule gives T indices for a video of n frames. Rules that spread T frames over the whole video repeat the
frames of a shorter one in order, as evenly as possible: the rule of `centre`, which then visits every frame. Rules that
take frames in a row start a shorter video over.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vxbench.errors import UserError
from vxbench.ranges import one_of, whole

RESIZES = ("squash", "crop")


@dataclass(frozen=True)
class Sampler:
    """A sampling rule: called with the number n of frames in a video, it gives (T,) indices into it, T = frames.

    name: a key of SAMPLERS. interval: the step of `window` and `dense`.

    Raises:
        OutOfRange: an unknown name, fewer than one frame, a step below 1.
    """

    name: str
    frames: int
    interval: int = 1

    def __post_init__(self):
        one_of("sampling", self.name, SAMPLERS)
        whole("frames", self.frames, 1)
        whole("interval", self.interval, 1)

    def __call__(self, n: int) -> np.ndarray:
        whole("number of frames", n, 1)
        return SAMPLERS[self.name](n, self.frames, self.interval)


def sample_centre(n: int, frames: int, interval: int = 1) -> np.ndarray:
    """The centres of T equal segments: floor((k + 1/2) n / T), k = 0 .. T - 1."""
    return (2 * np.arange(frames) + 1) * n // (2 * frames)


def sample_last(n: int, frames: int, interval: int = 1) -> np.ndarray:
    """Steps of r = floor(n / T) back from the last frame, in ascending order: the test sampler of STEP's release."""
    return sample_centre(n, frames) if n < frames else n - 1 - (n // frames) * np.arange(frames)[::-1]


def sample_first(n: int, frames: int, interval: int = 1) -> np.ndarray:
    """The last T of 0, r, 2r, ... < n with r = floor(n / T): the demo sampler of Video-Visual-Explanations."""
    return sample_centre(n, frames) if n < frames else np.arange(0, n, n // frames)[-frames:]


def sample_window(n: int, frames: int, interval: int = 1) -> np.ndarray:
    """The first T frames, `interval` apart; a shorter video starts over (AOSA: sliding window, loop padding)."""
    return np.arange(frames) * interval % n


def sample_dense(n: int, frames: int, interval: int = 1) -> np.ndarray:
    """T frames `interval` apart around the middle of the video; a shorter one starts over.

    Source: mmaction2's SampleFrames in test mode with one clip.
    """
    spare = max(n - (frames - 1) * interval - 1, 0)
    return (spare // 2 + np.arange(frames) * interval) % n


SAMPLERS = {
    "last": sample_last,
    "first": sample_first,
    "centre": sample_centre,
    "window": sample_window,
    "dense": sample_dense,
}


@dataclass(frozen=True)
class Window:
    """The part of a resized frame that the model sees: that frame's size and the part's place, in pixels."""

    full_width: int
    full_height: int
    left: int
    top: int
    width: int
    height: int

    def cut(self, frame: np.ndarray) -> np.ndarray:
        """The part of a frame (h, w, 3) uint8 that the model sees, (height, width, 3), resized bilinearly."""
        resized = cv2.resize(frame, (self.full_width, self.full_height), interpolation=cv2.INTER_LINEAR)
        return resized[self.top : self.top + self.height, self.left : self.left + self.width]

    def edges(self, box: np.ndarray, reference: tuple[int, int]) -> tuple[int, int, int, int]:
        """Edges x1, y1, x2, y2 (exclusive) in the window of a box x, y, w, h in pixels of a frame of `reference` size.

        reference: width and height. The edges are clipped, so a box outside has x2 <= x1 or y2 <= y1.
        """
        x, y, w, h = (int(value) for value in box)
        x1, x2 = _span(x, x + w, self.full_width, reference[0], self.left, self.width)
        y1, y2 = _span(y, y + h, self.full_height, reference[1], self.top, self.height)
        return x1, y1, x2, y2


class Fitting:
    """Brings the frames of one video to the model's size. size: of the last frame, (width, height). window: its map."""

    size: tuple[int, int]
    window: Window

    def __init__(self, spatial: "Spatial"):
        self.spatial = spatial

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """The part of a frame (h, w, 3) uint8 that the model sees, (H, W, 3) uint8."""
        self.size = frame.shape[1], frame.shape[0]
        self.window = self.spatial.window(*self.size)
        return self.window.cut(frame)


@dataclass(frozen=True)
class Sampled:
    """Frames of a video as the model sees them, and where they come from.

    frames: (T, H, W, 3) uint8 RGB. indices: (T,) 0-based, in the whole video. window: the map that frames went through,
    and that boxes must go through too.
    """

    frames: np.ndarray
    indices: np.ndarray
    window: Window


@dataclass(frozen=True)
class Spatial:
    """A rule that brings frames of any size to `height` x `width`.

    `squash`: resize, whatever the aspect. `crop`: resize so that the short side is `short_side`, or else the whole
    frame is `full` (width, height), whatever the aspect; then cut out the centre.

    Raises:
        OutOfRange: an unknown resize, a size below 1, or a crop larger than the short side or than `full`.
        UserError: a crop of both or neither of short_side and full, or a full that is not a width and a height.
    """

    height: int
    width: int
    resize: str = "squash"
    short_side: int | None = None  # a crop needs this
    full: tuple[int, int] | None = None  # or this

    def __post_init__(self):
        whole("height", self.height, 1)
        whole("width", self.width, 1)
        if self.full is not None:
            object.__setattr__(self, "full", tuple(self.full))  # YAML has lists, which have no hash
        if one_of("resize", self.resize, RESIZES) == "crop":
            check_crop(self.width, self.height, self.short_side, self.full)

    def window(self, width: int, height: int) -> Window:
        """The map that frames of this size go through."""
        if self.resize == "squash":
            return Window(self.width, self.height, 0, 0, self.width, self.height)
        full_width, full_height = self.full or self._scaled(width, height)
        left, top = (full_width - self.width) // 2, (full_height - self.height) // 2
        return Window(full_width, full_height, left, top, self.width, self.height)

    def _scaled(self, width: int, height: int) -> tuple[int, int]:
        short = min(width, height)
        return _rounded(width * self.short_side, short), _rounded(height * self.short_side, short)


def check_crop(width: int, height: int, short_side: int | None, full: Sequence[int] | None, prefix: str = "") -> None:
    """Checks that resized frames are large enough for a crop of width x height. prefix: stands before keys in messages.

    Raises:
        OutOfRange, UserError: see Spatial.
    """
    if full is None:
        whole(f"{prefix}short_side", short_side, max(height, width))
        return
    if short_side is not None or len(full) != 2:
        raise UserError(f"{prefix}full = {list(full)} must be a width and a height, and {prefix}short_side null")
    for key, side, least in zip(("width", "height"), full, (width, height), strict=True):
        whole(f"the {key} of {prefix}full", side, least)


def cut_frames(frames: np.ndarray, window: Window) -> np.ndarray:
    """The frames (T, h, w, 3) uint8 as the model sees them, (T, H, W, 3) uint8."""
    return np.stack([window.cut(frame) for frame in frames])


def draw_boxes(boxes: list[np.ndarray], reference: tuple[int, int], window: Window) -> np.ndarray:
    """Union of the boxes of each frame, (T, H, W) bool.

    boxes: T arrays (N_t, 4) of x, y, w, h in pixels of a `reference` frame (width, height).
    """
    drawn = np.zeros((len(boxes), window.height, window.width), dtype=bool)
    for plane, of_frame in zip(drawn, boxes, strict=True):
        for box in of_frame:
            x1, y1, x2, y2 = window.edges(box, reference)
            plane[y1 : max(y1, y2), x1 : max(x1, x2)] = True
    return drawn


def _span(low: int, high: int, full: int, reference: int, start: int, size: int) -> tuple[int, int]:
    """floor(low full / reference) and ceil(high full / reference), seen from `start`, within [0, size]."""
    low, high = low * full // reference - start, -(-high * full // reference) - start
    return max(low, 0), min(high, size)


def _rounded(numerator: int, denominator: int) -> int:
    """The nearest whole number to a fraction, halves up."""
    return (2 * numerator + denominator) // (2 * denominator)
