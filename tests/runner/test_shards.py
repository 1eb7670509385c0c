"""A cell in three shards, each in a process of its own, is the cell computed whole."""

import json

import numpy as np
import pandas as pd
import pytest
from helpers.run_process import Runner

from vxbench.runner.outcome import Outcome, join_shards
from vxbench.runner.store import Store

pytestmark = pytest.mark.slow

# One clip at a time: a batch of other clips would change the last bits of a convolution.
CELL = ("explainer=gradcam", "dataset.per_class=1", "runner.batch_size=1", "runner.pictures=2")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, mini_data):
    runner = Runner(tmp_path_factory.mktemp("whole"), mini_data)
    assert runner(*CELL).returncode == 0
    return runner


@pytest.fixture(scope="module")
def sharded(tmp_path_factory, mini_data):
    runner = Runner(tmp_path_factory.mktemp("sharded"), mini_data)
    processes = ("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=3")
    done = runner(*processes, *CELL, "shard.count=3", "shard.index=range(0,3)")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 cell, 8 clips computed, 0 clips failed, 0 cells failed" in done.stdout
    return runner


def cell(runner) -> Store:
    (folder,) = (runner.results / "cells").iterdir()
    return Store(folder)


def test_the_cell_is_the_same(whole, sharded):
    assert cell(sharded).folder.name == cell(whole).folder.name


def test_the_rows_are_the_same_to_the_last_bit(whole, sharded):
    assert sharded.rows()["clip"].nunique() == 8
    pd.testing.assert_frame_equal(sharded.rows(), whole.rows(), check_exact=True)


def test_the_pictures_are_the_same(whole, sharded):
    ours, theirs = cell(sharded).pictures(), cell(whole).pictures()
    assert [picture.clip for picture in ours] == [picture.clip for picture in theirs]
    assert len(ours) == 2
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one.saliency, other.saliency)


def test_no_clip_was_computed_twice(sharded):
    runs = json.loads(cell(sharded).read_note("provenance.json"))
    assert sorted(run["clips"] for run in runs) == [2, 3, 3]


def outcome(cell="a", **facts) -> Outcome:
    return Outcome("tsm", "ucf101", "fep", cell, **facts)


def test_the_clips_of_shards_are_added():
    parts = [outcome(clips=3, computed=2, failed_clips=1, seconds=1.5), outcome(clips=2, computed=2, seconds=2.0)]
    assert join_shards(parts) == [outcome(clips=5, computed=4, failed_clips=1, seconds=3.5)]


@pytest.mark.parametrize("order", [1, -1])
def test_a_failed_shard_fails_its_cell(order):
    parts = [outcome(clips=3, computed=3), outcome("", status="failed", message="no GPU")]
    (joined,) = join_shards(parts[::order])
    assert (joined.status, joined.message, joined.computed) == ("failed", "no GPU", 3)


def test_cells_of_other_names_or_settings_stay_apart():
    cells = [outcome("a"), outcome("b"), Outcome("tsm", "ucf101", "step", "c")]
    assert join_shards(cells) == cells
