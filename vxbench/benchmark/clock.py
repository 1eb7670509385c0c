"""Time on a device that works on after it was asked."""

import statistics
import time
from collections.abc import Callable

import torch

from vxbench.runner.provenance import hardware


def now(device: str) -> float:
    """Seconds, after all work queued on the device is done."""
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


def machine(device: str) -> str:
    """What was measured on, in one line."""
    facts = hardware(device)
    return f"{facts['gpu'] or facts['cpu']}, {facts['threads']} threads, torch {torch.__version__}"
