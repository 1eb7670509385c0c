"""Kills runs (kill -9) at random moments until their cells are complete, and compares what they leave with runs that
nobody killed: python scripts/soak.py --kills 200

Rows, bits and pictures must be equal, and the run after the last kill must leave nothing behind. Exit status 1 if not.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from vxbench.runner.store import Store

COMMON = ("model=tsm", "dataset.per_class=1", "runner.batch_size=2", "target=predicted")
STEP = ("explainer=step", "explainer.iterations=6", "explainer.core_start=2")
SANITY = (
    "metric=sanity",
    "metric.sanity.calibration=4",
    "metric.sanity.stages=[{layer4:[recognizer.backbone.layer4]}]",
)
KINDS = {  # name: processes at once, words of the command
    "perturbation": (1, STEP),
    "gradient": (1, ("explainer=gradcam",)),
    "occlusion": (1, ("explainer=aosa_single", "explainer.stride=16")),
    "sanity metric": (1, ("explainer=gradients", *SANITY)),
    "pictures": (1, ("explainer=smoothgrad", "runner.pictures=8")),
    "two processes": (2, STEP),
}
PATIENCE_S = 600


class Cell:
    """Runs of one cell below a folder, in processes of their own with temporary files of their own."""

    def __init__(self, folder: Path, data: Path, kind: str):
        self.folder, self.kind = folder, kind
        self.processes, self.words = KINDS[kind]
        self.scratch = folder / "tmp"
        self.scratch.mkdir(parents=True)
        paths = {"VXBENCH_MINI_DATA": data, "VXBENCH_RESULTS": folder / "results", "TMPDIR": self.scratch}
        self.environment = {**os.environ, **{name: str(path) for name, path in paths.items()}, "OMP_NUM_THREADS": "1"}

    def start(self) -> list[subprocess.Popen]:
        command = [sys.executable, "-m", "vxbench", "run", *COMMON, *self.words]
        with (self.folder / "log.txt").open("ab") as log:
            streams = {"stdout": log, "stderr": log}
            return [
                subprocess.Popen(command, cwd=self.folder, env=self.environment, **streams)
                for _ in range(self.processes)
            ]

    def complete(self) -> float:
        """Seconds of a run that nobody kills."""
        started, running = time.monotonic(), self.start()
        if any(process.wait(PATIENCE_S) for process in running):
            raise SystemExit(f"{self.kind}: a run failed; see {self.folder}/log.txt")
        return time.monotonic() - started

    def killed(self, moments: list[float]) -> int:
        """Starts the processes and kills each after so many seconds; how many were killed before they ended."""
        running, started, kills = self.start(), time.monotonic(), 0
        for process, moment in sorted(zip(running, moments, strict=True), key=lambda pair: pair[1]):
            time.sleep(max(0.0, started + moment - time.monotonic()))
            process.send_signal(signal.SIGKILL)
            kills += process.wait() == -signal.SIGKILL
        return kills

    @property
    def store(self) -> Store:
        [folder] = (self.folder / "results" / "cells").iterdir()
        return Store(folder)

    def leftovers(self) -> list[Path]:
        """Temporary files, what was set aside, and parts besides the one of a finished cell."""
        [_, *parts] = self.store.folder.glob("part-*")
        hidden = (self.folder / "results").rglob(".*.tmp")
        return [*parts, *hidden, *(self.folder / "results").rglob("set-aside"), *self.scratch.iterdir()]


def pictures(store: Store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.folder.glob("pictures/*.npz")}


def differences(cell: Cell, whole: Cell) -> list[str]:
    """What is wrong with a cell that was killed and then completed."""
    equal_rows = cell.store.rows().equals(whole.store.rows())
    equal_pictures = pictures(cell.store) == pictures(whole.store)
    said = [] if equal_rows else ["rows differ"]
    said += [] if equal_pictures else ["pictures differ"]
    return said + [f"left over: {path}" for path in cell.leftovers()]


def soak(kind: str, kills: int, folder: Path, data: Path, draw: random.Random) -> list[str]:
    """What is wrong after so many kills; a cell that is completed by chance is compared and begun anew."""
    whole, wrong, done, rounds = Cell(folder / "whole", data, kind), [], 0, 0
    longest = whole.complete()
    while done < kills:
        rounds += 1
        cell = Cell(folder / f"round_{rounds}", data, kind)
        died = 1
        while died and done < kills:
            died = cell.killed([draw.uniform(0, longest) for _ in range(cell.processes)])
            done += died
        cell.complete()
        wrong += [f"{kind}, round {rounds}: {line}" for line in differences(cell, whole)]
    print(f"{kind}: {done} kills in {rounds} rounds, {len(wrong)} differences", flush=True)
    return wrong


def main() -> int:
    page = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    page.add_argument("--kills", type=int, default=200, help="over all kinds of cells")
    page.add_argument("--only", choices=KINDS, nargs="+", default=list(KINDS), help="kinds of cells")
    page.add_argument("--seed", type=int, default=0, help="of the moments")
    page.add_argument("--data", type=Path, default=Path("data/mini"), help="the generated mini data")
    given = page.parse_args()
    folder, draw = Path(tempfile.mkdtemp(prefix="soak-")), random.Random(given.seed)
    shares = [len(range(index, given.kills, len(given.only))) for index in range(len(given.only))]
    wrong = []
    for kind, kills in zip(given.only, shares, strict=True):
        wrong += soak(kind, kills, folder / kind.replace(" ", "_"), given.data.resolve(), draw)
    print("\n".join(wrong) or "all equal, nothing left over")
    if wrong:
        print(f"see {folder}")
    else:
        shutil.rmtree(folder)
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
