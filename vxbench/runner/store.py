"""The results store: what a run leaves of one cell, in files that appear whole or not at all.

A cell's folder holds part-*.parquet (rows, see `parts`), pictures/*.npz (a few clips with their maps), clips.txt (the
draw), config.yaml and provenance.json. A run sets aside what is damaged and makes it again; whoever only reads leaves
it out, says so and writes nothing.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from vxbench.errors import UserError
from vxbench.files import locked, write_whole
from vxbench.runner.parts import ASIDE, Damaged, Part, Parts, WhenDamaged, left_out, parsed, put_aside, sound
from vxbench.runner.rows import ATTEMPT, COLUMNS, SCHEMA, decoded, encoded, settled, table_of

NOT_APPLICABLE = "not_applicable.txt"  # why the method has no meaning for the model
CLIPS = "clips.txt"  # ids of all clips of the cell, one a line: the draw, on record
PROVENANCE = "provenance.json"  # one record a run
CONFIG = "config.yaml"  # all that decides the cell's numbers
MEND_DISK = "make room or give the right to write there, and run again: what was computed is kept"
OPTIONAL = {"predicted": -1, "weight": 1.0, "group": 0, "curve": None}
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, where PyYAML has it, is several times as fast
IN_MEMORY = 1_000_000  # rows that a process keeps of the cells it read last; more if one cell has more

_read: dict[Path, tuple[tuple[Part, ...], pa.Table]] = {}  # rows by folder, that read last at the end


class Store:
    """Rows and maps of one cell, which its folder is named by."""

    def __init__(self, folder: Path):
        self.folder, cell = Path(folder), Path(folder).absolute().name
        decode = partial(parsed, parse=partial(decoded, cell=cell), what="file of rows")
        self._parts = Parts(self.folder, ".parquet", decode, partial(encoded, cell=cell))
        self._before = SCHEMA.empty_table()  # rows that lay here when the run began

    def begin(self) -> None:
        """Prepares the store for a run: what is damaged is set aside, so that it is made again.

        Clips that the run computes although they have rows take the place of these, but for failures of clips that
        succeeded.

        Raises:
            UserError: a file may not be read.
            OSError: the folder cannot be read or written.
        """
        for name, parse in PARSERS.items():
            self._note(name, parse, None, put_aside)
        self._pictures(put_aside)
        self._before = self._table(put_aside).select(["clip", ATTEMPT])

    def rows(self) -> pd.DataFrame:
        """The rows of all clips of the draw, sorted by clip and metric, with the columns COLUMNS; the caller's own.

        A clip that succeeded once is ok, whatever failed before or after.
        """
        table, draw = self._table(), self.draw()
        if draw is not None:
            drawn = pc.is_in(table["clip"], pa.array(draw, pa.large_string()))
            table = table if pc.all(drawn, min_count=0).as_py() else table.filter(drawn)
        return table.select(list(COLUMNS)).to_pandas()

    def done(self) -> set[str]:
        """Ids of the clips that need no further work: scored, and no picture of them was set aside."""
        table = self._table()
        scored = pc.unique(table["clip"].filter(pc.equal(table["status"], "ok"))).to_pylist()
        lost = self._lost_pictures()
        return {clip for clip in scored if not lost or _digest(clip) not in lost}

    def lacks_picture(self, clip: str) -> bool:
        """Whether the clip's picture was set aside and not made again."""
        return _digest(clip) in self._lost_pictures()

    def commit(self, rows: pd.DataFrame, pictures: list["Picture"] = ()) -> None:
        """Writes one batch: its pictures first, then its rows, which make it count. Joins many parts.

        Raises:
            UserError: it cannot be written.
        """
        for picture in pictures:
            self._write(f"pictures/{_digest(picture.clip)}.npz", picture.save)
        content = self._parts.encode([table_of(rows.assign(**{ATTEMPT: self._attempts(rows["clip"])}))])
        self._write(self._parts.name(content), content)
        self._parts.merge_full()

    def _attempts(self, clips: pd.Series) -> list[int]:
        """How often each clip had been computed when the run began."""
        before = self._before.filter(pc.is_in(self._before["clip"], pa.array(clips.unique(), pa.large_string())))
        last = {row["clip"]: row[ATTEMPT] for row in before.sort_by(ATTEMPT).to_pylist()}
        return [last.get(clip, -1) + 1 for clip in clips]

    def finish(self) -> None:
        """Joins the parts of a cell of which nothing is left to compute: one file, or a few large ones."""
        self._parts.merge()

    def pictures(self) -> list["Picture"]:
        """The pictures kept of clips of the draw, sorted by clip."""
        found, draw = self._pictures(left_out), self.draw()
        found = found if draw is None else [picture for picture in found if picture.clip in set(draw)]
        return sorted(found, key=lambda picture: picture.clip)

    def _pictures(self, damaged: WhenDamaged) -> Iterable["Picture"]:
        paths = sorted(self.folder.glob("pictures/*.npz"))
        found = [sound(path, partial(_picture, name=path.stem), None, damaged) for path in paths]
        return [picture for picture in found if picture]

    def _lost_pictures(self) -> set[str]:
        """Names of the pictures that were set aside and have not been made again."""
        folder = self.folder / "pictures"
        aside = {path.name.partition(".")[0] for path in folder.glob(f"{ASIDE}/*.npz*")}
        return aside - {path.stem for path in folder.glob("*.npz")}

    def draw(self) -> list[str] | None:
        """Ids of the cell's clips; None where they are not on record, as in cells of earlier versions."""
        return self._note(CLIPS, _draw, None)

    def record_draw(self, clips: Iterable[str]) -> None:
        """Puts on record which clips the cell has: rows of others, of an earlier draw, do not count."""
        self.note(CLIPS, _sealed(clips))

    def identity(self) -> dict[str, Any]:
        """All that decides the cell's numbers, as it has it on record; empty where it has not."""
        return self._note(CONFIG, _identity, {})

    def runs(self) -> list[dict[str, Any]]:
        """The records of the cell's runs, see `provenance`, in the order in which they began."""
        return self._note(PROVENANCE, _runs, [])

    def record_run(self, run: dict[str, Any]) -> None:
        """Adds one run to provenance.json, or replaces the record of that `run`."""
        with locked(self.folder / PROVENANCE):
            runs = self._note(PROVENANCE, _runs, [], put_aside)
            others = [other for other in runs if other["run"] != run["run"]]
            self.note(PROVENANCE, json.dumps([*others, run], indent=1))

    def note(self, name: str, text: str) -> None:
        """Writes a text file of the cell whole, if it does not say that yet."""
        if self.read_note(name) != text:
            self._write(name, text.encode())

    def _write(self, name: str, content: bytes | Callable[[Path], object]) -> None:
        """Writes a file of the cell whole.

        Raises:
            UserError: it cannot be written, as on a full disk. What was written before is untouched.
        """
        try:
            write_whole(self.folder / name, content)
        except OSError as error:
            why = error.strerror or error
            raise UserError(f"{self.folder} cannot be written ({why}); {MEND_DISK}") from error

    def read_note(self, name: str) -> str:
        """What a text file of the cell says; "" where there is none."""
        return self._note(name, bytes.decode, "")

    def _note(self, name: str, parse: Callable[[bytes], Any], absent: Any, damaged: WhenDamaged = left_out) -> Any:
        return sound(self.folder / name, parse, absent, damaged)

    def _table(self, damaged: WhenDamaged = left_out) -> pa.Table:
        """All rows that hold. They are read once by a process, as long as the parts are the same."""
        before, table = _read.pop(self.folder.absolute(), (None, None))
        parts = self._parts.listed()
        if parts != before or damaged is not left_out:
            parts, tables = self._parts.read_all(damaged)
            table = settled(tables)
            del tables
            pa.default_memory_pool().release_unused()  # which keeps what a million rows were read from otherwise
        _read[self.folder.absolute()] = (parts, table)
        _forget()
        return table


