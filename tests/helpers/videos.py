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


def encode(path, frames, codec, pixels, container=None, rotation=0, matrix=None, times=None, **options):
    """Write frames (n, h, w, 3) to a video; times: (n,) display times in ticks of 1/25 s; options are the codec's.

    rotation: degrees, or matrix: (a, b, c, d), which shows the pixel at (x, y) at (a x + c y, b x + d y).
    """
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
        stream.codec_context.options = options
        if rotation:
            stream.set_display_rotation(rotation)
        if matrix:
            a, b, c, d = (int(value * (1 << 16)) for value in matrix)
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
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


TURNS = [(a, 0, 0, d) for a in (1, -1) for d in (1, -1)] + [(0, b, c, 0) for b in (1, -1) for c in (1, -1)]


def as_shown(frame, matrix):
    """A frame (h, w, 3) through one of TURNS, pixel by pixel: what is at (x, y) goes to (a x + c y, b x + d y)."""
    a, b, c, d = matrix
    places = {(a * x + c * y, b * x + d * y): (x, y) for y in range(frame.shape[0]) for x in range(frame.shape[1])}
    columns, rows = (sorted({place[axis] for place in places}) for axis in (0, 1))
    return np.array([[frame[places[x, y][::-1]] for x in columns] for y in rows])


def without_first(path, to, count, container=None):
    """A copy of a video's stream without its first `count` packets."""
    with av.open(str(path)) as file, av.open(str(to), "w", format=container) as copy:
        stream = copy.add_stream_from_template(file.streams.video[0])
        for number, packet in enumerate(file.demux(video=0)):
            if packet.size and number >= count:
                packet.stream = stream
                copy.mux(packet)
    return Path(to)
