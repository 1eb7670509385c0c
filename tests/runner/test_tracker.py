"""What a tracker shows of a cell is what tables say of it, whether it was computed now, before, or in parts."""

import io
import sys
from concurrent.futures import Executor, Future
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import fake_wandb
from PIL import Image

from vxbench.runner.store import frame
from vxbench.runner.tracker import Means, WandbTracker, gif
from vxbench.tables.statistics import estimate

CELL = ("explainer=centre", "dataset.per_class=1", "runner.batch_size=3", "tracker=wandb")


def row(clip, metric="m", value=1.0, status="ok", weight=1.0, group=0):
    known = {"clip": clip, "label": 0, "target": 0, "status": status, "metric": metric, "value": value}
    return known | {"reason": "", "degenerate": False, "weight": weight, "group": group}


@pytest.fixture
def wandb(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", fake_wandb)
    fake_wandb.runs.clear()
    return fake_wandb


def test_means_are_those_of_tables_however_rows_come():
    generator = np.random.default_rng(0)
    lines = [row(f"c{i}", "m", v, weight=1 + i % 3, group=i % 2) for i, v in enumerate(generator.normal(size=20))]
    lines += [row("bad", "", float("nan"), "failed"), row("nan", "m", float("nan"))]
    means = Means(frame(lines[:7]))
    means.add(frame(lines[7:]))
    columns = ([line[name] for line in lines[:20]] for name in ("value", "weight", "group"))
    assert means.values == {"m": pytest.approx(estimate(*columns).mean, abs=1e-12), "m/n": 20}


@pytest.mark.slow
def test_the_summary_is_the_cells_also_after_a_resume_and_of_a_finished_cell(runner, wandb):
    assert runner.here("-m", *CELL, "shard.index=0", "shard.count=2").returncode == 0
    assert runner.here(*CELL).returncode == 0
    assert runner.here(*CELL).returncode == 0
    half, resumed, finished = wandb.runs
    rows = runner.rows()
    dc = rows[rows.metric == "dc"]
    assert resumed.summary["dc"] == pytest.approx((dc.value * dc.weight).sum() / dc.weight.sum(), abs=1e-12)
    assert (half.summary["dc/n"], resumed.summary["dc/n"]) == (4, 8)
    assert finished.summary == resumed.summary
    assert [point["dc/n"] for point in resumed.points if "dc/n" in point][-1] == 8  # the curve goes on where it was
    assert len({run.given["id"] for run in wandb.runs}) == 1
    assert set(resumed.given["tags"]) == {"r2plus1d", "ucf101_24", "centre", "described"}
    assert all(run.ended for run in wandb.runs)
    shown = resumed.points[-1]
    assert (len(shown["clips"].data), {"clip", "status", "dc", "stc"} <= set(shown["clips"].columns)) == (8, True)
    assert [video.format for video in shown["maps"]] == ["gif"] * min(4, len(shown["maps"]))


@pytest.mark.slow
def test_cells_of_a_sweep_are_a_group(runner, wandb):
    words = ("+table=fep_1", "profile=smoke", "model=r2plus1d", "tracker=wandb", "metric=dc_acc_stc")
    assert runner.here(*words, "hydra.sweeper.params.explainer=centre").returncode == 0
    assert {run.given["group"] for run in wandb.runs} == {"fep_1"}


def test_a_video_shows_the_clip_beside_its_map():
    frames = np.full((3, 4, 6, 3), 100, np.uint8)
    saliency = np.zeros((3, 4, 6), np.float32)
    saliency[1] = 1
    with Image.open(io.BytesIO(gif(frames, saliency))) as film:
        assert (film.n_frames, film.size) == (3, (12, 4))
        film.seek(1)
        red, green, _ = film.convert("RGB").getpixel((9, 2))
        assert (red > 150, green < 80) == (True, True)


def test_a_name_that_is_too_long_keeps_its_digest(wandb, tmp_path):
    tracker = WandbTracker(folder=str(tmp_path))
    assert tracker.start("a/b" * 60 + "-0123456789ab", {}, tags=["t" * 90])
    [run] = wandb.runs
    assert (len(run.given["id"]), run.given["id"][-13:], "/" in run.given["id"]) == (128, "-0123456789ab", False)
    assert len(run.given["tags"][0]) == 64


PICTURE = SimpleNamespace(clip="c", frames=np.zeros((1, 2, 2, 3), np.uint8), saliency=np.zeros((1, 2, 2)))


class Silent(Executor):
    """A process in which nothing ever comes to an end."""

    _processes, _result_queue = None, None

    def submit(self, *given) -> Future:
        return Future()


def test_a_server_that_falls_silent_is_given_up(wandb, tmp_path, capsys):
    tracker = WandbTracker(folder=str(tmp_path), timeout_s=0.05)
    tracker.place = Silent()
    tracker.log({"m": 1.0})
    tracker.finish(frame([row("c")]), [PICTURE])
    assert capsys.readouterr().err == "note: tracker wandb: no answer for 0.05 s; the run goes on without it\n"
    tracker.log({"m": 1.0})
    tracker.finish()
    assert capsys.readouterr().err == ""
