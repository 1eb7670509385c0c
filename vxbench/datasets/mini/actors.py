"""Where things are in each frame. The class of a clip is the actor's motion and nothing else.

The actor makes one whole turn on a ring. A class is where the turn starts (east, north, south or west of the
ring's centre) and which way it goes. At the time fractions (t + 1/2) / n the eight classes visit the same
places in another order: a frame drawn at random, or a set of frames without its order, is distributed alike
in all of them. The number of frames is odd, so that the centres of 8 or 16 equal segments, too, are their own
mirror image in time (of an even number some fall between two frames, and rounding tells the ways apart).

Two more classes, which UCF101 has and UCF101-24 has not, swing to and fro on an arc of half the ring, once or twice,
around a direction that is uniform over the ring: any frame of theirs, too, has the actor anywhere on the ring alike.
"""

from collections.abc import Iterable
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


TEXTURE = (336, 448)  # height, width of a background; the frame shows a moving window of it
Sprite = tuple[np.ndarray, np.ndarray]  # picture (h, w) uint32 and mask (h, w) bool
WINDOWS = (300, 400)  # widths, in pixels of the background, that the 320 columns of a frame may show


def packed(rgb: np.ndarray) -> np.ndarray:
    """(h, w, 3) values 0..255 -> (h, w) uint32."""
    alpha = np.full((*rgb.shape[:2], 1), 255)
    return np.concatenate([rgb, alpha], axis=2).astype(np.uint8).view(np.uint32)[..., 0]


def unpacked(picture: np.ndarray) -> np.ndarray:
    """(..., w) uint32 -> (..., w, 3) uint8 RGB."""
    return np.ascontiguousarray(picture).view(np.uint8).reshape(*picture.shape, 4)[..., :3]


def paste(frame: np.ndarray, sprite: Sprite, x: int, y: int) -> None:
    """Put a sprite, with its upper left corner at x, y, into a frame that holds it whole."""
    picture, mask = sprite
    place = frame[y : y + mask.shape[0], x : x + mask.shape[1]]
    np.copyto(place, picture, where=mask)


