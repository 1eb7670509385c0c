"""Draws what all mini data sets share: backgrounds, things that move, and the strokes they move in.

A picture is (h, w) uint32, the four bytes R, G, B and 255 of each pixel, so that it is copied in one go.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vxbench.datasets.mini.exact import draw, fraction, nearest

Sprite = tuple[np.ndarray, np.ndarray]  # picture (h, w) uint32 and mask (h, w) bool

TEXTURE = (336, 448)  # height, width of a background; the frame shows a moving window of it
COORDINATES = ("x", "y", "size", "angle")
SLOW = 7 / 8  # of a round is the slow way, exact in binary


def packed(rgb: np.ndarray) -> np.ndarray:
    """The picture (h, w) uint32 of RGB values (h, w, 3) from 0 to 255."""
    alpha = np.full((*rgb.shape[:2], 1), 255)
    return np.concatenate([rgb, alpha], axis=2).astype(np.uint8).view(np.uint32)[..., 0]


def unpacked(picture: np.ndarray) -> np.ndarray:
    """The RGB values (..., w, 3) uint8 of pictures (..., w) uint32."""
    return np.ascontiguousarray(picture).view(np.uint8).reshape(*picture.shape, 4)[..., :3]


def trimmed(picture: np.ndarray, mask: np.ndarray) -> Sprite:
    """The part of a sprite that its mask needs."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return picture[part], mask[part]


def paste(frame: np.ndarray, sprite: Sprite, x: int, y: int) -> None:
    """Puts a sprite, with its upper left corner at x, y, into a frame that holds it whole."""
    picture, mask = sprite
    place = frame[y : y + mask.shape[0], x : x + mask.shape[1]]
    np.copyto(place, picture, where=mask)


@dataclass
class Player:
    """A thing that is seen in the frames start <= t < start + n.

    sprites: its look in each of them, most of them the same object. corners: (n, 2) x, y of their upper left corners.
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
        """Box x, y, w, h of the sprite in frame t, None where it is not seen; tight if the mask touches all sides."""
        if not 0 <= t - self.start < len(self.sprites):
            return None
        height, width = self.sprites[t - self.start][1].shape
        return (*self.corners[t - self.start].tolist(), width, height)


def moments(n: int) -> np.ndarray:
    """Time fractions of n frames, (n,): (t + 1/2) / n."""
    return (np.arange(n, dtype=np.float64) + 0.5) / n


def drift(random, low: tuple[int, int], high: tuple[int, int], n: int, slowest: int, fastest: int) -> np.ndarray:
    """A path to and fro between low and high (x, y), (n, 2) whole pixels. slowest, fastest: frames of one round."""
    axes = zip(low, high, strict=True)
    return np.stack([_to_and_fro(random, *ends, n, draw(random, fastest, slowest)) for ends in axes], axis=1)


def _to_and_fro(random, low: int, high: int, n: int, period: int) -> np.ndarray:
    turns = fraction(random) + np.arange(n, dtype=np.float64) / period
    turns = turns - np.floor(turns)
    return nearest(low + (high - low) * np.minimum(2 * turns, 2 - 2 * turns))


# Strokes: slowly one way, fast back


@dataclass(frozen=True)
class Stroke:
    """A coordinate that moves, and its slow way: 1 to larger values (right, down, growing, clockwise), -1 to lower."""

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


def coordinates(random, strokes: Iterable[Stroke], n: int) -> dict[str, np.ndarray]:
    """The coordinates in n frames, each (n,) in [0, 1]; those of the strokes move."""
    at = {name: np.full(n, fraction(random)) for name in COORDINATES}
    for stroke in strokes:
        phase = at[stroke.coordinate] + stroke.way * moments(n)
        at[stroke.coordinate] = phase - np.floor(phase) if stroke.coordinate == "angle" else wave(phase)
    return at


def wave(turns: np.ndarray) -> np.ndarray:
    """A wave that rises from 0 to 1 in SLOW of a turn and falls again in the rest."""
    turns = turns - np.floor(turns)
    return np.where(turns < SLOW, turns / SLOW, (1 - turns) / (1 - SLOW))


def between(low: float, high: float, values: np.ndarray) -> np.ndarray:
    """Values of [0, 1] stretched to [low, high]."""
    return low + (high - low) * values


# Backgrounds and the distractor


def background(random) -> np.ndarray:
    """A texture of size TEXTURE: two dull colours blended by smooth noise, with stripes across."""
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
