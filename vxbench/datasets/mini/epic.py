"""The layout of EPIC-KITCHENS-55, whose published labels are those of the folder `train`.

Numbers of action frames are 60 a second, those of the official JPEGs; videos have 59.94 frames a second.

Training and test segments of the plan are of different participants. Who draws a split of their own may ignore that.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from math import ceil, floor
from pathlib import Path

import numpy as np

from vxbench.datasets.mini import writing
from vxbench.datasets.mini.epic_looks import NOUNS
from vxbench.datasets.mini.epic_scene import VERBS, Scene, Segment, scene
from vxbench.datasets.mini.exact import stream
from vxbench.datasets.mini.plan import Plan
from vxbench.datasets.mini.stage import Player

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

NOUN_CLASS = {noun: i for i, noun in enumerate(["Nothing", *NOUNS])}
VERB_CLASS = {verb: i for i, verb in enumerate(VERBS)}


@dataclass(frozen=True)
class Job:
    """One video to make, with its actions (noun, verb) in order. uid: of the first of its segments."""

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
    """The actions of each video of a split, shuffled: `per_class` of each noun and of each verb.

    Of any two pairs of noun and verb, one is dealt at most once more than the other.
    """
    verbs = list(VERBS)
    deck = [(noun, verbs[(i + j) % len(verbs)]) for j, noun in enumerate(NOUNS) for i in range(per_class)]
    order = stream(seed, "epic55", split).permutation(len(deck)).tolist()
    videos = max(2, len(deck) // PER_VIDEO)
    names = [f"{participants[k % len(participants)]}_{k // len(participants) + 1:02d}" for k in range(videos)]
    return {name: tuple(deck[i] for i in order[k::videos]) for k, name in enumerate(names)}


def _smaller(frame: np.ndarray) -> np.ndarray:
    """(height, width) -> FRAMES_SIZE, the nearest pixel above and left."""
    rows, columns = (np.arange(small) * n // small for small, n in zip(FRAMES_SIZE, frame.shape, strict=True))
    return frame[rows[:, None], columns]


def digest_of(drawn: Scene) -> str:
    """Of the middle frame of each segment and of all its boxes."""
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
    """hh:mm:ss.cc, of which the published frame numbers are 60 a second, rounded down."""
    centiseconds = -(-frame * 100 // 60)
    seconds, rest = divmod(centiseconds, 100)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:02d}"


def _objects(job: Job, segment: Segment, target: Player) -> Iterator[tuple]:
    """A row for each labelled frame of a segment, "[]" where its target is away."""
    for number, t in labelled(segment.stop, job.pace):
        if t >= segment.start:
            box = target.box(t)
            boxes = [(box[1], box[0], box[3], box[2])] if box else []
            yield (NOUN_CLASS[segment.noun], segment.noun, job.participant, job.video, number, str(boxes))


def labelled(stop: int, pace: Fraction) -> Iterator[tuple[int, int]]:
    """Object frame numbers (1, 31, 61, ...) and the stored frames they show, from 0 on and before `stop`.

    Object frames are those of the video of 59.94 fps, from 1 on; among pictures, 60 a second, it is the nearest.
    """
    for number in count(1, OBJECT_STEP):
        t = floor((number - 1) * RATE / FPS / pace + Fraction(1, 2))
        if t >= stop:
            return
        yield number, t


def _write_classes(path: Path, kind: str, classes: dict[str, int]) -> None:
    rows = [(i, name, str([name])) for name, i in classes.items()]
    writing.write_csv(path, (f"{kind}_id", "class_key", f"{kind}s"), rows)
