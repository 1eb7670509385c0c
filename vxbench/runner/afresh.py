"""Goes on with a cell in new processes, once the device is lost to this one.

After an error in a kernel CUDA answers nothing in the process it happened in, and may report it at a later call: the
clips in work are suspects. A new process computes each of them alone, and the rest in its batches.
"""

import sys
from collections.abc import Callable, Iterable

from vxbench.datasets.base import ClipRef
from vxbench.datasets.processes import kill, lean_executor
from vxbench.errors import UserError
from vxbench.runner.batch import DeviceLost
from vxbench.runner.store import Store, failure, frame

BARREN = 10  # processes in a row that may lose the device before they have computed a clip

_lost = False  # whether the device is lost to this process, so that every further cell needs another


def check_device_kept() -> None:
    """Raises DeviceLost if this process has lost the device before."""
    if _lost:
        raise DeviceLost([], "the device was lost to an earlier cell")


def go_on(
    compute: Callable[[frozenset[str], frozenset[str]], DeviceLost | None],
    store: Store,
    refs: Iterable[ClipRef],
    lost: DeviceLost,
) -> None:
    """Has new processes compute what the store lacks. A clip that loses the device also alone is a failure row.

    compute(apart, without): computes, in the process that calls it, what the store lacks of the clips `refs`, those
    whose ids are in `apart` each alone and those in `without` not at all; returns what ended it early.

    Raises:
        UserError: the device does not answer in new processes either.
    """
    global _lost
    _lost = True
    apart, without, barren = set(lost.clips), set(), 0
    while lost:
        print(f"note: the device is lost ({lost.message}); a new process goes on", file=sys.stderr, flush=True)
        before = len(store.done())
        lost = _in_new_process(compute, frozenset(apart), frozenset(without))
        if lost:
            barren = 0 if len(store.done()) > before else barren + 1
            _check_answers(lost, barren)
            guilty = set(lost.clips) if apart.issuperset(lost.clips) else set()
            rows = [failure(ref.id, ref.label, "error", lost.message) for ref in refs if ref.id in guilty]
            store.commit(frame(rows))
            without |= guilty
            apart |= set(lost.clips)


def _check_answers(lost: DeviceLost, barren: int) -> None:
    if not lost.clips or barren == BARREN:
        raise UserError(
            f"the device does not answer in new processes either ({lost.message}): restart or replace it, or use "
            "another (device=); what was computed is kept, run again for the rest"
        )


def _in_new_process(compute: Callable, apart: frozenset[str], without: frozenset[str]) -> DeviceLost | None:
    executor = lean_executor(1)
    try:
        return executor.submit(compute, apart, without).result()
    finally:
        kill(executor)
