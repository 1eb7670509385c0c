"""Generates the mini UCF101 and UCF101-24, in whose clips the class is the actor's motion and nothing else.

The actor makes one whole turn on a ring. A class is where the turn starts (east, north, south or west of the ring's
centre) and which way it goes. At the time fractions (t + 1/2) / n the eight classes visit the same places in another
order: a frame drawn at random, or a set of frames without its order, is distributed alike in all of them. The number of
frames is odd, so that the centres of 8 or 16 equal segments, too, are their own mirror image in time (of an even number
some fall between two frames, and rounding tells the ways apart).

Two more classes, which UCF101 has and UCF101-24 has not, swing to and fro on an arc of half the ring, once or twice,
around a direction that is uniform over the ring: any frame of theirs, too, has the actor anywhere on the ring alike.
"""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from vxbench.datasets.mini import actors, writing
from vxbench.datasets.mini.actors import Player, Sprite, moments, packed
from vxbench.datasets.mini.exact import cosine, draw, fraction, nearest, sine, stream
from vxbench.datasets.mini.plan import Plan

VIDEOS = Path("ucf101/videos")
LISTS = Path("ucf101/ucfTrainTestlist")
ANNOTATION = Path("ucf101_24/annotations/pyannot.pkl")
TEST_LIST = Path("ucf101_24/splits/testlist01.txt")
TEST_GROUPS = range(1, 8)
TRAIN_GROUPS = range(8, 26)

WIDTH, HEIGHT = 320, 240
SHORTEST, LONGEST = 31, 89  # frames, both odd
WINDOWS = (300, 400)  # widths, in pixels of the background, that the columns of a frame may show
JITTER = 12 / 360  # turns, the start is drawn from +-JITTER around its direction
WOBBLE = 3  # pixels, at most, in and out of the ring
MARGIN = 2  # pixels between an actor and the border

STARTS = {"East": 0.0, "South": 0.25, "West": 0.5, "North": 0.75}  # turns, clockwise on the screen
WAYS = {"Clockwise": 1, "Counterclockwise": -1}
TURNS = sorted(f"{way}From{start}" for way in WAYS for start in STARTS)  # the classes of UCF101-24
SWINGS = {"SwingOnce": 1, "SwingTwice": 2}  # times to and fro
ARC = 0.25  # turns, a swing reaches as far on either side
CLASSES = sorted([*TURNS, *SWINGS])


# Motion


@dataclass(frozen=True)
class Ring:
    """A ring's centre and radius, and the half width and half height of the actor that runs on it, in pixels."""

    x: int
    y: int
    radius: int
    half_width: int
    half_height: int


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


