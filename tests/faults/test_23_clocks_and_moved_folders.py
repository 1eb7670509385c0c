"""Results may be moved, and no time of any file decides what is done."""

import os
import time

import pandas as pd
import pytest

YEAR_S = 365 * 24 * 3600.0
CELL = ("model=tsm", "explainer=centre", "metric=topk", "dataset.per_class=1")


@pytest.mark.slow
def test_a_cell_in_a_moved_folder_with_strange_times_is_done(make_runner):
    runner = make_runner("before")
    assert runner.here(*CELL).returncode == 0
    whole, moved = runner.rows(), make_runner("after")
    runner.results.rename(moved.results)
    for index, path in enumerate(moved.results.rglob("*")):
        when = time.time() + YEAR_S * (-1) ** index  # a year ago, in a year
        os.utime(path, (when, when))
    done = moved.here(*CELL)
    assert "8 clips, all computed before" in done.stdout, done.stderr
    pd.testing.assert_frame_equal(moved.rows(), whole, check_exact=True)


@pytest.mark.slow
def test_a_clock_that_goes_back_between_runs_changes_nothing(runner, monkeypatch):
    assert runner.here(*CELL, "shard.count=2").returncode == 0
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - YEAR_S)
    assert "4 of 4 clips computed" in runner.here(*CELL, "shard.count=2", "shard.index=1").stdout
    assert "8 clips, all computed before" in runner.here(*CELL).stdout
    assert runner.rows()["clip"].nunique() == 8
