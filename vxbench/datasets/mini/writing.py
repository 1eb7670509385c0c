"""Writes encoded videos, pictures and text files, as data sets are published."""

import csv
import hashlib
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from vxbench.datasets.mini.actors import unpacked
from vxbench.errors import UserError

MPEG4 = {"qmin": "4", "qmax": "4", "bf": "0", "g": "60"}
H264 = {"crf": "29", "bf": "2", "x264-params": "b-adapt=0:scenecut=0", "g": "60"}
JPEG_QUALITY = 80  # of 100


def write_xvid(path: Path, frames: Iterable[np.ndarray]) -> None:
    """Writes frames (h, w) uint32 as Xvid-tagged MPEG-4 in AVI, 25 fps, without B-frames as the files of UCF101."""
    _encode(path, frames, "avi", "mpeg4", Fraction(25), MPEG4, tag="XVID")


def write_h264(path: Path, frames: Iterable[np.ndarray], fps: Fraction, preset: str) -> None:
    """Writes frames (h, w) uint32, h and w even, as H.264 in MP4, with B-frames as the files of YouTube and cameras.

    preset: x264's, from fast and large to slow and small.
    """
    _encode(path, frames, "mp4", "libx264", fps, {**H264, "preset": preset})


def _encode(
    path: Path, frames: Iterable[np.ndarray], container: str, codec: str, fps: Fraction, options: dict, tag: str = ""
) -> None:
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format=container) as file:
        video = file.add_stream(codec, rate=fps)
        video.pix_fmt, video.codec_context.options = "yuv420p", options
        video.codec_context.thread_count = 1
        if tag:
            video.codec_context.codec_tag = tag
        for t, frame in enumerate(frames):
            if t == 0:
                video.height, video.width = frame.shape
            pixels = np.ascontiguousarray(frame).view(np.uint8).reshape(*frame.shape, 4)
            file.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgba")))
        file.mux(video.encode())


def write_jpegs(folder: Path, frames: Iterable[np.ndarray], pattern: str) -> None:
    """Writes frames (h, w) uint32 as numbered pictures, from 1 on; `pattern` makes the name from the number.

    Raises:
        UserError: a picture cannot be written.
    """
    import cv2

    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames, start=1):
        bgr = np.ascontiguousarray(unpacked(frame)[..., ::-1])
        path = folder / (pattern % number)
        if not cv2.imwrite(str(path), bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]):
            raise UserError(f"{path} cannot be written; is the disk full?")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([columns, *rows])


def digest_of(frames: Iterable[np.ndarray], boxes: Iterable[np.ndarray] = ()) -> str:
    """The SHA-256 of drawn frames (RGB) and boxes, which is equal on every machine."""
    parts = [unpacked(frame).tobytes() for frame in frames] + [box.astype("<i4").tobytes() for box in boxes]
    return hashlib.sha256(b"".join(parts)).hexdigest()
