"""A frame that a decoder finds damaged is a failure, with all that are predicted from it; no other stands in."""

from contextlib import suppress

import av
import numpy as np
import pytest
from helpers.videos import encode, nearest, noise

from vxbench.datasets.decode import read_frames
from vxbench.errors import ClipError

COUNT = 48
SOURCE = noise(COUNT)
XVID = {"g": "12", "bf": "0", "qmin": "2", "qmax": "3", "sc_threshold": "1000000000"}


def test_a_damaged_frame_is_refused_with_all_that_is_predicted_from_it(tmp_path):
    path = encode(tmp_path / "a.mp4", SOURCE, "mpeg4", "yuv420p", **XVID)
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as file:
        start = file.streams.video[0].index_entries[14].pos + 60
    content[start : start + 340] = bytes(340)
    path.write_bytes(content)
    for picked in (14, 18, 22):
        with pytest.raises(ClipError, match=f"a.mp4: damaged at frame {picked + 1}"):
            read_frames(path, lambda n, p=picked: np.array([p]))
    frames, _ = read_frames(path, lambda n: np.array([2, 9, 25, 40]))
    assert nearest(frames, SOURCE) == [2, 9, 25, 40]


@pytest.mark.parametrize("ending", ["mp4", "avi", "mkv"])
@pytest.mark.parametrize("decoder", ["auto", "decord"])
def test_a_frame_is_right_or_refused_wherever_bytes_are_lost(tmp_path, ending, decoder):
    """A block of zeros, as a bad disk leaves it, in each part of the file in turn."""
    sound = encode(tmp_path / f"sound.{ending}", SOURCE, "mpeg4", "yuv420p", **XVID)
    expected, _ = read_frames(sound, np.arange)
    content, path, refused = sound.read_bytes(), tmp_path / f"a.{ending}", 0
    for start in range(100, len(content) - 600, len(content) // 20):
        path.write_bytes(content[:start] + bytes(500) + content[start + 500 :])
        refused += 1
        with suppress(ClipError):
            frames, indices = read_frames(path, lambda n: np.array([1, 5, 9]) % n, decoder)
            assert np.abs(frames.astype(int) - expected[indices]).max() <= 2
            refused -= 1
    assert refused
