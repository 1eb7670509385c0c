"""What a sweep over hyperparameters leaves: one line a cell and metric, in a CSV a model and data set."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

import pandas as pd
import yaml
from omegaconf import DictConfig, OmegaConf

from vxbench.errors import UserError
from vxbench.report.statistics import estimate
from vxbench.report.write import replace_file
from vxbench.runner.outcome import Outcome
from vxbench.runner.store import Store

FOLDER = "sweeps"
Pair = tuple[str, str]  # model, data set


def finish(config: DictConfig, outcomes: list[Outcome]) -> list[Path]:
    """What is made of a sweep's cells when all have run: its choice if it selects, else its CSVs and figure.

    Returns the files written.

    Raises:
        UserError: no cell could be computed.
    """
    found = grids(config, outcomes)
    if "select" in config:
        from vxbench.runner.select import select

        return select(config, outcomes, found)
    folder = Path(config.paths.results) / FOLDER
    paths = [write_grid(folder / csv_name(config.sweep.key, pair), grid) for pair, grid in found.items()]
    return paths + import_module(f"vxbench.runner.figures.{config.figure.key}").make(config)


def grids(config: DictConfig, outcomes: list[Outcome]) -> dict[Pair, pd.DataFrame]:
    """The cells of each (model, data set) that were computed, as `write_grid` has them, sorted by their values.

    Raises:
        UserError: there are none, or a cell lacks a key that `sweep.columns` names.
    """
    lines: dict[Pair, list[dict]] = {}
    for outcome in once(outcomes):
        lines.setdefault((outcome.model, outcome.dataset), []).extend(lines_of(config, outcome))
    if not any(lines.values()):
        raise UserError(f"no cell of the sweep {config.sweep.key} could be computed; what is said above is why")
    order = [*config.sweep.columns, "metric"]
    return {pair: pd.DataFrame(of).sort_values(order, ignore_index=True) for pair, of in lines.items() if of}


def once(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Those that have a complete cell; of the shards of a cell one."""
    return list({o.cell: o for o in outcomes if o.cell and o.status == "complete"}.values())


def lines_of(config: DictConfig, outcome: Outcome) -> Iterator[dict]:
    """One line a metric of a cell: its values of the swept keys, mean and interval over clips, and where it is from.

    one_sided: see `one_sided`.
    """
    store = Store(Path(config.paths.results) / "cells" / outcome.cell)
    identity = OmegaConf.create(yaml.safe_load(store.read_note("config.yaml")))
    swept = {name: _value(identity, key, outcome.cell) for name, key in config.sweep.columns.items()}
    origin = {"model": outcome.model, "dataset": outcome.dataset, "profile": config.profile.name, "cell": outcome.cell}
    rows = store.rows()
    for metric, scored in rows[rows.status == "ok"].groupby("metric"):
        found = asdict(estimate(scored.value, scored.weight, scored.group))
        mean = {name: found[name] for name in ("mean", "low", "high", "n")}
        yield swept | {"metric": metric} | mean | {"one_sided": one_sided(rows)} | origin


def one_sided(rows: pd.DataFrame) -> float:
    """Share of the clips whose map is above the threshold everywhere or nowhere: their STC says nothing of the map.

    STC counts box voxels that are marked, and is 100 for a map that marks all there are. NaN without that metric.
    """
    marked = rows[rows.metric == "area_above_tau"].value
    return float(marked.isin([0.0, 100.0]).mean()) if len(marked) else float("nan")


def _value(identity: DictConfig, key: str, cell: str) -> float:
    value = OmegaConf.select(identity, key)
    if value is None:
        raise UserError(f"sweep.columns names {key}, which the cell {cell} has not")
    return value


def csv_name(key: str, pair: Pair) -> str:
    return f"{key}_{pair[0]}_{pair[1]}.csv"


def write_grid(path: Path, grid: pd.DataFrame) -> Path:
    """Columns: the swept keys, metric, mean, low, high (95 % interval over clips), n, one_sided, and its origin."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, grid.to_csv(index=False).encode())
    return path


def read_grids(results: Path, key: str, profile: str) -> dict[Pair, pd.DataFrame]:
    """Every CSV that the sweep `key` left under this profile.

    Raises:
        UserError: there is none; the message says how to make one.
    """
    folder = Path(results) / FOLDER
    found = [pd.read_csv(path) for path in sorted(folder.glob(f"{key}_*.csv"))]
    grids = {(grid.model[0], grid.dataset[0]): grid for grid in found if set(grid.profile) == {profile}}
    if not grids:
        how = f"run the sweep first: python scripts/run.py +sweep={key} profile={profile}"
        raise UserError(f"{folder} has no {key}_<model>_<dataset>.csv of profile {profile}; {how}")
    return grids
