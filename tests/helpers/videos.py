"""Test videos with known pixels: what is written into them, and how they are encoded."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

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
