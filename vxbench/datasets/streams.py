"""Opens a video file at the stream that a player shows, and reads that stream's header.

A player takes FFmpeg's best video stream. That may be a still where a camera or an editor put a preview or a cover
before the film, so streams that are marked as pictures, or have a single frame beside one with more, are passed over.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from vxbench.errors import ClipError

SLACK = 2  # frames a sound file may have fewer than its header says (Xvid's empty frames, edit lists)
MP4 = {"mp4"}  # and MOV, which FFmpeg reads as one
TIMED = MP4 | {"matroska"}  # containers that store display times; FFmpeg makes up those of AVI and of raw streams
INDEXED = MP4 | {"avi"}
UNCOUNTED = {"matroska"}  # formats without a number of frames, of whose damage only FFmpeg's complaints tell
REORDER = 16  # places in the file by which a frame can be shown early or late, in H.264 and HEVC
PLAYLISTS = {"hls", "dash", "concat"}  # formats that name other files, which may lie anywhere


@dataclass(frozen=True)
class Header:
    """A video file's own account of itself, before anything is decoded.

    announced: frames by the header, 0 where it does not say. packets: compressed frames in the file. lead: how many of
    them come before the first keyframe. hidden: how many an edit list hides. timed: whether the file stores a display
    time of its own for each packet. ranked: whether a frame's number in the video is the rank of its display time; else
    frames are counted.
    """

    announced: int
    packets: int
    lead: int = 0
    hidden: int = 0
    timed: bool = True
    ranked: bool = True

    @property
    def numbered(self) -> bool:
        """Whether the frames behind a damaged one keep their numbers, though it may be lost."""
        return self.timed or self.counted

    @property
    def counted(self) -> bool:
        """Whether the header gives a number of frames, the packets agree with it and a player shows them all."""
        return self.announced > 0 and self.announced == self.packets and not self.hidden and not self.lead


def read_header(path: Path) -> Header:
    """Reads the film's header and the times of its packets; nothing is decoded.

    Raises:
        ClipError: `missing`; `undecodable`: no film, fewer packets than the header announces or the index lists.
    """
    return _header(path, state_of(path))


def state_of(path: Path) -> tuple[int, int]:
    """Size and time of change of a file, by which results about it are remembered.

    Raises:
        ClipError: `missing`: there is no such file, but perhaps a folder, a pipe or a device, on which one may wait.
    """
    if not path.is_file():
        raise ClipError("missing", f"no file {path}")
    found = path.stat()
    return found.st_size, found.st_mtime_ns


@contextmanager
def opened(path: Path) -> Iterator[tuple]:
    """The container of a file and its film, of PyAV.

    Raises:
        ClipError: `undecodable`: it holds no film.
    """
    state = state_of(path)
    with _container(path, _index_misleads(path, state)) as container:
        stream = container.streams[_film(path, state)]
        stream.codec_context.thread_count = 1
        yield container, stream


@contextmanager
def _container(path: Path, onward: bool = False) -> Iterator:
    """A file's container. onward: FFmpeg is not let seek, so that it takes packets from where they lie."""
    import av

    with path.open("rb") as file:
        # An absolute path, as FFmpeg takes what stands before a colon for a protocol.
        source = SimpleNamespace(read=file.read) if onward else str(path.absolute())
        with av.open(source, options={"protocol_whitelist": "file"}) as container:
            if is_a(container, PLAYLISTS):
                raise ClipError("undecodable", f"{path.name}: a list of other files, not a video")
            yield container


@lru_cache(maxsize=64)
def _index_misleads(path: Path, state: tuple[int, int]) -> bool:
    """Whether the index of an AVI, which has no checksum, is not that of its packets: they lie elsewhere."""
    film = _film(path, state)
    with _container(path) as container:
        if not is_a(container, {"avi"}):
            return False
        announced, listed = container.streams[film].frames, _places(container, film)
    with suppress(Exception), _container(path, onward=True) as container:  # damage may raise nearly anything
        lying = _places(container, film)
        return lying != listed and len(lying) == announced
    return False


def _places(container, film: int) -> list[tuple[int, int]]:
    """Place and size of each packet of a stream."""
    return [(packet.pos, packet.size) for packet in container.demux(container.streams[film]) if packet.size]


