"""Videos and frames of any size and kind of pixel are read right, in memory that does not grow with their size."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.videos import encode, noise
from PIL import Image

from vxbench.datasets.decode import read_frames
from vxbench.datasets.media import read_media

KINDS = {
    "odd": ("ffv1", "bgr0", "avi", (81, 97)),
    "narrow": ("ffv1", "bgr0", "mkv", (4, 200)),
    "alpha": ("png", "rgba", "mov", (80, 96)),
    "alpha, yuv": ("ffv1", "yuva444p", "mkv", (80, 96)),
    "grey": ("ffv1", "gray", "mkv", (80, 96)),
    "deep": ("ffv1", "gbrp10le", "mkv", (80, 96)),
    "full range": ("mjpeg", "yuvj444p", "avi", (80, 96)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_pixel_is_rgb_of_its_own_size(tmp_path, kind):
    codec, pixels, ending, size = KINDS[kind]
    source = noise(6, size)
    source = source.mean(axis=3, keepdims=True).astype(np.uint8).repeat(3, axis=3) if kind == "grey" else source
    quality = {"qmin": "1", "qmax": "1"} if codec == "mjpeg" else {}
    path = encode(tmp_path / f"a.{ending}", source, codec, pixels, **quality)
    frames, _ = read_frames(path, np.arange)
    assert frames.shape == source.shape
    assert np.abs(frames.astype(int) - source).mean() < 5


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_every_kind_of_still_is_rgb(tmp_path, mode):
    black_and_white = np.repeat(np.uint8([[[0], [255], [255], [0]]] * 4), 3, axis=2)
    ending = "jpg" if mode == "CMYK" else "png"
    Image.fromarray(black_and_white).convert(mode).save(tmp_path / f"img_00001.{ending}")
    frames, _ = read_media(tmp_path, np.arange)
    assert np.abs(frames[0].astype(int) - black_and_white).max() < 12


PEAK = """
import sys
from pathlib import Path
from vxbench.datasets.base import ClipRef, VideoDataset
VideoDataset(int(sys.argv[2]), 32, 32, decoder=sys.argv[3]).load(ClipRef("a", Path(sys.argv[1]), 0))
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """A video, and a folder of frames, of 3840 x 2160 pixels."""
    folder = tmp_path_factory.mktemp("large")
    frames = np.zeros((16, 2160, 3840, 3), np.uint8)
    for index, frame in enumerate(frames):
        frame[:, 200 * index : 200 * index + 200] = 255
        Image.fromarray(frame).save(folder / f"img_{index + 1:05d}.jpg")
    return encode(folder / "a.mp4", frames, "libx264", "yuv420p", preset="ultrafast"), folder


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from /proc")
@pytest.mark.parametrize(("decoder", "folder"), [("auto", False), ("decord", False), ("auto", True)])
def test_memory_does_not_grow_with_the_frames_of_a_large_video(large, decoder, folder):
    """A frame of it takes 24 MB in RGB; 16 of them took a gigabyte."""

    def peak(frames):
        words = [sys.executable, "-c", PEAK, str(large[folder]), str(frames), decoder]
        return int(subprocess.run(words, capture_output=True, text=True, check=True).stdout) >> 10

    few, many = peak(2), peak(16)
    assert many - few < 120
    assert many < 400
