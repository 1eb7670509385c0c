import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

SIZE = (96, 128)  # height, width
BITS = 8  # a frame's number is written into it as eight black or white blocks


def frame_number(frame):
    """The number that `numbered` wrote into a frame (h, w, 3)."""
    height, width = frame.shape[:2]
    columns = [(2 * bit + 1) * width // (2 * BITS) for bit in range(BITS)]
    return sum(1 << bit for bit, x in enumerate(columns) if frame[height // 2, x].mean() > 128)


def numbered(index):
    """Frame number `index` of a test video, SIZE RGB; it survives lossy coding."""
    frame = np.zeros((*SIZE, 3), dtype=np.uint8)
    for bit in range(BITS):
        if index >> bit & 1:
            frame[:, bit * SIZE[1] // BITS : (bit + 1) * SIZE[1] // BITS] = 255
    return frame


@pytest.fixture
def number_of():
    return frame_number


@pytest.fixture
def make_video():
    """make_video(path, count, codec="mpeg4", container=None, **codec options) writes a video of numbered frames."""

    def make(path, count=60, codec="mpeg4", container=None, **options):
        with av.open(str(path), "w", format=container) as file:
            stream = file.add_stream(codec, rate=25)
            stream.height, stream.width = SIZE
            stream.pix_fmt = "yuv420p"
            stream.codec_context.options = {"g": "12", "qmin": "2", "qmax": "4", **options}
            for index in range(count):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(index), format="rgb24")))
            file.mux(stream.encode())
        return Path(path)

    return make


def noise(count, size=(80, 80), seed=0):
    """(count, h, w, 3) uint8: frames of random blocks of 4 x 4 pixels, of which each frame is like no other."""
    height, width = size
    blocks = np.random.default_rng(seed).integers(0, 256, (count, -(-height // 4), -(-width // 4), 3), dtype=np.uint8)
    return blocks.repeat(4, axis=1).repeat(4, axis=2)[:, :height, :width]


def encode(path, frames, codec, pixels, container=None, rotation=0, times=None, **options):
    """Write frames (n, h, w, 3) to a video; times: (n,) display times in ticks of 1/25 s; options are the codec's."""
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
        stream.codec_context.options = options
        if rotation:
            stream.set_display_rotation(rotation)
        for index, pixels_of in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels_of, format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = int(index if times is None else times[index]), Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    return Path(path)


def nearest(frames, source):
    """The index of the frame of `source` that each frame resembles most."""
    near = source[:, 2::4, 2::4].astype(int)
    return [int(np.abs(near - frame[2::4, 2::4]).mean(axis=(1, 2, 3)).argmin()) for frame in frames]


@pytest.fixture(scope="session")
def real_clips():
    """The folder `clips` of real videos, which is not part of the project: $VXBENCH_SHARED/clips or ../shared/clips."""
    shared = Path(os.environ.get("VXBENCH_SHARED", Path(__file__).resolve().parents[3] / "shared"))
    if not (shared / "clips").is_dir():
        pytest.skip(f"no real clips in {shared}")
    return shared / "clips"


@pytest.fixture(scope="session")
def mini_root(tmp_path_factory):
    """A mini data set of two training and one test clip a class."""
    from vxbench.datasets.mini.generate import generate

    root = tmp_path_factory.mktemp("data") / "mini"
    generate(root, train_per_class=2, test_per_class=1, processes=1)
    return root
