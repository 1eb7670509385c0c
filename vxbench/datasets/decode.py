"""Reads frames of an encoded video, through decord or PyAV.

decord is the default of this field. It is opened by path, as it can crash on the bytes of a damaged file. `auto` takes
PyAV where decord seeks to the wrong frame, is blind, or costs too much:

* open groups of pictures (MPEG-4 and MPEG-2 with B-frames, HEVC) and AVI whose codec can reorder: decord takes a
  keyframe's place in the file for its place in the video. `Header.seekable` finds these from the packets' times.
* files that decord cannot open (AV1 in MP4).
* streams without a number of frames in the header (raw ones, Matroska), and edit lists, which hide frames.
* frames 16, 24, 48 or 72 pixels wide, which decord refuses or gives a fourth channel.
* spans of a file that has an index of all its frames (MP4, MOV): decord reads a whole file to open it, and hour-long
  ones have gigabytes. PyAV seeks to a keyframe by that index.

PyAV reads in order and numbers frames by the rank of their display time; where the container stores none (AVI, raw
streams), by counting from the first frame.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from vxbench.errors import ClipError, UserError, first_line
from vxbench.ranges import one_of

DECODER_NAMES = ("auto", "decord", "pyav")
SLACK = 2  # frames a sound file may have fewer than its header says (Xvid's empty frames, edit lists)
REORDER = 32  # places in the file by which a frame can be early or late: H.264 and HEVC allow 16
NARROW = 80  # pixels; decord is wrong at some widths below (and turns frames that are to be shown rotated)
MP4 = {"mp4"}  # and MOV, which FFmpeg reads as one
TIMED = MP4 | {"matroska"}  # containers that store display times; FFmpeg makes up those of AVI and of raw streams

Pick = Callable[[int], np.ndarray]


@dataclass(frozen=True)
class Header:
    """A video file's own account of itself, before anything is decoded.

    announced: frames by the header, 0 where it does not say. packets: compressed frames in the file. side: width or
    height, whichever is less. hidden: packets that an edit list hides. timed: whether the file stores a display time of
    its own for each packet. seekable: whether the packets before each keyframe are those shown before it, and a seek to
    its display time finds it: what decord takes for granted.
    """

    announced: int
    packets: int
    side: int = NARROW
    hidden: int = 0
    timed: bool = True
    seekable: bool = True

    @property
    def counted(self) -> bool:
        """Whether the header gives a number of frames and the packets agree with it."""
        return self.announced > 0 and self.announced == self.packets and not self.hidden


def read_frames(
    path: str | Path, pick: Pick, decoder: str = "auto", span: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Reads the frames that `pick(number of frames) -> (T,) indices` asks for.

    Returns (T, H, W, 3) uint8 RGB and the frames' indices (T,), which count from 0 in the whole video.
    span: pick counts only the frames start <= t < stop of the video.

    Raises:
        ClipError: `missing`; `undecodable`: empty, no video stream, truncated, damaged, or over before the span starts.
        OutOfRange: an unknown decoder.
    """
    one_of("decoder", decoder, DECODER_NAMES)
    path = Path(path)
    if not path.is_file():
        raise ClipError("missing", f"no file {path}")
    try:
        return _read(path, pick, decoder) if span is None else _read_span(path, _within(pick, span, path), decoder)
    except (ClipError, UserError):
        raise
    except Exception as error:  # damaged files make the decoders raise nearly anything
        raise ClipError("undecodable", f"{path.name}: {first_line(error)}") from error


def _within(pick: Pick, span: tuple[int, int], path: Path) -> Pick:
    """A pick for the whole video that asks `pick` about the frames of a span alone."""

    def picked(total: int) -> np.ndarray:
        start, stop = span[0], min(span[1], total)
        if stop <= start:
            raise ClipError("undecodable", f"{path.name}: {total} frames, none from frame {start + 1} on")
        return start + pick(stop - start)

    return picked


