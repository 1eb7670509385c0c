"""Writes files whole or not at all, and lets one process at a time change a file."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


def write_whole(path: Path, content: bytes | Callable[[Path], object]) -> None:
    """Writes a file so that readers see the old one or the new one, never a part, even after a power cut.

    content: the bytes, or a function that writes them to the path it is given. The folder is made if need be. Several
    processes may write one path: each has a temporary file of its own, and the last to finish wins.

    Raises:
        OSError: it cannot be written; the old file is untouched, and no temporary one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid4().hex}.tmp")  # in the same folder, as a rename must not cross file systems
    try:
        temporary.touch(exist_ok=False)
        mode = temporary.stat().st_mode  # as the umask has it
        _fill(temporary, content)
        temporary.chmod(mode)  # some writers (safetensors) make their file readable by its owner alone
        _sync(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def _fill(path: Path, content: bytes | Callable[[Path], object]) -> None:
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content(path)


def _sync(path: Path) -> None:
    """Waits until a file's content, or a folder's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock on `path`, so that no other process of this machine changes it between our reading and writing.

    The lock is a hidden file beside it, which stays. It binds only those who ask for it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(f".{path.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
