"""Collects a sweep over hyperparameters: one line a cell and metric, in a CSV for each profile, model and data set."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from vxbench.config import key_of
from vxbench.errors import UserError
from vxbench.files import fitted, locked, write_whole
from vxbench.metrics.facts import fact
from vxbench.runner.outcome import Outcome
from vxbench.runner.parts import Damaged, content_of
from vxbench.runner.store import Store
from vxbench.tables.render.long_csv import cell
from vxbench.tables.statistics import estimate

FOLDER = "sweeps"
# Columns that say how a cell was made, and where its config has them.
FACTS = {"iterations": "explainer.iterations", "seed": "seed", "target": "target", "weights": "weights"}
ORIGIN = ("model", "dataset", "profile", "cell", "settings", "scored")
DIGESTS = {"weights": str, "settings": str, "scored": str}  # which pandas might take for numbers
DIGITS = 9  # 0.1 + 0.2 is the share 0.3
Pair = tuple[str, str]  # model, data set


@dataclass(frozen=True)
class Sweep:
    """One sweep over hyperparameters. columns: {column of its CSVs: key that is swept}. results: folder of results."""

    key: str
    columns: dict[str, str]
    profile: str
    results: Path

    @classmethod
    def of(cls, config: DictConfig) -> "Sweep":
        return cls(key_of(config, "sweep"), dict(config.sweep.columns), config.profile.name, Path(config.paths.results))

    def store(self, cell: str) -> Store:
        return Store(self.results / "cells" / cell)

    def identity(self, cell: str) -> DictConfig:
        """All that decides a cell's numbers, as the cell has it on record."""
        return OmegaConf.create(self.store(cell).identity())


def grids(sweep: Sweep, outcomes: list[Outcome]) -> dict[Pair, pd.DataFrame]:
    """The cells of each (model, data set) that were computed, as `write_grid` has them, sorted by their values.

    Raises:
        UserError: there are none, a cell lacks a key that `sweep.columns` names, or the cells of a pair differ in more
            than those keys.
    """
    lines: dict[Pair, list[dict]] = {}
    for outcome in once(outcomes):
        lines.setdefault((outcome.model, outcome.dataset), []).extend(lines_of(sweep, outcome))
    if not any(lines.values()):
        raise UserError(f"no cell of the sweep {sweep.key} could be computed; what is said above is why")
    order = [*sweep.columns, "metric"]
    found = {pair: pd.DataFrame(of).sort_values(order, ignore_index=True) for pair, of in lines.items() if of}
    for grid in found.values():
        check_grid(sweep, grid)
    return found


def check_grid(sweep: Sweep, grid: pd.DataFrame) -> None:
    """Refuses a grid whose cells differ in more than the swept keys, or that has two for one point."""
    points = _points(grid, list(sweep.columns))
    of_a_point = grid.cell.groupby([points[name] for name in points]).unique()
    unlike = next((cells for cells in [grid.drop_duplicates("settings").cell, *of_a_point] if len(cells) > 1), None)
    if unlike is None:
        return
    one, other = unlike[:2]
    keys = ", ".join(sweep.columns.values())
    raise UserError(
        f"the cells {one} and {other} are of one grid of the sweep {sweep.key}, but differ in "
        f"{_difference(sweep, one, other)}; its cells may differ in {keys} alone, and have one value of each once"
    )


def _difference(sweep: Sweep, one: str, other: str) -> str:
    """The keys in which two cells differ: besides the swept ones, if there are any."""
    pair = [OmegaConf.to_container(sweep.identity(cell)) for cell in (one, other)]
    first, second = (pd.json_normalize(identity).astype(str).iloc[0].to_dict() for identity in pair)
    keys = [key for key in {**first, **second} if first.get(key) != second.get(key)]
    return ", ".join(key for key in keys if key not in sweep.columns.values()) or ", ".join(keys)


