"""Which GPU a process works on when several processes of one machine run cells side by side."""

import os
import tempfile
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from vxbench.errors import UserError

_lease: tuple[FileLock, int] | None = None  # held until this process ends, however it ends


def own_gpu(device: str) -> None:
    """Makes `cuda` mean, in this process, the visible GPU that the fewest other processes of this user work on.

    The current device of CUDA is set, once a process. Does nothing for `cpu`, for `cuda:<number>`, which means that
    one, and where at most one GPU is visible, as in a job of SLURM or Ray.
    """
    import torch

    if device == "cuda" and torch.cuda.device_count() > 1:
        torch.cuda.set_device(lease(names(torch.cuda.device_count()), lock_folder()))


def lease(gpus: list[str], folder: Path) -> int:
    """Index of the GPU this process has until it ends: first one process a GPU, then a second, and so on.

    gpus: names that all processes give the same GPU. folder: of the locks, on this machine.
    """
    global _lease
    if _lease is None:
        _lease = _take(gpus, folder)
    return _lease[1]


def _take(gpus: list[str], folder: Path) -> tuple[FileLock, int]:
    folder.mkdir(parents=True, exist_ok=True)
    places = ((turn, index) for turn in count() for index in range(len(gpus)))
    locks = ((FileLock(folder / f"{gpus[i].replace('/', '_')}.{turn}.lock"), i) for turn, i in places)
    return next((lock, index) for lock, index in locks if _acquired(lock))


def _acquired(lock: FileLock) -> bool:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    return True


def names(visible: int) -> list[str]:
    """What CUDA_VISIBLE_DEVICES calls the `visible` GPUs, or their numbers where it is not set."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    return [name.strip() for name in listed.split(",")][:visible] if listed else [str(i) for i in range(visible)]


def lock_folder() -> Path:
    """Of this machine and user. Inside a SLURM job GPUs are numbered anew, so each job has a folder of its own."""
    owner = "-".join(["vxbench-gpus", str(os.getuid()), *filter(None, [os.environ.get("SLURM_JOB_ID")])])
    return Path(tempfile.gettempdir()) / owner


def visible_gpus() -> int:
    """Number of GPUs this process may use.

    Raises:
        UserError: there is none.
    """
    import torch

    if not (number := torch.cuda.device_count()):
        raise UserError(
            "hydra/launcher=gpus: this machine has no usable GPU; hydra/launcher=joblib uses the processors"
        )
    return number
