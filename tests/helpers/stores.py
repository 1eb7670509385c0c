"""Stores of a few clips, and what happens to files."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vxbench.runner.store import Picture, Store, failure, frame

CLIPS = ("Run/v_1", "Run/v_2", "Swim/v_1", "Swim/v_2")
METRICS = ("dc", "stc")


def line(clip: str, value: float = 0.5, metric: str = "dc", **more) -> dict:
    row = {"clip": clip, "label": 0, "target": 1, "status": "ok", "metric": metric, "value": value}
    return row | {"reason": "", "degenerate": False} | more


def lines(clip: str) -> list[dict]:
    """A clip's rows, of which every value is another."""
    return [line(clip, hash_of(clip) + index, metric) for index, metric in enumerate(METRICS)]


def hash_of(clip: str) -> float:
    return sum(clip.encode()) / 7


def commit(store: Store, *clips: str) -> None:
    """One batch of these clips, all of which succeed."""
    store.commit(frame(row for clip in clips for row in lines(clip)))


def fail(store: Store, clip: str, why: str = "no file") -> None:
    store.commit(frame([failure(clip, 0, "missing", why)]))


def picture(clip: str, level: float = 0.5) -> Picture:
    shape = (2, 4, 5)
    return Picture(clip, np.full(shape, level, np.float32), np.full((*shape, 3), 9, np.uint8), None)


def parts(store: Store) -> list[Path]:
    return sorted(store.folder.glob("part-*.parquet"))


def filled(folder: Path, clips=CLIPS) -> Store:
    """A cell with one part a clip, as runs of one clip a batch leave it before it is finished."""
    store = Store(folder)
    for clip in clips:
        commit(store, clip)
    return store


def part_of(store: Store, clip: str) -> Path:
    """The part that has the clip's rows alone."""
    [found] = [path for path in parts(store) if set(pq.read_table(path)["clip"].to_pylist()) == {clip}]
    return found


def files(folder: Path) -> dict[Path, bytes]:
    """Every file below a folder with its content, to tell whether anything was written."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}


def rewritten(path: Path, change) -> None:
    """Writes at `path` the table that `change` makes of the one that is there."""
    pq.write_table(change(pq.read_table(path)), path)


def with_column(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, column)


def said_by(action) -> list[str]:
    """Lines on stderr."""
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        action()
    return err.getvalue().splitlines()
