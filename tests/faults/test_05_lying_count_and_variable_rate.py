"""A header's number of frames is believed only where the file bears it out, and uneven times change no index."""

import struct

import numpy as np
import pytest
from helpers.videos import encode, nearest, noise

from vxbench.datasets.decode import read_frames
from vxbench.errors import ClipError

COUNT = 48
SOURCE = noise(COUNT)
XVID = {"g": "12", "bf": "0", "qmin": "2", "qmax": "3"}


def announcing(path, count):
    """The AVI with another number of frames in its headers: of the file (avih) and of the stream (strh)."""
    content = bytearray(path.read_bytes())
    for place in (content.index(b"avih") + 8 + 16, content.index(b"strh") + 8 + 32):
        content[place : place + 4] = struct.pack("<I", count)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("count", "decoder"),
    [(0, "auto"), *((count, decoder) for count in (1, 20, 47, 49) for decoder in ("auto", "decord"))],
)
def test_frames_are_counted_where_the_header_says_too_few_or_hardly_too_many(tmp_path, count, decoder):
    path = announcing(encode(tmp_path / "a.avi", SOURCE, "mpeg4", "yuv420p", **XVID), count)
    told = []
    frames, _ = read_frames(path, lambda n: told.append(n) or np.array([0, 30, 47]), decoder)
    assert told[-1] == COUNT
    assert nearest(frames, SOURCE) == [0, 30, 47]


def test_decord_needs_a_number_and_says_so(tmp_path):
    path = announcing(encode(tmp_path / "a.avi", SOURCE, "mpeg4", "yuv420p", **XVID), 0)
    with pytest.raises(ClipError, match=r"a\.avi: decord cannot read it; decoder=auto does"):
        read_frames(path, np.arange, "decord")


@pytest.mark.parametrize("count", [60, 10**9, 2**32 - 1])
def test_many_too_many_are_a_truncated_file(tmp_path, count):
    path = announcing(encode(tmp_path / "a.avi", SOURCE, "mpeg4", "yuv420p", **XVID), count)
    with pytest.raises(ClipError, match=r"a\.avi: truncated, 48 of \d+ frames are there"):
        read_frames(path, np.arange)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("span", [None, (20, 40)])
def test_uneven_times_do_not_matter(tmp_path, container, span):
    times = np.cumsum(np.random.default_rng(3).integers(1, 30, COUNT))
    options = {"crf": "10", "x264-params": "keyint=12:bframes=3:scenecut=0"}
    path = encode(tmp_path / f"a.{container}", SOURCE, "libx264", "yuv420p", times=times, **options)
    frames, indices = read_frames(path, lambda n: np.array([19, 0, 17]), "auto", span)
    assert nearest(frames, SOURCE) == indices.tolist() == [(span or (0,))[0] + index for index in (19, 0, 17)]
