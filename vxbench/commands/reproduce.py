"""Makes tables of the papers, each a multirun over its cells."""

import os
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from vxbench.commands.common import KEPT, Parser, add_overrides, parser, run_command, understanding
from vxbench.commands.run import check, conclude, run
from vxbench.config import check_choices, compose, conf_dir, options
from vxbench.errors import Missing
from vxbench.ranges import whole
from vxbench.tables.published import PAPERS, wanted_tables

if TYPE_CHECKING:
    from vxbench.runner.assemble import Assembled

ABOUT = """\
Makes tables of the papers beside their published numbers, in results/tables/, with pictures of the maps in
results/figures/. Cells that were computed before are not computed again. Begins once nothing is missing."""
EXAMPLES = ("--table 1", "--table 7 --paper aosa --jobs 2", "--table 1 --paper fep --profile paper device=cuda")


def main(argv: list[str] | None = None) -> int:
    """Runs `vxbench reproduce`; its exit status."""
    return run_command(lambda: _reproduce(_page().parse_intermixed_args(argv)), KEPT)


def _page() -> Parser:
    page = parser("reproduce", ABOUT, EXAMPLES)
    page.add_argument("--table", type=int, help="number of the table, 1 to 7; all of them if not given")
    page.add_argument("--paper", choices=PAPERS, help="tables of this paper alone")
    page.add_argument("--profile", default="mini", choices=options("profile"), help="which data, at which size")
    page.add_argument("--jobs", type=int, help="cells computed at once; by default the number of cores (paper: 1)")
    page.add_argument("--bands", help="file of F-EP's r_l and r_h that `vxbench select-fep` wrote, for its tables")
    add_overrides(page)
    return page


def _reproduce(given: Namespace) -> int:
    with understanding():
        chosen = wanted_tables(given.table, given.paper)
        whole("--jobs", 1 if given.jobs is None else given.jobs, 1)
    check_choices(given.overrides)
    words = {
        key: [f"+table={key}", f"profile={given.profile}", *bands(given.bands, key, given.profile), *given.overrides]
        for key in chosen
    }
    from vxbench.runner.assemble import Assembled
    from vxbench.runner.multirun import cells

    datasets = {}
    assembled = {
        key: [Assembled(config, datasets=datasets) for config in cells(first, rest)]
        for key, (first, *rest) in words.items()
    }
    for of_table in words.values():
        check(of_table)
    need(given.profile, assembled)
    return max(run_table(key, given, words[key], assembled[key]) for key in chosen)


def bands(path: str | None, key: str, profile: str) -> list[str]:
    """Overrides that give a table of F-EP the r_l and r_h selected on a validation split."""
    if not path:
        return []
    from vxbench.sweeps.selection import overrides

    return overrides(Path(path), key, profile)


def need(profile: str, tables: dict[str, list["Assembled"]]) -> None:
    """Refuses to begin while files are missing that any cell of the tables needs. tables: by their keys.

    Raises:
        Missing: some are; the first few are named, each with where it is got and where it goes.
    """
    from vxbench.runner.multirun import missing_files

    if missing := missing_files([cell for of_table in tables.values() for cell in of_table]):
        what = f"data sets or checkpoints that this machine lacks ({len(missing)})"
        raise Missing(f"{', '.join(tables)} with profile={profile} needs {what}:", missing)


def run_table(key: str, given: Namespace, words: list[str], cells: list["Assembled"]) -> int:
    """Makes one table; its exit status. Where all its cells are done no job is begun.

    Else it is a multirun in this process, its cells in workers if there are several jobs.
    """
    from vxbench.runner.multirun import finished

    if outcomes := finished(cells):
        print("\n".join(outcome.line() for outcome in outcomes), flush=True)
        return conclude(compose(words, multirun=True), outcomes)
    jobs = 1 if runs_alone(key) else given.jobs or default_jobs(given.profile)
    if jobs > 1 and not any(word.startswith("hydra/launcher=") for word in words):
        words = [*words, "hydra/launcher=joblib", f"hydra.launcher.n_jobs={jobs}"]
    return run(words)


def runs_alone(key: str) -> bool:
    """Whether the table measures time, which a second job beside it would spoil."""
    table = OmegaConf.load(conf_dir() / "table" / f"{key}.yaml")
    return isinstance(table, DictConfig) and bool(OmegaConf.select(table, "table.alone"))


def default_jobs(profile: str) -> int:
    """Small models: one job a core. At the paper's size one job has the device."""
    return 1 if profile == "paper" else max(1, min(os.cpu_count() or 1, 8))
