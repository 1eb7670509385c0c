"""A full disk ends a run with one line, what was computed is kept, and the next run goes on from there."""

import re
import resource
import time

import pandas as pd
import pytest

CELL = ("model=tsm", "explainer=step", "explainer.iterations=3", "explainer.core_start=1", "runner.batch_size=2")
CELL = (*CELL, "dataset.per_class=1", "runner.pictures=0")


def parts(runner):
    return list(runner.results.glob("cells/*/part-*.parquet"))


@pytest.mark.slow
def test_a_run_on_a_disk_that_fills_up_ends_in_one_line_and_is_resumed(make_runner):
    """RLIMIT_FSIZE lets no file grow any more, set while the run is on its way; a part has some kilobytes."""
    whole, runner = make_runner("whole"), make_runner("full")
    assert whole.here(*CELL).returncode == 0
    process = runner.start(*CELL)
    while not parts(runner) and process.poll() is None:
        time.sleep(0.01)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (3000, 3000))
    out, err = process.communicate(timeout=300)
    assert process.returncode == 1, err
    [line] = [line for line in out.splitlines() if "File too large" in line and not line.startswith(" ")]
    assert re.search(r"cannot be written \(File too large\); make room .*, and run again", line)
    assert "Traceback" not in out + err
    assert len(parts(runner)) == 1
    assert not list(runner.results.glob("cells/*/.*.tmp"))
    done = runner.here(*CELL)
    assert done.returncode == 0, done.stderr
    assert re.search(r"[2-6] of 8 clips computed", done.stdout)
    pd.testing.assert_frame_equal(runner.rows(), whole.rows(), check_exact=True)
