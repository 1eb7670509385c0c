"""Finding and reading a clip in the layouts that people keep: a video, or a folder of its frames.

A folder of frames has images whose names end in their number, counted from 1: img_00001.jpg, image_00001.jpg,
frame_0000000001.jpg.
"""

import os
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from vxbench.datasets.decode import Pick, read_frames
from vxbench.errors import ClipError

GAPS = ("refuse", "use")  # frames missing in the middle of a folder: a failure row, or sample from those that are there
VIDEOS = (".avi", ".mp4", ".mkv", ".webm", ".mov", ".m4v")
IMAGES = (".jpg", ".jpeg", ".png")
_NUMBERED = re.compile(r"^\D*(\d+)\.(?:jpg|jpeg|png)$", re.IGNORECASE)


class Library:
    """The videos and frame folders below some folders, whatever their layout.

    A clip `<Class>/<name>` is `<folder>/<Class>/<name>` or `<folder>/<name>`, with the ending of a video or as a folder
    of frames; the first of `folders` that has it wins. Each folder is listed once.
    """

    def __init__(self, folders: Iterable[Path]):
        self.folders = [Path(folder) for folder in folders]
        self._listed: dict[Path, dict[str, Path]] = {}

    def find(self, *names: str) -> Path:
        """The video or folder of frames of the first of these names that is there; else where a video was expected."""
        for folder in self.folders:
            for name in (n for full in names for n in dict.fromkeys((full, full.rsplit("/", 1)[-1]))):
                parent, _, stem = name.rpartition("/")
                if found := self._listing(folder / parent).get(stem):
                    return found
        return self.folders[0] / f"{names[0]}{VIDEOS[0]}"

    def _listing(self, folder: Path) -> dict[str, Path]:
        """Name without ending -> path, of the videos and folders in a folder; a video comes before a folder."""
        if folder not in self._listed:
            found: dict[str, Path] = {}
            entries = sorted(os.scandir(folder), key=lambda e: (e.is_dir(), e.name)) if folder.is_dir() else []
            for entry in entries:
                stem, ending = os.path.splitext(entry.name)
                if entry.is_dir():
                    found.setdefault(entry.name, Path(entry.path))
                elif ending.lower() in VIDEOS:
                    found.setdefault(stem, Path(entry.path))
            self._listed[folder] = found
        return self._listed[folder]


def read_media(
    path: Path, pick: Pick, decoder: str = "auto", span: tuple[int, int] | None = None, gaps: str = "refuse"
) -> tuple[np.ndarray, np.ndarray]:
    """The frames that `pick(number of frames) -> indices` asks for, (T, H, W, 3) uint8 RGB, and their 0-based indices
    in the whole video.

    span: pick counts only the frames start <= t < stop.

    Raises:
        ClipError: `missing` or `undecodable`.
        OutOfRange: an unknown decoder.
    """
    if Path(path).is_dir():
        return _read_folder(Path(path), pick, span, gaps)
    return read_frames(path, pick, decoder, span)


def frame_numbers(folder: Path) -> dict[int, Path]:
    """0-based frame -> image, of a folder of frames."""
    return _frame_numbers(folder, folder.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _frame_numbers(folder: Path, changed: int) -> dict[int, Path]:
    matches = ((_NUMBERED.match(entry.name), entry.path) for entry in os.scandir(folder))
    return {int(match[1]) - 1: Path(path) for match, path in matches if match}


def _read_folder(folder: Path, pick: Pick, span: tuple[int, int] | None, gaps: str) -> tuple[np.ndarray, np.ndarray]:
    images = frame_numbers(folder)
    present = sorted(t for t in images if span is None or span[0] <= t < span[1])
    if not present:
        raise ClipError("missing", f"no frames of {folder}{_within(span)}")
    first, last = (span[0], min(span[1], max(images) + 1) - 1) if span else (0, present[-1])
    lacking = last - first + 1 - len(present)
    if lacking and gaps == "refuse":
        raise ClipError("undecodable", f"{folder}{_within(span)} lacks {lacking} frames; gaps=use samples the others")
    indices = np.asarray(present)[pick(len(present))]
    return _stacked([images[t] for t in indices.tolist()]), indices


def _within(span: tuple[int, int] | None) -> str:
    return f" from frame {span[0] + 1} to {span[1]}" if span else ""


def _stacked(paths: Sequence[Path]) -> np.ndarray:
    read = {path: _image(path) for path in dict.fromkeys(paths)}
    shapes = {image.shape for image in read.values()}
    if len(shapes) > 1:
        raise ClipError("undecodable", f"{paths[0].parent}: frames of different sizes")
    return np.stack([read[path] for path in paths])


def _image(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise ClipError("undecodable", f"{path}: not an image that can be read")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
