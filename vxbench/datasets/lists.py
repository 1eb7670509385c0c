"""Finds the list and annotation files of a data set, reads their lines and takes their hash."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from vxbench.errors import Missing, UserError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Part:
    """A file or folder that a data set needs.

    places: where below the root it may lie, the usual place first. source: where it is got. folder: a folder, no file.
    """

    places: Sequence[str | Path]
    source: str
    folder: bool = False

    def is_at(self, path: Path) -> bool:
        return path.is_dir() if self.folder else path.is_file()

    def missing(self, root: Path) -> str:
        """Error text for a part that is in none of its places below root."""
        kind, there = "folder" if self.folder else "file", (root / self.places[0]).exists()
        wrong = f", where there is no {kind} but something else" if there else ""
        return f"{self.places[0]}{wrong} ({self.source})"


def find_all(dataset: str, root: Path, parts: Iterable[Part]) -> list[Path]:
    """Paths of the parts, each in the first of its places that is there.

    Raises:
        Missing: some are not there; each part is named, with where it is got and where it goes.
    """
    parts = list(parts)
    found = [next((root / place for place in part.places if part.is_at(root / place)), None) for part in parts]
    lacking = [part for part, path in zip(parts, found, strict=True) if path is None]
    if lacking:
        missing = dict.fromkeys(part.missing(root) for part in lacking)
        raise Missing(f"{dataset} is not complete, {len(missing)} of its parts missing below {root}:", missing)
    return found


def as_list(places: str | Sequence[str]) -> list[str]:
    """The folders as a list; one alone may be given as text."""
    return [places] if isinstance(places, str) else list(places)


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file, without their ends (LF or CRLF) and without a byte order mark.

    Raises:
        UserError: it cannot be read or is no text.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as text: {error}; get the published file anew") from error


def digest_of(paths: Iterable[Path]) -> str:
    """First 16 hex digits of the SHA-256 of the files' contents, one after the other.

    Raises:
        UserError: one cannot be read.
    """
    try:
        return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}") from error


def distinct(items: Sequence[Item], path: Path) -> Sequence[Item]:
    """Returns the names or numbers read from a file, once each is known to be there once.

    Raises:
        UserError: one of them is there twice.
    """
    if twice := [item for item, count in Counter(items).items() if count > 1]:
        raise UserError(f"{path}: {twice[0]} is there twice; get the published file anew")
    return items
