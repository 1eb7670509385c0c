"""What moves on a background: actors that turn and change size, things that drift."""

from dataclasses import dataclass

import numpy as np

from vxbench.datasets.mini.appearance import Sprite, paste
from vxbench.datasets.mini.exact import draw, fraction, nearest


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
