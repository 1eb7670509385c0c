"""Reads the annotation file of UCF101-24, pyannot.pkl: the boxes of actors in tubes of frames."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vxbench.errors import UserError, first_line
from vxbench.pickles import PickleRefused, plain

FAR = 1 << 31  # pixels, beyond any frame


def load_annotation(path: Path) -> dict[str, dict]:
    """The entries of an annotation file, by "<Class>/<video name>".

    Raises:
        UserError: it cannot be read, names a video otherwise, or holds anything but numbers, text, numeric arrays and
            containers of such.
    """
    try:
        content = plain(path)
    except (PickleRefused, OSError) as error:
        raise UserError(f"{path} refused: {first_line(error)}; get the published file anew") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} refused: it holds a {type(content).__name__}, not a dict of videos")
    if wrong := [key for key in content if "/" not in key]:
        raise UserError(f"{path} refused: a video is named {wrong[0]!r:.80}, not '<Class>/<name>'")
    return content


@dataclass(frozen=True)
class Tube:
    """One actor's boxes (ef - sf, 4) in the 0-based frames sf <= t < ef, in the type they are stored in."""

    sf: int
    ef: int
    boxes: np.ndarray

    def covers(self, t: int) -> bool:
        return self.sf <= t < self.ef


def tubes_of(entry: dict, where: str) -> list[Tube]:
    """The tubes of one video's entry.

    Raises:
        UserError: the entry has not the published structure; `where` names it.
    """
    try:
        tubes = [Tube(int(a["sf"]), int(a["ef"]), np.asarray(a["boxes"])) for a in entry["annotations"]]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        what = f"{type(error).__name__}: {error}"
        raise UserError(f"{where}: not the structure of pyannot.pkl ({what})") from error
    for tube in tubes:
        if tube.boxes.shape != (tube.ef - tube.sf, 4):
            raise UserError(f"{where}: tube [{tube.sf}, {tube.ef}) has boxes of shape {tube.boxes.shape}")
        if tube.boxes.dtype.kind not in "iu":
            raise UserError(f"{where}: tube [{tube.sf}, {tube.ef}) has boxes of {tube.boxes.dtype}, not whole numbers")
    return tubes


def boxes_at(tubes: list[Tube], t: int) -> np.ndarray:
    """All boxes of frame t, (N, 4) int64; in uint8, as stored, x + w would wrap at 256.

    An edge farther away than FAR is put there: in whatever type it is stored, sums and products of it do not wrap.
    """
    found = [_near(*map(int, tube.boxes[t - tube.sf])) for tube in tubes if tube.covers(t)]
    return np.array(found, dtype=np.int64).reshape(-1, 4)


def _near(x: int, y: int, w: int, h: int) -> list[int]:
    """The box with its edges no farther than FAR."""
    left, top, right, bottom = (min(max(edge, -FAR), FAR) for edge in (x, y, x + w, y + h))
    return [left, top, right - left, bottom - top]