def _read(path: Path, pick: Pick, decoder: str) -> tuple[np.ndarray, np.ndarray]:
    header = read_header(path)
    if decoder == "pyav":
        return _pyav(path, pick, header)
    reader = _decord_reader(path) if decoder == "decord" else _trusted_reader(path, header)
    if reader is None:
        return _pyav(path, pick, header)
    indices = pick(len(reader))
    return reader.get_batch(indices).asnumpy(), indices


def _trusted_reader(path: Path, header: Header):
    """decord's reader, None where decord is wrong, cannot open the file, or counts other frames than there are."""
    if best_decoder(header) == "pyav":
        return None
    from decord import DECORDError

    try:
        reader = _decord_reader(path)
    except DECORDError:  # what is wrong with the file, if anything is, PyAV will say
        return None
    return reader if len(reader) == header.packets else None


def _read_span(path: Path, pick: Pick, decoder: str) -> tuple[np.ndarray, np.ndarray]:
    total = 0 if decoder == "decord" else _indexed(path, _state(path))
    if not total:
        return _read(path, pick, decoder)
    indices = pick(total)
    return _stacked(path, _collect(path, indices, timed=True, seek=True), indices), indices


def best_decoder(header: Header) -> str:
    """decord, but PyAV where decord is wrong, or the header does not give the true number of frames."""
    return "decord" if header.counted and header.seekable and header.side >= NARROW else "pyav"


def read_header(path: Path) -> Header:
    """Reads the video stream's header and the times of its packets; nothing is decoded.

    Raises:
        ClipError: `undecodable`: no video stream, or clearly fewer packets than the header announces.
    """
    return _header(path, _state(path))


@lru_cache(maxsize=64)
def _header(path: Path, state: tuple[int, int]) -> Header:
    with _opened(path) as (container, stream):
        packets = [(p.pts, p.dts, p.is_keyframe, p.is_discard) for p in container.demux(stream) if p.size]
        side = min(stream.width, stream.height)
        announced, stores_times = stream.frames, _is_a(container, TIMED)
        listed = len(stream.index_entries) if _is_a(container, MP4) else announced  # fewer: an edit list cuts some off
    if not packets or len(packets) < min(announced, listed) - SLACK:
        raise _truncated(path, len(packets), min(announced, listed))
    shown, sent, keys, hidden = map(list, zip(*packets, strict=True))
    timed = None not in shown and len(set(shown)) == len(shown)
    seekable = timed and None not in sent and _is_seekable(np.array(shown), np.array(sent), keys, stores_times)
    return Header(announced, len(packets), side, sum(hidden), timed and stores_times, seekable)


def _is_seekable(shown: np.ndarray, sent: np.ndarray, keys: list[bool], stores_times: bool) -> bool:
    """Header.seekable, from the display time, the decoding time and the keyframe flag of each packet, (n,)."""
    if not stores_times:
        return bool((shown == sent).all())
    latest, earliest = np.maximum.accumulate(shown), np.minimum.accumulate(shown[::-1])[::-1]
    at = np.flatnonzero(keys)
    starts, inner = at.size > 0 and at[0] == 0, at[at > 0]
    closed = (latest[inner - 1] < shown[inner]).all() and (earliest[at] == shown[at]).all()
    return bool(starts and closed and (shown[at[:-1]] < sent[at[1:]]).all())


@lru_cache(maxsize=64)
def _indexed(path: Path, state: tuple[int, int]) -> int:
    """Number of frames of a file that has an index of them all, else 0. Nothing but the index is read."""
    with _opened(path) as (container, stream):
        entries = stream.index_entries
        complete = _is_a(container, MP4) and len(entries) == stream.frames
        return len(entries) if complete and not any(entry.is_discard for entry in entries) else 0


def _is_a(container, formats: set[str]) -> bool:
    return not formats.isdisjoint(container.format.name.split(","))


