"""What happens once after all jobs: the summary, and the table if one was asked for."""

import sys
import traceback
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from vxbench.errors import UserError
from vxbench.runner.outcome import Outcome, read_outcomes


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
        failed = [outcome for outcome in outcomes if outcome.status == "failed"]
        Summary.failed = bool(failed)
        if OmegaConf.select(config, "table.key"):
            self._table(config, outcomes)
        self._print(outcomes, failed)

    def _table(self, config: DictConfig, outcomes: list[Outcome]) -> None:
        """Hydra would turn an exception of a callback into a warning: it is said here, and fails the run."""
        from vxbench.runner.tables import make_and_show

        try:
            make_and_show(config, outcomes)
        except Exception as error:
            Summary.failed = True
            if not isinstance(error, UserError):
                traceback.print_exc()
            print(f"error: {config.table.key}: {error}; the cells are kept, run again for the table", file=sys.stderr)

    def _print(self, outcomes: list[Outcome], failed: list[Outcome]) -> None:
        clips = sum(outcome.computed for outcome in outcomes)
        lost = sum(outcome.failed_clips for outcome in outcomes)
        print(f"{len(outcomes)} cells, {clips} clips computed, {lost} clips failed, {len(failed)} cells failed")
        for outcome in failed:
            print(f"  {outcome.line()}")
