import os
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
