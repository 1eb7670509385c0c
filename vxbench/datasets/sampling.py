"""Which frames of a video make a clip: (frames in the video n, frames wanted T) -> (T,) ascending indices.

A video shorter than T has its frames repeated in order, as evenly as possible: the rule of `centre`, which
then visits every frame.
"""

from collections.abc import Callable

import numpy as np

from vxbench.ranges import one_of, whole


def sampler(name: str, frames: int) -> Callable[[int], np.ndarray]:
    """pick(n) -> (T,) indices into a video of n frames, T = frames.

    Raises:
        OutOfRange: an unknown name, or fewer than one frame.
    """
    rule = SAMPLERS[one_of("sampling", name, SAMPLERS)]
    whole("frames", frames, 1)

    def pick(n: int) -> np.ndarray:
        return rule(whole("number of frames", n, 1), frames)

    return pick


def centre(n: int, frames: int) -> np.ndarray:
    """The centres of T equal segments: floor((k + 1/2) n / T)."""
    return (2 * np.arange(frames) + 1) * n // (2 * frames)


def last(n: int, frames: int) -> np.ndarray:
    """n-1, n-1-r, ..., T of them, in order, r = floor(n / T): the test sampler of the released STEP code."""
    return centre(n, frames) if n < frames else n - 1 - (n // frames) * np.arange(frames)[::-1]


def first(n: int, frames: int) -> np.ndarray:
    """The last T of 0, r, 2r, ... < n, r = floor(n / T): the demo sampler of Video-Visual-Explanations."""
    return centre(n, frames) if n < frames else np.arange(0, n, n // frames)[-frames:]


def window(n: int, frames: int) -> np.ndarray:
    """The first T frames in a row; a shorter video starts over (AOSA: first sliding window, loop padding)."""
    return np.arange(frames) % n


SAMPLERS = {"last": last, "first": first, "centre": centre, "window": window}
