"""Motions of which no single frame tells anything: the verbs of EPIC and the classes of Kinetics.

An actor has four coordinates, x, y, size and angle. In each frame of each class they are independent of one another
and uniform on their ranges. One of them moves, the class says which and which way; the others rest at random values.
The moving one starts at a random phase and goes once round: slowly up (or down) its range and quickly back, or, the
angle, steadily round. As the phase is uniform and such a wave spends equal times everywhere, the coordinate is uniform
at every moment: neither the first frame nor any other hints at the class. The two ways are one another's mirror image
in time, so that a set of frames without its order does not tell them apart either (it does tell what moves).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vxbench.datasets.mini.exact import fraction
from vxbench.datasets.mini.motion import moments

COORDINATES = ("x", "y", "size", "angle")
SLOW = 7 / 8  # of a round is the slow way, exact in binary


@dataclass(frozen=True)
class Stroke:
    """What moves, and its slow way: 1 to larger values (right, down, growing, clockwise), -1 to smaller."""

    coordinate: str
    way: int


STROKES = {
    "right": Stroke("x", 1),
    "left": Stroke("x", -1),
    "down": Stroke("y", 1),
    "up": Stroke("y", -1),
    "growing": Stroke("size", 1),
    "shrinking": Stroke("size", -1),
    "clockwise": Stroke("angle", 1),
    "counterclockwise": Stroke("angle", -1),
}


def wave(turns: np.ndarray) -> np.ndarray:
    """Up from 0 to 1 in SLOW of a turn, down again in the rest."""
    turns = turns - np.floor(turns)
    return np.where(turns < SLOW, turns / SLOW, (1 - turns) / (1 - SLOW))


def coordinates(random, strokes: Iterable[Stroke], n: int) -> dict[str, np.ndarray]:
    """Each coordinate in n frames, (n,) in [0, 1]; those of the strokes move."""
    at = {name: np.full(n, fraction(random)) for name in COORDINATES}
    for stroke in strokes:
        phase = at[stroke.coordinate] + stroke.way * moments(n)
        at[stroke.coordinate] = phase - np.floor(phase) if stroke.coordinate == "angle" else wave(phase)
    return at


def between(low: float, high: float, values: np.ndarray) -> np.ndarray:
    return low + (high - low) * values
