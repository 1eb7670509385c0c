"""Generates the mini Kinetics-400 and -700: classes are strokes of an actor, videos have many shapes and rates."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np

from vxbench.datasets.mini import actors, writing
from vxbench.datasets.mini.actors import STROKES, Player, Sprite, Stroke, between, coordinates, moments, packed
from vxbench.datasets.mini.exact import cosine, draw, nearest, sine, stream
from vxbench.datasets.mini.plan import Plan

SIDEWAYS, UPRIGHT = ("left", "right"), ("up", "down")
CLASSES = {  # label -> its strokes, all at the same time; of a stroke in several ways a clip has one
    "kinetics400": {
        "bobbing": (UPRIGHT,),
        "drifting": (SIDEWAYS,),
        "pulsing": (("growing", "shrinking"),),
        "standing still": (),
        "turning round": (("clockwise", "counterclockwise"),),
        "wandering about": (SIDEWAYS, UPRIGHT),
    },
    "kinetics700": {
        "floating left": (("left",),),
        "floating right": (("right",),),
        "inflating": (("growing",),),
        "melting": (("shrinking",),),
        "rising up": (("up",),),
        "sinking down": (("down",),),
        "spinning clockwise": (("clockwise",),),
        "spinning counterclockwise": (("counterclockwise",),),
    },
}
# Width and height of the video and of the picture in it; the rest is black bars.
FORMATS = (
    ((202, 360), (202, 360)),
    ((352, 288), (352, 288)),
    ((340, 256), (340, 256)),
    ((320, 180), (320, 180)),
    ((320, 240), (320, 180)),  # letterboxed
    ((320, 180), (240, 180)),  # pillarboxed
)
RATES = (Fraction(25), Fraction(30000, 1001), Fraction(30), Fraction(15))
SHORTEST, LONGEST = 31, 61  # frames, both odd: see ucf.py
BLACK = np.array([0, 0, 0, 255], dtype=np.uint8).view(np.uint32)[0]
REACH = 0.2  # of the picture's shorter side, the actor's centre goes as far from the middle
SIZES = (0.12, 0.23)  # half size of the actor, of the picture's shorter side
PLACES = {"train": 30, "val": 10}  # backgrounds of a split, shared by all classes

COLUMNS = ("label", "youtube_id", "time_start", "time_end", "split")
SPLIT_NAMES = {"train": "train", "val": "validate"}
LABEL_MAPS = {"kinetics400": "label_map_k400.txt", "kinetics700": "label_map_k700.txt"}
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
DASHED = 5  # one id of so many begins with "-", as one of 64 does on YouTube
LAST = "zz"  # ids of absent clips begin with it: who takes the first clips by id meets none


@dataclass
class Scene:
    """A clip of n frames: all that it shows.

    size: width and height of the video. picture: left, top, width and height in it. texture: the background, of which
    frame t shows what lies from windows[t], (n, 2) left, top, on; step: between its pixels, in 1024ths of one.
    """

    size: tuple[int, int]
    fps: Fraction
    picture: tuple[int, int, int, int]
    texture: np.ndarray
    step: int
    windows: np.ndarray
    distractor: Player
    actor: Player

    def __len__(self) -> int:
        return len(self.windows)

    def frame(self, t: int) -> np.ndarray:
        """The picture of frame t, (height, width) uint32."""
        left, top, width, height = self.picture
        frame = np.full(self.size[::-1], BLACK)
        inside = frame[top : top + height, left : left + width]
        inside[:] = seen_from(self.texture, *self.windows[t], height, width, self.step)
        self.distractor.paint(inside, t)
        self.actor.paint(inside, t)
        return frame

    def frames(self) -> Iterator[np.ndarray]:
        return (self.frame(t) for t in range(len(self)))


def scene(seed: int, data_set: str, label: str, split: str, number: int) -> Scene:
    """The scene of clip `number` of a class and a split."""
    random = stream(seed, data_set, label, split, number)
    size, (width, height) = FORMATS[draw(random, 0, len(FORMATS) - 1)]
    fps = RATES[draw(random, 0, len(RATES) - 1)]
    n = SHORTEST + 2 * draw(random, 0, (LONGEST - SHORTEST) // 2)
    actor = _actor(random, CLASSES[data_set][label], width, height, n)
    step, windows = _pan(random, width, height, n)
    texture = _background(seed, data_set, split, number % PLACES[split])
    picture = ((size[0] - width) // 2, (size[1] - height) // 2, width, height)
    return Scene(size, fps, picture, texture, step, windows, _distractor(random, width, height, n), actor)


@lru_cache(maxsize=4)
def _background(seed: int, data_set: str, split: str, place: int) -> np.ndarray:
    return actors.background(stream(seed, data_set, "background", split, place))


def strokes_of(random, motions: Sequence[Sequence[str]]) -> list[Stroke]:
    """One of the ways of each stroke, drawn where there are several."""
    return [STROKES[ways[draw(random, 0, len(ways) - 1) if len(ways) > 1 else 0]] for ways in motions]


def _actor(random, motions: Sequence[Sequence[str]], width: int, height: int, n: int) -> Player:
    at, side = coordinates(random, strokes_of(random, motions), n), min(width, height)
    colours = _colours(random)
    halves = nearest(side * between(*SIZES, at["size"]))
    drawn = lru_cache(maxsize=None)(lambda half, angle: _sprite(colours, half, angle))
    sprites = [drawn(half, angle) for half, angle in zip(halves.tolist(), at["angle"].tolist(), strict=True)]
    centres = [middle // 2 + side * between(-REACH, REACH, at[x]) for middle, x in ((width, "x"), (height, "y"))]
    return Player.at(sprites, nearest(np.stack(centres, axis=1)))


def _colours(random) -> tuple[np.ndarray, np.ndarray]:
    red = np.array([draw(random, 200, 255), draw(random, 20, 80), draw(random, 0, 50)])
    yellow = np.array([draw(random, 225, 255), draw(random, 170, 225), draw(random, 20, 90)])
    return (red, yellow) if draw(random, 0, 1) else (yellow, red)


def _sprite(colours: tuple[np.ndarray, np.ndarray], half: int, angle: float) -> Sprite:
    """A disc, half of each colour, with a dark rim, cut off behind, so that its head points where the angle says."""
    y, x = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64) / half
    along = x * cosine(angle) + y * sine(angle)
    across = y * cosine(angle) - x * sine(angle)
    radius = x * x + y * y
    body = np.where((along > 0.1)[..., None], *colours)
    body = np.where(((radius > 0.8) | (along < -0.45))[..., None], colours[0] // 3, body)
    return packed(body), (radius <= 1) & ((along >= -0.6) | (abs(across) < 0.2))


def _distractor(random, width: int, height: int, n: int) -> Player:
    sprite = actors.distractor(random)
    margin = len(sprite[1]) // 2 + 1
    centres = actors.drift(random, (margin, margin), (width - 1 - margin, height - 1 - margin), n, 400, 100)
    return Player.at([sprite] * n, centres)


def _pan(random, width: int, height: int, n: int) -> tuple[int, np.ndarray]:
    """Scene.step and Scene.windows: the window goes slowly from one random place half of the way to another."""
    rows, columns = actors.TEXTURE
    step = min(1024 * rows // height, 1024 * columns // width) * draw(random, 70, 90) // 100
    free = np.array([columns - 1 - width * step // 1024, rows - 1 - height * step // 1024])
    start, end = (np.array([draw(random, 0, most) for most in free.tolist()], dtype=np.float64) for _ in range(2))
    return step, nearest(start + (end - start) * moments(n)[:, None] / 2)


def seen_from(texture: np.ndarray, left: int, top: int, height: int, width: int, step: int) -> np.ndarray:
    """The background from left, top on, (height, width) pixels `step` / 1024 apart; each the nearest above and left."""
    rows, columns = (np.arange(n) * step // 1024 for n in (height, width))
    return texture[top + rows].take(left + columns, axis=1)


@dataclass(frozen=True)
class Job:
    """One clip to make, the `number`th of its class and split. An absent one has a row in the csv and no video."""

    seed: int
    data_set: str
    label: str
    split: str
    number: int
    absent: bool = False

    def row(self) -> tuple[str, str, int, int, str]:
        random = stream(self.seed, "id", self.data_set, self.label, self.split, self.number)
        id = "".join(ALPHABET[draw(random, 0, len(ALPHABET) - 1)] for _ in range(11))
        start = draw(random, 0, 290)
        return self.label, self._start_of_id + id[len(self._start_of_id) :], start, start + 10, SPLIT_NAMES[self.split]

    @property
    def _start_of_id(self) -> str:
        if self.absent:
            return LAST
        return "" if self.number % DASHED else "-"

    @property
    def path(self) -> Path:
        label, id, start, end, _ = self.row()
        return Path(self.data_set, self.split, label, f"{id}_{start:06d}_{end:06d}.mp4")


class Kinetics:
    chunk = 8

    def __init__(self, name: str):
        self.name = name

    def jobs(self, plan: Plan) -> list[Job]:
        return self._jobs(plan, "val", plan.test_per_class) + self._jobs(plan, "train", plan.train_per_class)

    def _jobs(self, plan: Plan, split: str, per_class: int) -> list[Job]:
        """The jobs of a split, ordered by background, which clips share; then those of rows without a clip."""
        labels = list(CLASSES[self.name])
        there = [Job(plan.seed, self.name, label, split, i) for i in range(per_class) for label in labels]
        lost = labels[::2] if split == "val" else []
        absent = [Job(plan.seed, self.name, label, split, per_class, absent=True) for label in lost]
        return sorted(there, key=lambda job: job.number % PLACES[split]) + absent

    def write(self, root: Path, job: Job) -> tuple[Job, str]:
        if job.absent:
            return job, ""
        drawn = scene(job.seed, job.data_set, job.label, job.split, job.number)
        writing.write_h264(root / job.path, drawn.frames(), drawn.fps, "superfast")
        return job, writing.digest_of([drawn.frame(len(drawn) // 2)])

    def finish(self, root: Path, records: list[Job]) -> None:
        for split in SPLIT_NAMES:
            rows = sorted((job.row() for job in records if job.split == split), key=lambda row: row[1])
            writing.write_csv(root / self.name / "annotations" / f"{split}.csv", COLUMNS, rows)
        writing.write_lines(root / self.name / LABEL_MAPS[self.name], sorted(CLASSES[self.name]))
