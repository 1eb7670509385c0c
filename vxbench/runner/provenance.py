"""Records where a cell's numbers come from: versions, commit, hardware, switches, digests, wall time."""

import os
import platform
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from torch.backends import cuda, cudnn, mkldnn

from vxbench.device import hardware
from vxbench.network import full_float32

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
# Variables under which the same code may give other last digits, or computes with fewer.
SWITCHES = (
    *("CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE"),
    *("ONEDNN_DEFAULT_FPMATH_MODE", "ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "MKL_CBWR"),
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS"),
)


def provenance(device: str, weights: str, data: str) -> dict[str, Any]:
    """The record of a run that starts, once its network is built; `finished` completes it."""
    return {
        "run": uuid.uuid4().hex,
        "started": _time(),
        "finished": None,
        "command": _command(),
        "commit": commit(),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "hardware": hardware(device),
        "determinism": determinism(),
        "weights": weights,
        "data": data,
        "seconds": None,
        "clips": 0,
    }


def finished(run: dict[str, Any], seconds: float, clips: int) -> dict[str, Any]:
    """The record of a run that ended. seconds: wall time of computing `clips` clips."""
    return run | {"finished": _time(), "seconds": round(seconds, 3), "clips": clips}


def determinism() -> dict[str, Any]:
    """The switches under which maps and scores are computed, whatever a network of one's own has set."""
    with full_float32():
        return {
            "cudnn_deterministic": cudnn.deterministic,
            "cudnn_benchmark": cudnn.benchmark,
            "cudnn_tf32": _told(lambda: cudnn.allow_tf32),
            "matmul_tf32": _told(lambda: cuda.matmul.allow_tf32),
            "matmul_precision": _told(torch.get_float32_matmul_precision),
            "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
            "mkldnn": mkldnn.enabled,
            "environment": {name: os.environ[name] for name in SWITCHES if name in os.environ},
        }


def _told(switch: Callable[[], Any]) -> Any:
    """What torch says of a switch, None where it was set by two interfaces that contradict each other."""
    try:
        return switch()
    except RuntimeError:
        return None


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
