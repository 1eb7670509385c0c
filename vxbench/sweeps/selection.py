"""Chooses F-EP's shares of frequencies on clips that no table is made of, and gives them to tables."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from vxbench.config import build, compose, config_loader
from vxbench.errors import NotUnderstood, UserError, first_line
from vxbench.files import locked, write_whole
from vxbench.metrics.facts import fact
from vxbench.ranges import one_of
from vxbench.runner.multirun import combinations
from vxbench.runner.outcome import Outcome
from vxbench.sweeps.grid import FACTS, Pair, Sweep, csv_name, write_grid
from vxbench.sweeps.unseen import Tables, check_held_out

SWEEP = "+sweep=fep_select"
FOLDER = "selected"
EQUAL = 1e-9  # means of the same values that differ by less, do so by rounding
MOST = 0.5  # of a cell's maps
HEAD = "# Chosen by vxbench select-fep on training clips, to be given to vxbench reproduce --bands.\n"


@dataclass(frozen=True)
class Selection:
    """How values are chosen among a sweep's cells. name: of the file. criterion: the metric whose best mean is chosen.

    tables: which tables' clips it may not be made on. root: where the data sets lie.
    """

    sweep: Sweep
    name: str
    criterion: str
    tables: Tables
    root: str

    @classmethod
    def of(cls, config: DictConfig) -> "Selection":
        """Reads conf/sweep/<key>.yaml's node `select`.

        Raises:
            OutOfRange: a criterion that is no metric of the sweep.
        """
        criterion = one_of("select.criterion", config.select.criterion, _criteria(config))
        return cls(Sweep.of(config), config.select.name, criterion, Tables.of(config), config.dataset.root)


def _criteria(config: DictConfig) -> list[str]:
    """The keys of the sweep's metrics that have a better end."""
    keys = [key for name in config.metric for key in build(config, f"metric.{name}").keys]
    return [key for key in keys if fact(key).higher_is_better is not None]


def check(given: list[str]) -> None:
    """Refuses, before anything is computed, what no choice can be made of.

    Raises:
        UserError: another key is swept than those that a choice is made of or for, the criterion is unknown, or a data
            set's clips are not unseen.
    """
    jobs = all_composed([SWEEP, *given], ("dataset",))
    check_swept(given, ("model", "dataset", "shard.index", *jobs[0].sweep.columns.values()))
    for config in jobs:
        settings = OmegaConf.to_container(config.dataset, resolve=True)
        check_held_out(Selection.of(config).tables, config.hydra.runtime.choices.dataset, settings)


def check_swept(given: list[str], keys: Iterable[str]) -> None:
    """Raises NotUnderstood for a sweep over a key that is not among `keys`."""
    for override in OverridesParser.create().parse_overrides(words(given)):
        if override.is_sweep_override() and override.key_or_group not in keys:
            raise NotUnderstood(
                f"{override.input_line} is a sweep, and cells of different {override.key_or_group} cannot be compared; "
                f"what can be swept: {', '.join(keys)}"
            )


def words(given: list[str]) -> list[str]:
    """Overrides without Hydra's flags."""
    return [override for override in given if not override.startswith("-")]


def composed(overrides: list[str]) -> DictConfig:
    """The config of the first job of a sweep, Hydra's own node with it."""
    return all_composed(overrides, ())[0]


def all_composed(overrides: list[str], sweeps: Iterable[str]) -> list[DictConfig]:
    """The same for each of the values of the keys `sweeps` that overrides sweep."""
    with config_loader() as loader:
        jobs = combinations(words(overrides), sweeps, loader)
        return [compose(job, with_hydra=True) for job in jobs]


