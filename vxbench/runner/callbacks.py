"""What happens once after all jobs: the summary, and the table if one was asked for."""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from vxbench.errors import UserError
from vxbench.runner.outcome import Outcome, join_shards, read_outcomes


class Summary(Callback):
    """Says how many cells failed, and why; makes the table of a table run.

    failed: whether anything failed in this process's run, for the exit status.
    """

    failed = False

    def on_run_end(self, config: DictConfig, **_: Any) -> None:
        folder = Path(config.hydra.run.dir)
        Summary.failed = any(o.status == "failed" for o in read_outcomes(folder.parent, folder.name))

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        outcomes = read_outcomes(Path(config.hydra.sweep.dir))
        if config.shard.count > 1:
            outcomes = join_shards(outcomes)
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
            if not isinstance(error, UserError):
                traceback.print_exc()
            print(f"error: {key}: {error}; the cells are kept, run again for the rest", file=sys.stderr)

    def _print(self, outcomes: list[Outcome], failed: list[Outcome]) -> None:
        run = [outcome for outcome in outcomes if outcome.status != "left_out"]
        clips = sum(outcome.computed for outcome in run)
        lost = sum(outcome.failed_clips for outcome in run)
        print(f"{len(run)} cells, {clips} clips computed, {lost} clips failed, {len(failed)} cells failed")
        for outcome in failed:
            print(f"  {outcome.line()}")


def _table(config: DictConfig, outcomes: list[Outcome]) -> None:
    from vxbench.runner.tables import make_and_show

    make_and_show(config, outcomes)


def _sweep(config: DictConfig, outcomes: list[Outcome]) -> None:
    from vxbench.runner.sweep import finish

    run = [outcome for outcome in outcomes if outcome.status != "left_out"]
    print("\n".join(f"wrote {path}" for path in finish(config, run)))
