"""Finds and reads a clip in the layouts that people keep: a video, or a folder of its frames.

A folder of frames has images named by their number, counted from 1: img_00001.jpg, image_00001.jpg,
frame_0000000001.jpg or 00001.jpg. A folder that counts from 0 is refused: nothing tells if its annotation does too.
Other files, as the optical flow that some tools keep beside the frames, are passed over.
"""

import os
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from vxbench.datasets.decode import Pick, read_frames
from vxbench.errors import ClipError, UserError

GAPS = ("refuse", "use")  # frames missing in the middle of a folder: a failure row, or sample from those that are there
VIDEOS = (".avi", ".mp4", ".mkv", ".webm", ".mov", ".m4v")
_NUMBERED = re.compile(r"(?:(?:img|image|frame)[_-]?)?(\d+)\.(?:jpg|jpeg|png)", re.IGNORECASE)


class Library:
    """Index of the videos and frame folders below some folders, whatever their layout.

    A clip `<Class>/<name>` is `<folder>/<Class>/<name>` or `<folder>/<name>`, with the ending of a video or as a folder
    of frames; the first of `folders` that has it wins. Each folder is listed once.
    ending: the ending of the path returned for a video that is nowhere; "" where folders of frames are expected.
    """

    def __init__(self, folders: Iterable[Path], ending: str = ".avi"):
        self.folders, self.ending = [Path(folder) for folder in folders], ending
        self._listed: dict[Path, dict[str, Path]] = {}

    def find(self, *names: str) -> Path:
        """The video or folder of frames of the first name that is there, or the path where a video was expected."""
        for folder in self.folders:
            for name in (n for full in names for n in dict.fromkeys((full, full.rsplit("/", 1)[-1]))):
                parent, _, stem = name.rpartition("/")
                if found := self._listing(folder / parent).get(stem):
                    return found
        return self.folders[0] / f"{names[0]}{self.ending}"

    def _listing(self, folder: Path) -> dict[str, Path]:
        """Paths of the videos and folders in a folder, by name without ending; a video comes before a folder."""
        if folder not in self._listed:
            found: dict[str, Path] = {}
            for entry in sorted(_entries(folder), key=lambda e: (e.is_dir(), e.name)):
                stem, ending = os.path.splitext(entry.name)
                if entry.is_dir():
                    found.setdefault(entry.name, Path(entry.path))
                elif ending.lower() in VIDEOS:
                    found.setdefault(stem, Path(entry.path))
            self._listed[folder] = found
        return self._listed[folder]


def _entries(folder: Path) -> list[os.DirEntry]:
    """The entries of a folder; none if it is not there."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UserError(f"cannot list {folder}: {error.strerror}") from error


def read_media(
    path: Path, pick: Pick, decoder: str = "auto", span: tuple[int, int] | None = None, gaps: str = "refuse"
) -> tuple[np.ndarray, np.ndarray]:
    """Reads the frames that `pick(number of frames) -> indices` asks for.

    Returns (T, H, W, 3) uint8 RGB and the frames' 0-based indices in the whole video, (T,).

    span: pick counts only the frames start <= t < stop.
    gaps: a folder that lacks frames between the first and the last that pick could ask for is a failure (`refuse`), or
    pick counts those only that are there (`use`).

    Raises:
        ClipError: `missing` or `undecodable`.
        OutOfRange: an unknown decoder.
    """
    try:
        if Path(path).is_dir():
            return _read_folder(Path(path), pick, span, gaps)
        return read_frames(path, pick, decoder, span)
    except OSError as error:
        raise ClipError("undecodable", f"{path}: {error.strerror}") from error


def state(path: Path, span: tuple[int, int] | None = None) -> tuple:
    """Names, sizes and times of change of a video, or of the images of a span of a folder.

    It changes when they do. A folder's own time of change tells nothing of an image that is written over.

    Raises:
        OSError: it is not there or not to be read.
        ClipError: `undecodable`, see `frame_numbers`.
    """
    paths = [path]
    if path.is_dir():
        images = frame_numbers(path)
        paths = [images[t] for t in sorted(images) if span is None or span[0] <= t < span[1]]
    found = [(each.name, each.stat()) for each in paths]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in found)


def frame_numbers(folder: Path) -> dict[int, Path]:
    """The image of each 0-based frame in a folder of frames.

    Raises:
        ClipError: `undecodable`: an image of number 0, or two of one number.
    """
    return _frame_numbers(folder, folder.stat().st_mtime_ns)


@lru_cache(maxsize=8)
def _frame_numbers(folder: Path, changed: int) -> dict[int, Path]:
    matches = [match for entry in _entries(folder) if (match := _NUMBERED.fullmatch(entry.name))]
    images = {int(match[1]) - 1: folder / match[0] for match in matches}
    if len(images) < len(matches):
        raise ClipError("undecodable", f"{folder} has {len(matches)} images, but only {len(images)} numbers of frames")
    if -1 in images:
        raise ClipError("undecodable", f"{folder} numbers its frames from 0 ({images[-1].name}); rename them from 1 on")
    return images


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
    if len({image.shape for image in read.values()}) > 1:
        raise ClipError("undecodable", f"{paths[0].parent}: frames of different sizes")
    return np.stack([read[path] for path in paths])


def _image(path: Path) -> np.ndarray:
    """An image's pixels (h, w, 3) RGB, through Pillow: OpenCV silently fills what a truncated JPEG lacks with grey."""
    try:
        with Image.open(path) as image:
            mode, pixels = image.mode, np.asarray(image.convert("RGB"))
    except Exception as error:  # Pillow raises nearly anything on damaged images
        raise ClipError("undecodable", f"{path}: not an image that can be read, or only a part of one") from error
    if mode.startswith(("I", "F")):  # Pillow does not scale these down: all above 255 would be white
        raise ClipError("undecodable", f"{path}: pixels of more than 8 bits (mode {mode}); save it as 8-bit RGB")
    return pixels
