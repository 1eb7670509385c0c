"""Frames of an encoded video, through decord or PyAV.

decord is the default of this field. It is opened by path, as it can crash on the bytes of a damaged file.
PyAV reads in order and is right everywhere we looked. `auto` takes PyAV where decord is wrong (AVI with
B-frames: it seeks to the wrong frame) or blind (streams without a container: nobody has counted the frames).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vxbench.errors import ClipError, UserError
from vxbench.ranges import one_of

DECODER_NAMES = ("auto", "decord", "pyav")
SLACK = 2  # frames a sound file may have fewer than its header says (Xvid's empty frames, edit lists)

Pick = Callable[[int], np.ndarray]


@dataclass(frozen=True)
class Header:
    """What a file says of its video before anything is decoded.

    announced: frames by the header, 0 where it does not say. packets: compressed frames in the file.
    """

    container: str
    announced: int
    packets: int
    b_frames: bool

    @property
    def counted(self) -> bool:
        """Whether the header gives a number of frames and the packets agree with it."""
        return self.announced > 0 and self.announced == self.packets


def read_frames(
    path: str | Path, pick: Pick, decoder: str = "auto", span: tuple[int, int] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The frames that `pick(number of frames) -> (T,) indices` asks for, and their indices.

    Frames are (T, H, W, 3) uint8 RGB, indices (T,) count from 0, in the whole video.
    span: pick counts only the frames start <= t < stop of the video.

    Raises:
        ClipError: `missing`; `undecodable`: empty, no video stream, truncated or damaged.
        OutOfRange: an unknown decoder.
    """
    one_of("decoder", decoder, DECODER_NAMES)
    path = Path(path)
    if not path.is_file():
        raise ClipError("missing", f"no file {path}")
    try:
        return _read(path, pick if span is None else _within(pick, span, path), decoder)
    except (ClipError, UserError):
        raise
    except Exception as error:  # damaged files make the decoders raise nearly anything
        raise ClipError("undecodable", f"{path.name}: {_one_line(error)}") from error


def _within(pick: Pick, span: tuple[int, int], path: Path) -> Pick:
    """`pick` among the frames of a span, told and answered in those of the whole video."""

    def picked(total: int) -> np.ndarray:
        start, stop = span[0], min(span[1], total)
        if stop <= start:
            raise ClipError("undecodable", f"{path.name}: {total} frames, none from frame {start + 1} on")
        return start + pick(stop - start)

    return picked


def _read(path: Path, pick: Pick, decoder: str) -> tuple[np.ndarray, np.ndarray]:
    header = read_header(path)
    chosen = best_decoder(header) if decoder == "auto" else decoder
    if chosen == "pyav":
        return _pyav(path, pick, header)
    reader = _decord_reader(path)
    if decoder == "auto" and len(reader) != header.packets:
        return _pyav(path, pick, header)
    indices = pick(len(reader))
    return reader.get_batch(indices).asnumpy(), indices


def read_header(path: Path) -> Header:
    """Open, look at the video stream and count its packets; nothing is decoded.

    Raises:
        ClipError: `undecodable`: no video stream, or clearly fewer packets than the header announces.
    """
    with _opened(path) as (container, stream):
        packets = sum(1 for packet in container.demux(stream) if packet.size)
        b_frames = bool(stream.codec_context.has_b_frames)
        header = Header(container.format.name, stream.frames, packets, b_frames)
    if packets == 0 or packets < header.announced - SLACK:
        raise _truncated(path, packets, header.announced)
    return header


def best_decoder(header: Header) -> str:
    """decord, but PyAV for AVI with B-frames and where the header does not give the true number of frames."""
    misplaced = header.container == "avi" and header.b_frames
    return "pyav" if misplaced or not header.counted else "decord"


def _decord_reader(path: Path):
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    return decord.VideoReader(str(path), num_threads=1)


def _pyav(path: Path, pick: Pick, header: Header) -> tuple[np.ndarray, np.ndarray]:
    """In order from the start. The number of frames is the header's, else it is counted by decoding."""
    total = header.packets if header.counted else _count(path)
    indices = pick(total)
    frames = _collect(path, indices)
    if len(frames) < len(indices):
        decoded = _count(path)
        if decoded < total - SLACK:
            raise _truncated(path, decoded, total)
        indices = pick(decoded)
        frames = _collect(path, indices)
    return np.stack(frames), indices


def _collect(path: Path, indices: np.ndarray) -> list[np.ndarray]:
    """The frames of these indices, which may repeat; fewer if the video ends before the last of them."""
    needed, found = set(indices.tolist()), {}
    with _opened(path) as (container, stream):
        for index, frame in enumerate(container.decode(stream)):
            if index in needed:
                found[index] = frame.to_ndarray(format="rgb24")
            if len(found) == len(needed):
                break
    return [found[i] for i in indices.tolist() if i in found]


def _count(path: Path) -> int:
    with _opened(path) as (container, stream):
        return sum(1 for _ in container.decode(stream))


@contextmanager
def _opened(path: Path) -> Iterator[tuple]:
    """Container and video stream of a file."""
    import av

    with av.open(str(path)) as container:
        if not container.streams.video:
            raise ClipError("undecodable", f"{path.name}: no video stream in it")
        yield container, container.streams.video[0]


def _truncated(path: Path, there: int, announced: int) -> ClipError:
    return ClipError("undecodable", f"{path.name}: truncated, {there} of {announced} frames are there")


def _one_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
