"""Keeps the sampled and resized frames of clips on disk.

A copy is found by a hash of all that decides it: the video's path, size and time of change (of a folder, those of its
images), which frames are taken, how they are resized, and the versions of the libraries that do it. It appears whole
or not at all, so that processes and machines may share a folder. A copy that is damaged is made anew: each part has a
checksum. Where a copy cannot be written (disk full, no right to), the run goes on without, and says so once; a folder
with an image that cannot be looked at (a broken link) has no copy.
"""

import hashlib
import logging
import os
from collections.abc import Callable
from dataclasses import astuple
from functools import lru_cache
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import cv2
import numpy as np

from vxbench.datasets.media import state
from vxbench.datasets.view import Sampled, Window
from vxbench.files import write_whole

VERSION = 3  # of the files; raise it when our own decoding or resizing changes


def cached(
    folder: Path | None,
    path: Path,
    view: tuple,
    read: Callable[[], Sampled],
    span: tuple[int, int] | None = None,
) -> Sampled:
    """The result of read() for the video at `path`, taken from `folder` if it was kept there; None for no folder.

    view: all else that decides the frames; its repr must tell two views apart.
    span: the frames start <= t < stop that read() may look at; changes of other images of a folder do not matter.
    """
    kept = None if folder is None else _place(folder, path, view, span)
    if kept is None:
        return read()
    sampled = _load(kept)
    if sampled is None:
        sampled = read()
        _keep(kept, sampled)
    return sampled


def _place(folder: Path, path: Path, view: tuple, span: tuple[int, int] | None) -> Path | None:
    """Path of the copy, None if there is no video or not all of it can be looked at: read() knows what to say."""
    try:
        return folder / f"{_key(path, view, span)}.npz"
    except OSError:
        return None


def _key(path: Path, view: tuple, span: tuple[int, int] | None) -> str:
    text = repr((VERSION, _libraries(), os.path.realpath(path), state(path, span), view))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@lru_cache(maxsize=1)
def _libraries() -> list[str]:
    return [cv2.__version__, *map(version, ("av", "decord", "pillow"))]


def _load(path: Path) -> Sampled | None:
    """The copy, or None if there is none that is whole."""
    try:
        with ZipFile(path) as file:
            frames, indices, window = (_array(file.read(f"{name}.npy")) for name in ("frames", "indices", "window"))
            return Sampled(frames, indices, Window(*window.tolist()))
    except Exception:  # zip and npy readers raise nearly anything on damaged files
        return None


def _array(content: bytes) -> np.ndarray:
    """The array in a part that was read to its end. Only there is its checksum compared; np.load may stop earlier."""
    return np.lib.format.read_array(BytesIO(content), allow_pickle=False)


def _keep(path: Path, sampled: Sampled) -> None:
    try:
        write_whole(path, lambda temporary: _write(temporary, sampled))
    except OSError as error:
        _warn(path.parent, error.strerror or str(error))


def _write(path: Path, sampled: Sampled) -> None:
    with path.open("wb") as file:  # given a path, numpy would add .npz to it
        np.savez(file, frames=sampled.frames, indices=sampled.indices, window=np.array(astuple(sampled.window)))


@lru_cache(maxsize=8)
def _warn(folder: Path, reason: str) -> None:
    """Says once per process that there are no copies, and why."""
    logging.getLogger(__name__).warning("clips are not kept in %s: %s; going on without", folder, reason)
