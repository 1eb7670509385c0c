"""`python scripts/run.py`: one cell, a sweep or a table."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vxbench.errors import UserError
from vxbench.runner.callbacks import Summary
from vxbench.runner.config import check_choices, conf_dir, first_line
from vxbench.runner.left_out import left_out
from vxbench.runner.outcome import Outcome


def job(config: DictConfig) -> Outcome:
    """Hydra's task: runs one cell; whatever goes wrong becomes its outcome, so that a sweep goes on."""
    from vxbench.runner.job import run_cell

    hydra_config = HydraConfig.get()
    choices = dict(hydra_config.runtime.choices)
    live = hydra_config.mode == RunMode.RUN or "basic_launcher" in hydra_config.launcher._target_
    folder = Path(hydra_config.runtime.output_dir)
    try:
        if reason := left_out(config, choices):
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


if __name__ == "__main__":
    main()
