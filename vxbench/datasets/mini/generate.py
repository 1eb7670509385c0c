"""Generates the mini data: small, seeded, in the layouts and the formats of the real data sets."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from vxbench.datasets.mini import MANIFEST
from vxbench.datasets.mini.epic import Epic
from vxbench.datasets.mini.kinetics import Kinetics
from vxbench.datasets.mini.plan import DATA_SETS, Plan
from vxbench.datasets.mini.ucf import Ucf
from vxbench.datasets.processes import lean_executor
from vxbench.errors import UserError
from vxbench.files import check_writable, clear_leftovers, temporary, write_whole
from vxbench.ranges import whole


class Layout(Protocol):
    """A data set's generator: it cuts the work into jobs, does one, and writes the lists at the end.

    chunk: jobs that one process takes at a time.
    """

    chunk: int

    def jobs(self, plan: Plan) -> list:
        """Independent pieces of work that can be pickled."""

    def write(self, root: Path, job: Any) -> tuple[Any, str]:
        """Does one job; returns its record for `finish` and a digest of what was drawn, before encoding."""

    def finish(self, root: Path, records: list) -> None:
        """Writes lists and annotation, from the records of all jobs."""


LAYOUTS: dict[str, Layout] = {
    "epic55": Epic(),  # its jobs are the longest: they come first
    "ucf101": Ucf(),
    "kinetics400": Kinetics("kinetics400"),
    "kinetics700": Kinetics("kinetics700"),
}


def generate(
    root: str | Path,
    seed: int = 0,
    train_per_class: int = 60,
    test_per_class: int = 10,
    only: Iterable[str] = DATA_SETS,
    processes: int = 2,
) -> bool:
    """Generates the data sets `only` under `root`, unless exactly these are there complete.

    They are written beside `root` and renamed, so that `root` never holds half of them. Returns whether anything was
    generated.

    Raises:
        UserError: `root` holds files that this generator did not write, or is the current folder or one above it.
        OSError: something cannot be written.
        OutOfRange: a number of clips or processes below its minimum, or an unknown data set.
    """
    root, plan = Path(root).resolve(), Plan(seed, train_per_class, test_per_class, tuple(only))
    whole("processes", processes, 1)
    if is_complete(root, plan):
        return False
    _refuse_foreign(root)
    beside = temporary(root)
    check_writable("--root", beside)
    clear_leftovers(root.parent)
    try:
        _write_all(beside, plan, processes)
        _swap(beside, root)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return True


def is_complete(root: Path, plan: Plan) -> bool:
    """Whether `root` holds the data of `plan` with every file at its full size."""
    try:
        manifest = json.loads((root / MANIFEST).read_text())
        same = manifest["plan"] == _as_json(plan)
        return same and all((root / name).stat().st_size == size for name, size in manifest["bytes"].items())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _as_json(plan: Plan) -> dict:
    return {**asdict(plan), "only": list(plan.only)}


def _write_all(root: Path, plan: Plan, processes: int) -> None:
    with lean_executor(processes) as pool:
        begun = {name: _begin(pool, name, root, plan) for name in LAYOUTS if name in plan.only}
        digests = {name: _finish(name, root, made) for name, made in begun.items()}
    _write_manifest(root, plan, {name: digests[name] for name in plan.only})


def _begin(pool: Executor, name: str, root: Path, plan: Plan) -> Iterable[tuple[Any, str]]:
    jobs = LAYOUTS[name].jobs(plan)
    return pool.map(_write, [name] * len(jobs), [root] * len(jobs), jobs, chunksize=LAYOUTS[name].chunk)


def _write(name: str, root: Path, job: Any) -> tuple[Any, str]:
    return LAYOUTS[name].write(root, job)


def _finish(name: str, root: Path, made: Iterable[tuple[Any, str]]) -> str:
    records, digests = zip(*made, strict=True)
    LAYOUTS[name].finish(root, list(records))
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _write_manifest(root: Path, plan: Plan, digests: dict[str, str]) -> None:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    sizes = {path.relative_to(root).as_posix(): path.stat().st_size for path in files}
    content = {"made_by": "vxbench mini data", "plan": _as_json(plan), "digests": digests, "bytes": sizes}
    write_whole(root / MANIFEST, (json.dumps(content, indent=1) + "\n").encode())


def _refuse_foreign(root: Path) -> None:
    if Path.cwd().is_relative_to(root):
        raise UserError(f"{root} is the current folder or holds it: it cannot be replaced; give another --root")
    if root.is_mount():
        raise UserError(f"{root} is mounted there and cannot be replaced; give a folder inside it as --root")
    ours = root.is_dir() and ((root / MANIFEST).exists() or not any(root.iterdir()))
    if root.exists() and not ours:
        raise UserError(f"{root} is in use and has no {MANIFEST} of the mini data; give another --root or remove it")


def _swap(new: Path, root: Path) -> None:
    """Puts the folder `new` in the place of `root`."""
    old = temporary(root)
    if root.exists():
        root.rename(old)
    new.rename(root)
    shutil.rmtree(old, ignore_errors=True)
