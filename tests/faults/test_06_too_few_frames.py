"""A clip of fewer than half as many different frames as the model takes is a failure that says so."""

import numpy as np
import pytest
from helpers.faulty_datasets import Videos
from helpers.videos import encode, noise
from PIL import Image

from vxbench.datasets.ucf101 import CLASS_INDEX, LISTS, UCF101
from vxbench.errors import ClipError

SOURCE = noise(16)
SIZE = {"height": 32, "width": 32}


def folder(path, count):
    path.mkdir(parents=True)
    for number, frame in enumerate(SOURCE[:count], 1):
        Image.fromarray(frame).save(path / f"img_{number:05d}.png")
    return path


def test_sixteen_stored_frames_are_too_few_for_a_rule_that_skips_over_them(tmp_path):
    """Eight frames, 32 apart, of the sixteen that STEP's authors share of a clip: one frame eight times."""
    sparse = Videos(folder(tmp_path / "clip", 16), frames=8, sampling="dense", interval=32, **SIZE)
    with pytest.raises(ClipError, match="clip: too few frames for sampling=dense") as caught:
        sparse.load(sparse.clips[0])
    assert caught.value.kind == "undecodable"
    spread = Videos(tmp_path / "clip", frames=8, sampling="centre", **SIZE)
    assert len(np.unique(spread.load(spread.clips[0]).action)) == 8


@pytest.mark.parametrize("sampling", ["last", "first", "centre", "window", "dense"])
@pytest.mark.parametrize(("count", "enough"), [(1, False), (3, False), (4, True), (8, True)])
def test_half_of_them_are_enough(tmp_path, sampling, count, enough):
    path = encode(tmp_path / "a.avi", SOURCE[:count], "ffv1", "bgr0")
    dataset = Videos(path, frames=8, sampling=sampling, **SIZE)
    if enough:
        assert len(dataset.load(dataset.clips[0]).frames) == 8
    else:
        with pytest.raises(ClipError, match=r"a\.avi: too few frames"):
            dataset.load(dataset.clips[0])


@pytest.mark.slow
def test_the_last_window_of_a_video_may_be_short(tmp_path):
    """It starts over, as in the loaders of AOSA's networks; the first window is held to the rule."""
    for name, lines in ((CLASS_INDEX, ["1 Run"]), (LISTS / "testlist01.txt", ["Run/long", "Run/short"])):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("\n".join(lines))
    for name, count in (("long", 9), ("short", 2)):
        folder(tmp_path / f"ucf101/rawframes/Run/{name}", count)
    dataset = UCF101(tmp_path, frames=8, sampling="window", windows="all", **SIZE)
    long, tail, short = dataset.clips
    assert len(dataset.load(long).frames) == len(dataset.load(tail).frames) == 8
    with pytest.raises(ClipError, match="short: too few frames"):
        dataset.load(short)
