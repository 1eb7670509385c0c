"""Where things are in each frame. The class of a clip is the actor's motion and nothing else.

The actor makes one whole turn on a ring. A class is where the turn starts (east, north, south or west of the
ring's centre) and which way it goes. At the time fractions (t + 1/2) / n the eight classes visit the same
places in another order: a frame drawn at random, or a set of frames without its order, is distributed alike
in all of them. The number of frames is odd, so that the centres of 8 or 16 equal segments, too, are their own
mirror image in time (of an even number some fall between two frames, and rounding tells the ways apart).

Two more classes, which UCF101 has and UCF101-24 has not, swing to and fro on an arc of half the ring, once or twice,
around a direction that is uniform over the ring: any frame of theirs, too, has the actor anywhere on the ring alike.
"""

from dataclasses import dataclass

import numpy as np

from vxbench.datasets.mini.exact import cosine, draw, fraction, nearest, sine

WIDTH, HEIGHT = 320, 240
SHORTEST, LONGEST = 31, 89  # frames, both odd
JITTER = 12 / 360  # turns, the start is drawn from +-JITTER around its direction
WOBBLE = 3  # pixels, at most, in and out of the ring
MARGIN = 2  # pixels between an actor and the border

STARTS = {"East": 0.0, "South": 0.25, "West": 0.5, "North": 0.75}  # turns, clockwise on the screen
WAYS = {"Clockwise": 1, "Counterclockwise": -1}
TURNS = sorted(f"{way}From{start}" for way in WAYS for start in STARTS)
SWINGS = {"SwingOnce": 1, "SwingTwice": 2}  # times to and fro
ARC = 0.25  # turns, a swing reaches as far on either side
CLASSES = sorted([*TURNS, *SWINGS])


@dataclass(frozen=True)
class Ring:
    """A ring (pixels) with the half width and half height of the actor that runs on it."""

    x: int
    y: int
    radius: int
    half_width: int
    half_height: int


def moments(n: int) -> np.ndarray:
    """Time fractions of n frames, (n,): (t + 1/2) / n."""
    return (np.arange(n, dtype=np.float64) + 0.5) / n


def clip_length(random) -> int:
    return SHORTEST + 2 * draw(random, 0, (LONGEST - SHORTEST) // 2)


def rings(random) -> list[Ring]:
    """One ring anywhere in the frame, or, in one clip of five, two side by side.

    Rings are small beside the room they have: where the actor stands in a single frame says little of where on its
    ring it is. From the places and half sizes of the actors in the first frame a small network (60 000 simulated clips,
    10 000 held out) tells 26 % of the eight classes, 23 % where there is one ring and 40 % where there are two, and
    20 % of the ten of UCF101: lower bounds of what a first frame gives away. Chance is 12.5 % and 10 %.
    """
    if draw(random, 1, 5) > 1:
        return [_ring(random, 0, WIDTH, radius=(26, 36), size=(16, 30))]
    half = WIDTH // 2
    return [_ring(random, left, left + half, radius=(26, 30), size=(16, 22)) for left in (0, half)]


def _ring(random, left: int, right: int, radius: tuple[int, int], size: tuple[int, int]) -> Ring:
    r, w, h = draw(random, *radius), draw(random, *size), draw(random, *size)
    across, down = r + w + WOBBLE + MARGIN, r + h + WOBBLE + MARGIN
    x = draw(random, left + across, right - 1 - across)
    y = draw(random, down, HEIGHT - 1 - down)
    return Ring(x, y, r, w, h)


def starting_turn(random) -> float:
    """How far the start is from its direction, in turns; all actors of a clip share it."""
    return JITTER * (2 * fraction(random) - 1)


def angles(name: str, jitter: float, n: int) -> np.ndarray:
    """Where on the ring the actor is, (n,) turns. A swing's place and phase are its jitter, widened to a whole turn."""
    u = moments(n)
    if name in SWINGS:
        middle = jitter / JITTER
        return middle / 2 + ARC * cosine(SWINGS[name] * u + 64 * middle)
    way, start = name.split("From")
    return STARTS[start] + jitter + WAYS[way] * u


def on_ring(random, name: str, ring: Ring, jitter: float, n: int) -> np.ndarray:
    """Centre of the actor in each of n frames of class `name`, (n, 2) whole pixels x, y.

    The radius swings by up to WOBBLE pixels, a whole number of times and from a random phase, which looks
    the same forwards and backwards.
    """
    u, angle = moments(n), angles(name, jitter, n)
    swing = draw(random, 0, WOBBLE) * cosine(draw(random, 1, 3) * u + fraction(random))
    radius = ring.radius + swing
    return nearest(np.stack([ring.x + radius * cosine(angle), ring.y + radius * sine(angle)], axis=1))


def smooth_path(random, reach: int, n: int) -> np.ndarray:
    """A random curve (quadratic Bezier), `reach` pixels clear of the border, (n, 2) whole pixels x, y."""
    corners = [(draw(random, reach, WIDTH - 1 - reach), draw(random, reach, HEIGHT - 1 - reach)) for _ in range(3)]
    a, b, c = np.array(corners, dtype=np.float64)
    u = moments(n)[:, None]
    return nearest((1 - u) * (1 - u) * a + 2 * u * (1 - u) * b + u * u * c)
