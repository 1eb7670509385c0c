"""Writes videos: a map over the frames it explains, and clips beside each other."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vxbench.datasets.streams import opened
from vxbench.datasets.view import Window
from vxbench.errors import UserError
from vxbench.figures.drawing.maps import COLOURS, OPACITY
from vxbench.files import write_whole

CODECS = {"libx264": {"preset": "veryfast", "crf": "20"}, "mpeg4": {"qmin": "2", "qmax": "5"}}  # the first there is
CLOCK = Fraction(1, 60000)  # seconds a tick of the videos written; MPEG-4 has no finer than 1/65535
SQUARE = Fraction(1)
BT601 = 6  # FFmpeg's number for the matrix from RGB to YUV
PANEL = 256  # least height of a panel, pixels
GAP, BAND, INK = 8, 28, (34, 34, 34)  # pixels between panels and of the band above them, and colour of its words

Timed = tuple[float, np.ndarray]  # seconds, (h, w, 3) uint8 RGB


@dataclass(frozen=True)
class Written:
    """A video that was written: its codec and its number of frames."""

    path: Path
    codec: str
    frames: int


def write_video(path: str | Path, frames: Iterable[Timed], rate: Fraction, aspect: Fraction = SQUARE) -> Written:
    """Writes an MP4 of frames at ascending times: H.264, which browsers play, or MPEG-4 where libx264 is absent.

    rate: mean frames a second. aspect: width of a pixel as it is shown, in its heights. Sides that are odd are made
    even by a copy of the last row or column, as the colours of two by two pixels are stored together. The file is there
    whole or not at all.

    Raises:
        UserError: no frame.
    """
    import av

    path, count = Path(path), 0
    codec = next(name for name in CODECS if name in av.codecs_available)

    def encode(temporary: Path) -> None:
        nonlocal count
        with av.open(str(temporary), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            count = _encode(container, codec, frames, rate, aspect)
        if not count:
            raise UserError(f"{path.name}: no frame to write")

    write_whole(path, encode)
    return Written(path, codec, count)


def _encode(container, codec: str, frames: Iterable[Timed], rate: Fraction, aspect: Fraction) -> int:
    """Encodes the frames, and returns how many there were."""
    import av

    stream, first, count = None, 0.0, 0
    for seconds, pixels in frames:
        pixels = _even(pixels)
        if stream is None:
            stream, first = _stream(container, codec, pixels, rate, aspect), seconds
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = round((seconds - first) / CLOCK), CLOCK
        container.mux(stream.encode(frame))
        count += 1
    if stream is not None:
        container.mux(stream.encode())
    return count


def _stream(container, codec: str, pixels: np.ndarray, rate: Fraction, aspect: Fraction):
    stream = container.add_stream(codec, rate=rate, options=CODECS[codec])
    stream.height, stream.width, stream.pix_fmt = *pixels.shape[:2], "yuv420p"
    stream.time_base = stream.codec_context.time_base = CLOCK
    stream.codec_context.sample_aspect_ratio = aspect
    stream.codec_context.colorspace = BT601  # what from_ndarray's RGB becomes; players take large videos for BT.709
    return stream


def pixel_aspect(path: Path) -> Fraction:
    """Width of a video's pixels as it is shown, in their heights; 1 for a folder of frames or if the file says none."""
    if path.is_dir():
        return SQUARE
    with opened(path) as (container, stream):
        turned = next(container.decode(stream)).rotation % 180  # frames are turned upright, and their pixels with them
        aspect = stream.sample_aspect_ratio or SQUARE
    return 1 / aspect if turned else aspect


def _even(pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge") if height % 2 or width % 2 else pixels


class BackProjection:
    """A function that brings maps of the model's pixels to those of the source frame: the inverse of `Window`.

    size: (width, height) of the source frame. rows, columns: slices of the source frame's pixels whose centres the
    model sees; a crop cuts the others away. box: x1, y1, x2, y2 of what it sees, in pixels of the source frame.
    """

    def __init__(self, window: Window, size: tuple[int, int]):
        width, height = size
        self.columns, self._across = _interpolation(width, window.full_width, window.left, window.width)
        self.rows, self._down = _interpolation(height, window.full_height, window.top, window.height)
        edges = np.array([window.left, window.top, window.left + window.width, window.top + window.height])
        scale = np.array([width / window.full_width, height / window.full_height] * 2)
        self.box = np.clip(edges * scale, 0, [width, height, width, height])

    def __call__(self, saliency: np.ndarray) -> np.ndarray:
        """The map (H, W) of the window as (h, w) float32 of source[rows, columns], bilinear between pixel centres."""
        return self._down @ saliency.astype(np.float32) @ self._across.T


def _interpolation(source: int, full: int, start: int, size: int) -> tuple[slice, np.ndarray]:
    """The source's pixels in the window along one axis, and the weights (n, size) of the window's pixels in each."""
    place = (np.arange(source) + 0.5) * full / source - start
    inside = np.flatnonzero((place >= 0) & (place < size))
    at = np.clip(place[inside] - 0.5, 0, size - 1)
    weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(size)))
    first = int(inside[0]) if len(inside) else 0
    return slice(first, first + len(inside)), weights.astype(np.float32)


