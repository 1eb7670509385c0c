"""Reads EPIC-Action (Li et al. 2021, section 4): which action is done, in clips of which it fills a known part.

A test clip is as long as its action but begins before it or ends after it: the window of the action is moved by a
quarter to three quarters of its length. The action is 25 to 75 % of the clip, and the rest what came before or after.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vxbench.datasets.base import ClipRef
from vxbench.datasets.epic import EPIC, Files, Videos
from vxbench.datasets.epic_tables import Segment, checked, read_actions, read_table, rows_of
from vxbench.datasets.view import Sampled
from vxbench.errors import UserError
from vxbench.ranges import one_of

ACTIONS = "EPIC_train_action_labels.csv"
SIDES = ("left", "right")  # the background: before the action or after it
TESTING = ("windows", "action")
TRAINING = ("action", "windows")


class EPICAction(EPIC):
    """Segments classified by their verb; it is known which part of a test clip the action fills.

    The authors' list: 100 windows, moved as described above. Our draw moves the windows of actions of at least
    `min_frames` frames by amounts that follow from `seed` and the segment's number. The rest: see EPIC.

    testing: a test clip is the moved `windows`; or the `action` alone, as far as the list knows it, for accuracy.
    training: a training clip is a whole `action`; or `windows`: besides, it is moved to either side, as a test clip is.
    """

    name, key, word = "EPIC-Action", "epic_action", "verb"
    list_names = ("Valid_seg_top20_verb_100_val_cat.csv", "Valid_seg_top20_verb_labels.csv")

    def __init__(
        self,
        root: str | Path,
        labels: str = "epic_action",
        min_frames: int = 32,
        testing: str = "windows",
        training: str = "action",
        **rest,
    ):
        self.testing = one_of("testing", testing, TESTING)
        self.training = one_of("training", training, TRAINING)
        super().__init__(root, labels, min_frames=min_frames, **rest)

    def annotate(self, ref: ClipRef, sampled: Sampled) -> dict[str, np.ndarray]:
        """The field action (T,) bool: frames of the action."""
        start, stop = self.actions[ref.id]
        frames = self.clocks[ref.id].frames(sampled.indices)
        return {"action": (start <= frames) & (frames < stop)}

    def needed(self, listed: bool, drawn: bool) -> list[str]:
        return [ACTIONS] * drawn

    def listed(self, files: Files, info: Videos) -> list[Segment]:
        return read_windows(files[self.list_names[0]])

    def candidates(self, files: Files, info: Videos) -> list[Segment]:
        return read_actions(files[ACTIONS], self.word)

    def for_test(self, segment: Segment, info: Videos) -> Segment | None:
        windows = moved(segment, self.seed) if self.fits(segment) else ()
        return next((window for window in windows if _inside(window, info)), None)

    def tested(self, segment: Segment) -> Segment:
        if self.testing == "windows":
            return segment
        start, stop = segment.action
        return replace(segment, start=start, stop=stop)

    def for_training(self, segment: Segment, info: Videos) -> list[Segment]:
        if self.training == "action":
            return [segment]
        windows = [window for window in moved(segment, self.seed) if _inside(window, info)]
        return [segment, *(replace(window, part=f"_{window.start}") for window in windows)]

    def keep(self, segments: Sequence[Segment], info: Videos) -> None:
        self.actions = {segment.id: segment.action for segment in segments}


def _inside(segment: Segment, info: Videos) -> bool:
    return segment.start >= 0 and segment.stop <= info[segment.video].frames


def moved(segment: Segment, seed: int) -> Iterator[Segment]:
    """The segment's window, moved by one amount to the side that is drawn first, then to the other.

    A segment of one frame has none: no part of it fills a quarter to three quarters of a clip of its length.
    """
    if segment.frames < 2:
        return
    bits = int.from_bytes(hashlib.sha256(f"{seed}/{segment.uid}".encode()).digest()[:8], "big")
    low, high = -(-segment.frames // 4), segment.frames * 3 // 4
    by = low + (bits >> 1) % (high - low + 1)
    for shift in (by, -by) if bits & 1 else (-by, by):
        start, stop = segment.start + shift, segment.stop + shift
        yield replace(segment, start=start, stop=stop)


def read_windows(path: Path) -> list[Segment]:
    """The clips of the authors' list.

    Its `ground` is the side of the background; `middle_frame` is the first frame of the action in a `left` row, and in
    a `right` row the first that is not: there their loader divides the clip.

    Raises:
        UserError: it cannot be read as that list, a middle is outside its clip, or a segment is refused by `checked`.
    """
    columns = {"seg_id": int, "video_id": str, "verb": str, "verb_label": int, "start_frame": int, "stop_frame": int}
    columns |= {"middle_frame": int, "ground": str}
    rows = rows_of(read_table(path, columns), columns)
    return checked([_window(*row, where=f"{path}, line {line}") for line, row in enumerate(rows, start=2)], path)


def _window(
    uid: int, video: str, verb: str, label: int, first: int, last: int, middle: int, side: str, where: str
) -> Segment:
    if side not in SIDES or not first < middle <= last:
        raise UserError(f"{where}: not a clip with its background on the left or right of a middle frame inside it")
    start, divide = max(first - 1, 0), middle - 1
    action = (divide, last) if side == "left" else (start, divide)
    return Segment(uid, video, verb, start, last, action, label=label)
