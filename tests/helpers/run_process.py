"""scripts/run.py as a user starts it, and the same without a start of Python."""

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

from helpers.paths import ROOT


class Runner:
    """scripts/run.py in a process of its own, as a user starts it, from an empty folder."""

    def __init__(self, folder: Path, data: Path):
        self.folder = folder
        self.environment = {
            **os.environ,
            "VXBENCH_MINI_DATA": str(data),
            "VXBENCH_RESULTS": str(folder / "results"),
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "200",
        }

    def start(self, *overrides: str, **changes) -> subprocess.Popen:
        command = [sys.executable, str(ROOT / "scripts" / "run.py"), *overrides]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | changes
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, **streams)

    def __call__(self, *overrides: str) -> subprocess.CompletedProcess:
        process = self.start(*overrides)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def here(self, *overrides: str) -> subprocess.CompletedProcess:
        """The same in the test's own process, where what counts is what is said and not how Python starts."""
        from vxbench.commands.run import main

        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment),
            contextlib.chdir(self.folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            status = main(list(overrides))
        return subprocess.CompletedProcess(overrides, status, out.getvalue(), err.getvalue())

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def rows(self):
        """Rows of the one cell there is."""
        from vxbench.runner.store import Store

        (cell,) = (self.results / "cells").iterdir()
        return Store(cell).rows()
