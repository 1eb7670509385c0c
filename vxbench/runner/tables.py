"""From the cells of a table run to the table and its figures."""

from pathlib import Path

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from vxbench.report import FigureClip, Profile, maps_figure, print_table, write_table
from vxbench.report.cells import CONTROLS
from vxbench.report.published import layout
from vxbench.runner.index import write_index
from vxbench.runner.outcome import Outcome
from vxbench.runner.records import FOLDER, Record, new_record, write_record
from vxbench.runner.store import Picture, Store

NOTES = {"dc": "DC {:.0f}", "overall": "over-all {:.2f}", "s_pt": "S-PT {:.2f}", "t_pt": "T-PT {:.0f}"}


def make_and_show(config: DictConfig, outcomes: list[Outcome]) -> list[Path]:
    """Writes results/tables/<name>.{json,md,csv,tex} and the pictures of maps in results/figures, prints the table.

    Returns the files written.
    """
    results, rows = Path(config.paths.results), dict(config.table.get("rows") or {})
    record = new_record(config.table.key, profile_of(config, outcomes), outcomes, results, rows)
    table = record.table()
    paths = [write_record(record), *write_table(table, results / FOLDER, record.name)]
    print_table(table)
    paths += [*draw_maps(record), write_index(results)]
    print("\n".join(f"wrote {path}" for path in paths))
    return paths


def profile_of(config: DictConfig, outcomes: list[Outcome]) -> Profile:
    """What the table says of how it was made."""
    stc = config.metric.get("stc", {})
    return Profile(
        name=config.profile.name,
        title_line=config.profile.title,
        comparable=config.profile.comparable,
        settings=[*settings(config), *clips_used(outcomes)],
        protocol=config.protocol.name,
        stc_norm=stc.get("norm", "recall"),
        stc_tau=stc.get("tau", 0.5),
    )


def settings(config: DictConfig) -> list[str]:
    """Lines below the table: what the paper leaves open or fixes, as it was run."""
    fixed = OmegaConf.to_container(config.table.settings, resolve=True) if "settings" in config.table else {}
    said = "; ".join(f"{key} {_said(value)}" for key, value in fixed.items())
    profile = config.profile
    effort = f"perturbation methods: {profile.iterations} iterations, STEP's core term after {profile.core_start}"
    return [
        f"explained class: {config.target}; {effort}; seed {config.seed}",
        *([f"fixed by the table: {said}"] if said else []),
        *([config.table.selected] if "selected" in config.table else []),
    ]


def clips_used(outcomes: list[Outcome]) -> list[str]:
    """Which clips of each data set the table is made of."""
    said = {(outcome.dataset, outcome.selection) for outcome in outcomes if outcome.selection}
    return [f"clips of {dataset}: {selection}" for dataset, selection in sorted(said)]


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


def _said(value: object) -> str:
    """As in "r2plus1d 0.5, tsm 0.5"; what is inside another in brackets."""
    if not isinstance(value, dict):
        return str(value)
    inner = (f"({_said(v)})" if isinstance(v, dict) else _said(v) for v in value.values())
    return ", ".join(f"{k} {text}" for k, text in zip(value, inner, strict=True))
