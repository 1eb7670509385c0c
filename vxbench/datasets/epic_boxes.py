"""Boxes of EPIC-KITCHENS-55: read from the text they are published as, and looked up by frame.

As published a box is (top, left, height, width) in pixels of the original video.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vxbench.errors import UserError

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Track:
    """Boxes of one object. frames: (N,), the frame of each box, in order. boxes: (N, 4) x, y, w, h in pixels of a frame
    of `size` (width, height).
    """

    frames: np.ndarray
    boxes: np.ndarray
    size: tuple[int, int]

    def at(self, t: int, reach: int) -> np.ndarray:
        """The boxes (M, 4) of the labelled frame nearest to t, at a tie of both, if at most `reach` frames away."""
        distance = np.abs(self.frames - t)
        return self.boxes[(distance == distance.min(initial=reach + 1)) & (distance <= reach)]


def track_of(boxes: Mapping[int, list[Box]], size: tuple[int, int]) -> Track:
    """Boxes clipped to the frame; those outside of it are dropped."""
    rows = [(t, *_clipped(box, size)) for t, of_frame in sorted(boxes.items()) for box in of_frame]
    table = np.array([row for row in rows if min(row[3:]) > 0], dtype=np.int32).reshape(-1, 5)
    return Track(table[:, 0], table[:, 1:], size)


def _clipped(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """x, y, w, h of a box, within the frame."""
    top, left, height, width = box
    x, y = max(left, 0), max(top, 0)
    return x, y, min(left + width, size[0]) - x, min(top + height, size[1]) - y


def parse_boxes(cell: str, where: str) -> list[Box]:
    """The boxes (top, left, height, width) of a cell of the object table, "[(302, 638, 306, 300)]".

    Raises:
        UserError: it is anything else.
    """
    return _boxes(literal(cell, where), where)


def parse_track(cell: str, where: str) -> dict[int, list[Box]]:
    """Object frame -> boxes, of a cell of the authors' lists: {331: (302, 638, 306, 300)} or {331: [(302, ...), ...]}.

    Raises:
        UserError: it is anything else.
    """
    value = literal(cell, where)
    if not isinstance(value, dict) or not all(type(frame) is int and 0 < frame < 10**9 for frame in value):
        raise UserError(f"{where}: bounding_boxes is not {{frame: boxes}}: {_short(cell)}")
    return {frame: _boxes([boxes] if isinstance(boxes, tuple) else boxes, where) for frame, boxes in value.items()}


def _boxes(value: object, where: str) -> list[Box]:
    if not isinstance(value, list) or not all(map(_is_box, value)):
        raise UserError(f"{where}: not boxes (top, left, height, width) of whole numbers: {_short(value)}")
    return value


def _is_box(value: object) -> bool:
    return isinstance(value, tuple) and len(value) == 4 and all(type(edge) is int for edge in value)


def literal(cell: str, where: str) -> object:
    """The numbers, texts and containers that a cell spells out; nothing of it is run.

    Raises:
        UserError: it is anything else; `where` names it.
    """
    try:
        return ast.literal_eval(cell)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise UserError(f"{where}: not numbers, texts and lists of them: {_short(cell)}") from error


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
