"""Draws the maps of a table's cells: one figure for each model and data set."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from vxbench.figures.drawing.maps import FigureClip, maps_figure
from vxbench.files import fitted
from vxbench.runner.store import Picture
from vxbench.tables.published import layout, tables
from vxbench.tables.record import TableRun
from vxbench.tables.results import CONTROLS
from vxbench.tables.spec import TableSpec


def draw_maps(record: TableRun) -> list[Path]:
    """One figure for each model and data set: every clip whose maps were kept, one row a method."""
    pairs = dict.fromkeys((outcome.model, outcome.dataset) for outcome in record.outcomes)
    drawn = [_draw(record, model, dataset) for model, dataset in pairs]
    return [path for path in drawn if path]


def _draw(record: TableRun, model: str, dataset: str) -> Path | None:
    mine = [o for o in record.outcomes if (o.model, o.dataset) == (model, dataset) and o.cell]
    stores = {record.row(outcome): record.store(outcome) for outcome in mine}
    pictures = {row: store.pictures() for row, store in stores.items()}
    names = sorted({picture.clip for kept in pictures.values() for picture in kept})
    if not names:
        return None
    scored = {row: store.rows() for row, store in stores.items()}
    clips = [_figure_clip(clip, pictures, scored, record.spec) for clip in names]
    rows = [(row, display) for row, display in _order(record, stores).items() if row in stores]
    file = fitted(f"{record.name}_{model}_{dataset}", ".png")
    return maps_figure(record.results / "figures" / file, clips, rows)


def _order(record: TableRun, rows: Iterable[str]) -> dict[str, str]:
    """{row: its name}: what a paper printed, the one control that shows something, then the rest; else that last."""
    centre = {"centre": CONTROLS["centre"]}  # noise and the boxes themselves show nothing
    printed = layout(record.key).rows if record.key in tables() else {}
    others = {row: record.spec.row(row) for row in rows if row not in printed and row not in CONTROLS}
    return printed | centre | others if printed else others | centre


def _figure_clip(
    clip: str, pictures: dict[str, list[Picture]], scored: dict[str, pd.DataFrame], spec: TableSpec
) -> FigureClip:
    mine = {row: picture for row, kept in pictures.items() for picture in kept if picture.clip == clip}
    first = next(iter(mine.values()))
    notes = {row: _note(scored[row], clip, spec) for row in mine}
    maps = {row: picture.saliency for row, picture in mine.items()}
    return FigureClip(clip, clip.split("/")[0], first.frames, first.boxes, maps, notes)


def _note(rows: pd.DataFrame, clip: str, spec: TableSpec) -> str:
    """What is printed under a method's name: the clip's own score, of the first metric that says how."""
    mine = rows[(rows["clip"] == clip) & rows.value.notna()].set_index("metric").value
    return next((spec.fact(key).note.format(value) for key, value in mine.items() if spec.fact(key).note), "")