def background(random) -> np.ndarray:
    """Two dull colours blended by smooth noise, with stripes across, TEXTURE uint32."""
    blend = _noise(random) + (_stripes(random) - 128) * draw(random, 0, 3) // 8
    blend = np.clip(blend, 0, 255)[..., None]
    dark, light = (_dull(random, *levels) for levels in ((30, 100), (130, 220)))
    return packed((dark * (255 - blend) + light * blend) // 255)


def _dull(random, low: int, high: int) -> np.ndarray:
    """A colour near grey, so that only actor and distractor are vivid."""
    grey = draw(random, low, high)
    return np.array([grey + draw(random, -25, 25) for _ in range(3)])


def _noise(random) -> np.ndarray:
    """Smooth noise of four scales, TEXTURE, 0..255."""
    total = sum(weight * _patches(random, cell) for cell, weight in ((64, 4), (32, 2), (16, 1), (8, 1)))
    return np.clip((total // 8 - 128) * 2 + 128, 0, 255)


def _patches(random, cell: int) -> np.ndarray:
    """Random numbers 0..255 on a grid of `cell` pixels, linear in between."""
    height, width = TEXTURE
    grid = random.randint(0, 256, (height // cell + 2, width // cell + 2))
    y, fy = np.divmod(np.arange(height), cell)
    x, fx = np.divmod(np.arange(width), cell)
    rows = grid[y] * (cell - fy)[:, None] + grid[y + 1] * fy[:, None]
    return (rows[:, x] * (cell - fx) + rows[:, x + 1] * fx) // (cell * cell)


def _stripes(random) -> np.ndarray:
    """A triangle wave in a random direction, TEXTURE, 0..255."""
    y, x = np.mgrid[: TEXTURE[0], : TEXTURE[1]]
    phase = (x * draw(random, -12, 12) + y * draw(random, -12, 12)) % 512
    return np.minimum(phase, 511 - phase)


def window(random) -> tuple[int, int, int]:
    """A place and a size of the moving window: left, top and width in pixels of the background."""
    width = draw(random, *WINDOWS)
    height = width * 3 // 4
    return draw(random, 0, TEXTURE[1] - width - 1), draw(random, 0, TEXTURE[0] - height - 1), width


def seen_through(texture: np.ndarray, left: int, top: int, width: int) -> np.ndarray:
    """The window of the background as a frame, (240, 320) uint32; the nearest pixel is taken."""
    columns = left + np.arange(320) * width // 320
    rows = top + np.arange(240) * width // 320
    return texture[rows].take(columns, axis=1)


def view(texture: np.ndarray, left: int, top: int, height: int, width: int, step: int) -> np.ndarray:
    """(height, width) pixels of the background from left, top on, `step` / 1024 pixels apart; the nearest below."""
    rows, columns = (np.arange(n) * step // 1024 for n in (height, width))
    return texture[top + rows].take(left + columns, axis=1)


def actor(random, half_width: int, half_height: int) -> Sprite:
    """An ellipse with a dark rim, checked or ringed in red, orange and yellow: picture and mask."""
    y, x = np.mgrid[-half_height : half_height + 1, -half_width : half_width + 1]
    radius = (x * half_height) ** 2 + (y * half_width) ** 2  # of 0 .. (half_width * half_height)^2
    edge = (half_width * half_height) ** 2
    one = np.array([draw(random, 200, 255), draw(random, 20, 80), draw(random, 0, 50)])
    two = np.array([draw(random, 225, 255), draw(random, 150, 220), draw(random, 20, 90)])
    cell = draw(random, 7, 12)
    checks = (x // cell + y // cell) % 2 == 0
    circles = radius * 4 // edge % 2 == 0
    pattern = checks if draw(random, 0, 1) else circles
    colours = np.where(pattern[..., None], one, two)
    colours = np.where((radius * 20 > edge * 17)[..., None], one // 3, colours)
    return packed(colours), radius <= edge


def distractor(random) -> Sprite:
    """A square, a diamond, a cross or a triangle in blue, green or violet: picture and mask."""
    half = draw(random, 18, 30)
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    shapes = (
        (abs(x) < half) & (abs(y) < half),
        abs(x) + abs(y) <= half,
        (abs(x) * 3 <= half) | (abs(y) * 3 <= half),
        2 * abs(x) <= y + half,
    )
    mask = shapes[draw(random, 0, len(shapes) - 1)]
    one = np.array([draw(random, 20, 110), draw(random, 60, 200), draw(random, 170, 255)])
    two = one * 2 // 3
    cell = draw(random, 6, 12)
    return packed(np.where(((x + y) // cell % 2 == 0)[..., None], one, two)), mask


@dataclass
class Player:
    """A thing seen in the frames start <= t < start + n: its sprite and upper left corner in each of them.

    sprites: n of them, most of them the same object. corners: (n, 2) x, y.
    """

    sprites: list[Sprite]
    corners: np.ndarray
    start: int = 0

    @classmethod
    def at(cls, sprites: list[Sprite], centres: np.ndarray, start: int = 0) -> "Player":
        halves = np.array([(mask.shape[1] // 2, mask.shape[0] // 2) for _, mask in sprites])
        return cls(sprites, centres - halves, start)

    def paint(self, frame: np.ndarray, t: int) -> None:
        if 0 <= t - self.start < len(self.sprites):
            paste(frame, self.sprites[t - self.start], *self.corners[t - self.start].tolist())

    def box(self, t: int) -> tuple[int, int, int, int] | None:
        """x, y, w, h around the sprite in frame t, tight as the sprite is trimmed; None where it is not seen."""
        if not 0 <= t - self.start < len(self.sprites):
            return None
        height, width = self.sprites[t - self.start][1].shape
        return (*self.corners[t - self.start].tolist(), width, height)


def trimmed(picture: np.ndarray, mask: np.ndarray) -> Sprite:
    """The part of a sprite that its mask needs."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return picture[part], mask[part]


def drift(random, low: tuple[int, int], high: tuple[int, int], n: int, slowest: int, fastest: int) -> np.ndarray:
    """To and fro between low and high (x, y pixels), `fastest` to `slowest` frames a round, (n, 2) whole pixels."""
    axes = zip(low, high, strict=True)
    return np.stack([_to_and_fro(random, *ends, n, draw(random, fastest, slowest)) for ends in axes], axis=1)


def _to_and_fro(random, low: int, high: int, n: int, period: int) -> np.ndarray:
    turns = fraction(random) + np.arange(n, dtype=np.float64) / period
    turns = turns - np.floor(turns)
    return nearest(low + (high - low) * np.minimum(2 * turns, 2 - 2 * turns))


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
