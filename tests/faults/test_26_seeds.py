"""Numbers depend on the seed and the clip alone: on no global generator and no hash seed."""

import random

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.scoring import REFS, computer, decoded

from vxbench.explainers import RISE, SmoothGrad

CELL = ("explainer=smoothgrad", "explainer.samples=2", "dataset.per_class=1")


@pytest.fixture
def scramble():
    """scramble(n): every global generator elsewhere."""
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()

    def move(seed: int) -> None:
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)

    yield move
    random.setstate(before[0])
    np.random.set_state(before[1])
    torch.set_rng_state(before[2])


@pytest.mark.parametrize("explainer", [SmoothGrad(samples=2), RISE(masks=4)], ids=["smoothgrad", "rise"])
def test_global_generators_neither_decide_a_map_nor_feel_it(explainer, scramble):
    machine = computer()
    machine.explainer = explainer
    maps = []
    for seed in (1, 2):
        scramble(seed)
        before = torch.get_rng_state()
        maps.append([picture.saliency for picture in machine(REFS[:2], [decoded(0), decoded(1)]).pictures])
        assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(*maps)
    machine.seed += 1
    others = [picture.saliency for picture in machine(REFS[:2], [decoded(0), decoded(1)]).pictures]
    assert not np.array_equal(maps[0], others)


@pytest.mark.slow
def test_a_cell_has_the_same_rows_whatever_was_drawn_before(make_runner, scramble):
    first, second, other = (make_runner(name) for name in ("first", "second", "other"))
    scramble(1)
    assert first.here(*CELL).returncode == 0
    second.environment["PYTHONHASHSEED"] = "1"
    assert second(*CELL).returncode == 0
    assert other.here(*CELL, "seed=1").returncode == 0
    pd.testing.assert_frame_equal(second.rows(), first.rows(), check_exact=True)
    names = [next(runner.results.glob("cells/*")).name for runner in (first, second, other)]
    assert names[0] == names[1] != names[2]
    assert not other.rows()["value"].equals(first.rows()["value"])
