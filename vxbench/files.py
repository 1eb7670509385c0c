"""Writes files whole or not at all, tries beforehand whether they can be, and lets one process at a time change one.

Files on their way and scratch folders carry their process in their names, so that the next run can remove what a
killed one left, and never what a living one works on.
"""

import errno
import fcntl
import hashlib
import os
import re
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from uuid import uuid4

from vxbench.errors import UserError

NAME_BYTES = 255  # of one name, which Linux's and macOS's file systems hold
ABANDONED_S = 24 * 3600.0  # without a change, after which a temporary file of another machine is a leftover
PROBE = bytes(4096)  # a block: an empty file fits on a full disk
POLL_S = 0.05  # between two attempts at a lock
SCRATCH = "vxbench-"
UNSEEN = "0"
_OWNED = re.compile(rf"(?:\.|{SCRATCH})([0-9a-f]{{8}})-(\d+)-(\d+)-")
_NO_NAME = re.compile(r"[/\x00\ud800-\udc7f\udd00-\udfff]")  # signs that no file name has, those of other folders too


def write_whole(path: Path, content: bytes | Callable[[Path], object]) -> None:
    """Writes a file so that readers see the old one or the new one, never a part, even after a power cut.

    content: the bytes, or a function that writes them to the path it is given. The folder is made if need be. Several
    processes may write one path: each has a temporary file of its own, and the last to finish wins.

    Raises:
        OSError: it cannot be written; the old file is untouched, and no temporary one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _clear_once(path.parent)
    part = temporary(path)
    try:
        part.touch(exist_ok=False)
        mode = part.stat().st_mode  # as the umask has it
        _fill(part, content)
        part.chmod(mode)  # some writers (safetensors) make their file readable by its owner alone
        _sync(part)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
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


# Before anything is computed


def check_writable(key: str, *paths: Path) -> None:
    """Tries whether files can be written at these paths later; nothing of the attempt stays.

    key: the setting that says where they go.

    Raises:
        UserError: one cannot: a folder is a file, there is no right or no room, its name is too long, it is a folder.
    """
    tried: set[Path] = set()
    for path in paths:
        try:
            folder = _folder_for(path)
            if folder not in tried:
                _try(folder)
            tried.add(folder)
        except OSError as error:
            why = f"{path} cannot be written: {error.strerror}"
            raise UserError(f"{why}; nothing was computed; set {key} to a place that can be written to") from error


def _folder_for(path: Path) -> Path:
    """The nearest folder of a path that is there, which is where writing it begins."""
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.lstat(path).st_mode):
            raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    return next(parent for parent in path.absolute().parents if os.path.lexists(parent))


def _try(folder: Path) -> None:
    probe = temporary(folder / "any")
    handle = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        os.write(handle, PROBE)
        os.fsync(handle)
    finally:
        os.close(handle)
        probe.unlink()


def fitted(stem: str, ending: str = "") -> str:
    """The file name `stem + ending`, its stem cut to what a file system holds, which counts bytes, not characters.

    A name leads into no other folder, whatever it is made of.
    """
    stem, ending = (_NO_NAME.sub("_", part) for part in (stem, ending))
    room = NAME_BYTES - len(os.fsencode(ending))
    while len(os.fsencode(stem)) > room:
        stem = stem[:-1]
    return stem + ending


# One process at a time


@contextmanager
def locked(path: Path, timeout_s: float = float("inf"), waits: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Holds a lock on `path`, so that no other process of this machine changes it between our reading and writing.

    The lock is a hidden file beside it, which stays. It binds only those who ask for it. waits: called once, where
    another process has it.

    Raises:
        OSError: there can be no lock. TimeoutError: another process had it for all of timeout_s.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock, started = lock_file(path), time.monotonic()
    if (handle := take(lock)) is None:
        waits()
    while handle is None:
        if time.monotonic() - started > timeout_s:
            raise TimeoutError(f"another process holds {lock}")
        time.sleep(POLL_S)
        handle = take(lock)
    try:
        yield
    finally:
        os.close(handle)


def lock_file(path: Path) -> Path:
    """The file that stands for the lock on `path`."""
    return path.with_name(fitted(f".{path.name}", ".lock"))


def take(lock: Path) -> int | None:
    """Takes a lock: its handle, which holds it until it is closed or the process ends; None if another one has it.

    The file may be made, but it is never emptied, and a link in its place is not followed.

    Raises:
        OSError: it cannot be opened, or its file system has no locks.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        handle = os.open(lock, flags, 0o666)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OSError(errno.ELOOP, "a link stands in the place of a lock; remove it", str(lock)) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return handle
    except BlockingIOError:
        os.close(handle)
        return None
    except BaseException:
        os.close(handle)
        raise


# What killed processes left


def scratch() -> TemporaryDirectory:
    """A new folder in the temporary folder, gone when it is closed; those of killed processes go at once."""
    clear_scratch()
    return TemporaryDirectory(prefix=f"{SCRATCH}{_owner(os.getpid())}-")


def clear_scratch() -> None:
    """Removes what killed processes of this user left in the temporary folder."""
    for folder in Path(gettempdir()).glob(f"{SCRATCH}*"):
        with suppress(OSError):
            if _OWNED.match(folder.name) and folder.lstat().st_uid == os.getuid() and _is_leftover(folder):
                shutil.rmtree(folder, ignore_errors=True)


def clear_leftovers(folder: Path, below: bool = False) -> None:
    """Removes what killed processes left on its way into a folder. below: and into those inside it."""
    for path in list(folder.glob("**/.*.tmp" if below else ".*.tmp")):
        with suppress(OSError):
            if _is_leftover(path):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()


@lru_cache(maxsize=1024)
def _clear_once(folder: Path) -> None:
    clear_leftovers(folder)


def temporary(path: Path) -> Path:
    """A new name beside `path`, on the same file system, for what is to take its place."""
    return path.with_name(f".{_owner(os.getpid())}-{uuid4().hex}.tmp")


def _is_leftover(path: Path) -> bool:
    """Whether the process in its name is gone; of another machine, or of none, whether it is old."""
    found = _OWNED.match(path.name)
    if found and found[1] == _machine():
        return _started(int(found[2])) not in (found[3], UNSEEN)
    return time.time() - path.lstat().st_mtime > ABANDONED_S


@lru_cache(maxsize=1)
def _owner(process: int) -> str:
    """What names a process among all that share a file system."""
    return f"{_machine()}-{process}-{_started(process)}"


@lru_cache(maxsize=1)
def _machine() -> str:
    """Names the machine, its boot and, in a container, the container: where a process's number means that process."""
    facts = [socket.gethostname()]
    with suppress(OSError):
        facts += [Path("/proc/sys/kernel/random/boot_id").read_text(), os.readlink("/proc/self/ns/pid")]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:8]


def _started(process: int) -> str:
    """When a process of this machine began, in ticks; "" if it has ended, UNSEEN where nobody shows it."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return ""
    except OSError:  # another user's
        pass
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return UNSEEN
    state, *facts = status.rpartition(")")[2].split()
    return "" if state in "ZX" else facts[18]  # a zombie does nothing any more
