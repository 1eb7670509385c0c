"""Runs one cell, a sweep or a table; the end of a multirun makes its table, its CSVs and figure, or its choice."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vxbench.commands.common import (
    DONE,
    FAILED,
    KEPT,
    composable,
    hydra_parser,
    hydra_words,
    one_line,
    refuse,
    run_command,
    run_hydra,
    show_traceback,
    understanding,
)
from vxbench.commands.figure import draw
from vxbench.config import check_choices, compose, key_of
from vxbench.errors import Missing, UserError, first_line
from vxbench.files import check_writable
from vxbench.runner.outcome import Outcome, read_cells, read_outcomes
from vxbench.stop import check_stopped, end_worker, stoppable

ABOUT = """\
Explains clips and scores the maps: one cell (a model, a data set, an explainer), with -m a sweep over values given
with commas, with +table=<key> a table of the papers. Cells that were computed before are not computed again."""
EXAMPLES = (
    "model=tsm explainer=fep explainer.r_l=0.4",
    "-m explainer.r_l=0.3,0.4,0.5 explainer.r_h=0,0.1,0.2",
    "+table=fep_1 hydra/launcher=joblib hydra.launcher.n_jobs=4",
    "--cfg job explainer=rise",
)
# Options under which Hydra prints something, or takes what it runs from elsewhere.
NO_RUN = ("-c", "--cfg", "-i", "--info", "-sc", "--shell-completion", "--hydra-help", "--experimental-rerun")
NO_RUN = (*NO_RUN, "-cn", "--config-name", "-cp", "--config-path")


def main(argv: list[str] | None = None) -> int:
    """Runs `vxbench run`; its exit status."""
    return run_command(lambda: run(hydra_words(hydra_parser("run", ABOUT, EXAMPLES, "run"), argv)), KEPT)


def run(words: list[str]) -> int:
    """Has Hydra run these words in this process; the exit status.

    Raises:
        HydraException, OmegaConfBaseException, NotUnderstood: the words fit nothing.
    """
    Summary.failed = False
    check(words)
    try:
        run_hydra(job, "run", words)
    except (UserError, HydraException, OmegaConfBaseException):
        raise
    except Exception as error:  # of a launcher: one of its jobs was killed, or it could not start them
        if show_traceback():
            raise
        return refuse(f"{type(error).__name__}: {one_line(error, last=True)}; {KEPT}")
    return FAILED if Summary.failed else DONE


def check(words: list[str]) -> None:
    """Refuses, before any cell is computed, what a table cannot have, and results that cannot be written.

    Raises:
        NotUnderstood: a setting of the table that is none. UserError: see `check_writable`.
    """
    overrides = composable(words)
    if any(word.split("=")[0] in NO_RUN for word in words):
        return
    check_choices(words)
    config = compose(overrides, multirun=True)
    if "table" in config:
        from vxbench.tables.settings import spec_of

        with understanding():
            spec_of(config)
    check_writable("paths.results", *_places(config))


def _places(config: DictConfig) -> list[Path]:
    """Files that the run will write, or others beside those whose names only the end of the run knows."""
    results = Path(config.paths.results)
    folders = ["runs", "cells", *(["sweeps", "selected"] if key_of(config, "sweep") else [])]
    if not key_of(config, "table"):
        return [results / folder / "any" for folder in folders]
    from vxbench.tables.make import files_of

    return [results / folder / "any" for folder in (*folders, "figures")] + files_of(config)


def job(config: DictConfig) -> Outcome:
    """Hydra's task: runs one cell; whatever goes wrong becomes its outcome, so that a sweep goes on."""
    hydra_config = HydraConfig.get()
    folder = Path(hydra_config.runtime.output_dir)
    live = hydra_config.mode == RunMode.RUN or "basic_launcher" in hydra_config.launcher._target_
    choices = dict(hydra_config.runtime.choices)
    with stoppable():  # in a worker of a launcher, whose first command it is
        try:
            outcome = _outcome(config, choices, live, folder)
        except KeyboardInterrupt as error:
            _unrun(config, choices, "failed", f"{error}; {KEPT}").write(folder)
            end_worker(error)
            raise
    outcome.write(folder)
    if outcome.status != "left_out":
        print(outcome.line(), flush=True)
    return outcome


