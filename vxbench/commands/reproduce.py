"""`python scripts/reproduce.py --table 1`: the tables of the papers, each a multirun over its cells."""

import argparse
import os
import sys
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from vxbench.config import check_choices
from vxbench.errors import UserError
from vxbench.tables.published import PAPERS, wanted_tables


def main(argv: list[str] | None = None) -> None:
    """Entry point. Exit status 0: all cells computed; 1: some failed; 2: nothing could be run."""
    given, overrides = _parser().parse_known_args(argv)
    try:
        check_choices([f"profile={given.profile}", *overrides])
        chosen = wanted_tables(given.table, given.paper)
        selected = {key: bands(given.bands, key, given.profile) for key in chosen}
        need(chosen, given.profile, {key: [*selected[key], *overrides] for key in chosen})
        statuses = [run_table(key, given, [*selected[key], *overrides]) for key in chosen]
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(max(statuses))


def bands(path: str | None, key: str, profile: str) -> list[str]:
    """Overrides that give a table of F-EP the r_l and r_h selected on a validation split."""
    if not path:
        return []
    from vxbench.sweeps.selection import overrides

    return overrides(Path(path), key, profile)


def need(keys: list[str], profile: str, overrides: dict[str, list[str]]) -> None:
    """Refuses to begin while files are missing that any of the tables needs.

    Raises:
        UserError: one line with all of them, each with where it is got and where it goes.
    """
    from vxbench.runner.multirun import missing_files

    missing = [line for key in keys for line in missing_files(key, profile, overrides[key])]
    if missing:
        lines = "; ".join(dict.fromkeys(missing))
        raise UserError(f"{', '.join(keys)} with profile={profile} needs what this machine lacks: {lines}")


def run_table(key: str, given: argparse.Namespace, overrides: list[str]) -> int:
    """Runs one table in this process, its cells in workers if there are several jobs; its exit status."""
    from vxbench.commands.run import run

    words = [f"+table={key}", f"profile={given.profile}", *overrides]
    jobs = 1 if runs_alone(key) else given.jobs or default_jobs(given.profile)
    if jobs > 1 and not any(override.startswith("hydra/launcher=") for override in overrides):
        words += ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={jobs}"]
    return run(words)


def runs_alone(key: str) -> bool:
    """Whether the table measures time, which a second job beside it would spoil."""
    from vxbench.config import conf_dir

    table = OmegaConf.load(conf_dir() / "table" / f"{key}.yaml")
    return isinstance(table, DictConfig) and bool(OmegaConf.select(table, "table.alone"))


def default_jobs(profile: str) -> int:
    """Small models: one job a core. At the paper's size one job has the device."""
    return 1 if profile == "paper" else max(1, min(os.cpu_count() or 1, 8))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=int, help="number of the table, 1 to 7; all of them if not given")
    parser.add_argument("--paper", help=f"one of {', '.join(PAPERS)}; all three if not given")
    parser.add_argument("--profile", default="mini", help="mini (default), smoke or paper")
    parser.add_argument("--jobs", type=int, help="cells computed at once; by default the number of cores (paper: 1)")
    parser.add_argument("--bands", help="file of F-EP's r_l and r_h that scripts/select_fep.py wrote, for its tables")
    return parser
