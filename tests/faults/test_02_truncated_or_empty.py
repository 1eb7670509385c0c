"""A truncated or empty video is a failure row and a line under the table; the run goes on, and mends it later."""

import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from helpers.configs import composed

from vxbench.runner.assemble import Assembled
from vxbench.runner.job import run_cell
from vxbench.runner.store import Store

pytestmark = pytest.mark.slow

TABLE = (
    "+table=fep_1",
    "dataset.per_class=1",
    "hydra.sweeper.params.model=tsm",
    "hydra.sweeper.params.explainer='gradients,centre'",
)


def truncate(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def audio_only(path: Path) -> None:
    with av.open(str(path), "w", format="avi") as file:
        stream = file.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), dtype=np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        file.mux(stream.encode(frame))
        file.mux(stream.encode())


DAMAGE = {"undecodable": (truncate, empty, audio_only), "missing": (Path.unlink,)}


@pytest.fixture
def damaged(make_runner, mini_data, tmp_path):
    """A runner on a copy of the data in which four of the eight chosen clips are damaged, each in its own way."""
    data = tmp_path / "data"
    shutil.copytree(mini_data, data)
    runner = make_runner("damaged", data)
    clips = sorted(chosen(data))
    kinds = {}
    for (kind, damage), clip in zip(((k, d) for k, ds in DAMAGE.items() for d in ds), clips, strict=False):
        damage(data / "ucf101" / "videos" / f"{clip}.avi")
        kinds[clip] = kind
    return runner, kinds, data


def chosen(data: Path) -> list[str]:
    from vxbench.datasets.ucf101_24 import UCF101_24

    return [ref.id for ref in UCF101_24(data, frames=8, height=64, width=64, per_class=1).clips]


def test_damaged_clips_leave_rows_and_lines_and_are_tried_again(damaged, mini_data):
    runner, kinds, data = damaged
    done = runner.here(*TABLE)
    assert done.returncode == 0, done.stderr
    text = (runner.results / "tables" / "fep_1.md").read_text()
    for cell in (runner.results / "cells").iterdir():
        from vxbench.runner.store import Store

        rows = Store(cell).rows()
        failed = rows[rows["status"] == "failed"]
        assert {
            clip: reason.split(":")[0] for clip, reason in zip(failed["clip"], failed["reason"], strict=True)
        } == kinds
        assert rows[rows["status"] == "ok"]["clip"].nunique() == 8 - len(kinds)
        assert failed["value"].isna().all()
    for clip in kinds:
        name = clip.split("/")[1]
        assert sum(name in line for line in text.splitlines()) == 1, f"{name} is not named once below the table"
    assert "4 clips failed" in text or "4 failed" in text

    for clip in kinds:  # mended: only these are computed
        shutil.copy(mini_data / "ucf101" / "videos" / f"{clip}.avi", data / "ucf101" / "videos" / f"{clip}.avi")
    again = runner.here(*TABLE)
    assert "4 of 8 clips computed" in again.stdout
    assert "0 clips failed" in again.stdout


def test_a_clip_on_which_the_method_fails_costs_only_itself_and_is_tried_again(tmp_path, mini_data):
    """It fails in the third batch of four, and in the next run until that is mended."""
    clips, mended = chosen(mini_data), tmp_path / "mended"

    def run():
        faulty = ["explainer._target_=helpers.faulty_explainers.Failing", "++allow=[helpers.faulty_explainers]"]
        faulty += [f"+explainer.clips=[{clips[5]}]", f"+explainer.unless={mended}"]
        where = [f"paths.data={mini_data}", f"paths.results={tmp_path}", "profile=smoke", "runner.batch_size=2"]
        config = composed(*where, "explainer=gradients", "metric=topk", *faulty)
        choices = {"model": "r2plus1d", "dataset": "ucf101_24", "explainer": "gradients"}
        parts = Assembled(config, choices)
        return run_cell(parts), Store(parts.store.folder).rows()

    for computed in (8, 1):
        outcome, rows = run()
        assert (outcome.computed, outcome.failed_clips) == (computed, 1)
        [failed] = rows[rows.status == "failed"].itertuples()
        assert (failed.clip, failed.reason) == (clips[5], "error: RuntimeError: no luck")
    mended.touch()
    outcome, rows = run()
    assert (outcome.computed, outcome.failed_clips) == (1, 0)
    assert set(rows.status) == {"ok"}
