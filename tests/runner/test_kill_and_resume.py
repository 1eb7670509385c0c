"""kill -9 at any moment, then the same command: the rows of an uninterrupted run, bit for bit."""

import json
import random
import signal
import time

import pandas as pd
import pytest
from helpers.run_process import Runner

pytestmark = pytest.mark.slow

# Slow enough to be killed halfway: eight batches of two clips.
CELL = ("model=tsm", "explainer=step", "explainer.iterations=8", "explainer.core_start=3", "runner.batch_size=2")
CELL = (*CELL, "dataset.per_class=2", "target=predicted")
BATCHES = 8
SEED = 20211111  # of the moments


@pytest.fixture(scope="module")
def whole(tmp_path_factory, mini_data):
    """Its rows, and the seconds that a batch took."""
    uninterrupted = Runner(tmp_path_factory.mktemp("whole"), mini_data)
    assert uninterrupted(*CELL).returncode == 0
    [note] = uninterrupted.results.glob("cells/*/provenance.json")
    [run] = json.loads(note.read_text())
    return uninterrupted.rows(), run["seconds"] / BATCHES


def parts(runner) -> int:
    return len(list(runner.results.glob("cells/*/part-*.parquet")))


def wait_for_parts(runner, process, count) -> None:
    while parts(runner) < count and process.poll() is None:
        time.sleep(0.01)


def test_killed_at_random_moments_it_ends_with_the_same_rows(runner, whole):
    rows, seconds = whole
    moments = random.Random(SEED)
    killed = 0
    for at_least in (1, 2, 4):
        process = runner.start(*CELL, stdout=None, stderr=None)
        wait_for_parts(runner, process, at_least)
        time.sleep(moments.uniform(0, seconds))
        killed += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert killed == 3, "the run was over before it could be killed"
    assert 0 < parts(runner) < BATCHES
    assert runner(*CELL).returncode == 0
    pd.testing.assert_frame_equal(runner.rows(), rows, check_exact=True)


def test_killed_before_the_first_batch_it_starts_anew(runner, whole):
    process = runner.start(*CELL, stdout=None, stderr=None)
    time.sleep(random.Random(SEED).uniform(0.2, 2))
    process.kill()
    process.wait()
    assert runner(*CELL).returncode == 0
    pd.testing.assert_frame_equal(runner.rows(), whole[0], check_exact=True)


def test_shards_make_the_whole(make_runner):
    """Clip for clip, to 1e-3: the batches differ, and with them the last bits of a convolution."""
    cell = ("explainer=gradients", "dataset.per_class=2")
    one, sharded = make_runner("one"), make_runner("sharded")
    assert one.here(*cell).returncode == 0
    done = sharded.here("-m", *cell, "shard.index=range(0,3)", "shard.count=3")
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(sharded.rows(), one.rows(), rtol=1e-3, atol=1e-3)