def clip_length(random) -> int:
    """An odd number of frames."""
    return SHORTEST + 2 * draw(random, 0, (LONGEST - SHORTEST) // 2)


def starting_turn(random) -> float:
    """The jitter of a clip: how far its actors start from their direction, in turns."""
    return JITTER * (2 * fraction(random) - 1)


def angles(name: str, jitter: float, n: int) -> np.ndarray:
    """The actor's places on the ring, (n,) turns. A swing's place and phase are its jitter, widened to a whole turn."""
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


# Scenes


@dataclass
class Scene:
    """A clip of n frames: all that it shows, and its annotation.

    texture: the background, of which frame t shows windows[t]. windows: (n, 3) left, top and width in its pixels.
    movers: the distractor and the actors, in drawing order. tubes: (sf, ef, boxes) of the annotation.
    """

    texture: np.ndarray
    windows: np.ndarray
    movers: list[Player]
    tubes: list[tuple[int, int, np.ndarray]]

    def __len__(self) -> int:
        return len(self.windows)

    def frame(self, t: int) -> np.ndarray:
        """The picture of frame t, (240, 320) uint32."""
        frame = seen_through(self.texture, *self.windows[t])
        for mover in self.movers:
            mover.paint(frame, t)
        return frame

    def frames(self) -> Iterator[np.ndarray]:
        return (self.frame(t) for t in range(len(self)))


def scene(seed: int, name: str, group: int, clip: int) -> Scene:
    """The scene of clip number `clip` of a class and a group; all clips of a group share the background."""
    random = stream(seed, "clip", name, group, clip)
    n = clip_length(random)
    jitter = starting_turn(random)
    movers = [_actor(random, name, ring, jitter, n) for ring in rings(random)]
    windows = _pan(random, n)
    tubes = [tube for mover in movers for tube in _tubes(random, np.array([mover.box(t) for t in range(n)]))]
    return Scene(_background(seed, group), windows, [_distractor(random, n), *movers], tubes)


@lru_cache(maxsize=32)
def _background(seed: int, group: int) -> np.ndarray:
    return actors.background(stream(seed, "background", group))


def _actor(random, name: str, ring: Ring, jitter: float, n: int) -> Player:
    sprite = ellipse(random, ring.half_width, ring.half_height)
    return Player.at([sprite] * n, on_ring(random, name, ring, jitter, n))


def ellipse(random, half_width: int, half_height: int) -> Sprite:
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


def _distractor(random, n: int) -> Player:
    sprite = actors.distractor(random)
    return Player.at([sprite] * n, smooth_path(random, len(sprite[1]) // 2 + 1, n))


def _pan(random, n: int) -> np.ndarray:
    """The window in each frame, (n, 3): a slow move from one random place and size half of the way to another."""
    start, end = (np.array(window(random), dtype=np.float64) for _ in range(2))
    return nearest(start + (end - start) * moments(n)[:, None] / 2)


def window(random) -> tuple[int, int, int]:
    """A place and a size of the moving window: left, top and width in pixels of the background."""
    width = draw(random, *WINDOWS)
    height = width * 3 // 4
    rows, columns = actors.TEXTURE
    return draw(random, 0, columns - width - 1), draw(random, 0, rows - height - 1), width


def seen_through(texture: np.ndarray, left: int, top: int, width: int) -> np.ndarray:
    """The window of the background as a picture of HEIGHT x WIDTH; each pixel takes the nearest one above and left."""
    columns = left + np.arange(WIDTH) * width // WIDTH
    rows = top + np.arange(HEIGHT) * width // WIDTH
    return texture[rows].take(columns, axis=1)


def _tubes(random, boxes: np.ndarray) -> list[tuple[int, int, np.ndarray]]:
    """The annotation of one actor as tubes (sf, ef, boxes).

    Three of four times it is one tube over all frames, else one that starts late or ends early, or two with a gap, as
    in UCF101-24.
    """
    n = len(boxes)
    if draw(random, 1, 4) > 1:
        spans = [(0, n)]
    else:
        first, last = draw(random, 0, n // 4), n - draw(random, 0, n // 4)
        gap = draw(random, n // 3, n // 2)
        spans = [(first, last)] if draw(random, 0, 1) else [(first, gap), (gap + draw(random, 2, 6), last)]
    return [(sf, ef, boxes[sf:ef]) for sf, ef in spans]


# Files


@dataclass(frozen=True)
class Job:
    """One clip to make. clip: its number within class and group, from 1 on."""

    seed: int
    name: str
    group: int
    clip: int

    @property
    def key(self) -> str:
        return f"{self.name}/v_{self.name}_g{self.group:02d}_c{self.clip:02d}"


class Ucf:
    chunk = 8

    def jobs(self, plan: Plan) -> list[Job]:
        test, train = (TEST_GROUPS, plan.test_per_class), (TRAIN_GROUPS, plan.train_per_class)
        return jobs_of(plan.seed, *test) + jobs_of(plan.seed, *train)

    def write(self, root: Path, job: Job) -> tuple[tuple[Job, dict | None], str]:
        drawn = scene(job.seed, job.name, job.group, job.clip)
        writing.write_xvid(root / VIDEOS / f"{job.key}.avi", drawn.frames())
        entry = annotation(TURNS.index(job.name), drawn) if job.name in TURNS else None
        return (job, entry), digest_of(drawn)

    def finish(self, root: Path, records: list[tuple[Job, dict | None]]) -> None:
        test = sorted(job.key for job, _ in records if job.group in TEST_GROUPS)
        train = sorted(job.key for job, _ in records if job.group in TRAIN_GROUPS)
        _write_lists(root, train, test)
        entries = {job.key: entry for job, entry in records if entry}
        writing.write_lines(root / TEST_LIST, [key for key in test if key in entries])
        _write_annotation(root / ANNOTATION, dict(sorted(entries.items())))


def jobs_of(seed: int, groups: range, per_class: int) -> list[Job]:
    """The clips of one split, dealt out to the groups in turn, group by group (they share a background)."""
    places = [(groups[i % len(groups)], i // len(groups) + 1) for i in range(per_class)]
    dealt = [Job(seed, name, *place) for name in CLASSES for place in places]
    return sorted(dealt, key=lambda job: (job.group, job.key))


def digest_of(drawn: Scene) -> str:
    """The digest of a scene's middle frame and its boxes."""
    return writing.digest_of([drawn.frame(len(drawn) // 2)], [boxes for _, _, boxes in drawn.tubes])


def annotation(label: int, drawn: Scene) -> dict:
    """The entry of one video, as published: numbers in the smallest type that holds them, arrays in Fortran order."""
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
    """Writes classInd (numbers from 1), trainlist with those numbers and testlist without, as published."""
    number = {name: i for i, name in enumerate(CLASSES, start=1)}
    writing.write_lines(root / LISTS / "classInd.txt", [f"{i} {name}" for name, i in number.items()])
    labelled = [f"{clip}.avi {number[clip.split('/')[0]]}" for clip in train]
    writing.write_lines(root / LISTS / "trainlist01.txt", labelled)
    writing.write_lines(root / LISTS / "testlist01.txt", [f"{clip}.avi" for clip in test])


def _write_annotation(path: Path, entries: dict[str, dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        pickle.dump(entries, file, protocol=3)
