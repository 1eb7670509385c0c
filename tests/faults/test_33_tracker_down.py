"""A tracker's server that does not answer fails no run: it costs one timeout a sweep, and one line."""

import json
import shutil

import pytest
from helpers.paths import ROOT

pytestmark = pytest.mark.slow

ONLINE = ("tracker=wandb", "tracker.mode=online", "metric=topk", "dataset.per_class=1")


@pytest.mark.parametrize(
    "launcher", [(), ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")], ids=["basic", "joblib"]
)
def test_a_dead_server_is_asked_once_a_sweep(runner, tmp_path, launcher):
    (tmp_path / "fake").mkdir()
    shutil.copy(ROOT / "tests" / "helpers" / "fake_wandb.py", tmp_path / "fake" / "wandb.py")
    log = tmp_path / "asked"
    runner.environment |= {"PYTHONPATH": str(tmp_path / "fake"), "FAKE_WANDB": str(log), "FAKE_WANDB_DOWN": "1"}
    done = runner("-m", *ONLINE, *launcher, "explainer=centre,random")
    assert done.returncode == 0
    assert "2 cells, 16 clips computed, 0 clips failed, 0 cells failed" in done.stdout
    assert done.stderr == (
        "note: tracker wandb: ConnectionError: Run initialization has timed out after 3.0 sec; "
        "the run goes on without it; tracker.mode=offline keeps it for `wandb sync`\n"
    )
    asked = [json.loads(line) for line in log.read_text().splitlines()]
    assert 1 <= len(asked) <= max(1, len(launcher))  # jobs that begin at once ask at once
    assert asked[0]["mode"] == "online"
