"""Which frames of a video make a clip: (frames in the video n, frames wanted T) -> (T,) indices.

Rules that spread T frames over the whole video repeat the frames of a shorter one in order, as evenly as possible: the
rule of `centre`, which then visits every frame. Rules that take frames in a row start a shorter video over.
"""

from dataclasses import dataclass

import numpy as np

from vxbench.ranges import one_of, whole


@dataclass(frozen=True)
class Sampler:
    """pick(n) -> (T,) indices into a video of n frames, T = frames; interval is the step of `window` and `dense`.

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


def centre(n: int, frames: int, interval: int = 1) -> np.ndarray:
    """The centres of T equal segments: floor((k + 1/2) n / T)."""
    return (2 * np.arange(frames) + 1) * n // (2 * frames)


def last(n: int, frames: int, interval: int = 1) -> np.ndarray:
    """n-1, n-1-r, ..., T of them, in order, r = floor(n / T): the test sampler of the released STEP code."""
    return centre(n, frames) if n < frames else n - 1 - (n // frames) * np.arange(frames)[::-1]


def first(n: int, frames: int, interval: int = 1) -> np.ndarray:
    """The last T of 0, r, 2r, ... < n, r = floor(n / T): the demo sampler of Video-Visual-Explanations."""
    return centre(n, frames) if n < frames else np.arange(0, n, n // frames)[-frames:]


def window(n: int, frames: int, interval: int = 1) -> np.ndarray:
    """The first T frames, `interval` apart; a shorter video starts over (AOSA: sliding window, loop padding)."""
    return np.arange(frames) * interval % n


def dense(n: int, frames: int, interval: int = 1) -> np.ndarray:
    """T frames `interval` apart from the middle of the video; a shorter one starts over (mmaction2's SampleFrames in
    test mode, one clip)."""
    spare = max(n - (frames - 1) * interval - 1, 0)
    return (spare // 2 + np.arange(frames) * interval) % n


SAMPLERS = {"last": last, "first": first, "centre": centre, "window": window, "dense": dense}
