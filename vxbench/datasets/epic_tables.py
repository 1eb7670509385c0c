"""Reads the tables of EPIC-KITCHENS-55: its videos, its segments and the boxes of their objects.

A box is published as (top, left, height, width) in pixels of the original video.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from vxbench.datasets.lists import distinct
from vxbench.errors import UserError
from vxbench.ranges import one_of

RATE = 60  # official JPEGs per second
OBJECT_FRAMES = ("converted", "as_written")

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Video:
    """Size, frame rate and length of an original video.

    width, height: in pixels, which boxes are measured in. frames: its length at RATE.
    """

    width: int
    height: int
    fps: float
    frames: int


@dataclass(frozen=True)
class Segment:
    """The frames start <= t < stop of a video, and the word that names their class.

    action: the frames of the action, as start and stop. noun_class: the official class of the action's object.
    boxes: {labelled frame: boxes of that object}. label: index of the word among a data set's classes. part: end of the
    id, which tells clips of one segment apart.
    """

    uid: int
    video: str
    word: str
    start: int
    stop: int
    action: tuple[int, int]
    noun_class: int = -1
    boxes: Mapping[int, list[Box]] = field(default_factory=dict)
    label: int = -1
    part: str = ""

    @property
    def id(self) -> str:
        return f"{self.word}/{self.video}_{self.uid}{self.part}"

    @property
    def frames(self) -> int:
        return self.stop - self.start

    def until(self, end: int) -> "Segment":
        """The segment without the frames from `end` on."""
        start, stop = self.action
        return replace(self, stop=min(self.stop, end), action=(start, min(stop, end)))


@dataclass(frozen=True)
class Clock:
    """Converts between official frames and those of a file.

    pace: official frames for each frame of the file; 1 for the official JPEGs.
    """

    pace: float = 1.0

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """The file's frames that show the official frames start <= t < stop; at least one."""
        first, last = (int(np.ceil(round(t / self.pace, 6))) for t in (start, stop))
        return first, max(first + 1, last)

    def frames(self, indices: np.ndarray) -> np.ndarray:
        """The official frame that each of the file's frames shows."""
        return np.floor(np.round(indices * self.pace, 6)).astype(np.int64)


@dataclass(frozen=True)
class Track:
    """Boxes of one object.

    frames: (N,), the frame of each box, in order. boxes: (N, 4) x, y, w, h in pixels of a frame of `size` (width,
    height).
    """

    frames: np.ndarray
    boxes: np.ndarray
    size: tuple[int, int]

    def at(self, t: int, reach: int) -> np.ndarray:
        """The boxes (M, 4) of the labelled frame nearest to t, or of both at a tie, if at most `reach` frames away."""
        distance = np.abs(self.frames - t)
        return self.boxes[(distance == distance.min(initial=reach + 1)) & (distance <= reach)]


def read_videos(path: Path) -> dict[str, Video]:
    """The videos of EPIC_video_info.csv, by name.

    Raises:
        UserError: a side is not of 1 to 9999 pixels, a frame rate not of 1 to 1000, or a length not of a frame to 10^6
            seconds.
    """
    table = read_table(path, {"video": str, "resolution": str, "duration": float, "fps": float})
    sizes = table.resolution.str.extract(r"^([1-9][0-9]{0,3})x([1-9][0-9]{0,3})$")
    known = sizes.notna().all(axis=1) & table.fps.between(1, 1000) & table.duration.between(1 / RATE, 1e6)
    if not known.all():
        line = table.index[~known][0] + 2
        raise UserError(f"{path}, line {line}: no resolution like 1920x1080, no frame rate, or no length in seconds")
    columns = (sizes[0].astype(int), sizes[1].astype(int), table.fps, (table.duration * RATE).astype(int))
    return dict(zip(table.video, map(Video, *columns), strict=True))


def read_actions(path: Path, column: str) -> list[Segment]:
    """The actions of EPIC_train_action_labels.csv, whose words are those of `column`: verb or noun.

    Raises:
        UserError: the file cannot be read as that table, or a segment is refused by `checked`.
    """
    columns = {"uid": int, "video_id": str, column: str, "start_frame": int, "stop_frame": int, "noun_class": int}
    return checked([action_segment(*row) for row in rows_of(read_table(path, columns), columns)], path)


def action_segment(uid: int, video: str, word: str, start_frame: int, stop_frame: int, noun_class: int = -1) -> Segment:
    """The segment of an action, from frames as the tables have them: from 1 on, the last one included."""
    span = max(start_frame - 1, 0), stop_frame
    return Segment(uid, video, word, *span, action=span, noun_class=noun_class)


def checked(segments: list[Segment], path: Path) -> list[Segment]:
    """Returns the segments of a file, once none is known to end before it starts and no number to be there twice.

    Raises:
        UserError: one ends before it starts, or a number is there twice.
    """
    distinct([segment.uid for segment in segments], path)
    for segment in segments:
        if segment.frames < 1:
            raise UserError(f"{path}: segment {segment.uid} of {segment.video} ends before it starts; get it anew")
    return segments


def read_noun_classes(path: Path) -> dict[str, int]:
    """The official class of each noun as narrated, from EPIC_noun_classes.csv."""
    columns = {"noun_id": int, "nouns": str}
    found = {}
    for line, (number, cell) in enumerate(rows_of(read_table(path, columns), columns), start=2):
        nouns = literal(cell, f"{path}, line {line}")
        found.update(dict.fromkeys(map(str, nouns if isinstance(nouns, list) else [nouns]), number))
    return found


