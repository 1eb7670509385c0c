"""The annotation of UCF101-24: pyannot.pkl of gurkirt/corrected-UCF101-Annots, read without running its code.

Boxes are x, y, w, h in pixels of a 320x240 frame, whatever the size of the video at hand. A tube covers
the 0-based frames sf <= t < ef; one actor may be cut into several tubes.
"""

import _codecs
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vxbench.errors import UserError

REFERENCE = (320, 240)  # width, height of the frames that boxes are measured in

_ARRAY = np.zeros(0).__reduce__()[0]  # numpy's _reconstruct and scalar, wherever this numpy keeps them
_SCALAR = np.uint8(0).__reduce__()[0]
_ADMITTED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _codecs.encode,  # bytes, in protocol 2
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _ARRAY for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _SCALAR for core in ("core", "_core")},
}


class _Unpickler(pickle.Unpickler):
    """Builds containers, numbers, strings and numpy arrays; calls nothing else."""

    def find_class(self, module: str, name: str):
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no annotation needs") from None


def load_annotation(path: Path) -> dict[str, dict]:
    """The entries of an annotation file, by "<Class>/<video name>".

    Raises:
        UserError: it cannot be read, names a video otherwise, or asks for anything but numpy arrays,
            numbers, strings and containers.
    """
    try:
        with Path(path).open("rb") as file:
            content = _Unpickler(file).load()
    except Exception as error:  # a damaged pickle raises nearly anything
        raise UserError(f"{path} refused: {_one_line(error)}; get the published file anew") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} refused: it holds a {type(content).__name__}, not a dict of videos")
    if wrong := [key for key in content if not isinstance(key, str) or "/" not in key]:
        raise UserError(f"{path} refused: a video is named {wrong[0]!r}, not '<Class>/<name>'")
    return content


def _one_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@dataclass(frozen=True)
class Tube:
    """Boxes of 0-based frames sf <= t < ef, (ef - sf, 4) in the type they are stored in (often uint8)."""

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
    except (KeyError, TypeError, ValueError) as error:
        what = f"{type(error).__name__}: {error}"
        raise UserError(f"{where}: not the structure of pyannot.pkl ({what})") from error
    for tube in tubes:
        if tube.boxes.shape != (tube.ef - tube.sf, 4):
            raise UserError(f"{where}: tube [{tube.sf}, {tube.ef}) has boxes of shape {tube.boxes.shape}")
        if tube.boxes.dtype.kind not in "iu":
            raise UserError(f"{where}: tube [{tube.sf}, {tube.ef}) has boxes of {tube.boxes.dtype}, not whole numbers")
    return tubes


def boxes_at(tubes: list[Tube], t: int) -> np.ndarray:
    """All boxes of frame t, (N, 4) int64. Widened before any sum: x + w of uint8 would wrap at 256."""
    found = [tube.boxes[t - tube.sf].astype(np.int64) for tube in tubes if tube.covers(t)]
    return np.stack(found) if found else np.zeros((0, 4), dtype=np.int64)
