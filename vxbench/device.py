"""Chooses and describes the device that computes: one GPU a process, exact float32, timing, lack of memory."""

import os
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import torch

from vxbench.errors import OutOfRange, UserError
from vxbench.files import take

_lease: tuple[int, int] | None = None  # handle of a lock, which is held until this process ends, however it ends; GPU

NO_MEMORY = ("can't allocate memory", "not enough memory", "error: out of memory", "_STATUS_ALLOC_FAILED")
LOST = ("CUDA error", "CUDA driver error", "HIP error", "CUDNN_STATUS_EXECUTION_FAILED", "CUDNN_STATUS_INTERNAL_ERROR")


def check_device(device: str) -> None:
    """Refuses a device that this machine does not have.

    Raises:
        OutOfRange: it is none. UserError: this machine has no such GPU.
    """
    found = re.fullmatch(r"cpu|cuda(?::(\d+))?", device)
    if not found:
        raise OutOfRange(f"device = {device} is not one of cpu, cuda, cuda:<number>")
    if device != "cpu" and int(found[1] or 0) >= torch.cuda.device_count():
        usable = f"{torch.cuda.device_count()} usable GPUs" if torch.cuda.is_available() else "no usable GPU"
        raise UserError(f"device = {device} but this machine has {usable}; use device=cpu")


def visible_gpus() -> int:
    """Number of GPUs this process may use.

    Raises:
        UserError: there is none.
    """
    if not (number := torch.cuda.device_count()):
        raise UserError(
            "hydra/launcher=gpus: this machine has no usable GPU; hydra/launcher=joblib uses the processors"
        )
    return number


# One GPU a process


def own_gpu(device: str) -> None:
    """Makes `cuda` mean, in this process, the visible GPU that the fewest other processes of this user work on.

    Sets the current device of CUDA, once a process. Does nothing for `cpu`, for `cuda:<number>`, which means that
    one, and where at most one GPU is visible, as in a job of SLURM or Ray.
    """
    if device == "cuda" and torch.cuda.device_count() > 1:
        torch.cuda.set_device(lease_gpu(gpu_names(torch.cuda.device_count()), lease_folder()))


def lease_gpu(gpus: list[str], folder: Path) -> int:
    """Index of the GPU this process has until it ends: first one process a GPU, then a second, and so on.

    gpus: names that all processes give the same GPU. folder: holds the locks, on this machine.
    """
    global _lease
    if _lease is None:
        _lease = _first_free(gpus, folder)
    return _lease[1]


def _first_free(gpus: list[str], folder: Path) -> tuple[int, int]:
    folder.mkdir(parents=True, exist_ok=True)
    places = ((turn, index) for turn in count() for index in range(len(gpus)))
    locks = ((take(folder / f"{gpus[i].replace('/', '_')}.{turn}.lock"), i) for turn, i in places)
    return next((handle, index) for handle, index in locks if handle is not None)


def gpu_names(visible: int) -> list[str]:
    """Names of the `visible` GPUs in CUDA_VISIBLE_DEVICES, or their numbers where it is not set."""
    listed = os.environ.get("CUDA_VISIBLE_DEVICES")
    return [name.strip() for name in listed.split(",")][:visible] if listed else [str(i) for i in range(visible)]


def lease_folder() -> Path:
    """The folder of locks of this machine and user; inside a SLURM job, which numbers its GPUs anew, of the job."""
    owner = "-".join(["vxbench-gpus", str(os.getuid()), *filter(None, [os.environ.get("SLURM_JOB_ID")])])
    return Path(tempfile.gettempdir()) / owner


# Numbers and memory


def full_precision() -> None:
    """Makes float32 mean float32, summed in one order, for the rest of the process.

    On a GPU that has TF32 cuDNN would round the inputs of convolutions to it, and it would choose its algorithms by
    their speed of the moment.
    """
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory is what lacked. On the CPU, and in CUDA's libraries, torch says so in a plain RuntimeError."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(word in str(error) for word in NO_MEMORY)


def is_device_lost(error: BaseException) -> bool:
    """Whether the device will answer nothing any more in this process, as a GPU after an error in a kernel.

    Such an error is no matter of the call that raises it: CUDA reports it at the next one.
    """
    said = isinstance(error, RuntimeError) and any(word in str(error) for word in LOST)
    return said and not is_out_of_memory(error)


# Time


def now(device: str) -> float:
    """Seconds on a clock of no fixed start, read when all work queued on the device is done."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter()


def timed(action: Callable[[], object], device: str) -> float:
    """Seconds that one call takes."""
    start = now(device)
    action()
    return now(device) - start


def median_time(action: Callable[[], object], device: str, repeats: int) -> float:
    """Median seconds of `repeats` calls, after one that is not counted."""
    action()
    return statistics.median(timed(action, device) for _ in range(repeats))


# What the machine is


def machine(device: str) -> str:
    """The device, the threads and torch's version in one line, for the head of a measurement."""
    facts = hardware(device)
    return f"{facts['gpu'] or facts['cpu']}, {facts['threads']} threads, torch {torch.__version__}"


def hardware(device: str) -> dict[str, Any]:
    """Processor, cores, threads, device and GPU ("" on the CPU) of this machine, for the provenance of results."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": device,
        "gpu": torch.cuda.get_device_name(device) if device.startswith("cuda") else "",
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
