"""Generates the mini EPIC-KITCHENS-55: a hand moves as the verb says, and a target looks as the noun says.

Labels are published for the folder `train` alone, so that all videos lie there. Training and test segments of the plan
are of different participants; who draws a split of their own may ignore that. Numbers of action frames are 60 a second,
those of the official JPEGs; videos have 59.94 frames a second.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from math import ceil, floor
from pathlib import Path

import numpy as np

from vxbench.datasets.mini import actors, writing
from vxbench.datasets.mini.actors import STROKES, Player, Sprite, between, coordinates, packed, trimmed
from vxbench.datasets.mini.exact import draw, nearest, stream
from vxbench.datasets.mini.plan import Plan

ROOT = Path("epic55")
ANNOTATIONS = ROOT / "annotations"
FPS = Fraction(60000, 1001)
RATE = 60  # action frames a second
SIZE = (144, 256)  # height, width of a video
TALL, TALL_SIZE = "P03", (192, 256)  # a participant whose videos have another shape
FRAMES_SIZE = (108, 192)  # of extracted frames, which are smaller than the video whose pixels boxes are measured in
PER_VIDEO = 6  # segments
TRAIN_SHARE = (4, 3)  # of the plan's training clips: each segment counts for a noun and for a verb

TRAIN_PARTICIPANTS = [f"P{i:02d}" for i in range(1, 9)]
TEST_PARTICIPANTS = ["P28", "P29"]
FRAMES_PARTICIPANT = "P30"  # one test video as frames

ACTION_COLUMNS = (
    *("uid", "participant_id", "video_id", "narration"),
    *("start_timestamp", "stop_timestamp", "start_frame", "stop_frame"),
    *("verb", "verb_class", "noun", "noun_class", "all_nouns", "all_noun_classes"),
)
OBJECT_COLUMNS = ("noun_class", "noun", "participant_id", "video_id", "frame", "bounding_boxes")
INFO_COLUMNS = ("video", "resolution", "duration", "fps")
OBJECT_STEP = 30  # objects are labelled in frames 1, 31, 61, ... of `object_detection_images`

SHORTEST, LONGEST = 55, 109  # frames of a segment, both odd: see ucf.py
FREE = (3, 2)  # free frames behind a segment, as a fraction of its length; before the first one as well
REACH = 32  # pixels that the hand goes to either side
HAND = (11, 20)  # pixels, half size
TARGET = (15, 20)  # pixels, half size
DRIFT = 8  # pixels that the target moves at most
MARGIN = 2  # pixels between things and the border of their half


# Nouns and verbs


def _disc(x, y, half):
    return x * x + y * y <= half * half


def _bar(x, y, half):
    return (abs(x) * 5 <= half * 2) & (abs(y) <= half)


def _diamond(x, y, half):
    return abs(x) + abs(y) <= half


def _square(x, y, half):
    return (abs(x) * 10 <= half * 9) & (abs(y) * 10 <= half * 9)


def _wedge(x, y, half):
    return 2 * abs(x) <= half - y


def _rings(x, y, half):
    return (x * x + y * y) * 4 // (half * half) % 2 == 1


def _stripes(x, y, half):
    return y // 5 % 2 == 0


def _checks(x, y, half):
    return (x // 6 + y // 6) % 2 == 0


def _core(x, y, half):
    return (x * x + y * y) * 4 > half * half


def _left(x, y, half):
    return x < 0


# noun -> shape, two colours, where the first of them is
NOUNS = {
    "apple": (_disc, (225, 30, 30), (150, 10, 20), _left),
    "carrot": (_bar, (250, 130, 10), (190, 80, 0), _stripes),
    "lemon": (_diamond, (250, 235, 40), (200, 180, 10), _left),
    "lettuce": (_square, (40, 190, 40), (15, 110, 20), _checks),
    "plate": (_disc, (255, 255, 255), (15, 15, 15), _core),
    "radish": (_wedge, (240, 40, 180), (255, 190, 235), _rings),
}

# verb -> the stroke of the hand
VERBS = {
    "pull": "left",
    "push": "right",
    "lift": "up",
    "lower": "down",
    "reach": "growing",
    "withdraw": "shrinking",
}

NOUN_CLASS = {noun: i for i, noun in enumerate(["Nothing", *NOUNS])}
VERB_CLASS = {verb: i for i, verb in enumerate(VERBS)}


# Scenes


@dataclass(frozen=True)
class Segment:
    """The 0-based frames start <= t < stop, in which one action is done. number: counts within the video."""

    number: int
    noun: str
    verb: str
    start: int
    stop: int


@dataclass
class Scene:
    """A video of n frames: all that it shows.

    size: height and width. texture: the background, of which frame t shows what lies from windows[t], (n, 2) left, top,
    on. hands, targets: one for each segment.
    """

    size: tuple[int, int]
    texture: np.ndarray
    windows: np.ndarray
    distractors: list[Player]
    segments: list[Segment]
    hands: list[Player]
    targets: list[Player]

    def __len__(self) -> int:
        return len(self.windows)

    def frame(self, t: int) -> np.ndarray:
        """The picture of frame t, (height, width) uint32."""
        left, top = self.windows[t]
        frame = self.texture[top : top + self.size[0], left : left + self.size[1]].copy()
        for player in (*self.distractors, *self.hands, *self.targets):
            player.paint(frame, t)
        return frame

    def frames(self) -> Iterator[np.ndarray]:
        return (self.frame(t) for t in range(len(self)))


def scene(seed: int, video: str, size: tuple[int, int], actions: tuple[tuple[str, str], ...]) -> Scene:
    """The scene of a video with these actions (noun, verb), in this order."""
    random = stream(seed, "epic55", video)
    segments, n = _segments(random, actions)
    casts = [_cast(stream(seed, "epic55", video, segment.number), segment, size) for segment in segments]
    hands, targets = zip(*casts, strict=True)
    windows = actors.drift(random, (0, 0), _spare(size), n, 1600, 800)
    distractors = [_distractor(random, size, n) for _ in range(2)]
    return Scene(size, actors.background(random), windows, distractors, segments, list(hands), list(targets))


def _segments(random, actions: tuple[tuple[str, str], ...]) -> tuple[list[Segment], int]:
    """The segments and the length of the video."""
    lengths = [SHORTEST + 2 * draw(random, 0, (LONGEST - SHORTEST) // 2) for _ in actions]
    t, segments = _free(random, lengths[0]), []
    for i, ((noun, verb), n) in enumerate(zip(actions, lengths, strict=True)):
        segments.append(Segment(i, noun, verb, t, t + n))
        t += n + _free(random, n)
    return segments, t


def _free(random, n: int) -> int:
    return -(-n * FREE[0] // FREE[1]) + draw(random, 1, 20)


def _spare(size: tuple[int, int]) -> tuple[int, int]:
    """Pixels that the window may go on the background, x and y."""
    return actors.TEXTURE[1] - size[1], actors.TEXTURE[0] - size[0]


def _cast(random, segment: Segment, size: tuple[int, int]) -> tuple[Player, Player]:
    """Hand and target of a segment, each in its half of the picture."""
    height, half = size[0], size[1] // 2
    left = draw(random, 0, 1) * half
    hand = _hand(random, segment, (left, left + half), height)
    return hand, _target(random, segment, (half - left, 2 * half - left), height)


def _hand(random, segment: Segment, columns: tuple[int, int], height: int) -> Player:
    n, reach = segment.stop - segment.start, REACH + HAND[1] + MARGIN
    at = coordinates(random, [STROKES[VERBS[segment.verb]]], n)
    look = _skin(random)
    halves = nearest(between(*HAND, at["size"])).tolist()
    drawn = {half: fist(look, half) for half in set(halves)}
    middle = draw(random, columns[0] + reach, columns[1] - 1 - reach), draw(random, reach, height - 1 - reach)
    centres = [middle[i] + between(-REACH, REACH, at[x]) for i, x in enumerate("xy")]
    sprites = [drawn[half] for half in halves]
    return Player.at(sprites, nearest(np.stack(centres, axis=1)), segment.start)


def _skin(random) -> np.ndarray:
    tone = draw(random, 0, 60)
    return np.array([240 - tone, 185 - tone, 150 - tone])


def _target(random, segment: Segment, columns: tuple[int, int], height: int) -> Player:
    """The target, which drifts by a few pixels a segment and is seen in `_presence` of it."""
    n = segment.stop - segment.start
    first, last = _presence(random, n)
    half = draw(random, *TARGET)
    clear = half + MARGIN + DRIFT
    x, y = draw(random, columns[0] + clear, columns[1] - 1 - clear), draw(random, clear, height - 1 - clear)
    path = actors.drift(random, (x - DRIFT, y - DRIFT), (x + DRIFT, y + DRIFT), n, 400, 200)
    sprites = [noun_sprite(random, segment.noun, half)] * (last - first)
    return Player.at(sprites, path[first:last], segment.start + first)


def _presence(random, n: int) -> tuple[int, int]:
    """First frame and end of a target's presence: half of the targets miss nothing, the others at most two fifths.

    The shortest segment then still has 33 frames, of which one at least, as every 30th is, is labelled.
    """
    missed = draw(random, n // 5, 2 * n // 5)
    return ((0, n), (0, n), (missed, n), (0, n - missed))[draw(random, 0, 3)]


def _distractor(random, size: tuple[int, int], n: int) -> Player:
    """A distractor, bluish as all of them, which drifts all over the picture."""
    sprite = actors.distractor(random)
    reach = len(sprite[1]) // 2 + 1
    centres = actors.drift(random, (reach, reach), (size[1] - 1 - reach, size[0] - 1 - reach), n, 900, 300)
    return Player.at([sprite] * n, centres)


def fist(colour: np.ndarray, half: int) -> Sprite:
    """A rounded square with a dark rim and three dark lines between the fingers."""
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    corner = x**4 + y**4
    lines = (abs(x) * 8 // half % 4 == 2) & (y < 0)
    dark = lines | (corner * 10 > 7 * half**4)
    return packed(np.where(dark[..., None], colour // 2, colour)), corner <= half**4


def noun_sprite(random, noun: str, half: int) -> Sprite:
    """The target: a shape, two colours and a texture that no other noun and no distractor has."""
    shape, one, two, texture = NOUNS[noun]
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    light = draw(random, 85, 100)
    colours = np.array(one) * light // 100, np.array(two) * light // 100
    return trimmed(packed(np.where(texture(x, y, half)[..., None], *colours)), shape(x, y, half))


# Files


@dataclass(frozen=True)
class Job:
    """One video to make, with its actions (noun, verb) in order. uid: that of its first segment."""

    seed: int
    video: str
    actions: tuple[tuple[str, str], ...]
    uid: int

    @property
    def participant(self) -> str:
        return self.video[:3]

    @property
    def size(self) -> tuple[int, int]:
        return TALL_SIZE if self.participant == TALL else SIZE

    @property
    def pace(self) -> Fraction:
        """Action frames for each stored frame."""
        return Fraction(1) if self.participant == FRAMES_PARTICIPANT else RATE / FPS

    def scene(self) -> Scene:
        return scene(self.seed, self.video, self.size, self.actions)


@dataclass(frozen=True)
class Rows:
    """The rows of one video in the three lists."""

    info: tuple
    actions: list[tuple]
    objects: list[tuple]


class Epic:
    chunk = 1

    def jobs(self, plan: Plan) -> list[Job]:
        training = -(-plan.train_per_class * TRAIN_SHARE[0] // TRAIN_SHARE[1])
        train = _deal(plan.seed, "train", training, TRAIN_PARTICIPANTS)
        test = _deal(plan.seed, "test", plan.test_per_class, TEST_PARTICIPANTS)
        frames = f"{FRAMES_PARTICIPANT}_01"
        videos = {**train, **dict(zip([*list(test)[:-1], frames], test.values(), strict=True))}
        uids = np.cumsum([0, *map(len, videos.values())]).tolist()
        return [Job(plan.seed, *item, uid) for item, uid in zip(videos.items(), uids, strict=False)]

    def write(self, root: Path, job: Job) -> tuple[Rows, str]:
        drawn = job.scene()
        if job.participant == FRAMES_PARTICIPANT:
            folder = root / ROOT / "frames_rgb_flow/rgb/train" / job.participant / job.video
            writing.write_jpegs(folder, map(_smaller, drawn.frames()), "frame_%010d.jpg")
        else:
            path = root / ROOT / "videos/train" / job.participant / f"{job.video}.MP4"
            writing.write_h264(path, drawn.frames(), FPS, "veryfast")
        return _rows(job, drawn), digest_of(drawn)

    def finish(self, root: Path, records: list[Rows]) -> None:
        folder, records = root / ANNOTATIONS, sorted(records, key=lambda rows: rows.info)
        actions = [row for rows in records for row in rows.actions]
        writing.write_csv(folder / "EPIC_train_action_labels.csv", ACTION_COLUMNS, actions)
        objects = [row for rows in records for row in rows.objects]
        writing.write_csv(folder / "EPIC_train_object_labels.csv", OBJECT_COLUMNS, objects)
        writing.write_csv(folder / "EPIC_video_info.csv", INFO_COLUMNS, [rows.info for rows in records])
        _write_classes(folder / "EPIC_noun_classes.csv", "noun", NOUN_CLASS)
        _write_classes(folder / "EPIC_verb_classes.csv", "verb", VERB_CLASS)


def _deal(seed: int, split: str, per_class: int, participants: list[str]) -> dict[str, tuple[tuple[str, str], ...]]:
    """The shuffled actions of each video of a split: `per_class` of each noun and of each verb.

    No pair of noun and verb is dealt more than once more than another.
    """
    verbs = list(VERBS)
    deck = [(noun, verbs[(i + j) % len(verbs)]) for j, noun in enumerate(NOUNS) for i in range(per_class)]
    order = stream(seed, "epic55", split).permutation(len(deck)).tolist()
    videos = max(2, len(deck) // PER_VIDEO)
    names = [f"{participants[k % len(participants)]}_{k // len(participants) + 1:02d}" for k in range(videos)]
    return {name: tuple(deck[i] for i in order[k::videos]) for k, name in enumerate(names)}


def _smaller(frame: np.ndarray) -> np.ndarray:
    """A picture reduced to FRAMES_SIZE; each pixel takes the nearest one above and left."""
    rows, columns = (np.arange(small) * n // small for small, n in zip(FRAMES_SIZE, frame.shape, strict=True))
    return frame[rows[:, None], columns]


def digest_of(drawn: Scene) -> str:
    """The digest of the middle frame of each segment and of all its boxes."""
    middles = [drawn.frame((segment.start + segment.stop) // 2) for segment in drawn.segments]
    return writing.digest_of(middles, [target.corners for target in drawn.targets])


def _rows(job: Job, drawn: Scene) -> Rows:
    height, width = job.size
    microseconds = ceil(len(drawn) * job.pace / RATE * 10**6)  # up: rounded down, the last frame would be outside
    info = (job.video, f"{width}x{height}", f"{microseconds / 10**6:.6f}", float(FPS))
    actions = [_action(job, segment) for segment in drawn.segments]
    pairs = zip(drawn.segments, drawn.targets, strict=True)
    return Rows(info, actions, [row for segment, target in pairs for row in _objects(job, segment, target)])


def _action(job: Job, segment: Segment) -> tuple:
    noun, verb, (start, stop) = segment.noun, segment.verb, action_frames(segment, job.pace)
    nouns = NOUN_CLASS[noun]
    return (
        job.uid + segment.number,
        *(job.participant, job.video, f"{verb} {noun}", timestamp(start), timestamp(stop), start, stop),
        *(verb, VERB_CLASS[verb], noun, nouns, str([noun]), str([nouns])),
    )


def action_frames(segment: Segment, pace: Fraction) -> tuple[int, int]:
    """First and last action frame of a segment, from 1 on: start / pace <= t < stop / pace are its stored frames t."""
    return floor(segment.start * pace) + 1, floor(segment.stop * pace)


def timestamp(frame: int) -> str:
    """The time hh:mm:ss.cc whose published frame number, 60 a second rounded down, is `frame`."""
    centiseconds = -(-frame * 100 // 60)
    seconds, rest = divmod(centiseconds, 100)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:02d}"


def _objects(job: Job, segment: Segment, target: Player) -> Iterator[tuple]:
    """The rows of a segment's labelled frames, with boxes "[]" where its target is away."""
    for number, t in labelled(segment.stop, job.pace):
        if t >= segment.start:
            box = target.box(t)
            boxes = [(box[1], box[0], box[3], box[2])] if box else []
            yield (NOUN_CLASS[segment.noun], segment.noun, job.participant, job.video, number, str(boxes))


def labelled(stop: int, pace: Fraction) -> Iterator[tuple[int, int]]:
    """Pairs of an object frame number (1, 31, 61, ...) and the stored frame that it shows, from 0 on, below `stop`.

    Object frames are those of the video of 59.94 fps, from 1 on; among pictures, 60 a second, the nearest is taken.
    """
    for number in count(1, OBJECT_STEP):
        t = floor((number - 1) * RATE / FPS / pace + Fraction(1, 2))
        if t >= stop:
            return
        yield number, t


def _write_classes(path: Path, kind: str, classes: dict[str, int]) -> None:
    rows = [(i, name, str([name])) for name, i in classes.items()]
    writing.write_csv(path, (f"{kind}_id", "class_key", f"{kind}s"), rows)
