"""Records where a cell's numbers come from: versions, commit, hardware, digests, wall time."""

import platform
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig

from vxbench.device import hardware

PACKAGES = (
    "vxbench",
    "torch",
    "numpy",
    "mmaction2",
    "mmengine",
    "mmcv-lite",
    "decord",
    "av",
    "captum",
    "hydra-core",
)


def provenance(device: str, weights: str, data: str) -> dict[str, Any]:
    """The record of a run that starts; `finished` completes it."""
    return {
        "run": uuid.uuid4().hex,
        "started": _time(),
        "finished": None,
        "command": _command(),
        "commit": commit(),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "hardware": hardware(device),
        "weights": weights,
        "data": data,
        "seconds": None,
        "clips": 0,
    }


def finished(run: dict[str, Any], seconds: float, clips: int) -> dict[str, Any]:
    """The record of a run that ended. seconds: wall time of computing `clips` clips."""
    return run | {"finished": _time(), "seconds": round(seconds, 3), "clips": clips}


def _time() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _command() -> list[str]:
    """The command line that computes the cell alone; in a worker of a sweep sys.argv has the words of others."""
    if HydraConfig.initialized():
        return ["vxbench", "run", *HydraConfig.get().overrides.task]
    return [Path(sys.argv[0]).name, *sys.argv[1:]]


def commit() -> str:
    """Git commit of the checkout, "+" if it has changes; "" outside a checkout."""
    here = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # an installed copy may lie inside another checkout
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
