"""Two processes on one cell leave the rows of one."""

import pandas as pd
import pytest

CELL = ("model=tsm", "explainer=step", "explainer.iterations=3", "explainer.core_start=1", "runner.batch_size=2")
CELL = (*CELL, "dataset.per_class=1", "target=predicted")


@pytest.mark.slow
def test_two_processes_on_one_cell_leave_the_rows_and_pictures_of_one(make_runner):
    one, both = make_runner("one"), make_runner("both")
    assert one.here(*CELL).returncode == 0
    processes = [both.start(*CELL) for _ in range(2)]
    assert [process.wait(timeout=300) for process in processes] == [0, 0]
    pd.testing.assert_frame_equal(both.rows(), one.rows(), check_exact=True)
    assert len(list(both.results.glob("cells/*/part-*.parquet"))) == 1
    assert _pictures(both) == _pictures(one)


def _pictures(runner):
    return {path.name: path.read_bytes() for path in runner.results.glob("cells/*/pictures/*.npz")}
