"""Finds and reads a clip in the layouts that people keep: a video, or a folder of its frames.

A folder of frames has images named by their number, counted from 1: img_00001.jpg, image_00001.jpg,
frame_0000000001.jpg or 00001.jpg. A folder that counts from 0 is refused: nothing tells if its annotation does too.
Other files, as the optical flow that some tools keep beside the frames, are passed over.
"""

import errno
import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from vxbench.datasets.decode import Fit, Pick, read_frames
from vxbench.datasets.orientation import of_exif, oriented
from vxbench.errors import ClipError, UserError

GAPS = ("refuse", "use")  # frames missing in the middle of a folder: a failure row, or sample from those that are there
VIDEOS = (".avi", ".mp4", ".mkv", ".webm", ".mov", ".m4v")
LONGEST = 250  # bytes of a name; file systems take 255, and a video has an ending
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
        """The video or folder of frames of the first name that is there, or the path where a video was expected.

        Raises:
            UserError: a name leads out of the folders, or is none that a file can have.
        """
        for name in names:
            _check_name(name)
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
            for entry in sorted(_entries(folder), key=lambda e: (_is_folder(e), e.name)):
                stem, ending = os.path.splitext(entry.name)
                if _is_folder(entry):
                    found.setdefault(entry.name, Path(entry.path))
                elif ending.lower() in VIDEOS:
                    found.setdefault(stem, Path(entry.path))
            self._listed[folder] = found
        return self._listed[folder]


def _check_name(name: str) -> None:
    """Refuses a name, as a list or an annotation gives it, that could be of a file elsewhere or of none at all."""
    parts = name.split("/")
    if ".." in parts or name.startswith("/") or "\0" in name or max(len(os.fsencode(part)) for part in parts) > LONGEST:
        raise UserError(f"{name[:LONGEST]!r} names no clip below the folder of the videos; get the list it is in anew")


def _is_folder(entry: os.DirEntry) -> bool:
    """Whether an entry is a folder; not if it is a link to itself."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _entries(folder: Path) -> list[os.DirEntry]:
    """The entries of a folder; none if it is not there, or a link to itself."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        if error.errno == errno.ELOOP:
            return []
        raise UserError(f"cannot list {folder}: {error.strerror}") from error


def read_media(
    path: Path,
    pick: Pick,
    decoder: str = "auto",
    span: tuple[int, int] | None = None,
    gaps: str = "refuse",
    fit: Fit = np.asarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Reads the frames that `pick(number of frames) -> indices` asks for.

    Returns (T, H, W, 3) uint8 RGB and the frames' 0-based indices in the whole video, (T,).

    span: pick counts only the frames start <= t < stop.
    gaps: a folder that lacks frames between the first and the last that pick could ask for is a failure (`refuse`), or
    pick counts those only that are there (`use`).
    fit: brings each frame (h, w, 3) to the size it is kept in.

    Raises:
        ClipError: `missing` or `undecodable`.
        OutOfRange: an unknown decoder.
    """
    try:
        if Path(path).is_dir():
            return _read_folder(Path(path), pick, span, gaps, fit)
        return read_frames(path, pick, decoder, span, fit)
    except OSError as error:
        raise ClipError("undecodable", f"{path}: {error.strerror}") from error


def state(path: Path, span: tuple[int, int] | None = None) -> tuple:
    """Names, sizes and times of change of a video, or of the images of a span of a folder.

    It changes when they do. A folder's own time of change tells nothing of an image that is written over.

    Raises:
        OSError: it is not there or not to be read.
        ClipError: `undecodable`, see `frame_numbers`.
    """
    found = [(each.name, each.stat()) for each in files_of(path, span)]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in found)


def files_of(path: Path, span: tuple[int, int] | None = None) -> list[Path]:
    """The video, or the images of a span of a folder in their order.

    Raises:
        ClipError: `undecodable`, see `frame_numbers`.
    """
    if not path.is_dir():
        return [path]
    images = frame_numbers(path)
    return [images[t] for t in sorted(images) if span is None or span[0] <= t < span[1]]


def content_digest(path: Path, span: tuple[int, int] | None = None) -> str:
    """Digest of the bytes of these files, "" where one is not there or no regular file; names and times do not matter.

    Raises:
        OSError: one is not to be read.
        ClipError: `undecodable`, see `frame_numbers`.
    """
    files = files_of(path, span)
    if not all(file.is_file() for file in files):
        return ""
    digests = [_file_digest(file, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()


@lru_cache(maxsize=8)
def _file_digest(path: Path, changed: int) -> str:
    """Several clips of one video ask for it one after the other."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def _read_folder(
    folder: Path, pick: Pick, span: tuple[int, int] | None, gaps: str, fit: Fit
) -> tuple[np.ndarray, np.ndarray]:
    images = frame_numbers(folder)
    present = sorted(t for t in images if span is None or span[0] <= t < span[1])
    if not present:
        raise ClipError("missing", f"no frames of {folder}{_within(span)}")
    first, last = (span[0], min(span[1], max(images) + 1) - 1) if span else (0, present[-1])
    lacking = last - first + 1 - len(present)
    if lacking and gaps == "refuse":
        raise ClipError("undecodable", f"{folder}{_within(span)} lacks {lacking} frames; gaps=use samples the others")
    indices = np.asarray(present)[pick(len(present))]
    return _stacked([images[t] for t in indices.tolist()], fit), indices


def _within(span: tuple[int, int] | None) -> str:
    return f" from frame {span[0] + 1} to {span[1]}" if span else ""


def _stacked(paths: Sequence[Path], fit: Fit) -> np.ndarray:
    read, sizes = {}, set()
    for path in dict.fromkeys(paths):
        image = _image(path)
        sizes.add(f"{image.shape[1]}x{image.shape[0]}")
        read[path] = fit(image)
    if len(sizes) > 1:
        raise ClipError("undecodable", f"{paths[0].parent}: frames of different sizes, {' and '.join(sorted(sizes))}")
    return np.stack([read[path] for path in paths])


def _image(path: Path) -> np.ndarray:
    """An image's pixels (h, w, 3) RGB as it is to be shown.

    It is read through Pillow, as OpenCV silently fills what a truncated JPEG lacks with grey.
    """
    if not path.is_file():
        raise ClipError("missing", f"no file {path}")
    try:
        with Image.open(path) as image:
            mode, orientation = image.mode, of_exif(image.getexif().get(ExifTags.Base.Orientation))
            pixels = oriented(np.asarray(image.convert("RGB")), orientation)
    except Exception as error:  # Pillow raises nearly anything on damaged images
        raise ClipError("undecodable", f"{path}: not an image that can be read, or only a part of one") from error
    if mode.startswith(("I", "F")):  # Pillow does not scale these down: all above 255 would be white
        raise ClipError("undecodable", f"{path}: pixels of more than 8 bits (mode {mode}); save it as 8-bit RGB")
    return pixels
