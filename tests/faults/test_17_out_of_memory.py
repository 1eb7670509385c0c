"""A batch that does not fit into memory is computed in halves, and a clip that does not fit alone is a failure row."""

import weakref

import pytest
import torch
from helpers.faulty_explainers import Hungry
from helpers.scoring import REFS, Recorder, computer, decoded, draws

from vxbench.device import is_device_lost, is_out_of_memory

LACK = {  # None: what torch raises here, on the CPU
    "CPU": None,
    "Python": MemoryError("no room"),
    "CUDA": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "CUDA's context": RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later"),
    "cuBLAS": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "cuDNN": RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    "Windows": RuntimeError(
        "[enforce fail] data. DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."
    ),
}


@pytest.mark.parametrize("where", LACK)
@pytest.mark.parametrize("room", [1, 2, 3])
def test_a_batch_that_does_not_fit_is_computed_in_halves(where, room):
    machine, loaded = computer(m=Recorder()), [decoded(i) for i in range(4)]
    expected = draws(machine(REFS, loaded).rows)
    machine.explainer = Hungry(room, LACK[where])
    assert draws(machine(REFS, loaded).rows) == expected
    sizes = [len(batch.clip) for batch in machine.metrics["m"].batches[1:]]
    assert sizes == ([1] * 4 if room == 1 else [2, 2])


@pytest.mark.parametrize("where", LACK)
def test_a_clip_that_does_not_fit_alone_is_a_failure_row(where):
    machine = computer(m=Recorder())
    machine.explainer = Hungry(0, LACK[where])
    rows = machine(REFS[:2], [decoded(0), decoded(1)]).rows
    assert rows.status.tolist() == ["failed", "failed"]
    assert rows.reason.str.startswith("out_of_memory: ").all()
    assert not rows.reason.str.contains("\n").any()


def test_what_has_been_tried_is_let_go_before_the_halves_are():
    """An error holds the tensors of the call that failed, as long as it is kept."""
    machine, alive = computer(m=Recorder()), []

    class Weighing(Hungry):
        def explain(self, classifier, clip, target, context):
            held = torch.zeros(10)
            assert not any(ref() is not None for ref in alive)
            alive.append(weakref.ref(held))
            return super().explain(classifier, clip + held.sum(), target, context)

    machine.explainer = Weighing(1, MemoryError("no room"))
    assert set(machine(REFS, [decoded(i) for i in range(4)]).rows.status) == {"ok"}
    assert len(alive) == 7


@pytest.mark.parametrize("where", [where for where in LACK if where != "CPU"])
def test_a_lack_of_memory_is_no_lost_device(where):
    assert is_out_of_memory(LACK[where])
    assert not is_device_lost(LACK[where])
    assert not is_out_of_memory(ZeroDivisionError("no room"))
