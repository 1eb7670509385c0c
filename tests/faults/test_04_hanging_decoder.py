"""A decoder that hangs or crashes, on a header too, costs one clip; the main process opens no video."""

import os
import subprocess
import sys
import time

import pytest
from helpers.faulty_datasets import FaultyVideos
from helpers.paths import ROOT
from helpers.videos import encode, nearest, noise

from vxbench.datasets.pool import DecodePool
from vxbench.datasets.ucf101 import CLASS_INDEX, LISTS, UCF101
from vxbench.errors import ClipError

pytestmark = pytest.mark.slow

SOURCE = noise(24)
VIEW = {"frames": 6, "height": 80, "width": 80}
CUT = "import sys; from vxbench.datasets.ucf101 import UCF101; sys.path.insert(0, {tests!r})\n" + (
    "print(len(UCF101({root!r}, frames=6, height=80, width=80, windows='all').clips), 'av' in sys.modules)"
)


def test_a_decoder_that_hangs_or_crashes_costs_one_clip(tmp_path):
    deeds = ("good-1", "hang-2", "good-3", "segfault-4", "good-5", "exit-6", "fail-7")
    paths = [encode(tmp_path / f"{deed}.avi", SOURCE, "mpeg4", "yuv420p", qmin="2", qmax="4") for deed in deeds]
    dataset = FaultyVideos(*paths, **VIEW)
    with DecodePool(2, timeout_s=3) as pool:
        outcomes = pool.load(dataset, dataset.clips)
    kinds = [getattr(outcome, "kind", "clip") for outcome in outcomes]
    assert kinds == ["clip", "timeout", "clip", "undecodable", "clip", "undecodable", "error"]
    for clip in outcomes[:5:2]:
        assert nearest(clip.frames, SOURCE) == clip.action.tolist()


@pytest.fixture
def root(tmp_path):
    """UCF101 of one class, with a video of 24 frames and a pipe in place of another."""
    clips = ["Archery/v_Archery_g01_c01", "Archery/v_Archery_g01_c02"]
    for name, lines in ((CLASS_INDEX, ["1 Archery"]), (LISTS / "testlist01.txt", clips)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("\n".join(lines))
    (tmp_path / "ucf101/videos/Archery").mkdir(parents=True)
    encode(tmp_path / f"ucf101/videos/{clips[0]}.avi", SOURCE, "ffv1", "bgr0")
    os.mkfifo(tmp_path / f"ucf101/videos/{clips[1]}.avi")
    return tmp_path


def test_a_pipe_in_place_of_a_video_keeps_nobody_waiting_for_its_length(root):
    began = time.monotonic()
    dataset = UCF101(root, **VIEW, windows="all")
    assert time.monotonic() - began < 30
    assert [ref.id[-4:] for ref in dataset.clips] == ["01#0", "01#1", "01#2", "01#3", "02#0"]
    with pytest.raises(ClipError) as caught:
        dataset.load(dataset.clips[-1])
    assert caught.value.kind == "missing"


def test_lengths_are_read_in_other_processes(root):
    code = CUT.format(tests=str(ROOT / "tests"), root=str(root))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["5", "False"]
