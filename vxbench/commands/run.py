"""`python scripts/run.py`: one cell, a sweep or a table."""

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vxbench.config import check_choices, conf_dir
from vxbench.errors import UserError, first_line
from vxbench.runner.multirun import skip_reason
from vxbench.runner.outcome import Outcome, read_cells, read_outcomes
from vxbench.sweeps.grid import FOLDER, csv_name, grids, merge_grid


class Summary(Callback):
    """Says how many cells failed, and why; makes the table of a table run.

    failed: whether anything failed in this process's run, for the exit status.
    """

    failed = False

    def on_run_end(self, config: DictConfig, **_: Any) -> None:
        folder = Path(config.hydra.run.dir)
        Summary.failed = any(o.status == "failed" for o in read_outcomes(folder.parent, folder.name))

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        outcomes = read_cells(Path(config.hydra.sweep.dir), config.shard.count)
        failed = [outcome for outcome in outcomes if outcome.status == "failed"]
        Summary.failed = bool(failed)
        if key := OmegaConf.select(config, "table.key"):
            self._finish(key, lambda: _table(config, outcomes))
        if key := OmegaConf.select(config, "sweep.key"):
            self._finish(key, lambda: _sweep(config, outcomes))
        self._print(outcomes, failed)

    def _finish(self, key: str, finish: Callable[[], None]) -> None:
        """Hydra would turn an exception of a callback into a warning: it is said here, and fails the run."""
        try:
            finish()
        except Exception as error:
            Summary.failed = True
            rest = ""
            if not isinstance(error, UserError):
                traceback.print_exc()
                rest = "; the cells are kept, run again for the rest"
            print(f"error: {key}: {error}{rest}", file=sys.stderr)

    def _print(self, outcomes: list[Outcome], failed: list[Outcome]) -> None:
        clips = _many(sum(outcome.computed for outcome in outcomes), "clip")
        lost = _many(sum(outcome.failed_clips for outcome in outcomes), "clip")
        cells, broken = _many(len(outcomes), "cell"), _many(len(failed), "cell")
        print(f"{cells}, {clips} computed, {lost} failed, {broken} failed")
        for outcome in failed:
            print(f"  {outcome.line()}")


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _table(config: DictConfig, outcomes: list[Outcome]) -> None:
    from vxbench.tables.make import make_and_show

    make_and_show(config, outcomes)


def _sweep(config: DictConfig, outcomes: list[Outcome]) -> None:
    from vxbench.commands.run import finish

    print("\n".join(f"wrote {path}" for path in finish(config, outcomes)))


def job(config: DictConfig) -> Outcome:
    """Hydra's task: runs one cell; whatever goes wrong becomes its outcome, so that a sweep goes on."""
    from vxbench.runner.job import run_cell

    hydra_config = HydraConfig.get()
    choices = dict(hydra_config.runtime.choices)
    live = hydra_config.mode == RunMode.RUN or "basic_launcher" in hydra_config.launcher._target_
    folder = Path(hydra_config.runtime.output_dir)
    try:
        if reason := skip_reason(config, choices):
            outcome = _unrun(config, choices, "left_out", reason)
        else:
            outcome = run_cell(config, choices, live)
    except (UserError, HydraException, OmegaConfBaseException) as error:
        outcome = _unrun(config, choices, "failed", first_line(error))
    except Exception as error:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "traceback.txt").write_text(traceback.format_exc())
        reason = f"{type(error).__name__}: {first_line(error)} (see {folder / 'traceback.txt'})"
        outcome = _unrun(config, choices, "failed", reason)
    outcome.write(folder)
    if outcome.status != "left_out":
        print(outcome.line(), flush=True)
    return outcome


def main() -> None:
    """Entry point. Exit status 0: all well; 1: a cell failed; 2: the command could not be understood."""
    sys.exit(run(sys.argv[1:]))


def run(words: list[str]) -> int:
    """Runs the command line `words` in this process and returns its exit status, as `main`."""
    Summary.failed = False
    with _command_line(words) as show_traceback:
        try:
            check_choices(words)
            hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="run")(job)()
        except (UserError, HydraException, OmegaConfBaseException) as error:
            if show_traceback:
                raise
            print(f"error: {_one_line(error)}", file=sys.stderr)
            return 2
        except Exception as error:  # of a launcher: one of its jobs was killed, or it could not start them
            if show_traceback:
                raise
            reason = f"{type(error).__name__}: {_one_line(error, last=True)}"
            print(f"error: {reason}; what was computed is kept, run again for the rest", file=sys.stderr)
            return 1
    return 1 if Summary.failed else 0


@contextmanager
def _command_line(words: list[str]) -> Iterator[bool]:
    """Gives Hydra the words, and errors to its caller; whether the user asked for tracebacks."""
    before, show_traceback = sys.argv, "HYDRA_FULL_ERROR" in os.environ
    sys.argv = [sys.argv[0], *words]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises instead of printing several lines
    try:
        yield show_traceback
    finally:
        sys.argv = before
        if not show_traceback:
            del os.environ["HYDRA_FULL_ERROR"]


def _one_line(error: Exception, last: bool = False) -> str:
    """The first two lines of its message and, if it quotes what a job wrote, the last: what stopped the job."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join([*lines[:2], *(lines[2:][-1:] if last else [])]) or type(error).__name__


def _unrun(config: DictConfig, choices: dict[str, str], status: str, message: str) -> Outcome:
    """Of the same names as a cell that ran: the model's key, under which it stands in tables."""
    model = OmegaConf.select(config, "model.key") or choices["model"]
    return Outcome(model, choices["dataset"], choices["explainer"], status=status, message=message)


def finish(config: DictConfig, outcomes: list[Outcome]) -> list[Path]:
    """What is made of a sweep's cells when all have run: its choice if it selects, else its CSVs and figure.

    Returns the files written.

    Raises:
        UserError: no cell could be computed, or see `grids`.
    """
    found = grids(config, outcomes)
    if "select" in config:
        from vxbench.sweeps.selection import select

        return select(config, outcomes, found)
    folder, names = Path(config.paths.results) / FOLDER, list(config.sweep.columns)
    name = f"{config.sweep.key}_{config.profile.name}"
    paths = [merge_grid(folder / csv_name(name, pair), grid, names) for pair, grid in found.items()]
    return paths + import_module(f"vxbench.figures.{config.figure.key}").make(config)
