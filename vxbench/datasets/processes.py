"""Starts lean helper processes, which do not import the parent's main script and end when the parent does."""

import multiprocessing
import os
import signal
import sys
import threading
import types
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.context import SpawnContext, SpawnProcess


class _LeanProcess(SpawnProcess):
    """A spawned process with an empty `__main__`: the script at hand may import torch, for seconds.

    It is told that processes are spawned. A joblib worker would hand on its own start method, `loky`, which a
    fresh interpreter does not know.
    """

    @staticmethod
    def _Popen(process):
        main, method = sys.modules["__main__"], multiprocessing.get_start_method()
        sys.modules["__main__"] = types.ModuleType("__main__")
        multiprocessing.set_start_method("spawn", force=True)
        try:
            return SpawnProcess._Popen(process)
        finally:
            multiprocessing.set_start_method(method, force=True)
            sys.modules["__main__"] = main


class _LeanContext(SpawnContext):
    Process = _LeanProcess


def lean_executor(workers: int) -> ProcessPoolExecutor:
    """A pool of lean processes. What it runs must live in an importable module, not in the main script."""
    return ProcessPoolExecutor(workers, mp_context=_LeanContext(), initializer=_end_with_parent)


def kill(executor: ProcessPoolExecutor) -> None:
    """Ends the pool's processes at once, whatever they are doing; what was outstanding fails.

    A process may end halfway through sending a result, and the executor's thread reads on for the rest. That comes to
    an end once nobody can write, this process included.
    """
    for process in list((executor._processes or {}).values()):
        process.kill()
    if executor._result_queue is not None:
        executor._result_queue._writer.close()
    executor.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """Watches the parent from a thread, as a parent killed by -9 ends nobody. Ctrl-C is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()
