"""A device that is lost costs a cell nothing but the clips that lose it: new processes compute the others.

No GPU is at hand: an explainer fails with CUDA's words, and from then on always in that process.
"""

import os

import pytest
from helpers import faulty_explainers
from helpers.configs import composed

from vxbench.device import is_device_lost
from vxbench.errors import UserError
from vxbench.runner import afresh
from vxbench.runner.assemble import Assembled
from vxbench.runner.job import run_cell
from vxbench.runner.store import Store

pytestmark = pytest.mark.slow

CHOICES = {"model": "r2plus1d", "dataset": "ucf101_24", "explainer": "gradients"}
FAULTY = "helpers.faulty_explainers"


@pytest.fixture(autouse=True)
def own_state(monkeypatch):
    """A process that has not lost its device."""
    monkeypatch.setattr(faulty_explainers, "poisoned", False)
    monkeypatch.setattr(afresh, "_lost", False)


@pytest.fixture
def parts(tmp_path, mini_data):
    """parts(name, *settings): the parts of a cell of four clips in batches of two."""

    def assemble(name, *settings):
        small = ("shard.count=2", "runner.batch_size=2", "metric=topk", "metric.topk.chunk=2")
        where = (f"paths.data={mini_data}", f"paths.results={tmp_path / name}", f"++allow=[{FAULTY}]")
        return Assembled(composed("profile=smoke", "explainer=gradients", *where, *small, *settings), CHOICES)

    return assemble


def losing(clips, **settings):
    """Settings of an explainer that loses the device at these clips."""
    more = [f"+explainer.{key}={value}" for key, value in settings.items()]
    return [f"explainer._target_={FAULTY}.LosingDevice", f"+explainer.clips=[{','.join(clips)}]", *more]


def rows(parts):
    return Store(parts.store.folder).rows().set_index(["clip", "metric"])


def test_a_device_that_is_lost_once_costs_no_clip_and_later_cells_go_on_elsewhere(parts, capfd):
    expected = parts("plain")
    clips = [ref.id for ref in expected.dataset.clips[::2]]
    assert run_cell(expected).computed == len(clips) == 4
    cell = parts("lost", *losing(clips[2:3], home=os.getpid()))
    outcome = run_cell(cell)
    assert (outcome.computed, outcome.failed_clips) == (4, 0)
    assert rows(cell).value.tolist() == rows(expected).value.tolist()
    assert "a new process goes on" in capfd.readouterr().err
    other = parts("other", *losing([]))
    assert run_cell(other).failed_clips == 0  # here every batch would fail
    assert rows(other).value.tolist() == rows(expected).value.tolist()


def test_a_clip_that_always_loses_the_device_is_a_failure_row_which_the_next_run_tries_again(parts, tmp_path):
    clips = [ref.id for ref in parts("plain").dataset.clips[::2]]
    mended = tmp_path / "mended"
    cell = parts("lost", *losing(clips[1:2], unless=mended))
    assert run_cell(cell).failed_clips == 1
    status = rows(cell).status.droplevel("metric")
    assert status[clips[1]] == "failed"
    assert set(status.drop(clips[1])) == {"ok"}
    assert rows(cell).reason[clips[1], ""] == "error: CUDA error: unspecified launch failure"
    mended.touch()
    again = run_cell(parts("lost", *losing(clips[1:2], unless=mended)))
    assert (again.computed, again.failed_clips) == (1, 0)


def test_a_device_that_answers_no_process_ends_the_cell_with_one_line(parts, monkeypatch):
    monkeypatch.setattr(afresh, "BARREN", 1)
    clips = [ref.id for ref in parts("plain").dataset.clips[::2]]
    with pytest.raises(UserError, match=r"does not answer in new processes either .* run again for the rest") as caught:
        run_cell(parts("dead", *losing(clips)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "lost"),
    [
        ("CUDA error: an illegal memory access was encountered", True),
        ("CUDA error: device-side assert triggered", True),
        ("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`", True),
        ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", True),
        ("HIP error: unspecified launch failure", True),
        ("CUDA error: out of memory", False),
        ("CUDA out of memory. Tried to allocate 2.00 GiB", False),
        ("The size of tensor a (3) must match the size of tensor b (4)", False),
    ],
)
def test_a_lost_device_is_told_by_its_words(words, lost):
    assert is_device_lost(RuntimeError(words)) == lost
    assert not is_device_lost(ValueError(words))
