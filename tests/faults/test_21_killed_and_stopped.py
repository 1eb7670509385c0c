"""A stopped run says so in one line, keeps its rows and leaves nothing; what a killed one leaves goes at the next."""

import json
import os
import signal
import time

import pytest

pytestmark = pytest.mark.slow

# Four batches, of which a run is stopped behind the first.
CELL = ("model=tsm", "explainer=step", "explainer.iterations=40", "explainer.core_start=3", "runner.batch_size=2")
CELL = (*CELL, "dataset.per_class=1")
SWEEP = ("-m", *CELL, "seed=0,1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.fixture
def scratch(runner, tmp_path):
    """The temporary folder of the runs."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    runner.environment["TMPDIR"] = str(folder)
    return folder


def begun(runner, *words):
    """A run, in a process group of its own, that has committed a batch."""
    process = runner.start(*words, start_new_session=True)
    while not list(runner.results.glob("cells/*/part-*.parquet")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    return process


def ours(scratch) -> list[str]:
    return [path.name for path in scratch.glob("vxbench-*")]


def hidden(runner) -> list[str]:
    return [path.name for path in runner.results.rglob(".*.tmp")]


@pytest.mark.parametrize("sent", STATUS)
def test_a_stopped_run_ends_in_order(sent, runner, scratch):
    process = begun(runner, *CELL)
    assert ours(scratch)
    os.killpg(process.pid, sent)  # as a terminal does
    out, err = process.communicate(timeout=60)
    assert process.returncode == STATUS[sent]
    by = "" if sent == signal.SIGINT else f" by {sent.name}"
    assert (out, err) == ("", f"error: stopped{by}; what was computed is kept, run again for the rest\n")
    assert (ours(scratch), hidden(runner)) == ([], [])
    assert 0 < runner.rows()["clip"].nunique() < 8
    [outcome] = runner.results.glob("runs/*/outcome.json")
    told = json.loads(outcome.read_text())
    assert (told["status"], told["message"].split(";")[0]) == ("failed", f"stopped{by}")


def test_a_stopped_sweep_ends_its_workers_in_order(runner, scratch):
    process = begun(runner, *SWEEP)
    process.send_signal(signal.SIGTERM)  # to the sweep alone, as a scheduler does
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert err == "error: stopped by SIGTERM; what was computed is kept, run again for the rest\n"
    assert (ours(scratch), hidden(runner)) == ([], [])


def test_what_a_killed_run_leaves_goes_at_the_next(runner, scratch):
    process = begun(runner, *CELL)
    [cell] = runner.results.glob("cells/*")
    owner = ours(scratch)[0].removeprefix("vxbench-").rsplit("-", 1)[0]
    process.kill()
    process.communicate()
    (cell / "pictures" / f".{owner}-0123.tmp").write_bytes(b"half a picture")  # as one that was being written
    (scratch / "vxbench-notes").mkdir()
    assert len(ours(scratch)) == 2
    done = runner(*CELL)
    assert done.returncode == 0, done.stderr
    assert (ours(scratch), hidden(runner)) == (["vxbench-notes"], [])
    assert runner.rows()["clip"].nunique() == 8
