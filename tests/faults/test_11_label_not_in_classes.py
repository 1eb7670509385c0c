"""A clip whose label is none of the classes is refused in one line, whoever gives it, before anything is computed."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers.configs import composed

from vxbench.datasets.base import ClipRef, VideoDataset
from vxbench.datasets.kinetics import Kinetics
from vxbench.datasets.ucf101 import UCF101
from vxbench.datasets.ucf101_24 import UCF101_24
from vxbench.errors import UserError
from vxbench.runner.data import open_dataset

VIEW = {"frames": 8, "height": 64, "width": 64}
LABELS = [3, -1, 10**20, None, 1.0, "Run", float("nan")]
OWN = """
from vxbench.datasets.base import ClipRef, VideoDataset

class Mine(VideoDataset):
    def __init__(self, label, **rest):
        super().__init__(8, 64, 64)
        self.classes, self.clips = ["Run", "Swim"], [ClipRef("Run/a", None, label)]

    def digest(self):
        return "mine"
"""


class Mine(VideoDataset):
    """A data set of one's own: two clips of two classes, the second with any label."""

    def __init__(self, label):
        super().__init__(**VIEW)
        self.classes, self.clips = ["Run", "Swim"], [ClipRef("Run/a", None, 0), ClipRef("Run/b", None, label)]


def opened(label, monkeypatch):
    monkeypatch.setattr("vxbench.runner.data.build", lambda config, key: Mine(label))
    return open_dataset(composed("model.checkpoint=null"))


@pytest.mark.parametrize("label", LABELS)
def test_a_label_of_ones_own_data_set_is_an_index_of_its_classes(label, monkeypatch):
    with pytest.raises(UserError, match=r"Mine: clip Run/b has label .*, which is no index of its 2 classes") as caught:
        opened(label, monkeypatch)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("label", [0, 1, np.int64(1)])
def test_any_whole_number_among_them_is_one(label, monkeypatch):
    assert opened(label, monkeypatch).clips[1].label == 1 * label


@pytest.mark.slow
def test_a_run_on_such_a_data_set_is_one_line(tmp_path):
    (tmp_path / "mine.py").write_text(OWN)
    words = [
        "allow=[mine]",
        "dataset._target_=mine.Mine",
        "+dataset.label=7",
        "explainer=random",
        "model.num_classes=2",
    ]
    words += ["model.checkpoint=null", f"paths.results={tmp_path}/results"]
    done = subprocess.run(
        [sys.executable, "-m", "vxbench", "run", *words], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert "clip Run/a has label 7, which is no index of its 2 classes" in said, said
    assert "Traceback" not in said


def test_published_lists_with_a_class_that_is_none_are_refused(mini_root, tmp_path):
    for name in ("ucf101", "ucf101_24"):
        shutil.copytree(mini_root / name, tmp_path / name)
    listed = tmp_path / "ucf101/ucfTrainTestlist/testlist01.txt"
    listed.write_text(listed.read_text() + "Juggling/v_Juggling_g01_c01.avi\n")
    with pytest.raises(UserError, match=r"Juggling/v_Juggling_g01_c01 has label None, but classInd\.txt does not have"):
        UCF101(tmp_path, **VIEW)
    index = tmp_path / "ucf101/ucfTrainTestlist/classInd.txt"
    index.write_text("1 Juggling\n")
    with pytest.raises(UserError, match=r"classInd\.txt lacks .* of UCF101-24"):
        UCF101_24(tmp_path, labels="ucf101", **VIEW)


def test_a_line_of_kinetics_with_a_class_that_is_none_is_named(tmp_path):
    (tmp_path / "kinetics400/annotations").mkdir(parents=True)
    (tmp_path / "kinetics400/val").mkdir()
    (tmp_path / "kinetics400/label_map_k400.txt").write_text("archery\nzumba\n")
    lines = "label,youtube_id,time_start,time_end,split\narchery,abcdefghijk,1,11,val\nzumbaa,abcdefghijk,1,11,val\n"
    (tmp_path / "kinetics400/annotations/val.csv").write_text(lines)
    with pytest.raises(UserError, match=r"val\.csv line 3: 'zumbaa' is not among the 2 classes; did you mean zumba\?"):
        Kinetics(tmp_path, **VIEW)