def _decord_reader(path: Path):
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    return decord.VideoReader(str(path), num_threads=1)


def _pyav(path: Path, pick: Pick, header: Header) -> tuple[np.ndarray, np.ndarray]:
    """Reads frames in order from the start. Their number is the header's, or else it is counted by decoding."""
    total = header.packets if header.counted else _count(path, _state(path))
    indices = pick(total)
    timed = header.timed and not header.hidden
    frames = _collect(path, indices, timed)
    if len(frames) < len(indices):
        decoded = _count(path, _state(path))
        if decoded < total - SLACK:
            raise _truncated(path, decoded, total)
        indices = pick(decoded)
        frames = _collect(path, indices, timed)
    return _stacked(path, frames, indices), indices


def _stacked(path: Path, frames: list[np.ndarray], indices: np.ndarray) -> np.ndarray:
    if len(frames) < len(indices):
        raise ClipError("undecodable", f"{path.name}: damaged, {len(frames)} of {len(indices)} frames could be read")
    return np.stack(frames)


def _collect(path: Path, indices: np.ndarray, timed: bool, seek: bool = False) -> list[np.ndarray]:
    """The frames of these indices, which may repeat; fewer if the video ends before the last of them.

    seek: start near the first of them, not at the start of the file, which must have an index of all its frames.
    """
    needed, found = set(indices.tolist()), {}
    with _opened(path) as (container, stream):
        packets = _from_keyframe(path, container, stream, min(needed)) if seek else enumerate(container.demux(stream))
        for index, frame in _numbered(packets, timed):
            if index in needed:
                found[index] = _upright(frame)
            if len(found) == len(needed):
                break
    return [found[i] for i in indices.tolist() if i in found]


def _from_keyframe(path: Path, container, stream, first: int) -> Iterator[tuple]:
    """Pairs (place in the file, packet), from a keyframe before frame `first` on, by the index of the file."""
    entries, latest, start = stream.index_entries, max(first - REORDER, 0), None
    if latest:
        container.seek(entries[latest].timestamp, stream=stream)  # to some keyframe at or before it
    for offset, packet in enumerate(container.demux(stream)):
        if start is None:
            start = next((place for place in range(latest, -1, -1) if entries[place].pos == packet.pos), None)
            if start is None:
                raise ClipError("undecodable", f"{path.name}: damaged, its index is not that of its frames")
        yield start + offset, packet


def _numbered(packets: Iterable[tuple], timed: bool) -> Iterator[tuple]:
    """Pairs (index in the video, frame) of a stream, from its pairs (place in the file, packet).

    A frame's index is the rank of its display time among those of the packets: so it stays right when the decoder
    leaves out a frame. As many frames are shown before a group of pictures as there are packets before it.
    """
    times, start, count = [], None, 0
    for place, packet in packets:
        start = place if start is None else start
        if timed and packet.size:
            insort(times, packet.pts)
        for frame in packet.decode():
            yield start + (bisect_left(times, frame.pts) if timed else count), frame
            count += 1


def _upright(frame) -> np.ndarray:
    """A frame's pixels (h, w, 3) RGB, turned as the file says that it is to be shown."""
    return np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)


@lru_cache(maxsize=64)
def _count(path: Path, state: tuple[int, int]) -> int:
    with _opened(path) as (container, stream):
        return sum(1 for _ in container.decode(stream))


def _state(path: Path) -> tuple[int, int]:
    """Size and time of change of a file, by which results about it are remembered."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


@contextmanager
def _opened(path: Path) -> Iterator[tuple]:
    """Container and video stream of a file."""
    import av

    with av.open(str(path)) as container:
        if not container.streams.video:
            raise ClipError("undecodable", f"{path.name}: no video stream in it")
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        yield container, stream


def _truncated(path: Path, there: int, announced: int) -> ClipError:
    return ClipError("undecodable", f"{path.name}: truncated, {there} of {announced} frames are there")
