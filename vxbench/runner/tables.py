"""From the cells of a table run to the table and its figures."""

from pathlib import Path

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from vxbench.report import CellResult, FigureClip, Profile, make_table, maps_figure, print_table, write_table
from vxbench.report.cells import CONTROLS
from vxbench.report.published import layout
from vxbench.runner.outcome import Outcome
from vxbench.runner.store import Picture, Store, frame


def make_and_show(config: DictConfig, outcomes: list[Outcome]) -> list[Path]:
    """Writes results/tables/<key>.{md,csv,tex} and results/figures/<key>_<model>.png, prints the table.

    Returns the files written.
    """
    results = Path(config.paths.results)
    key = config.table.key
    cells = [result_of(outcome, results) for outcome in outcomes]
    table = make_table(key, cells, profile_of(config, outcomes))
    paths = write_table(table, results / "tables")
    print_table(table)
    for model in dict.fromkeys(outcome.model for outcome in outcomes):
        mine = [outcome for outcome in outcomes if outcome.model == model and outcome.cell]
        paths += draw(results, key, model, mine)
    print("\n".join(f"wrote {path}" for path in paths))
    return paths


def result_of(outcome: Outcome, results: Path) -> CellResult:
    """A cell as the report takes it."""
    rows = Store(results / "cells" / outcome.cell).rows() if outcome.cell else frame([])
    return CellResult(
        outcome.model,
        outcome.dataset,
        outcome.explainer,
        rows,
        not_applicable=outcome.message if outcome.status == "not_applicable" else "",
        error=outcome.message if outcome.status == "failed" else "",
    )


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
    said = ", ".join(f"{key} {_said(value)}" for key, value in fixed.items())
    profile = config.profile
    effort = f"perturbation methods: {profile.iterations} iterations, STEP's core term after {profile.core_start}"
    return [
        f"explained class: {config.target}; {effort}; seed {config.seed}",
        *([f"fixed by the table: {said}"] if said else []),
    ]


def clips_used(outcomes: list[Outcome]) -> list[str]:
    """Which clips of each data set the table is made of."""
    said = {(outcome.dataset, outcome.selection) for outcome in outcomes if outcome.selection}
    return [f"clips of {dataset}: {selection}" for dataset, selection in sorted(said)]


def draw(results: Path, key: str, model: str, outcomes: list[Outcome]) -> list[Path]:
    """One figure of a model's maps: every clip that was kept, one row a method."""
    stores = {outcome.explainer: Store(results / "cells" / outcome.cell) for outcome in outcomes}
    pictures = {row: store.pictures() for row, store in stores.items()}
    clips = [_figure_clip(clip, pictures, stores) for clip in sorted({p.clip for ps in pictures.values() for p in ps})]
    if not clips:
        return []
    order = layout(key).rows | {"centre": CONTROLS["centre"]}  # noise and the boxes themselves show nothing
    order |= {row: row for row in stores if row not in order and row not in CONTROLS}
    rows = [(row, display) for row, display in order.items() if row in stores]
    return [maps_figure(results / "figures" / f"{key}_{model}.png", clips, rows)]


def _figure_clip(clip: str, pictures: dict[str, list[Picture]], stores: dict[str, Store]) -> FigureClip:
    mine = {row: picture for row, kept in pictures.items() for picture in kept if picture.clip == clip}
    first = next(iter(mine.values()))
    notes = {row: _note(stores[row].rows(), clip) for row in mine}
    maps = {row: picture.saliency for row, picture in mine.items()}
    return FigureClip(clip, clip.split("/")[0], first.frames, first.boxes, maps, notes)


def _note(rows: pd.DataFrame, clip: str) -> str:
    drop = rows[(rows["clip"] == clip) & (rows.metric == "dc")].value
    return f"DC {drop.iloc[0]:.0f}" if len(drop) else ""


def _said(value: object) -> str:
    return " ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)