def select(how: Selection, outcomes: list[Outcome], grids: dict[Pair, pd.DataFrame]) -> list[Path]:
    """Writes results/selected/<name>.yaml and, beside it, the grid of every model and data set.

    What the file says of other models and data sets stays. Returns the files written.

    Raises:
        UserError: no choice can be made for one of them, see `choice`; those of the others are in the file by then.
    """
    folder = how.sweep.results / FOLDER
    files = {pair: csv_name(f"{how.name}_{how.sweep.profile}", pair) for pair in grids}
    paths = [write_grid(folder / files[pair], grid) for pair, grid in grids.items()]
    selections = {(outcome.model, outcome.dataset): outcome.selection for outcome in outcomes if outcome.cell}
    chosen, errors = {}, []
    for pair, grid in grids.items():
        try:
            chosen[pair] = choice(how, pair[1], grid) | {"grid": files[pair], "clips": selections[pair]}
        except UserError as error:
            errors.append(f"{' on '.join(pair)}: {error}")
    if chosen:
        paths.insert(0, add(folder / f"{how.name}.yaml", chosen, list(how.sweep.columns)))
    if errors:
        raise UserError("; ".join(errors))
    return paths


def choice(how: Selection, dataset: str, grid: pd.DataFrame) -> dict[str, Any]:
    """What is chosen for a grid of one model and data set.

    Raises:
        UserError: the cells' clips are not unseen, a cell lacks some of them, or no cell is a candidate.
    """
    sweep, cells = how.sweep, sorted(set(grid.cell))
    settings = OmegaConf.to_container(sweep.identity(cells[0]).dataset)  # in a grid the same in all cells
    clips = check_held_out(how.tables, dataset, settings | {"root": how.root})
    for cell in cells:
        lacking = {clip.id for clip in clips} - set(sweep.store(cell).rows()["clip"])
        if lacking:
            parts = "with shard.count, every shard.index is needed"
            raise UserError(f"{cell} lacks {len(lacking)} of its {len(clips)} clips; {parts}")
    return entry(choose(grid, how.criterion, list(sweep.columns)), sweep.columns)


def choose(grid: pd.DataFrame, criterion: str, names: list[str]) -> pd.Series:
    """The line of the best mean; of equal ones that of the smallest sum of the columns `names`, then of the first's.

    Cells most of whose maps mark everything or nothing are no candidates: the first have the best STC there is. Nor are
    those that lack clips which others have, see `of_same_clips`.

    Raises:
        UserError: there is no candidate.
    """
    of = of_same_clips(grid[(grid.metric == criterion) & grid["mean"].notna()])
    of = of[~(of.one_sided > MOST)]
    if of.empty:
        raise UserError(f"select.criterion = {criterion}: no cell has a value of it and maps that single something out")
    best = of["mean"].max() if fact(criterion).higher_is_better else of["mean"].min()
    tied = of[(of["mean"] - best).abs() <= EQUAL]
    kept = tied[names].sum(axis=1).round(9)  # 0.7 + 0.1 and 0.8 + 0.0 are the same share
    return tied.assign(kept=kept).sort_values(["kept", *names]).iloc[0]


def of_same_clips(lines: pd.DataFrame) -> pd.DataFrame:
    """The lines with a value of most clips; the others are said.

    Raises:
        UserError: as many clips are not the same clips.
    """
    most = lines[lines.n == lines.n.max()]
    for fewer in lines[lines.n < lines.n.max()].itertuples():
        print(f"{fewer.cell} is no candidate: {fewer.n} clips have a value, of other cells {most.n.iloc[0]}")
    if most.scored.nunique() > 1:
        one, other = most.drop_duplicates("scored").cell[:2]
        raise UserError(f"{one} and {other} lack different clips, and no cell has all; run again for those that failed")
    return most


def entry(best: pd.Series, names: Mapping[str, str]) -> dict[str, Any]:
    """What the file keeps of a choice: the values, by what mean on how many clips they were chosen, and its cell."""
    values = {name: float(best[name]) for name in names}
    mean = {name: float(best[name]) for name in ("mean", "low", "high")}
    facts = {name: _plain(best[name]) for name in ("n", "profile", *FACTS, "cell")}
    return values | {"criterion": str(best.metric)} | mean | facts


