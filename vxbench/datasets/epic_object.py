"""Reads EPIC-Object (Li et al. 2021, section 4): which object is handled in a segment, with boxes around it.

Boxes are published for two frames a second; `box_reach` says for how many frames around it a box is valid.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vxbench.datasets.base import ClipRef
from vxbench.datasets.epic import EPIC, Files, Videos
from vxbench.datasets.epic_tables import (
    OBJECT_FRAMES,
    ObjectTable,
    Segment,
    action_segment,
    checked,
    parse_track,
    read_actions,
    read_noun_classes,
    read_table,
    rows_of,
    track_of,
)
from vxbench.datasets.view import Sampled, draw_boxes
from vxbench.errors import UserError
from vxbench.ranges import one_of, whole, within

ACTIONS = "EPIC_train_action_labels.csv"
OBJECTS = "EPIC_train_object_labels.csv"
NOUNS = "EPIC_noun_classes.csv"
INTERVAL = 30  # frames from one that may have boxes to the next


class EPICObject(EPIC):
    """Segments classified by their noun, with the boxes of that noun's object.

    The authors' list: 100 segments of 100 to 300 frames, 5 of each of 20 nouns. Candidates of our draw and for training
    are the segments with a box; fit for testing are those with at most one box in a frame, and boxes in at least
    `coverage` of the frames that may have them, one in 30.

    object_frames: `converted`: boxes are the object table's, brought to the clock of the actions; `as_written`: object
    frames are taken for frames of that clock, as STEP's release does. box_reach: frames (at 60 a second) around
    a labelled one for which its box is valid; 3 in STEP's release. The rest: see EPIC.
    """

    name, key, word = "EPIC-Object", "epic_object", "noun"
    list_names = ("Valid_seg_top20_100_val.csv", "Valid_seg_top20_noun_labels.csv")

    def __init__(
        self,
        root: str | Path,
        labels: str = "epic_object",
        min_frames: int = 100,
        max_frames: int | None = 300,
        coverage: float = 1.0,
        object_frames: str = "converted",
        box_reach: int = 3,
        **rest,
    ):
        self.coverage = within("coverage", coverage, 0, 1)
        self.object_frames = one_of("object_frames", object_frames, OBJECT_FRAMES)
        self.box_reach = whole("box_reach", box_reach, 0)
        super().__init__(root, labels, min_frames=min_frames, max_frames=max_frames, **rest)

    def annotate(self, ref: ClipRef, sampled: Sampled) -> dict[str, np.ndarray]:
        """The fields boxes (T, H, W) bool and annotated (T,) bool: frames with a valid box, which may be none."""
        track = self.tracks[ref.id]
        frames = self.clocks[ref.id].frames(sampled.indices)
        boxes = [track.at(t, self.box_reach) for t in frames.tolist()]
        annotated = np.array([len(of_frame) > 0 for of_frame in boxes])
        return {"boxes": draw_boxes(boxes, track.size, sampled.window), "annotated": annotated}

    def needed(self, listed: bool, drawn: bool) -> list[str]:
        converted = self.object_frames == "converted"
        return [ACTIONS] * drawn + [OBJECTS] * (drawn or converted) + [NOUNS] * (listed and converted)

    def listed(self, files: Files, info: Videos) -> list[Segment]:
        segments = read_segments(files[self.list_names[0]])
        if self.object_frames == "as_written":
            return segments
        number = read_noun_classes(files[NOUNS])
        if unknown := sorted({segment.word for segment in segments} - set(number)):
            raise UserError(f"{files[NOUNS]} lacks {', '.join(unknown)}; get the published file anew")
        return self._with_boxes([replace(s, noun_class=number[s.word]) for s in segments], files, info)

    def candidates(self, files: Files, info: Videos) -> list[Segment]:
        found = self._with_boxes(read_actions(files[ACTIONS], self.word), files, info)
        return [segment for segment in found if segment.boxes]

    def for_test(self, segment: Segment, info: Videos) -> Segment | None:
        single = all(len(boxes) == 1 for boxes in segment.boxes.values())
        enough = len(segment.boxes) >= self.coverage * (segment.frames // INTERVAL)
        return segment if self.fits(segment) and single and enough else None

    def keep(self, segments: Sequence[Segment], info: Videos) -> None:
        sizes = {name: (video.width, video.height) for name, video in info.items()}
        self.tracks = {segment.id: track_of(segment.boxes, sizes[segment.video]) for segment in segments}

    def _with_boxes(self, segments: list[Segment], files: Files, info: Videos) -> list[Segment]:
        table = ObjectTable(files[OBJECTS], info, self.object_frames)
        return [replace(segment, boxes=table.boxes(segment)) for segment in segments]


def read_segments(path: Path) -> list[Segment]:
    """The segments of the authors' list, with the boxes written there; their frames are taken as they are.

    Raises:
        UserError: it cannot be read as that list, boxes are none, or a segment is refused by `checked`.
    """
    columns = {"seg_id": int, "video_id": str, "noun": str, "start_frame": int, "stop_frame": int}
    table = read_table(path, {**columns, "noun_label": int, "bounding_boxes": str})
    segments = checked([action_segment(*row) for row in rows_of(table, columns)], path)
    cells = enumerate(table["bounding_boxes"].tolist(), start=2)
    tracks = [parse_track(cell, f"{path}, line {line}") for line, cell in cells]
    return [
        replace(segment, label=label, boxes={frame - 1: boxes for frame, boxes in track.items()})
        for segment, label, track in zip(segments, table["noun_label"].tolist(), tracks, strict=True)
    ]
