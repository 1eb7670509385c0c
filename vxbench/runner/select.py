"""F-EP's shares of frequencies, chosen on clips that no table is made of: `python scripts/select_fep.py model=tsm`."""

import fcntl
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vxbench.errors import UserError
from vxbench.ranges import one_of
from vxbench.report.write import replace_file
from vxbench.runner.config import check_choices, conf_dir, first_line
from vxbench.runner.outcome import Outcome
from vxbench.runner.preflight import combinations
from vxbench.runner.sweep import Pair, csv_name, write_grid

SWEEP = "+sweep=fep_select"
FOLDER = "selected"
HIGHER_IS_BETTER = {"stc": True, "accuracy": True, "dc": False}
EQUAL = 1e-9  # means of the same values that differ by less, do so by rounding
MOST = 0.5  # of a cell's maps
HEAD = "# Chosen by scripts/select_fep.py on training clips, to be given to scripts/reproduce.py --bands.\n"


def main() -> None:
    """Entry point: the multirun of conf/sweep/fep_select.yaml, whose end chooses. Exit status as of scripts/run.py."""
    from vxbench.runner import cli

    try:
        check_choices(sys.argv[1:])
        check_settings(composed([SWEEP, *sys.argv[1:]]))
    except (UserError, HydraException, OmegaConfBaseException) as error:
        print(f"error: {first_line(error)}", file=sys.stderr)
        sys.exit(2)
    sys.argv.insert(1, SWEEP)
    cli.main()


def composed(overrides: list[str]) -> DictConfig:
    """The config of the first job of a sweep, Hydra's own node with it."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        [once] = combinations([override for override in overrides if not override.startswith("-")], ())
        return compose("run", once, return_hydra_config=True)


def check_settings(config: DictConfig) -> None:
    """Refuses to choose on clips that a table may be made of, or by an unknown criterion.

    Raises:
        OutOfRange: the message names the key.
    """
    one_of("dataset.split", config.dataset.split, ("train",))
    one_of("select.criterion", config.select.criterion, HIGHER_IS_BETTER)


def select(config: DictConfig, outcomes: list[Outcome], grids: dict[Pair, pd.DataFrame]) -> list[Path]:
    """Writes results/selected/<name>.yaml and, beside it, the grid that each choice was made from.

    What the file says of other models and data sets stays. Returns the files written.
    """
    check_settings(config)
    folder, name = Path(config.paths.results) / FOLDER, config.select.name
    clips = {(outcome.model, outcome.dataset): outcome.selection for outcome in outcomes if outcome.cell}
    chosen = {}
    for pair, grid in grids.items():
        best = choose(grid, config.select.criterion, list(config.sweep.columns))
        chosen[pair] = entry(best, config.sweep.columns) | {"grid": csv_name(name, pair), "clips": clips[pair]}
    paths = [write_grid(folder / csv_name(name, pair), grid) for pair, grid in grids.items()]
    return [add(folder / f"{name}.yaml", chosen, list(config.sweep.columns)), *paths]


def choose(grid: pd.DataFrame, criterion: str, names: list[str]) -> pd.Series:
    """The line of the best mean; of equal ones that of the smallest sum of the columns `names`, then of the first's.

    Cells most of whose maps mark everything or nothing are no candidates: the first have the best STC there is.

    Raises:
        UserError: there is no candidate.
    """
    of = grid[(grid.metric == criterion) & grid["mean"].notna() & ~(grid.one_sided > MOST)]
    if of.empty:
        raise UserError(f"select.criterion = {criterion}: no cell has a value of it and maps that single something out")
    best = of["mean"].max() if HIGHER_IS_BETTER[criterion] else of["mean"].min()
    tied = of[(of["mean"] - best).abs() <= EQUAL]
    kept = tied[names].sum(axis=1).round(9)  # 0.7 + 0.1 and 0.8 + 0.0 are the same share
    return tied.assign(kept=kept).sort_values(["kept", *names]).iloc[0]


def entry(best: pd.Series, names: Mapping[str, str]) -> dict[str, Any]:
    """What the file keeps of a choice: the values, and by what mean on how many clips they were chosen."""
    values = {name: float(best[name]) for name in names}
    mean = {name: float(best[name]) for name in ("mean", "low", "high")}
    return values | {"criterion": str(best.metric)} | mean | {"n": int(best.n), "profile": str(best.profile)}


def add(path: Path, chosen: Mapping[Pair, dict[str, Any]], names: list[str]) -> Path:
    """Adds choices to the file at `path`, or puts them in the place of those it has of the same model and data set.

    {r_l: {model: {data set: value}}, r_h: ..., chosen: {model: {data set: the rest of the entry}}}.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_name(f".{path.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # what another selection adds meanwhile would else be lost
        content = read(path) if path.exists() else {}
        for (model, dataset), found in chosen.items():
            rest = {key: value for key, value in found.items() if key not in names}
            for key, value in {**{name: found[name] for name in names}, "chosen": rest}.items():
                content.setdefault(key, {}).setdefault(model, {})[dataset] = value
        replace_file(path, (HEAD + yaml.safe_dump(content, sort_keys=False)).encode())
    return path


def read(path: Path) -> dict[str, Any]:
    """The choices in a file.

    Raises:
        UserError: there is none, or it is not one that `add` wrote; the message names it.
    """
    try:
        content = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError as error:
        raise UserError(f"{path} is not there; choose first: python scripts/select_fep.py model=r2plus1d") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read: {first_line(error)}") from error
    if not isinstance(content, dict) or not isinstance(content.get("chosen"), dict):
        raise UserError(f"{path} is not a file of scripts/select_fep.py: it has no node `chosen`")
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
    how = f"python scripts/select_fep.py model={model} dataset={dataset} profile={profile}"
    if found is None:
        raise UserError(f"{path} has no choice for {model} on {dataset}; run {how}")
    if found["profile"] != profile:
        raise UserError(f"{path}: {model} on {dataset} was chosen with profile={found['profile']}; run {how}")
    return found


def said(found: Mapping[str, dict[str, Any]], path: Path) -> str:
    """ "r_l and r_h selected by stc on 16 training clips (r2plus1d), ... (fep.yaml)"."""
    by = ", ".join(f"by {of['criterion']} on {of['n']} training clips ({model})" for model, of in found.items())
    return f"r_l and r_h selected {by}: {Path(path).name}"
