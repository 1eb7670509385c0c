"""Keeps immutable files in a folder, in which any number of processes add, merge and read them at once.

A part is named by its level and by the SHA-256 of its bytes, so that one that was cut, flipped or edited is found when
it is read. What a run commits is of level 0; merging joins several parts into one of a higher level than any of them,
and deletes them once that one is on the disk. So whatever a part held is in one of a higher level when the part goes,
a process may be killed anywhere, and several may merge the same parts. Files appear and move by renaming alone and
nothing is locked, so this holds on NFS as well.
"""

import errno
import hashlib
import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from vxbench.errors import UserError, first_line
from vxbench.files import write_whole

FULL = 64  # parts of one level that are merged into one of the next
LARGEST = 1 << 28  # bytes that one merging reads; what lies beyond stays in parts of its own
PATIENCE = (0.0, 0.01, 0.1, 1.0, 10.0, 60.0)  # seconds until a folder's names are asked for again; NFS keeps old ones
ASIDE = "set-aside"
KINDS = {stat.S_IFDIR: "a folder", stat.S_IFLNK: "a link", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
REFUSED = (errno.EACCES, errno.EPERM)  # somebody else's file, which may be sound
UNREADABLE = (*REFUSED, errno.EIO, errno.ELOOP)


class Damaged(Exception):
    """A file that is not what a run wrote under its name; the message says why."""


WhenDamaged = Callable[[Path, Damaged], None]


def left_out(path: Path, error: Damaged) -> None:
    """Says that a reader goes on without a damaged file; once in a process."""
    _say(f"{path} {error}; it is left out")


def put_aside(path: Path, error: Damaged) -> None:
    """Moves a damaged file, or whatever lies in its place, to `set-aside` beside it, and says so.

    Raises:
        UserError: it is not damaged, but may not be read.
    """
    if getattr(error.__cause__, "errno", None) in REFUSED:
        raise UserError(f"{path} {error}; make it readable, or move it away to have it computed again") from error
    try:
        place = _move(path)
    except FileNotFoundError:  # by another process, which says so
        return
    _say(f"{path} {error}; set aside as {place}, and made again")


def _move(path: Path) -> Path:
    folder = path.parent / ASIDE
    folder.mkdir(exist_ok=True)
    names = (path.name + (f".{number}" if number else "") for number in count())
    place = next(folder / name for name in names if not os.path.lexists(folder / name))
    path.rename(place)
    return place


@cache
def _say(line: str) -> None:
    print(f"note: {line}", file=sys.stderr, flush=True)


def content_of(path: Path) -> bytes:
    """The bytes of a regular file. Nothing else is opened: a FIFO would hang, and opening a device may do something.

    Raises:
        FileNotFoundError: it is not there, or not any more.
        Damaged: it is no regular file, or cannot be read.
    """
    try:
        kind = stat.S_IFMT(path.lstat().st_mode)
    except NotADirectoryError as error:  # a file lies in place of its folder
        raise FileNotFoundError(path) from error
    if kind != stat.S_IFREG:
        raise Damaged(f"is {KINDS.get(kind, 'a device')} and no file")
    try:
        with open(path, "rb", opener=_open) as file:
            return file.read()
    except OSError as error:
        if error.errno == errno.ESTALE:
            raise FileNotFoundError(path) from error
        if error.errno not in UNREADABLE:
            raise
        raise Damaged(f"cannot be read ({error.strerror})") from error


def _open(path: str, flags: int) -> int:
    """Opens what has just been a regular file, also if it is none any more, without following or waiting."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def parsed(content: bytes, parse: Callable[[bytes], Any], what: str) -> Any:
    """What `parse` makes of a file's content. what: the file should be.

    Raises:
        Damaged: `parse` raised anything at all; parsers and decompressors have many words for a damaged file.
    """
    try:
        return parse(content)
    except Damaged:
        raise
    except Exception as error:
        raise Damaged(f"is no {what} ({first_line(error)})") from error


def sound(path: Path, parse: Callable[[bytes], Any], absent: Any, damaged: WhenDamaged = left_out) -> Any:
    """What `parse` makes of a file; `absent` where it is not there, or damaged, which `damaged` is told of."""
    try:
        return parsed(content_of(path), parse, "file that vxbench wrote")
    except FileNotFoundError:
        return absent
    except Damaged as error:
        damaged(path, error)
        return absent


@dataclass(frozen=True, order=True)
class Part:
    """A part as its folder lists it.

    digest: "" for one of another name, as earlier versions gave, which has no checksum and level 0.
    size and changed (nanoseconds) are only compared: they tell that a file was replaced under a process that knows it.
    """

    level: int
    digest: str
    path: Path
    size: int
    changed: int


class Parts:
    """Parts named part-<level>-<16 digits of SHA-256><suffix> in one folder.

    decode: takes a part's bytes to its content, or raises Damaged. encode: takes contents to the bytes of one part.
    """

    def __init__(self, folder: Path, suffix: str, decode: Callable[[bytes], Any], encode: Callable[[list], bytes]):
        self.folder, self.suffix, self.decode, self.encode = folder, suffix, decode, encode
        self._name = re.compile(rf"part-(?:(\d{{1,4}})-([0-9a-f]{{16}})|.*){re.escape(suffix)}")

    def listed(self) -> tuple[Part, ...]:
        """All parts, sorted. A folder that changes is listed until it is the same twice.

        Merging deletes while it is being listed: one listing may miss a part that is merged and the one that took its
        place, and so rows.
        """
        before, again = None, self._listed()
        while before != again:
            before, again = again, self._listed()
        return again

    def _listed(self) -> tuple[Part, ...]:
        try:
            entries = list(os.scandir(self.folder))
        except (FileNotFoundError, NotADirectoryError):
            return ()
        return tuple(sorted(part for entry in entries if (part := self._part(entry))))

    def _part(self, entry: os.DirEntry) -> Part | None:
        found = self._name.fullmatch(entry.name)
        if not found:
            return None
        level, digest = found.groups()
        try:
            status = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None
        return Part(int(level or 0), digest or "", self.folder / entry.name, status.st_size, status.st_mtime_ns)

    def name(self, content: bytes, level: int = 0) -> str:
        """Name of the part with this content. It has to be written whole, and be on the disk when it counts."""
        return f"part-{level}-{_digest(content)}{self.suffix}"

    def read(self, part: Part) -> Any:
        """The content of a part.

        Raises:
            FileNotFoundError: it was merged, or set aside.
            Damaged: it is not what was written.
        """
        content = content_of(part.path)
        if part.digest and _digest(content) != part.digest:
            raise Damaged("holds other bytes than were written")
        return self.decode(content)

    def read_all(self, damaged: WhenDamaged) -> tuple[tuple[Part, ...], list]:
        """The parts and the contents of those that are sound, `damaged` having been told of the others.

        Raises:
            OSError: parts vanish whenever they are read.
        """
        for seconds in PATIENCE:
            time.sleep(seconds)
            parts = self.listed()
            try:
                return parts, [found for part in parts for found in self._sound(part, damaged)]
            except FileNotFoundError:  # another process has merged it
                continue
        raise OSError(f"{self.folder} lists parts that are not there; is its file system in order?")

    def _sound(self, part: Part, damaged: WhenDamaged) -> list:
        """The part's content alone, or nothing."""
        try:
            return [self.read(part)]
        except Damaged as error:
            damaged(part.path, error)
            return []

    def merge_full(self) -> None:
        """Merges the parts of each level that has many."""
        parts = self.listed()
        for level in {part.level for part in parts}:
            of_level = [part for part in parts if part.level == level]
            if len(of_level) >= FULL:
                with suppress(FileNotFoundError):  # another process is merging them
                    self._merge(of_level)

    def merge(self) -> None:
        """Merges all parts into one, or into a few where they are large."""
        for seconds in PATIENCE[:3]:
            time.sleep(seconds)
            try:
                self._merge(self.listed())
                break
            except FileNotFoundError:  # another process is merging them
                continue

    def _merge(self, parts: Iterable[Part]) -> None:
        """Merges the smallest parts, as many as may be read at once; damaged ones wait for the next run.

        Raises:
            FileNotFoundError: a part is gone.
        """
        contents = {}
        for part in _within(sorted(parts, key=lambda part: part.size), LARGEST):
            with suppress(Damaged):
                contents[part] = self.read(part)
        if len(contents) > 1:
            self._replace(contents)

    def _replace(self, contents: dict[Part, Any]) -> None:
        """Puts one part of a higher level in the place of several."""
        merged = self.encode(list(contents.values()))
        try:
            write_whole(self.folder / self.name(merged, 1 + max(part.level for part in contents)), merged)
            for part in contents:
                part.path.unlink(missing_ok=True)
        except OSError:  # no room, or no right to write; what lies there stays as good as it is
            return


def _within(parts: Iterable[Part], size: int) -> list[Part]:
    """The first parts that have at most `size` bytes together."""
    chosen = []
    for part in parts:
        size -= part.size
        if size < 0:
            break
        chosen.append(part)
    return chosen


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