def _outcome(config: DictConfig, choices: dict[str, str], live: bool, folder: Path) -> Outcome:
    from vxbench.runner.assemble import Assembled
    from vxbench.runner.job import run_cell
    from vxbench.runner.multirun import skip_reason

    try:
        if reason := skip_reason(config, choices):
            return _unrun(config, choices, "left_out", reason)
        return run_cell(Assembled(config, choices), live)
    except (UserError, HydraException, OmegaConfBaseException) as error:
        alone = isinstance(error, Missing) and HydraConfig.get().mode == RunMode.RUN
        return _unrun(config, choices, "failed", str(error) if alone else first_line(error))
    except Exception as error:
        check_stopped()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "traceback.txt").write_text(traceback.format_exc(), encoding="utf-8", errors="backslashreplace")
        reason = f"{type(error).__name__}: {first_line(error)} (see {folder / 'traceback.txt'})"
        return _unrun(config, choices, "failed", reason)


def _unrun(config: DictConfig, choices: dict[str, str], status: str, message: str) -> Outcome:
    """An Outcome for a cell that did not run, named as if it had: by the model's key, under which tables have it."""
    model = OmegaConf.select(config, "model.key") or choices["model"]
    return Outcome(model, choices["dataset"], choices["explainer"], status=status, message=message)


class Summary(Callback):
    """Says at the end of a run how many cells failed, and why; makes what a multirun was for.

    failed: whether anything failed in this process's run, for the exit status.
    """

    failed = False

    def on_run_end(self, config: DictConfig, **_: Any) -> None:
        folder = Path(config.hydra.run.dir)
        Summary.failed = any(o.status == "failed" for o in read_outcomes(folder.parent, folder.name))

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        Summary.failed = True  # Hydra turns what is raised here into a warning
        Summary.failed = conclude(config, read_cells(Path(config.hydra.sweep.dir), config.shard.count)) != DONE


def conclude(config: DictConfig, outcomes: list[Outcome]) -> int:
    """Makes what a multirun was for, and says how many cells failed, and why; the exit status."""
    failed = [outcome for outcome in outcomes if outcome.status == "failed"]
    made = [
        _finish(key, lambda finish=finish: finish(config, outcomes))
        for group, finish in {"table": finish_table, "sweep": finish_sweep}.items()
        if (key := key_of(config, group))
    ]
    _print(outcomes, failed)
    return FAILED if failed or not all(made) else DONE


def _finish(key: str, finish: Callable[[], list[Path]]) -> bool:
    """Names the files made. An exception, which Hydra would turn into a warning, is said; whether there was none."""
    try:
        print("\n".join(f"wrote {path}" for path in finish()))
    except Exception as error:
        rest = ""
        if not isinstance(error, UserError):
            traceback.print_exc()
            rest = "; the cells are kept, run again for the rest"
        refuse(f"{key}: {error}{rest}")
        return False
    return True


def _print(outcomes: list[Outcome], failed: list[Outcome]) -> None:
    clips = _many(sum(outcome.computed for outcome in outcomes), "clip")
    lost = _many(sum(outcome.failed_clips for outcome in outcomes), "clip")
    cells, broken = _many(len(outcomes), "cell"), _many(len(failed), "cell")
    print(f"{cells}, {clips} computed, {lost} failed, {broken} failed")
    for outcome in failed:
        print(f"  {outcome.line()}")


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def finish_table(config: DictConfig, outcomes: list[Outcome]) -> list[Path]:
    """Makes and prints the table of a multirun's cells, and draws their maps. Returns the files written.

    Raises:
        UserError: no outcome is there, or they do not make a table.
    """
    from vxbench.figures.table_maps import draw_maps
    from vxbench.tables.make import make_and_show

    record, paths = make_and_show(config, outcomes)
    return [*paths, *draw_maps(record)]


def finish_sweep(config: DictConfig, outcomes: list[Outcome]) -> list[Path]:
    """Makes of a sweep's cells its choice if it selects, else its CSVs and figure. Returns the files written.

    Raises:
        UserError: no cell could be computed, or see `grids`.
    """
    from vxbench.sweeps.grid import Sweep, grids, merge_grids
    from vxbench.sweeps.selection import Selection, select

    sweep = Sweep.of(config)
    found = grids(sweep, outcomes)
    if "select" in config:
        return select(Selection.of(config), outcomes, found)
    return [*merge_grids(sweep, found), *(draw(config) if "figure" in config else [])]
