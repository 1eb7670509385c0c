"""Changed code of one's own makes another cell; clips replaced under a finished one are said, and computed if asked."""

import os
import shutil

import pytest
from helpers.run_process import Runner

pytestmark = pytest.mark.slow

MINE = """
import torch
from my_explainers.values import VALUE
from vxbench.explainers.base import Explainer


class Mine(Explainer):
    def explain(self, classifier, clip, target, context):
        return torch.linspace(0, VALUE, clip[:, 0].numel()).reshape(clip[:, 0].shape)
"""
WORDS = ("explainer=centre", "dataset.per_class=1", "metric=topk")
OWN = ("explainer._target_=my_explainers.mine.Mine", "~explainer.sigma", "allow=[my_explainers]", *WORDS)


@pytest.fixture
def data(mini_data, tmp_path):
    """A copy of the mini data, whose files may be changed."""
    return shutil.copytree(mini_data, tmp_path / "data")


@pytest.fixture
def own(tmp_path, data):
    """A runner, with a package of one's own beside it."""
    (tmp_path / "run").mkdir()
    package = tmp_path / "my_explainers"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "mine.py").write_text(MINE)
    (package / "values.py").write_text("VALUE = 1.0\n")
    runner = Runner(tmp_path / "run", data)
    runner.environment["PYTHONPATH"] = str(tmp_path)
    return runner


def cells(runner) -> set[str]:
    return {path.name for path in runner.results.glob("cells/*")}


def test_changed_code_is_computed_in_a_cell_of_its_own(own, tmp_path):
    assert "8 of 8 clips computed" in own(*OWN).stdout
    first = cells(own)
    (tmp_path / "my_explainers" / "values.py").write_text("VALUE = 2.0\n")  # which the class's file imports
    assert "8 of 8 clips computed" in own(*OWN).stdout
    assert len(cells(own) - first) == 1
    (tmp_path / "my_explainers" / "values.py").write_text("VALUE = 1.0\n")
    assert "all computed before" in own(*OWN).stdout


def test_replaced_clips_are_said_until_they_are_computed_anew(make_runner, data):
    runner = make_runner("one", data)
    assert runner.here(*WORDS).returncode == 0
    before = runner.rows()
    clips = sorted(before["clip"].unique())
    one, other = (data / "ucf101" / "videos" / f"{clip}.avi" for clip in (clips[0], clips[-1]))
    shutil.copy(other, one)
    os.utime(one, ns=(1, 1))

    again = runner.here(*WORDS)
    assert "all computed before" in again.stdout
    assert again.stderr == (
        "note: the files of 1 clip of ucf101_24 have another size or time than when they were computed "
        f"({clips[0]}); force=true computes anew\n"
    )

    forced = runner.here(*WORDS, "force=true")
    assert "8 of 8 clips computed" in forced.stdout
    assert len(cells(runner)) == 1
    assert runner.here(*WORDS).stderr == ""
    assert not runner.rows().equals(before)


def test_a_forced_run_that_is_cut_off_has_lost_no_row(make_runner, monkeypatch):
    from vxbench.runner.batch import BatchScorer

    runner = make_runner("one")
    assert runner.here(*WORDS, "runner.batch_size=4").returncode == 0
    before = runner.rows()
    score, calls = BatchScorer.__call__, []

    def breaks(self, *given):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return score(self, *given)

    monkeypatch.setattr(BatchScorer, "__call__", breaks)
    assert runner.here(*WORDS, "runner.batch_size=4", "force=true").returncode == 130
    assert len(calls) == 2
    assert runner.rows().equals(before)