class ObjectTable:
    """The rows of EPIC_train_object_labels.csv that have a box. rule: see `action_frames`.

    Raises:
        UserError: the file cannot be read as that table.
    """

    def __init__(self, path: Path, videos: Mapping[str, Video], rule: str = "converted"):
        columns = {"noun_class": int, "video_id": str, "frame": int, "bounding_boxes": str}
        table = read_table(path, columns)
        table = table[table.bounding_boxes.str.contains("(", regex=False)]
        fps = table.video_id.map({name: video.fps for name, video in videos.items()}).to_numpy(dtype=float)
        table = table.assign(frame=action_frames(table.frame.to_numpy(), fps, rule)).sort_values("frame", kind="stable")
        self._path, self._lines = path, table.index.to_numpy() + 2
        self._frames, self._cells = table.frame.to_numpy(), table.bounding_boxes.to_numpy(dtype=object)
        self._places = table.groupby(["video_id", "noun_class"]).indices

    def boxes(self, segment: Segment) -> dict[int, list[Box]]:
        """The boxes of a segment's object, by labelled frame within the segment.

        Raises:
            UserError: a cell is not a list of boxes.
        """
        rows = self._places.get((segment.video, segment.noun_class), np.zeros(0, dtype=np.int64))
        first, last = np.searchsorted(self._frames[rows], (segment.start, segment.stop))
        found: dict[int, list[Box]] = {}
        for row in rows[first:last].tolist():
            boxes = parse_boxes(self._cells[row], f"{self._path}, line {self._lines[row]}")
            found.setdefault(int(self._frames[row]), []).extend(boxes)
        return found


def action_frames(written: np.ndarray, fps: np.ndarray, rule: str = "converted") -> np.ndarray:
    """Converts frames of object labels, which count from 1 by the objects' clock, to 0-based frames of the actions'.

    rule: `converted` follows the official correspondence file, (object - 1) 1.001 + 1 at 59.94 frames per second; at
    other rates that file has object - 1 or object - 2, of which this takes the first. `as_written` takes object itself,
    as STEP's release does.
    """
    if one_of("object_frames", rule, OBJECT_FRAMES) == "as_written":
        return np.asarray(written) - 1
    own = np.abs(fps - RATE) < 1
    return np.where(own, np.rint((written - 1) * RATE / np.where(own, fps, RATE)), written - 2).astype(np.int64)


def track_of(boxes: Mapping[int, list[Box]], size: tuple[int, int]) -> Track:
    """The boxes clipped to the frame, those outside it dropped."""
    rows = [(t, *_clipped(box, size)) for t, of_frame in sorted(boxes.items()) for box in of_frame]
    table = np.array([row for row in rows if min(row[3:]) > 0], dtype=np.int32).reshape(-1, 5)
    return Track(table[:, 0], table[:, 1:], size)


def parse_boxes(cell: str, where: str) -> list[Box]:
    """The boxes (top, left, height, width) of a cell of the object table, "[(302, 638, 306, 300)]".

    Raises:
        UserError: it is anything else.
    """
    return _boxes(literal(cell, where), where)


def parse_track(cell: str, where: str) -> dict[int, list[Box]]:
    """The boxes by object frame in a cell of the authors' lists, {331: (302, 638, 306, 300)} or {331: [(302, ...)]}.

    Raises:
        UserError: it is anything else.
    """
    value = literal(cell, where)
    if not isinstance(value, dict) or not all(type(frame) is int and 0 < frame < 10**9 for frame in value):
        raise UserError(f"{where}: bounding_boxes is not {{frame: boxes}}: {_short(cell)}")
    return {frame: _boxes([boxes] if isinstance(boxes, tuple) else boxes, where) for frame, boxes in value.items()}


def literal(cell: str, where: str) -> object:
    """The numbers, texts and containers that a cell spells out, read without running it.

    Raises:
        UserError: it is anything else; `where` names it.
    """
    try:
        return ast.literal_eval(cell)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise UserError(f"{where}: not numbers, texts and lists of them: {_short(cell)}") from error


def read_table(path: Path, columns: dict[str, type]) -> pd.DataFrame:
    """Reads the columns of a CSV file, in these types.

    Raises:
        UserError: it cannot be read as that.
    """
    try:
        return pd.read_csv(path, usecols=list(columns), dtype=columns, keep_default_na=False)
    except (ValueError, OverflowError, OSError) as error:  # pandas' own errors are ValueErrors
        raise UserError(f"{path} cannot be read: {str(error).strip().splitlines()[0]}; get it anew") from error


def rows_of(table: pd.DataFrame, columns: Iterable[str]) -> Iterator[tuple]:
    """The rows of these columns, in this order, as Python's own numbers and texts."""
    return zip(*(table[column].tolist() for column in columns), strict=True)


def _clipped(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """x, y, w, h of a box, within the frame."""
    top, left, height, width = box
    x, y = max(left, 0), max(top, 0)
    return x, y, min(left + width, size[0]) - x, min(top + height, size[1]) - y


def _boxes(value: object, where: str) -> list[Box]:
    if not isinstance(value, list) or not all(map(_is_box, value)):
        raise UserError(f"{where}: not boxes (top, left, height, width) of whole numbers: {_short(value)}")
    return value


def _is_box(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 4 and all(type(edge) is int for edge in value)


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
