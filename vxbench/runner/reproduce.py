"""`python scripts/reproduce.py --table 1`: the tables of the papers, each a multirun over its cells."""

import argparse
import os
import subprocess
import sys

from vxbench.errors import UserError
from vxbench.report.published import tables
from vxbench.runner.config import check_choices, options

PAPERS = ("fep", "step", "aosa")


def main(argv: list[str] | None = None) -> None:
    """Entry point. Exit status 0: all cells computed; 1: some failed; 2: nothing could be run."""
    given, overrides = _parser().parse_known_args(argv)
    jobs = given.jobs or default_jobs(given.profile)
    try:
        check_choices([f"profile={given.profile}", *overrides])
        chosen = wanted_tables(given.table, given.paper)
        statuses = [run_table(key, given.profile, jobs, overrides) for key in chosen]
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(max(statuses))


def wanted_tables(number: int, paper: str | None) -> list[str]:
    """Keys of the tables that can be made.

    Raises:
        UserError: none of them can; the message names those that can.
    """
    if paper is not None and paper not in PAPERS:
        raise UserError(f"paper {paper} is unknown; known: {', '.join(PAPERS)}")
    keys = [key for key in tables() if key in {f"{name}_{number}" for name in ([paper] if paper else PAPERS)}]
    made = [key for key in keys if key in options("table")]
    absent = [key for key in keys if key not in made] or [f"{paper or 'any paper'} table {number}"]
    if not made:
        raise UserError(f"{', '.join(absent)}: no such table yet; tables that exist: {', '.join(options('table'))}")
    if len(made) < len(keys):
        print(f"{', '.join(absent)}: not there yet, left out; tables that exist: {', '.join(options('table'))}")
    return made


def run_table(key: str, profile: str, jobs: int, overrides: list[str]) -> int:
    """Runs one table in a process of its own and returns its exit status."""
    from vxbench.runner.preflight import missing_files

    if missing := missing_files(key, profile, overrides):
        raise UserError(f"{key} with profile={profile} needs what this machine lacks: " + "; ".join(missing))
    command = [sys.executable, "-m", "vxbench.runner.cli", f"+table={key}", f"profile={profile}", *overrides]
    if jobs > 1:
        command += ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={jobs}"]
    return subprocess.run(command, check=False).returncode


def default_jobs(profile: str) -> int:
    """Small models: one job a core. At the paper's size one job has the device."""
    return 1 if profile == "paper" else max(1, min(os.cpu_count() or 1, 8))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", type=int, required=True, help="number of the table, 1 to 7")
    parser.add_argument("--paper", help=f"one of {', '.join(PAPERS)}; all three if not given")
    parser.add_argument("--profile", default="mini", help="mini (default), smoke or paper")
    parser.add_argument("--jobs", type=int, help="cells computed at once; by default the number of cores (paper: 1)")
    return parser


if __name__ == "__main__":
    main()
