"""Keeps on record which files a cell's clips were computed from, so that files replaced since are noticed."""

import json
import sys
from collections.abc import Iterable
from functools import cache

from vxbench.datasets.base import ClipRef
from vxbench.datasets.media import state
from vxbench.datasets.subset import counted
from vxbench.errors import ClipError
from vxbench.files import locked
from vxbench.runner.store import Store

FILE = "clip_files.json"  # {clip: [bytes, time of the last change in ns]}, over all its images where it is a folder
SHOWN = 3

State = list[int]


def record_files(store: Store, refs: Iterable[ClipRef]) -> None:
    """Puts on record what the clips, which are about to be computed, are computed from."""
    found = {ref.id: file for ref in refs if (file := _file(ref))}
    with locked(store.folder / FILE):
        store.note(FILE, json.dumps(_known(store) | found))


def say_replaced(store: Store, refs: Iterable[ClipRef], dataset: str) -> None:
    """Says in one line how many clips that are done have other files by now; the same is said once in a process.

    A file that is gone has not been replaced.
    """
    known, done = _known(store), store.done()
    files = {ref.id: _file(ref) for ref in refs if ref.id in known and ref.id in done}
    replaced = [clip for clip, file in files.items() if file and file != known[clip]]
    if replaced:
        names = ", ".join(replaced[:SHOWN]) + (", ..." if len(replaced) > SHOWN else "")
        number = counted(len(replaced), "clip")
        _say(f"the files of {number} of {dataset} have another size or time than when they were computed ({names})")


@cache
def _say(what: str) -> None:
    print(f"note: {what}; force=true computes anew", file=sys.stderr, flush=True)


def _known(store: Store) -> dict[str, State]:
    """What is on record; nothing where the record is damaged, as it decides no number."""
    try:
        known = json.loads(store.read_note(FILE) or "{}")
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}


def _file(ref: ClipRef) -> State | None:
    """None where there is none, or none that could be computed."""
    try:
        files = state(ref.path, ref.span)
    except (OSError, ClipError):
        return None
    return [sum(size for _, size, _ in files), max((time for *_, time in files), default=0)]