def _forget() -> None:
    """Lets go of the rows that were read longest ago, where they are many."""
    while len(_read) > 1 and sum(len(table) for _, table in _read.values()) > IN_MEMORY:
        del _read[next(iter(_read))]


def _runs(content: bytes) -> list[dict[str, Any]]:
    runs = json.loads(content)
    if not isinstance(runs, list) or not all(isinstance(run, dict) and "run" in run for run in runs):
        raise Damaged("is no list of runs")
    return runs


def _reason(content: bytes) -> str:
    if not content.strip():
        raise Damaged("is empty")
    return content.decode()


def _sealed(clips: Iterable[str]) -> str:
    """The lines of CLIPS, the first of which tells if others are gone."""
    lines = "".join(f"{clip}\n" for clip in clips)
    return f"{_seal(lines)}\n{lines}"


def _seal(lines: str) -> str:
    return f"# SHA-256 of the lines below: {_digest(lines)}"


def _draw(content: bytes) -> list[str]:
    """Cells of earlier versions have a list without a seal, which is believed."""
    text = content.decode()
    first, _, rest = text.partition("\n")
    sealed = first.startswith("#")
    if not text or (sealed and first != _seal(rest)):
        raise Damaged("is not the list that was written")
    return (rest if sealed else text).removesuffix("\n").split("\n")


def _identity(content: bytes) -> dict[str, Any]:
    found = yaml.load(content, LOADER)
    if not isinstance(found, dict):
        raise Damaged("is no config")
    return found


PARSERS = {PROVENANCE: _runs, CLIPS: _draw, NOT_APPLICABLE: _reason, CONFIG: _identity}


@dataclass
class Picture:
    """A clip with its map, enough to draw it. saliency: (T, H, W) in [0, 1]; frames, boxes: see datasets.base.Clip."""

    clip: str
    saliency: np.ndarray
    frames: np.ndarray
    boxes: np.ndarray | None

    def save(self, path: Path) -> None:
        boxes = {} if self.boxes is None else {"boxes": self.boxes}
        saliency = self.saliency.astype(np.float16)
        with open(path, "wb") as file:  # given a path, numpy would add .npz to it
            np.savez_compressed(file, clip=self.clip, saliency=saliency, frames=self.frames, **boxes)


def _picture(content: bytes, name: str) -> Picture:
    """The picture in a file of that name."""
    with np.load(io.BytesIO(content)) as file:
        found = Picture(str(file["clip"]), file["saliency"].astype(np.float32), file["frames"], file.get("boxes"))
    shape = found.saliency.shape
    fits = found.frames.shape == (*shape, 3) and (found.boxes is None or found.boxes.shape == shape)
    if _digest(found.clip) != name or len(shape) != 3 or not fits:
        raise Damaged("is not the picture that was written")
    return found


def frame(rows: Iterable[dict]) -> pd.DataFrame:
    """Rows as a table with the store's columns and types; a row may lack those of OPTIONAL."""
    table = pd.DataFrame([OPTIONAL | row for row in rows], columns=list(COLUMNS))
    return table.astype(COLUMNS)


def failure(clip: str, label: int, kind: str, message: str) -> dict:
    """The one row of a clip that could not be computed."""
    return {
        "clip": clip,
        "label": label,
        "target": -1,
        "status": "failed",
        "metric": "",
        "value": float("nan"),
        "reason": f"{kind}: {message}",
        "degenerate": False,
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
