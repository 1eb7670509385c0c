"""A video of the user's own, in the place of a data set: one clip of it, and all its frames in order."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from vxbench.datasets.base import Clip, ClipRef, VideoDataset
from vxbench.datasets.decode import frames_in_order
from vxbench.datasets.media import frame_numbers, read_media
from vxbench.datasets.streams import opened, read_header
from vxbench.datasets.view import Fitting, Window
from vxbench.errors import ClipError
from vxbench.ranges import above, within

FOLDER_RATE = 25  # frames a second of a folder of frames, where nobody says


@dataclass(frozen=True)
class Timeline:
    """When the frames of a video are shown.

    ticks: (n,) int64, ascending display times in units of `base` seconds. rate: mean frames a second. timed: whether
    the file stores these times; else they are counted at the mean rate.
    """

    ticks: np.ndarray
    base: Fraction
    rate: Fraction
    timed: bool

    @property
    def seconds(self) -> np.ndarray:
        """(n,) float64, from the first frame on."""
        return (self.ticks - self.ticks[0]) * float(self.base)

    def span(self, start: float | None, length: float | None) -> tuple[int, int]:
        """The frames first <= t < stop that are shown from `start` on for `length` seconds; null: to either end."""
        edges = [start or 0.0, np.inf if length is None else (start or 0.0) + length]
        first, stop = np.searchsorted(self.seconds + 1e-6, edges)  # what is given in decimals may round either way
        return int(first), int(stop)


@dataclass(kw_only=True)
class OwnClip(Clip):
    """indices: (T,) of its frames in the whole video. window: the map from source frames, of `size` (width, height) in
    pixels, to the model's. span: the frames first <= t < stop that it is sampled from."""

    indices: np.ndarray
    window: Window
    size: tuple[int, int]
    timeline: Timeline
    span: tuple[int, int]

    @property
    def times(self) -> np.ndarray:
        """(T,) seconds of its frames in the whole video."""
        return self.timeline.seconds[np.minimum(self.indices, len(self.timeline.ticks) - 1)]


class OwnVideo(VideoDataset):
    """A single video, or a folder of its frames; sampled and resized as a model wants it, by `view` (see VideoDataset).

    start, length: seconds of the part that is looked at, None for all of it. fps: frames a second of a folder of
    frames, None for 25; a video has its own.

    Raises:
        OutOfRange: a value outside its range.
    """

    def __init__(self, start: float | None = None, length: float | None = None, fps: float | None = None, **view):
        super().__init__(**view)
        self.start = start if start is None else within("start", start, 0, 1e9)
        self.length = length if length is None else above("length", length, 0)
        self.fps = fps if fps is None else above("fps", fps, 0)

    def load(self, ref: ClipRef) -> OwnClip:
        """Raises:
        ClipError: `missing` or `undecodable`; also a video, or a part of it, of fewer than two frames.
        """
        timeline = read_timeline(ref.path, self.fps)
        span = timeline.span(self.start, self.length)
        self._check(ref, timeline, span)
        whole = self.start is None and self.length is None
        fit = Fitting(self.spatial)
        frames, indices = read_media(ref.path, self.pick, self.decoder, None if whole else span, self.gaps, fit)
        facts = {"indices": indices, "window": fit.window, "size": fit.size, "timeline": timeline, "span": span}
        return OwnClip(frames, **facts)

    def _check(self, ref: ClipRef, timeline: Timeline, span: tuple[int, int]) -> None:
        total, count = len(timeline.ticks), span[1] - span[0]
        if total < 2:
            raise ClipError("undecodable", f"{ref.path} has a single frame; a video has two at least")
        if count < 2:
            end = float(timeline.seconds[-1])
            asked = f"start={self.start} length={self.length}".replace("None", "null")
            raise ClipError(
                "undecodable", f"{ref.path}: {asked} leaves {count} of its {total} frames; the last is at {end:.2f} s"
            )


def read_timeline(path: Path, fps: float | None = None) -> Timeline:
    """Nothing is decoded. fps: of a folder of frames.

    Raises:
        ClipError: `missing` or `undecodable`; `error` if fps is given for a video, which has its own.
    """
    if path.is_dir():
        return _of_folder(path, Fraction(fps or FOLDER_RATE).limit_denominator(1001))
    if not path.is_file():
        raise ClipError("missing", f"no file {path}")
    if fps is not None:
        raise ClipError("error", f"fps = {fps} is for folders of frames; {path} is a video and has its own")
    try:
        return _of_file(path)
    except ClipError:
        raise
    except Exception as error:  # damaged files make FFmpeg raise nearly anything
        raise ClipError("undecodable", f"{path} is not a video that can be read: {_reason(error)}") from error


def in_order(path: Path, timeline: Timeline, span: tuple[int, int]) -> Iterator[tuple[float, np.ndarray]]:
    """(seconds from the video's first frame, (h, w, 3) uint8 RGB) of the frames of a span, as they are shown.

    Ends where a video cannot be decoded any further. One frame is held at a time.
    """
    return _folder_frames(path, timeline, span) if path.is_dir() else _file_frames(path, timeline, span)


def _of_folder(path: Path, rate: Fraction) -> Timeline:
    images = frame_numbers(path)
    if not images:
        raise ClipError("missing", f"no frames of {path}: images named by their number, such as img_00001.jpg")
    return Timeline(np.arange(max(images) + 1), 1 / rate, rate, timed=False)


def _of_file(path: Path) -> Timeline:
    header = read_header(path)
    timed = header.timed and not header.hidden
    with opened(path) as (container, stream):
        rate = Fraction(stream.average_rate or stream.guessed_rate or FOLDER_RATE)
        if not timed:
            return Timeline(np.arange(header.packets - header.hidden), 1 / rate, rate, timed)
        ticks = sorted(packet.pts for packet in container.demux(stream) if packet.size)
        return Timeline(np.array(ticks, dtype=np.int64), Fraction(stream.time_base), rate, timed)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]


def _folder_frames(path: Path, timeline: Timeline, span: tuple[int, int]) -> Iterator[tuple[float, np.ndarray]]:
    for index in sorted(frame_numbers(path)):
        if span[0] <= index < span[1]:
            frames, _ = read_media(path, lambda n: np.zeros(1, int), span=(index, index + 1))
            yield float(timeline.seconds[index]), frames[0]


def _file_frames(path: Path, timeline: Timeline, span: tuple[int, int]) -> Iterator[tuple[float, np.ndarray]]:
    import av

    seconds = timeline.seconds
    with suppress(av.FFmpegError, ClipError):
        for index, pixels in frames_in_order(path, *span):
            yield float(seconds[index]), pixels
