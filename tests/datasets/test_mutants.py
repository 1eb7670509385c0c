"""500 damaged videos through the pool: each a clip, or a failure with its kind and its reason."""

import av
import numpy as np
import pytest
from helpers.faulty_datasets import FaultyVideos, Videos
from helpers.videos import encode, nearest, noise

from vxbench.datasets.base import Clip
from vxbench.datasets.pool import DecodePool
from vxbench.errors import ClipError

pytestmark = pytest.mark.slow

PATIENCE = 30  # seconds; a sound clip of this size takes 10 ms
COUNT = 24
SOURCE = noise(COUNT, (80, 80))
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
    """How many frames are clearly another frame of the video than the one they are said to be."""
    found = np.array(nearest(clip.frames, SOURCE))
    # Coding costs some 10 of 255 levels, two random frames differ by 85: below 20 there is no doubt which it is.
    sure = np.abs(SOURCE[found].astype(int) - clip.frames).mean(axis=(1, 2, 3)) < 20
    # A cut in the last group of B-frames loses up to two that are shown before the last frame.
    return int((sure & (np.abs(found - clip.action) > 2)).sum())


@pytest.mark.parametrize("name", CODINGS)
def test_100_mutants(tmp_path, name):
    if CODINGS[name][0] not in av.codec.codecs_available:
        pytest.skip(f"no encoder {CODINGS[name][0]}")
    dataset = Videos(*mutants(tmp_path, name, 100), **VIEW)
    with DecodePool(2, PATIENCE) as pool:
        outcomes = pool.load(dataset, dataset.clips)
    failures = [outcome for outcome in outcomes if isinstance(outcome, ClipError)]
    clips = [outcome for outcome in outcomes if isinstance(outcome, Clip)]
    assert len(clips) + len(failures) == 100
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
    # What is left of a truncated video is sound. Elsewhere decoders conceal damage with other frames, and lost packets
    # cannot be told from frames that never were.
    cut = [clip for clip in outcomes[MUTATIONS.index(truncated) :: len(MUTATIONS)] if isinstance(clip, Clip)]
    assert sum(misplaced(clip) for clip in cut) == 0


def test_a_decoder_that_hangs_or_crashes_costs_one_clip(tmp_path):
    codec, options = CODINGS["xvid.avi"]
    deeds = ("good-1", "hang-2", "good-3", "segfault-4", "good-5", "exit-6", "fail-7")
    paths = [encode(tmp_path / f"{deed}.avi", SOURCE, codec, **options) for deed in deeds]
    dataset = FaultyVideos(*paths, **VIEW)
    with DecodePool(2, timeout_s=3) as pool:
        outcomes = pool.load(dataset, dataset.clips)
    kinds = [getattr(outcome, "kind", "clip") for outcome in outcomes]
    assert kinds == ["clip", "timeout", "clip", "undecodable", "clip", "undecodable", "error"]
    for clip in outcomes[:5:2]:
        assert misplaced(clip) == 0
