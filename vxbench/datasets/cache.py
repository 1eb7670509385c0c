"""Decoded clips kept on disk: frames sampled and resized, as bytes.

A copy is found by a hash of the video's path, size and time of change and of all that decides which frames are taken and
how they are resized. It is written to a temporary name and renamed, so that processes may share a folder.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import numpy as np

from vxbench.datasets.transform import Sampled, Window

VERSION = 1  # of the files; raise it when decoding or resizing changes


def cached(folder: Path | None, path: Path, view: tuple, read: Callable[[], Sampled]) -> Sampled:
    """What read() gives for the video at `path`, from `folder` if it was kept there; without a folder, read() itself.

    view: all else that decides the frames; its repr must tell two views apart.
    """
    if folder is None or not path.exists():
        return read()
    kept = folder / f"{_key(path, view)}.npz"
    try:
        return _load(kept)
    except (OSError, ValueError, KeyError, EOFError):  # not there, or damaged: made anew
        sampled = read()
        _keep(kept, sampled)
        return sampled


def _key(path: Path, view: tuple) -> str:
    state = path.stat()
    text = repr((VERSION, str(path.resolve()), state.st_size, state.st_mtime_ns, view))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _load(path: Path) -> Sampled:
    with np.load(path, allow_pickle=False) as file:
        return Sampled(file["frames"], file["indices"], Window(*file["window"].tolist()))


def _keep(path: Path, sampled: Sampled) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        np.savez(file, frames=sampled.frames, indices=sampled.indices, window=np.array(astuple(sampled.window)))
    temporary.replace(path)
