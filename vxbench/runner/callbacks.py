"""What happens once after all jobs: the summary, and the table if one was asked for."""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from vxbench.errors import UserError
from vxbench.runner.outcome import Outcome, read_cells, read_outcomes


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
    from vxbench.runner.tables import make_and_show

    make_and_show(config, outcomes)


def _sweep(config: DictConfig, outcomes: list[Outcome]) -> None:
    from vxbench.runner.sweep import finish

    print("\n".join(f"wrote {path}" for path in finish(config, outcomes)))
