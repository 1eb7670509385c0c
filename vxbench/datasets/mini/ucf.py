"""The layout of UCF101 and of UCF101-24, whose boxes cover the classes of `actors.TURNS` only."""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from vxbench.datasets.mini import actors, writing
from vxbench.datasets.mini.actors import CLASSES, TURNS, Sprite, paste
from vxbench.datasets.mini.exact import draw, nearest, stream
from vxbench.datasets.mini.plan import Plan


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
        frame = actors.seen_through(self.texture, *self.windows[t])
        for mover in self.movers:
            mover.paint(frame, t)
        return frame

    def frames(self) -> Iterator[np.ndarray]:
        return (self.frame(t) for t in range(len(self)))


def scene(seed: int, name: str, group: int, clip: int) -> Scene:
    """Clip number `clip` of a class and a group. All clips of a group, of any class, share the background."""
    random = stream(seed, "clip", name, group, clip)
    n = actors.clip_length(random)
    jitter = actors.starting_turn(random)
    movers = [_actor(random, name, ring, jitter, n) for ring in actors.rings(random)]
    windows = _pan(random, n)
    tubes = [tube for mover in movers for tube in _tubes(random, mover.boxes())]
    return Scene(_background(seed, group), windows, [_distractor(random, n), *movers], tubes)


@lru_cache(maxsize=32)
def _background(seed: int, group: int) -> np.ndarray:
    return actors.background(stream(seed, "background", group))


def _actor(random, name: str, ring: actors.Ring, jitter: float, n: int) -> Mover:
    sprite = actors.actor(random, ring.half_width, ring.half_height)
    return Mover.along(sprite, actors.on_ring(random, name, ring, jitter, n))


def _distractor(random, n: int) -> Mover:
    sprite = actors.distractor(random)
    return Mover.along(sprite, actors.smooth_path(random, len(sprite[1]) // 2 + 1, n))


def _pan(random, n: int) -> np.ndarray:
    """A slow move of the window from one random place and size to the midway of another, (n, 3)."""
    start, end = (np.array(actors.window(random), dtype=np.float64) for _ in range(2))
    path = start + (end - start) * actors.moments(n)[:, None] / 2
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


VIDEOS = Path("ucf101/videos")
LISTS = Path("ucf101/ucfTrainTestlist")
ANNOTATION = Path("ucf101_24/annotations/pyannot.pkl")
TEST_LIST = Path("ucf101_24/splits/testlist01.txt")

TEST_GROUPS = range(1, 8)
TRAIN_GROUPS = range(8, 26)


@dataclass(frozen=True)
class Item:
    """One clip to make: `clip` counts from 1 within class and group."""

    seed: int
    name: str
    group: int
    clip: int

    @property
    def key(self) -> str:
        return f"{self.name}/v_{self.name}_g{self.group:02d}_c{self.clip:02d}"


class Ucf:
    chunk = 8

    def jobs(self, plan: Plan) -> list[Item]:
        test, train = (TEST_GROUPS, plan.test_per_class), (TRAIN_GROUPS, plan.train_per_class)
        return items(plan.seed, *test) + items(plan.seed, *train)

    def write(self, root: Path, item: Item) -> tuple[tuple[Item, dict | None], str]:
        drawn = scene(item.seed, item.name, item.group, item.clip)
        writing.write_xvid(root / VIDEOS / f"{item.key}.avi", drawn.frames())
        entry = annotation(TURNS.index(item.name), drawn) if item.name in TURNS else None
        return (item, entry), digest_of(drawn)

    def finish(self, root: Path, records: list[tuple[Item, dict | None]]) -> None:
        test = sorted(item.key for item, _ in records if item.group in TEST_GROUPS)
        train = sorted(item.key for item, _ in records if item.group in TRAIN_GROUPS)
        _write_lists(root, train, test)
        entries = {item.key: entry for item, entry in records if entry}
        writing.write_lines(root / TEST_LIST, [key for key in test if key in entries])
        _write_annotation(root / ANNOTATION, dict(sorted(entries.items())))


def items(seed: int, groups: range, per_class: int) -> list[Item]:
    """The clips of one split, dealt out to the groups in turn, group by group (they share a background)."""
    places = [(groups[i % len(groups)], i // len(groups) + 1) for i in range(per_class)]
    dealt = [Item(seed, name, *place) for name in CLASSES for place in places]
    return sorted(dealt, key=lambda item: (item.group, item.key))


def digest_of(drawn: Scene) -> str:
    """Of a scene's middle frame and its boxes."""
    return writing.digest_of([drawn.frame(len(drawn) // 2)], [boxes for _, _, boxes in drawn.tubes])


def annotation(label: int, drawn: Scene) -> dict:
    """The entry of one video. Numbers have the smallest type that holds them, arrays are in Fortran order."""
    entries = [
        {
            "label": label,
            "ef": ef,
            "boxes": np.asfortranarray(boxes.astype(np.min_scalar_type(boxes.max()))),
            "sf": sf,
        }
        for sf, ef, boxes in drawn.tubes
    ]
    return {"annotations": entries, "numf": np.min_scalar_type(len(drawn)).type(len(drawn)), "label": label}


def _write_lists(root: Path, train: list[str], test: list[str]) -> None:
    """classInd (from 1), trainlist with that label and testlist without, of clips '<Class>/<name>'."""
    number = {name: i for i, name in enumerate(CLASSES, start=1)}
    writing.write_lines(root / LISTS / "classInd.txt", [f"{i} {name}" for name, i in number.items()])
    labelled = [f"{clip}.avi {number[clip.split('/')[0]]}" for clip in train]
    writing.write_lines(root / LISTS / "trainlist01.txt", labelled)
    writing.write_lines(root / LISTS / "testlist01.txt", [f"{clip}.avi" for clip in test])


def _write_annotation(path: Path, entries: dict[str, dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        pickle.dump(entries, file, protocol=3)
