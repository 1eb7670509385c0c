"""Reports runs to experiment trackers, which never fail a run: an error is said once, then the tracker is silent."""

import os
import sys
from pathlib import Path
from typing import Any


class NoTracker:
    """A tracker that keeps nothing: results are in the store anyway."""

    def start(self, name: str, config: dict[str, Any]) -> None: ...

    def log(self, values: dict[str, float]) -> None: ...

    def finish(self) -> None: ...


class WandbTracker(NoTracker):
    """A tracker that keeps one Weights & Biases run per cell, with its running means as curves.

    mode: `offline` writes below `folder` and needs neither network nor account; `online` uploads.
    """

    def __init__(self, project: str = "vxbench", mode: str = "offline", folder: str = "results/wandb"):
        self.project, self.mode, self.folder = project, mode, Path(folder)
        self.run: Any = None

    def start(self, name: str, config: dict[str, Any]) -> None:
        self.run = self._safely(lambda: self._open(name, config))

    def log(self, values: dict[str, float]) -> None:
        if self.run is not None:
            self._safely(lambda: self.run.log(values))

    def finish(self) -> None:
        if self.run is not None:
            self._safely(self.run.finish)

    def _open(self, name: str, config: dict[str, Any]) -> Any:
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        self.folder.mkdir(parents=True, exist_ok=True)
        settings = wandb.Settings(console="off", silent=True)
        return wandb.init(
            project=self.project, mode=self.mode, dir=self.folder, name=name, config=config, settings=settings,
            reinit="finish_previous",
        )  # fmt: skip

    def _safely(self, action):
        try:
            return action()
        except Exception as error:
            print(f"tracker wandb: {type(error).__name__}: {error}; the run goes on without it", file=sys.stderr)
            self.run = None
            return None