@lru_cache(maxsize=64)
def _film(path: Path, state: tuple[int, int]) -> int:
    """Index of the stream that a player shows."""
    from av.stream import Disposition

    pictures = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.still_image
    with _container(path) as container:
        streams = [stream for stream in container.streams.video if not stream.disposition & pictures]
        if not streams:
            covers = ", only pictures" if container.streams.video else ""
            raise ClipError("undecodable", f"{path.name}: no video stream in it{covers}")
        best = container.streams.best("video").index
        if len(streams) == 1:
            return streams[0].index
        frames = _frames_of(container, streams)
    most = max(frames, key=frames.get)
    return best if frames.get(best, 0) > 1 or frames[most] == 1 else most


def _frames_of(container, streams: list) -> dict[int, int]:
    """Number of frames of each stream by its index: the header's, or else the packets are counted."""
    if all(stream.frames > 0 for stream in streams):
        return {stream.index: stream.frames for stream in streams}
    packets = Counter(packet.stream.index for packet in container.demux(streams) if packet.size)
    return {stream.index: packets[stream.index] for stream in streams}


@lru_cache(maxsize=64)
def _header(path: Path, state: tuple[int, int]) -> Header:
    with _listening() as logged, opened(path) as (container, stream):
        packets = [(p.pts, p.dts, p.is_keyframe, p.is_discard) for p in container.demux(stream) if p.size]
        _check_whole(path, container, stream, packets)
        announced, stores_times, heard = stream.frames, is_a(container, TIMED), is_a(container, UNCOUNTED)
        complaints = [text.strip() for _, part, text in logged if heard and part == container.format.name]
    if complaints:
        raise ClipError("undecodable", f"{path.name}: damaged, {complaints[0]}")
    shown, sent, keys, hidden = map(list, zip(*packets, strict=True))
    if stores_times and None not in shown + sent:
        _check_times(path, np.array(shown), np.array(sent))
    complete = None not in shown and len(set(shown)) == len(shown)
    lead = keys.index(True) if any(keys) else 0
    ranked = complete and not any(hidden) and (stores_times or shown == sent)
    return Header(announced, len(packets), lead, sum(hidden), complete and stores_times, ranked)


@contextmanager
def _listening() -> Iterator[list[tuple]]:
    """What FFmpeg says of errors meanwhile, as (level, part of FFmpeg, text)."""
    import av

    level, skips = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)  # a complaint about one file would not be heard about the next
    try:
        with av.logging.Capture() as heard:
            yield heard
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(skips)


def _check_whole(path: Path, container, stream, packets: list[tuple]) -> None:
    """Refuses a file of fewer packets than its header and its index have frames."""
    there = listed = len(packets)
    announced, last = stream.frames, max((p[0] or 0 for p in packets if not p[3]), default=0)
    if is_a(container, INDEXED):
        listed = sum(entry.size > 0 for entry in stream.index_entries)
    if is_a(container, MP4) and stream.duration and announced * last > (announced - SLACK - 1) * stream.duration:
        announced = min(announced, listed)  # an edit list cuts some off, and the others last as long as the film
    if not there or there < announced - SLACK:
        raise truncated(path, there, announced)
    if there < min(announced, listed) or (there < announced and not packets[0][2]):
        raise ClipError("undecodable", f"{path.name}: damaged, some of its {announced} frames are lost")


def _check_times(path: Path, shown: np.ndarray, sent: np.ndarray) -> None:
    """Refuses times of display that no order of decoding gives.

    shown, sent: (n,) times of display and of decoding, in the order of the file.
    """
    late = shown.argsort(kind="stable").argsort() - np.arange(len(shown))
    waiting = (shown - sent).max() > np.ptp(sent) and len(shown) > REORDER  # longer than the whole film takes
    if np.abs(late).max() > REORDER or waiting:
        raise ClipError("undecodable", f"{path.name}: damaged, its times of display are in no order")


@lru_cache(maxsize=64)
def _indexed(path: Path, state: tuple[int, int]) -> int:
    with opened(path) as (container, stream):
        entries = stream.index_entries
        complete = is_a(container, MP4) and len(entries) == stream.frames > 0 and entries[0].is_keyframe
        return len(entries) if complete and not any(entry.is_discard for entry in entries) else 0


def indexed(path: Path) -> int:
    """Number of frames of a file that has an index of them all, from a keyframe on, else 0. Only the index is read."""
    return _indexed(path, state_of(path))


def is_a(container, formats: set[str]) -> bool:
    """Whether a container has one of these formats, by FFmpeg's names for them."""
    return not formats.isdisjoint(container.format.name.split(","))


def truncated(path: Path, there: int, announced: int) -> ClipError:
    """The failure of a file that ends before its time."""
    return ClipError("undecodable", f"{path.name}: truncated, {max(there, 0)} of {announced} frames are there")