def once(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Those that have a complete cell; of the shards of a cell one."""
    return list({o.cell: o for o in outcomes if o.cell and o.status == "complete"}.values())


def lines_of(sweep: Sweep, outcome: Outcome) -> Iterator[dict]:
    """One line a metric of a cell: its values of the swept keys, mean and interval over clips, and where it is from.

    one_sided: see `one_sided`. settings: digest of all that decides the cell's numbers, the swept keys aside. scored:
    digest of the clips that have a value.
    """
    identity, rows = sweep.identity(outcome.cell), sweep.store(outcome.cell).rows()
    swept = {name: _value(identity, key, outcome.cell) for name, key in sweep.columns.items()}
    facts = {name: OmegaConf.select(identity, key) for name, key in FACTS.items()}
    settings = settings_of(identity, sweep.columns.values())
    of = (outcome.model, outcome.dataset, sweep.profile, outcome.cell, settings)
    for metric, scored in rows[rows.status == "ok"].groupby("metric"):
        found = asdict(estimate(scored.value, scored.weight, scored.group))
        mean = {name: found[name] for name in ("mean", "low", "high", "n")}
        clips = _digest(sorted(scored["clip"][scored.value.notna()]))
        origin = dict(zip(ORIGIN, (*of, clips), strict=True))
        yield swept | {"metric": metric} | mean | {"one_sided": one_sided(rows)} | facts | origin


def settings_of(identity: DictConfig, swept: Iterable[str]) -> str:
    """The same for cells that differ in the keys `swept` alone."""
    rest = identity.copy()
    for key in swept:
        OmegaConf.update(rest, key, None)
    return _digest(OmegaConf.to_container(rest))


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def one_sided(rows: pd.DataFrame) -> float:
    """Share of the clips whose map is above the threshold everywhere or nowhere: their STC says nothing of the map.

    STC counts box voxels that are marked, and is 100 for a map that marks all there are. NaN without that metric.
    """
    area = fact("stc").companion
    marked, ends = rows[rows.metric == area].value, (fact(area).low, fact(area).high)
    return float(marked.isin(ends).mean()) if len(marked) else float("nan")


def _value(identity: DictConfig, key: str, cell: str) -> float:
    value = OmegaConf.select(identity, key)
    if value is None:
        raise UserError(f"sweep.columns names {key}, which the cell {cell} has not")
    return value


def csv_name(name: str, pair: Pair) -> str:
    return fitted("_".join((name, *pair)), ".csv")


def write_grid(path: Path, grid: pd.DataFrame) -> Path:
    """Columns: the swept keys, metric, mean, low, high (95 % interval over clips), n, one_sided, FACTS and ORIGIN."""
    names = {
        column: grid[column].map(lambda value: cell(value) if isinstance(value, str) else value) for column in grid
    }
    write_whole(path, grid.assign(**names).to_csv(index=False).encode())
    return path


def merge_grids(sweep: Sweep, found: dict[Pair, pd.DataFrame]) -> list[Path]:
    """Adds what `grids` found to the sweep's CSVs, see `merge_grid`. Returns their paths."""
    folder, names = sweep.results / FOLDER, list(sweep.columns)
    name = f"{sweep.key}_{sweep.profile}"
    return [merge_grid(folder / csv_name(name, pair), grid, names) for pair, grid in found.items()]


def merge_grid(path: Path, grid: pd.DataFrame, names: list[str]) -> Path:
    """Adds the lines of a grid to those at `path`, in the place of lines of the same metric and values of `names`.

    A file is of one settings: lines there that were computed under others than the grid's are dropped, which is said.
    """
    with locked(path):
        before = read_grid(path) if path.exists() else grid.iloc[:0]
        same = before[before.settings.isin(set(grid.settings))]
        if len(same) < len(before):
            print(f"{path}: {len(before) - len(same)} lines of other settings are dropped; their cells are kept")
        lines = pd.concat([same, grid]) if len(same) else grid
        last = lines[~_points(lines, names).duplicated(keep="last")]
        return write_grid(path, last.sort_values([*names, "metric"]))


def _points(grid: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """What one line of a grid is of."""
    return grid[[*names, "metric"]].round(DIGITS)


def read_grid(path: Path) -> pd.DataFrame:
    """The lines of one CSV.

    Raises:
        UserError: it is not one that `write_grid` wrote; the message names it.
    """
    try:
        grid = pd.read_csv(BytesIO(content_of(path)), dtype=DIGESTS)
    except (Damaged, OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); remove it and run the sweep again") from error
    if lacking := [name for name in ("metric", *FACTS, *ORIGIN) if name not in grid]:
        raise UserError(f"{path} has no column {', '.join(lacking)}; remove it and run the sweep again")
    return grid


def read_grids(results: Path, key: str, profile: str) -> dict[Pair, pd.DataFrame]:
    """Every CSV that the sweep `key` left under this profile.

    Raises:
        UserError: there is none; the message says how to make one.
    """
    folder = Path(results) / FOLDER
    found = [read_grid(path) for path in sorted(folder.glob(f"{key}_{profile}_*.csv"))]
    if not found:
        how = f"run the sweep first: vxbench run +sweep={key} profile={profile}"
        raise UserError(f"{folder} has no {key}_{profile}_<model>_<dataset>.csv; {how}")
    return {(grid.model[0], grid.dataset[0]): grid for grid in found}
