"""From the cells of a table run to the table and its figures."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from vxbench.errors import UserError
from vxbench.report import FigureClip, make_table, maps_figure, print_table, write_table
from vxbench.report.cells import CONTROLS
from vxbench.report.published import layout
from vxbench.report.render.text import tau
from vxbench.runner.index import write_index
from vxbench.runner.outcome import Outcome
from vxbench.runner.records import FOLDER, Record, new_record, read_records, write_record
from vxbench.runner.store import Picture, Store
from vxbench.runner.table_profile import incomplete, profile_of

NOTES = {"dc": "DC {:.0f}", "overall": "over-all {:.2f}", "s_pt": "S-PT {:.2f}", "t_pt": "T-PT {:.0f}"}


def make_and_show(config: DictConfig, outcomes: list[Outcome]) -> list[Path]:
    """Writes results/tables/<name>.{json,md,csv,tex} and the pictures of maps in results/figures, prints the table.

    Returns the files written.

    Raises:
        UserError: no outcome is there, or they do not make a table.
    """
    if not outcomes:
        raise UserError(
            "no combination of the command belongs to the table (table.only says which do); nothing is made"
        )
    results, rows = Path(config.paths.results), dict(config.table.get("rows") or {})
    profile, selected = profile_of(config, outcomes), "selected" in config.table
    record = new_record(config.table.key, profile, outcomes, results, rows, selected)
    cells = record.cells()
    profile = replace(profile, settings=[*incomplete(record, cells), *profile.settings])
    table = make_table(record.key, cells, profile)
    taus = [tau(column) for column in table.columns if column.compared]
    record = replace(record, profile=profile, taus=taus)
    paths = [write_record(record), *write_table(table, results / FOLDER, record.name)]
    print_table(table)
    paths += [*draw_maps(record), write_index(results / FOLDER, read_records(results))]
    print("\n".join(f"wrote {path}" for path in paths))
    return paths


def draw_maps(record: Record) -> list[Path]:
    """One figure for each model and data set: every clip whose maps were kept, one row a method."""
    pairs = dict.fromkeys((outcome.model, outcome.dataset) for outcome in record.outcomes)
    drawn = [_draw(record, model, dataset) for model, dataset in pairs]
    return [path for path in drawn if path]


def _draw(record: Record, model: str, dataset: str) -> Path | None:
    mine = [o for o in record.outcomes if (o.model, o.dataset) == (model, dataset) and o.cell]
    stores = {record.row(outcome): record.store(outcome) for outcome in mine}
    pictures = {row: store.pictures() for row, store in stores.items()}
    names = sorted({picture.clip for kept in pictures.values() for picture in kept})
    if not names:
        return None
    clips = [_figure_clip(clip, pictures, stores) for clip in names]
    order = layout(record.key).rows | {"centre": CONTROLS["centre"]}  # noise and the boxes themselves show nothing
    order |= {row: row for row in stores if row not in order and row not in CONTROLS}
    rows = [(row, display) for row, display in order.items() if row in stores]
    return maps_figure(record.results / "figures" / f"{record.name}_{model}_{dataset}.png", clips, rows)


def _figure_clip(clip: str, pictures: dict[str, list[Picture]], stores: dict[str, Store]) -> FigureClip:
    mine = {row: picture for row, kept in pictures.items() for picture in kept if picture.clip == clip}
    first = next(iter(mine.values()))
    notes = {row: _note(stores[row].rows(), clip) for row in mine}
    maps = {row: picture.saliency for row, picture in mine.items()}
    return FigureClip(clip, clip.split("/")[0], first.frames, first.boxes, maps, notes)


def _note(rows: pd.DataFrame, clip: str) -> str:
    """What is printed under a method's name: the clip's own score, of the first metric that has a short name."""
    mine = rows[(rows["clip"] == clip) & rows.value.notna()].set_index("metric").value
    return next((text.format(mine[metric]) for metric, text in NOTES.items() if metric in mine), "")
