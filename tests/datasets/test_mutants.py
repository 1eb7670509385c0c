"""Damaged videos through the pool: each gives frames that are those they are said to be, or a failure that says why.

VXBENCH_MUTANTS=500 tries that many; 100 are enough to notice what goes wrong often.
"""

import os

import av
import numpy as np
import pytest
from helpers.faulty_datasets import Videos
from helpers.videos import encode, nearest, noise

from vxbench.datasets.base import Clip
from vxbench.datasets.pool import DecodePool
from vxbench.errors import ClipError

pytestmark = pytest.mark.slow

PATIENCE = 30  # seconds; a sound clip of this size takes 10 ms
COUNT = 24
SOURCE = noise(COUNT, (80, 80))
EACH = int(os.environ.get("VXBENCH_MUTANTS", "100")) // 5  # of each coding
VIEW = {"frames": 6, "height": 80, "width": 80}
H264 = {"crf": "20", "x264-params": "keyint=8:bframes=2:b-adapt=0:scenecut=0"}
MPEG4 = {"qmin": "2", "qmax": "4", "g": "8"}
CODINGS = {
    "h264.mp4": ("libx264", {"pixels": "yuv420p", **H264}),
    "h264.mkv": ("libx264", {"pixels": "yuv420p", **H264}),
    "xvid.avi": ("mpeg4", {"pixels": "yuv420p", "bf": "0", **MPEG4}),
    "raw.m4v": ("mpeg4", {"pixels": "yuv420p", "container": "m4v", **MPEG4}),
    "vp9.webm": ("libvpx-vp9", {"pixels": "yuv420p", "cpu-used": "8", "g": "8", "crf": "20"}),
}


def flipped(content, random):
    places = random.integers(0, len(content), random.integers(1, 30))
    content[places] = random.integers(0, 256, len(places))
    return content


def flipped_head(content, random):
    """Flips bytes of the header, where sizes, counts and indices are."""
    places = random.integers(0, min(800, len(content)), 4)
    content[places] = random.integers(0, 256, 4)
    return content


def flipped_tail(content, random):
    """Flips bytes at the end, where MP4 and AVI have their index."""
    places = random.integers(max(0, len(content) - 1000), len(content), 6)
    content[places] = random.integers(0, 256, 6)
    return content


def truncated(content, random):
    return content[: random.integers(0, len(content))]


def zeroed(content, random):
    start = random.integers(0, len(content))
    content[start : start + random.integers(1, 4000)] = 0
    return content


MUTATIONS = (flipped, flipped_head, flipped_tail, truncated, zeroed)


def mutants(folder, name, count):
    """`count` damaged copies of one video."""
    codec, options = CODINGS[name]
    content = np.frombuffer(encode(folder / name, SOURCE, codec, **options).read_bytes(), dtype=np.uint8)
    for number in range(count):
        mutate, path = MUTATIONS[number % len(MUTATIONS)], folder / f"{number:03d}-{name}"
        path.write_bytes(mutate(content.copy(), np.random.default_rng(number)).tobytes())
        yield path


def misplaced(clip):
    """Returns by how many places each frame that is clearly one of the video's is another than it is said to be."""
    found = np.array(nearest(clip.frames, SOURCE))
    # Coding costs some 10 of 255 levels, two random frames differ by 85: below 20 there is no doubt which it is.
    sure = np.abs(SOURCE[found].astype(int) - clip.frames).mean(axis=(1, 2, 3)) < 20
    return set((found - clip.action)[sure].tolist())


@pytest.mark.parametrize("name", CODINGS)
def test_mutants_are_right_or_refused(tmp_path, name):
    if CODINGS[name][0] not in av.codec.codecs_available:
        pytest.skip(f"no encoder {CODINGS[name][0]}")
    dataset = Videos(*mutants(tmp_path, name, EACH), **VIEW)
    with DecodePool(2, PATIENCE) as pool:
        outcomes = pool.load(dataset, dataset.clips)
    failures = [outcome for outcome in outcomes if isinstance(outcome, ClipError)]
    clips = [outcome for outcome in outcomes if isinstance(outcome, Clip)]
    assert len(clips) + len(failures) == EACH
    assert clips
    assert failures
    for failure in failures:
        assert failure.kind == "undecodable"
        assert failure.message
        assert "\n" not in failure.message
        assert "crashed" not in failure.message
    for clip in clips:
        assert clip.frames.shape == (6, 80, 80, 3)
        assert clip.frames.dtype == np.uint8
        # A raw stream has no numbers: its first frame is the first that is shown, whatever was lost before it.
        assert misplaced(clip) <= {0} or (name == "raw.m4v" and len(misplaced(clip)) == 1)
