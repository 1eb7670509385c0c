"""The results store: parquet files that appear whole or not at all.

A cell's folder holds part-*.parquet (rows), pictures/*.npz (a few clips with their maps), config.yaml and
provenance.json. A part is named by its clips and their statuses: two processes that compute the same clips write the
same file, and a failure never overwrites a success.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from vxbench.files import locked, write_whole

# One meaning per column, for every part.
COLUMNS = {
    "clip": "str",  # the clip's id
    "label": "int64",  # ground truth, index into the data set's classes
    "target": "int64",  # the class explained; -1 for a clip that failed before
    "status": "str",  # ok | failed
    "metric": "str",  # key of published.csv; "" for a failed clip
    "value": "float64",  # NaN where the clip cannot be scored
    "reason": "str",  # why it is NaN, or "<kind>: <message>" of a failed clip
    "degenerate": "bool",  # the map was constant
    "weight": "float64",  # what the clip counts in the mean: its number of frames where a rate is pooled over frames
    "group": "int64",  # the mean is one over groups; 0 where there is but one
    "curve": "object",  # list of float, what the value was computed from, or None
}
NOT_APPLICABLE = "not_applicable.txt"  # why the method has no meaning for the model
CLIPS = "clips.txt"  # ids of all clips of the cell, one a line: the draw, on record
OPTIONAL = {"weight": 1.0, "group": 0, "curve": None}


class Store:
    """Rows and maps of one cell."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)

    def rows(self) -> pd.DataFrame:
        """All rows, sorted by clip and metric. A clip that succeeded once is ok, whatever failed before or after."""
        parts = [pd.read_parquet(path) for path in sorted(self.folder.glob("part-*.parquet"))]
        if not parts:
            return frame([])
        rows = pd.concat(parts, ignore_index=True)
        done = set(rows.loc[rows.status == "ok", "clip"])
        rows = rows[(rows.status == "ok") | ~rows["clip"].isin(done)]
        rows = rows.drop_duplicates(["clip", "metric"], keep="last")
        return rows.sort_values(["clip", "metric"], kind="stable", ignore_index=True)

    def done(self) -> set[str]:
        """Ids of the clips that need no further work."""
        rows = self.rows()
        return set(rows.loc[rows.status == "ok", "clip"])

    def commit(self, rows: pd.DataFrame, pictures: list["Picture"] = ()) -> None:
        """Writes one batch: its pictures first, then its rows, which make it count."""
        for picture in pictures:
            write_whole(self.folder / f"pictures/{_digest([picture.clip])}.npz", picture.save)
        kept = sorted(set(rows["clip"] + " " + rows["status"]))
        part = self.folder / f"part-{_digest(kept)}.parquet"
        write_whole(part, lambda path: rows.to_parquet(path, index=False))

    def pictures(self) -> list["Picture"]:
        """The pictures kept, sorted by clip."""
        found = [Picture.load(path) for path in self.folder.glob("pictures/*.npz")]
        return sorted(found, key=lambda picture: picture.clip)

    def note(self, name: str, text: str) -> None:
        """Writes a text file of the cell whole."""
        write_whole(self.folder / name, text.encode())

    def read_note(self, name: str) -> str:
        path = self.folder / name
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def record_run(self, run: dict) -> None:
        """Adds one run to provenance.json, or replaces the record of that `run`."""
        with locked(self.folder / "provenance.json"):
            runs = json.loads(self.read_note("provenance.json") or "[]")
            others = [other for other in runs if other["run"] != run["run"]]
            self.note("provenance.json", json.dumps([*others, run], indent=1))


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

    @classmethod
    def load(cls, path: Path) -> "Picture":
        with np.load(path) as file:
            return cls(str(file["clip"]), file["saliency"].astype(np.float32), file["frames"], file.get("boxes"))


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


def _digest(names: list[str]) -> str:
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]
