"""One clip of the mini data set: what is drawn by lot for it, its frames and its annotation."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vxbench.datasets.mini import appearance, motion
from vxbench.datasets.mini.appearance import Sprite, paste
from vxbench.datasets.mini.exact import draw, nearest, stream


@dataclass
class Mover:
    """A thing that moves: its sprite and the sprite's upper left corner in each frame, (n, 2) x, y."""

    sprite: Sprite
    corners: np.ndarray

    @classmethod
    def along(cls, sprite: Sprite, centres: np.ndarray) -> "Mover":
        height, width = sprite[1].shape
        return cls(sprite, centres - (width // 2, height // 2))

    def paint(self, frame: np.ndarray, t: int) -> None:
        paste(frame, self.sprite, *self.corners[t])

    def boxes(self) -> np.ndarray:
        """(n, 4) x, y, w, h. The sprite touches all four sides of its mask, so this is tight."""
        height, width = self.sprite[1].shape
        return np.concatenate([self.corners, np.full_like(self.corners, (width, height))], axis=1)


@dataclass
class Scene:
    """All that a clip shows, in drawing order, and its annotation (tubes as (sf, ef, boxes))."""

    texture: np.ndarray
    windows: np.ndarray  # (n, 3) left, top, width
    movers: list[Mover]
    tubes: list[tuple[int, int, np.ndarray]]

    def __len__(self) -> int:
        return len(self.windows)

    def frame(self, t: int) -> np.ndarray:
        """(240, 320) uint32, see `appearance`."""
        frame = appearance.seen_through(self.texture, *self.windows[t])
        for mover in self.movers:
            mover.paint(frame, t)
        return frame

    def frames(self) -> Iterator[np.ndarray]:
        return (self.frame(t) for t in range(len(self)))


def scene(seed: int, name: str, group: int, clip: int) -> Scene:
    """Clip number `clip` of a class and a group. All clips of a group, of any class, share the background."""
    random = stream(seed, "clip", name, group, clip)
    n = motion.clip_length(random)
    jitter = motion.starting_turn(random)
    actors = [_actor(random, name, ring, jitter, n) for ring in motion.rings(random)]
    windows = _pan(random, n)
    tubes = [tube for actor in actors for tube in _tubes(random, actor.boxes())]
    return Scene(_background(seed, group), windows, [_distractor(random, n), *actors], tubes)


@lru_cache(maxsize=32)
def _background(seed: int, group: int) -> np.ndarray:
    return appearance.background(stream(seed, "background", group))


def _actor(random, name: str, ring: motion.Ring, jitter: float, n: int) -> Mover:
    sprite = appearance.actor(random, ring.half_width, ring.half_height)
    return Mover.along(sprite, motion.on_ring(random, name, ring, jitter, n))


def _distractor(random, n: int) -> Mover:
    sprite = appearance.distractor(random)
    return Mover.along(sprite, motion.smooth_path(random, len(sprite[1]) // 2 + 1, n))


def _pan(random, n: int) -> np.ndarray:
    """A slow move of the window from one random place and size to the midway of another, (n, 3)."""
    start, end = (np.array(appearance.window(random), dtype=np.float64) for _ in range(2))
    path = start + (end - start) * motion.moments(n)[:, None] / 2
    return nearest(path)


def _tubes(random, boxes: np.ndarray) -> list[tuple[int, int, np.ndarray]]:
    """The annotation of one actor: three of four times one tube over all frames, else one that starts late or
    ends early, or two with a gap, as in UCF101-24."""
    n = len(boxes)
    if draw(random, 1, 4) > 1:
        spans = [(0, n)]
    else:
        first, last = draw(random, 0, n // 4), n - draw(random, 0, n // 4)
        gap = draw(random, n // 3, n // 2)
        spans = [(first, last)] if draw(random, 0, 1) else [(first, gap), (gap + draw(random, 2, 6), last)]
    return [(sf, ef, boxes[sf:ef]) for sf, ef in spans]
