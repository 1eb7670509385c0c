"""What one clip, batch or cell leaves in a process enters no other, and a network that keeps a state is refused."""

import os
import random
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.configs import composed
from helpers.faulty_explainers import Failing
from helpers.odd_networks import overrides
from helpers.scoring import REFS, Recorder, computer, decoded, draws

from vxbench.errors import UserError
from vxbench.explainers import FEP, RISE, SmoothGrad
from vxbench.runner.assemble import Assembled
from vxbench.runner.job import run_cell
from vxbench.runner.store import Store

CELLS = {
    "smoothgrad": ("explainer.samples=2", "metric=deletion"),
    "rise": ("explainer.masks=8", "metric=deletion_insertion"),
    "fep": ("explainer.iterations=2", "metric=topk"),
}


@pytest.fixture
def run(tmp_path, mini_data):
    """run(folder, explainer): the rows of a cell of two clips."""

    def rows(folder, explainer, deed="nothing"):
        where = (f"paths.data={mini_data}", f"paths.results={tmp_path / folder}", "profile=smoke", "shard.count=4")
        config = composed(*overrides(deed, *where, f"explainer={explainer}", *CELLS[explainer]))
        choices = {"model": "custom", "dataset": "ucf101_24", "explainer": explainer}
        parts = Assembled(config, choices)
        run_cell(parts)
        return Store(parts.store.folder).rows()

    return rows


def process_state():
    """All of the process that a run could leave otherwise than it was."""
    return {
        "torch draws": torch.get_rng_state().tolist(),
        "numpy draws": np.random.get_state()[1].tolist(),
        "python draws": random.getstate(),
        "gradients": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "type": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "products": torch.get_float32_matmul_precision(),
        "warnings": list(warnings.filters),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
    }


@pytest.mark.slow
def test_cells_of_one_process_do_not_feel_each_other(run):
    """The same rows, to the bit, first and last, and beside other draws of the process's generators."""
    first = {explainer: run("forwards", explainer) for explainer in CELLS}
    state = process_state()
    for explainer in reversed(CELLS):
        rows = run("backwards", explainer)
        pd.testing.assert_frame_equal(rows, first[explainer], check_exact=True)
        assert process_state() == state
        torch.rand(3), np.random.rand(3), random.random()
        state = process_state()


@pytest.mark.slow
def test_a_network_that_is_no_function_of_its_clip_has_no_rows(run):
    with pytest.raises(UserError, match="is random or keeps a state"):
        run("random", "rise", deed="is random")


@pytest.mark.parametrize("explainer", [SmoothGrad(samples=2), RISE(masks=8), FEP(iterations=2, step=3, sigma=4)])
def test_a_batch_that_failed_leaves_nothing_to_the_next(explainer):
    """Not in the explainer, nor in the network, which is caught in the middle of a pass."""
    loaded = [decoded(i) for i in range(4)]
    plain = computer(m=Recorder())
    plain.explainer = explainer
    expected = [picture.saliency for picture in plain(REFS, loaded).pictures]
    shaken = computer(m=Recorder())
    shaken.explainer = explainer
    shaken(REFS, loaded)
    handle = shaken.classifier.fc.register_forward_hook(lambda *_: 1 / 0)
    assert set(shaken(REFS, loaded).rows.status) == {"failed"}
    handle.remove()
    assert not shaken.classifier.training
    assert all(weight.requires_grad for weight in shaken.classifier.parameters())
    again = [picture.saliency for picture in shaken(REFS, loaded).pictures]
    assert all(map(np.array_equal, again, expected))


def test_a_clip_that_failed_leaves_the_draws_of_the_others_as_they_are():
    loaded, machine = [decoded(i) for i in range(4)], computer(m=Recorder())
    machine.seed = 0
    expected = draws(machine(REFS, loaded).rows)
    machine.explainer = Failing([REFS[1].id])
    rows = machine(REFS, loaded).rows
    assert draws(rows[rows.status == "ok"]) == {clip: v for clip, v in expected.items() if clip != REFS[1].id}