def _plain(value: Any) -> Any:
    """A number of numpy's as Python's own, which YAML can write."""
    return value.item() if hasattr(value, "item") else value


def add(path: Path, chosen: Mapping[Pair, dict[str, Any]], names: list[str]) -> Path:
    """Adds choices to the file at `path`, or puts them in the place of those it has of the same model and data set.

    {r_l: {model: {data set: value}}, r_h: ..., chosen: {model: {data set: the rest of the entry}}}.
    """
    with locked(path):
        content = read(path) if path.exists() else {}
        for (model, dataset), found in chosen.items():
            rest = {key: value for key, value in found.items() if key not in names}
            for key, value in {**{name: found[name] for name in names}, "chosen": rest}.items():
                content.setdefault(key, {}).setdefault(model, {})[dataset] = value
        write_whole(path, (HEAD + yaml.safe_dump(content, sort_keys=False)).encode())
    return path


def read(path: Path) -> dict[str, Any]:
    """The choices in a file.

    Raises:
        UserError: there is none, or it is not one that `add` wrote; the message names it.
    """
    try:
        content = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError as error:
        raise UserError(f"{path} is not there; choose first: vxbench select-fep model=r2plus1d") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read: {first_line(error)}") from error
    if not isinstance(content, dict) or not isinstance(content.get("chosen"), dict):
        raise UserError(f"{path} is not a file of vxbench select-fep: it has no node `chosen`")
    return content


def overrides(path: Path, table_key: str, profile: str = "mini") -> list[str]:
    """Hydra overrides that make a table with the choices in a file: of a table without r_l and r_h, none.

    `table.selected` is the line for the table's foot.

    Raises:
        UserError: the file has no choice for a model of the table on its data set, or one of another profile.
    """
    content, table = read(path), composed([f"+table={table_key}", f"profile={profile}"])
    shares, dataset = OmegaConf.select(table, "table.settings.r_l"), table.hydra.runtime.choices.dataset
    if shares is None:
        return []
    found = {model: choice_of(content, model, dataset, profile, path) for model in shares}
    set_to = [
        f"table.settings.{name}.{model}={content[name][model][dataset]}" for model in found for name in ("r_l", "r_h")
    ]
    line = said(found, path).replace("'", r"\'")
    return [*set_to, f"+table.selected='{line}'"]


def choice_of(content: dict, model: str, dataset: str, profile: str, path: Path) -> dict[str, Any]:
    """What was chosen for a model and data set, as long as it was under this profile."""
    found = content["chosen"].get(model, {}).get(dataset)
    how = f"vxbench select-fep model={model} dataset={dataset} profile={profile}"
    if found is None:
        raise UserError(f"{path} has no choice for {model} on {dataset}; run {how}")
    if lacking := [name for name in ("criterion", "n", "profile", "clips", *FACTS) if name not in found]:
        raise UserError(f"{path}: {model} on {dataset} lacks {', '.join(lacking)}; run {how}")
    if found["profile"] != profile:
        raise UserError(f"{path}: {model} on {dataset} was chosen with profile={found['profile']}; run {how}")
    return found


def said(found: Mapping[str, dict[str, Any]], path: Path) -> str:
    """The line for a table's foot: for each model by what, on which clips and under which settings it was chosen."""
    by = "; ".join(f"{model} {_said(of)}" for model, of in found.items())
    return f"r_l and r_h selected on training clips ({Path(path).name}): {by}"


def _said(of: Mapping[str, Any]) -> str:
    """ "by stc on 15 of 16 clips, 2 of each ..., 80 iterations, seed 0, explained class predicted, weights ..."."""
    made = f"{of['iterations']} iterations, seed {of['seed']}, explained class {of['target']}, weights {of['weights']}"
    return f"by {of['criterion']} on {of['n']} of {of['clips']}, {made}"
