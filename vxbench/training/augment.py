"""Draws the frames of a video that an epoch sees and varies their pixels: the random part of a recipe."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from vxbench.datasets.decode import Pick
from vxbench.datasets.view import Sampler
from vxbench.errors import OutOfRange
from vxbench.ranges import whole, within

IN_A_ROW = ("window", "dense")  # samplers whose frames are a fixed interval apart


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a clip (T, H, W, 3) uint8, the same in all its frames.

    shift: pixels, at most, by which it moves along each axis; the border's pixels fill the gap.
    flip: mirrored left to right, one time in two; not for classes that a mirror would exchange.
    gain, offset: ranges of a factor for each colour channel and of a term for all, in units of 0-255.

    Raises:
        OutOfRange: a negative shift or gain, or a range that is no pair low <= high.
    """

    shift: int = 0
    flip: bool = False
    gain: Sequence[float] = (1.0, 1.0)
    offset: Sequence[float] = (0.0, 0.0)

    def __post_init__(self):
        whole("shift", self.shift, 0)
        if not isinstance(self.flip, bool):
            raise OutOfRange(f"flip = {self.flip} is not true or false")
        _interval("gain", self.gain, 0, 255)
        _interval("offset", self.offset, -255, 255)

    def __call__(self, clip: np.ndarray, random: np.random.Generator) -> np.ndarray:
        if self.shift:
            clip = shifted(clip, self.shift, random)
        if self.flip and random.random() < 0.5:
            clip = clip[:, :, ::-1]
        if tuple(self.gain) != (1, 1) or tuple(self.offset) != (0, 0):
            clip = recoloured(clip, self.gain, self.offset, random)
        return clip


def random_pick(sampler: Sampler, random: np.random.Generator) -> Pick:
    """The training form of a benchmark's sampler: frames as far apart, at a random place."""
    if sampler.name in IN_A_ROW:
        return partial(random_window, frames=sampler.frames, interval=sampler.interval, random=random)
    return partial(random_moments, frames=sampler.frames, random=random)


def random_moments(n: int, frames: int, random: np.random.Generator) -> np.ndarray:
    """One frame of each of `frames` equal segments of a video of n frames, ascending."""
    return np.minimum(((np.arange(frames) + random.random(frames)) * n / frames).astype(int), n - 1)


def random_window(n: int, frames: int, interval: int, random: np.random.Generator) -> np.ndarray:
    """`frames` frames, `interval` apart, from anywhere in a video of n frames; a shorter one starts over."""
    spare = n - 1 - (frames - 1) * interval
    return (random.integers(0, max(spare, 0) + 1) + np.arange(frames) * interval) % n


def shifted(clip: np.ndarray, most: int, random: np.random.Generator) -> np.ndarray:
    """All frames moved alike by up to `most` pixels; the border's pixels fill the gap."""
    dy, dx = random.integers(0, 2 * most + 1, 2)
    height, width = clip.shape[1:3]
    padded = np.pad(clip, ((0, 0), (most, most), (most, most), (0, 0)), mode="edge")
    return padded[:, dy : dy + height, dx : dx + width]


def recoloured(
    clip: np.ndarray, gain: Sequence[float], offset: Sequence[float], random: np.random.Generator
) -> np.ndarray:
    """A gain for each channel and one offset for all, the same in every frame."""
    factor, term = random.uniform(*gain, size=3), random.uniform(*offset)
    return (clip * factor.astype(np.float32) + np.float32(term)).clip(0, 255).astype(np.uint8)


def _interval(key: str, values: Sequence[float], low: float, high: float) -> None:
    if len(values) != 2:
        raise OutOfRange(f"{key} = {list(values)} is not a pair of numbers")
    within(f"{key}[0]", values[0], low, high)
    within(f"{key}[1]", values[1], values[0], high)
