"""A clip that is not there, or is no regular file, is a failure of its own that names the path; the others are read."""

import os

import numpy as np
import pytest
from helpers.faulty_datasets import Videos
from helpers.videos import encode, noise
from PIL import Image

from vxbench.datasets.base import Clip
from vxbench.datasets.media import read_media
from vxbench.datasets.pool import DecodePool
from vxbench.errors import ClipError

VIEW = {"frames": 4, "height": 32, "width": 32}


@pytest.mark.slow
def test_what_is_no_file_costs_its_clip_alone(tmp_path):
    good, pipe, loop, nowhere = (tmp_path / f"{name}.avi" for name in ("good", "pipe", "loop", "nowhere"))
    encode(good, noise(8), "ffv1", "bgr0")
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    nowhere.symlink_to(tmp_path / "gone.avi")
    bad = (tmp_path / "gone.avi", pipe, loop, nowhere, tmp_path / "device.avi")
    bad[-1].symlink_to("/dev/zero")
    dataset = Videos(good, *bad, **VIEW, cache=tmp_path / "cache")
    with DecodePool(1, 30) as pool:
        first, *others = pool.load(dataset, dataset.clips)
    assert isinstance(first, Clip)
    assert [error.kind for error in others] == ["missing"] * len(bad)
    assert all(str(path) in error.message for path, error in zip(bad, others, strict=True))


def test_an_image_that_is_no_file(tmp_path):
    for number in (1, 3):
        Image.fromarray(noise(1)[0]).save(tmp_path / f"img_{number:05d}.png")
    os.mkfifo(tmp_path / "img_00002.png")
    with pytest.raises(ClipError, match=r"img_00002\.png") as caught:
        read_media(tmp_path, np.arange)
    assert caught.value.kind == "missing"
