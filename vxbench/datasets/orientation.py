"""Turns and mirrors pixels as a file says that its pictures are to be shown.

An orientation is three flags: whether rows and columns change places, and whether what that gives is then turned upside
down, and swapped left for right. So there are eight.
"""

import struct
from enum import Enum
from functools import lru_cache
from itertools import product

import numpy as np

from vxbench.errors import ClipError

Orientation = tuple[bool, bool, bool]

AS_STORED: Orientation = (False, False, False)
ORIENTATIONS: list[Orientation] = list(product((False, True), repeat=3))
LEANING = 0.0175  # tangent of a degree: FFmpeg shows a picture that leans by less as if it were upright

# Values 2 to 8 of the tag Orientation (Exif 2.3, table 6), which says where row 0 and column 0 are to be seen.
_EXIF: dict[int, Orientation] = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def oriented(pixels: np.ndarray, orientation: Orientation) -> np.ndarray:
    """The pixels (h, w, 3) as they are to be shown, (h, w, 3) or (w, h, 3)."""
    transposed, upside_down, mirrored = orientation
    shown = pixels.swapaxes(0, 1) if transposed else pixels
    return np.ascontiguousarray(shown[:: -1 if upside_down else 1, :: -1 if mirrored else 1])


def of_exif(value: object) -> Orientation:
    """The orientation that a value of the Exif tag stands for; as stored where it is none of the tag's values."""
    return _EXIF.get(value, AS_STORED) if isinstance(value, int) else AS_STORED


def of_frame(frame) -> Orientation | None:
    """The orientation that container, stream or picture state for a frame that PyAV decoded; None if none does.

    Raises:
        ClipError: see `of_matrix`.
    """
    from av.sidedata.sidedata import SideDataContainer

    _accept_every_kind()
    matrix = SideDataContainer(frame).get("DISPLAYMATRIX")  # frame.side_data would keep the frame from being freed
    return None if matrix is None else of_matrix(struct.unpack("=9i", bytes(matrix)))


@lru_cache(maxsize=1)
def _accept_every_kind() -> None:
    """Has PyAV give the data beside a frame also where it has no name for some (a JPEG's Exif) and would raise."""
    from av.sidedata.sidedata import Type

    Type._missing_ = classmethod(_nameless)


def _nameless(kinds: type[Enum], value: int) -> Enum:
    kind = object.__new__(kinds)
    kind._name_, kind._value_ = f"KIND_{value}", value
    return kind


def of_matrix(matrix: tuple[int, ...]) -> Orientation:
    """The orientation that a display matrix of nine numbers, row by row, stands for.

    A pixel at (x, y) is shown at (a x + c y, b x + d y), but for a shift, where a, b are the first two numbers and c, d
    the fourth and fifth (ISO/IEC 14496-12, 6.2.2). Their size, a scale, does not matter here. A matrix that would press
    the picture into a line says nothing.

    Raises:
        ClipError: `undecodable`: the picture leans by an angle between the quarters of a turn.
    """
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    if a * d == b * c:
        return AS_STORED
    if max(abs(b), abs(c)) < LEANING * min(abs(a), abs(d)):
        return False, d < 0, a < 0
    if max(abs(a), abs(d)) < LEANING * min(abs(b), abs(c)):
        return True, b < 0, c < 0
    raise ClipError("undecodable", "it is to be shown leaning, by no quarter of a turn; encode it anew upright")