class InTime:
    """A function from any time to a map: linear between sampled frames, the mean of a frame sampled twice.

    maps: (T, H, W). times: (T,) seconds, in any order. The first and the last map hold, before and after, for as long
    as two sampled frames are apart at most: the model knows nothing about what is further away.
    """

    def __init__(self, maps: np.ndarray, times: np.ndarray):
        self.times, same = np.unique(np.asarray(times, dtype=np.float64), return_inverse=True)
        self.maps = np.stack([maps[same == place].mean(axis=0) for place in range(len(self.times))])
        self.reach = np.diff(self.times).max(initial=0.0) + 1e-6 if len(self.times) > 1 else np.inf

    def __call__(self, seconds: float) -> np.ndarray | None:
        """The map (H, W) at this time, None where no sampled frame is near."""
        if not self.times[0] - self.reach <= seconds <= self.times[-1] + self.reach:
            return None
        place = float(np.interp(seconds, self.times, np.arange(len(self.times))))
        low, share = int(place), place - int(place)
        return self.maps[low] if not share else (1 - share) * self.maps[low] + share * self.maps[low + 1]


def overlay_frames(frames: Iterable[Timed], maps: InTime, projection: BackProjection) -> Iterator[Timed]:
    """Lays the map over each frame, coloured as in the figures; what the model did not see stays as it is."""
    rows, columns = projection.rows, projection.columns
    for seconds, pixels in frames:
        if (saliency := maps(seconds)) is not None:
            pixels = np.array(pixels)
            pixels[rows, columns] = blended(pixels[rows, columns], projection(saliency))
        yield seconds, pixels


def blended(frame: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """The overlay of `maps.overlay` in whole numbers, (h, w, 3) uint8: fast, and a step or two of 255 off."""
    level = np.rint(saliency * 255).clip(0, 255).astype(np.uint8)
    grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    under = cv2.multiply(grey, cv2.LUT(level, _FADE), scale=1 / 255)
    return cv2.add(cv2.cvtColor(under, cv2.COLOR_GRAY2RGB), cv2.LUT(cv2.cvtColor(level, cv2.COLOR_GRAY2RGB), _TINT))


_OPACITY = OPACITY[0] + (OPACITY[1] - OPACITY[0]) * np.linspace(0, 1, 256)
_FADE = np.rint(255 * (1 - _OPACITY)).astype(np.uint8)  # (256,): what is left of the frame
_TINT = np.rint(255 * _OPACITY[:, None] * matplotlib.colormaps[COLOURS](np.arange(256))[:, :3])
_TINT = _TINT.astype(np.uint8)[None]  # (1, 256, 3): what the map adds


def panels_side_by_side(
    panels: Sequence[np.ndarray], captions: Sequence[str], seconds: Sequence[float]
) -> Iterator[Timed]:
    """Sets clips (T, H, W, 3) uint8 beside each other below their captions, small pixels enlarged to squares."""
    factor = max(1, -(-PANEL // panels[0].shape[1]))
    width = panels[0].shape[2] * factor
    band = np.hstack([_caption(caption, width + GAP) for caption in captions])[:, :-GAP]
    for time, pictures in zip(seconds, zip(*panels, strict=True), strict=True):
        large = [np.kron(picture, np.ones((factor, factor, 1), np.uint8)) for picture in pictures]
        row = np.hstack([np.pad(one, ((0, 0), (0, GAP), (0, 0)), constant_values=255) for one in large])
        yield time, np.vstack([band, row[:, :-GAP]])


def _caption(words: str, width: int) -> np.ndarray:
    """The caption (BAND, width, 3): words on white, cut short where they are too long."""
    picture = Image.new("RGB", (width, BAND), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=15)
    if draw.textlength(words, font) > width - GAP:
        while words and draw.textlength(f"{words}…", font) > width - GAP:
            words = words[:-1]
        words = f"{words}…"
    draw.text((2, BAND / 2), words, fill=INK, font=font, anchor="lm")
    return np.asarray(picture)
