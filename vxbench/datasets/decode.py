"""Reads frames of an encoded video as a player shows them.

PyAV, which is FFmpeg, reads in order and numbers frames by the rank of their display time; where the container stores
none (AVI, raw streams), by counting from the first frame. A span of a file that has an index of all its frames (MP4,
MOV) is entered at a keyframe, found by that index, as hour-long videos have gigabytes.

decord seeks, and gives other frames without a word where an index is damaged or frames are stored in another order than
shown. So what it reads is compared with what FFmpeg shows.

A frame is sound if the decoder finds no damage in it, nor in those that it may be predicted from. Frames are brought to
their final size one by one, so that memory does not grow with their number times the size of the video.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from vxbench.datasets.orientation import AS_STORED, ORIENTATIONS, of_frame, oriented
from vxbench.datasets.streams import REORDER, SLACK, Header, indexed, opened, read_header, state_of, truncated
from vxbench.errors import ClipError, UserError, first_line
from vxbench.ranges import one_of

DECODER_NAMES = ("auto", "decord", "pyav")
PREDICTED = (2, 3)  # FFmpeg's numbers of P- and B-frames
ENTERED = Header(announced=1, packets=1)  # stands for a file that is entered by its index: all frames have their times
ALIKE = 16  # levels of 255; the FFmpeg inside decord rounds by 2 otherwise, and 10-bit colours by some more

Pick = Callable[[int], np.ndarray]
Fit = Callable[[np.ndarray], np.ndarray]


def read_frames(
    path: str | Path,
    pick: Pick,
    decoder: str = "auto",
    span: tuple[int, int] | None = None,
    fit: Fit = np.asarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Reads the frames that `pick(number of frames) -> (T,) indices` asks for.

    Returns (T, H, W, 3) uint8 RGB and the frames' indices (T,), which count from 0 in the whole video.
    decoder: `auto` is `pyav`; `decord` gives decord's pixels, and refuses a video of which it gives other frames.
    span: pick counts only the frames start <= t < stop of the video.
    fit: brings each frame (h, w, 3) to the size it is kept in.

    Raises:
        ClipError: `missing`; `undecodable`: empty, no film, truncated, damaged where it is picked, of frames of two
            sizes, or over before the span starts.
        OutOfRange: an unknown decoder.
    """
    one_of("decoder", decoder, DECODER_NAMES)
    path = Path(path)
    try:
        frames, indices = _read(path, pick, span, fit)
        return (_through_decord(path, frames, indices, fit) if decoder == "decord" else frames), indices
    except ClipError as error:
        raise ClipError(error.kind, _named(path, error.message)) from error
    except UserError:
        raise
    except Exception as error:  # damaged files make the decoders raise nearly anything
        said = getattr(error, "strerror", None) or first_line(error)
        raise ClipError("undecodable", f"{path.name}: {said}") from error


def frames_in_order(path: Path, first: int, stop: int) -> Iterator[tuple[int, np.ndarray]]:
    """Pairs (index, pixels (h, w, 3) uint8 RGB) of the sound frames first <= index < stop of a video, one at a time.

    Raises:
        ClipError: `missing` or `undecodable`, see `read_frames`; or what PyAV raises on a damaged file.
    """
    for index, frame, orientation in _sound(path, first if indexed(path) else None):
        if index >= stop:
            return
        if index >= first:
            yield index, oriented(frame.to_ndarray(format="rgb24"), orientation)


def _named(path: Path, message: str) -> str:
    return message if path.name in message else f"{path.name}: {message}"


def _read(path: Path, pick: Pick, span: tuple[int, int] | None, fit: Fit) -> tuple[np.ndarray, np.ndarray]:
    """Frames and indices. What a file says of its number of frames is believed unless one of them is not there."""
    seek = bool(span and indexed(path))
    if total := indexed(path) if seek else _announced(path):
        indices = _asked(np.arange(total), pick, span)
        found = _collect(path, indices, fit, seek)
        if len(found) == len(set(indices.tolist())):
            return _stacked(found, indices), indices
    indices = _asked(_there(path), pick, span)
    return _stacked(_collect(path, indices, fit), indices), indices


def _asked(present: np.ndarray, pick: Pick, span: tuple[int, int] | None) -> np.ndarray:
    """The indices that `pick` asks for among those of the frames that are there and in the span."""
    if span is not None:
        inside = present[(span[0] <= present) & (present < span[1])]
        if not len(inside):
            raise ClipError("undecodable", f"{len(present)} frames, none from frame {span[0] + 1} on")
        present = inside
    return present[pick(len(present))]


def _announced(path: Path) -> int:
    """Number of frames by the header, 0 where it does not say or cannot be right."""
    header = read_header(path)
    return header.packets if header.counted else 0


def _there(path: Path) -> np.ndarray:
    """Indices of all frames that a player shows."""
    header, shown = read_header(path), _shown(path, state_of(path))
    if not len(shown) or (header.counted and len(shown) < header.packets - SLACK):
        raise truncated(path, len(shown), header.packets)
    return shown


@lru_cache(maxsize=64)
def _shown(path: Path, state: tuple[int, int]) -> np.ndarray:
    """Indices of the frames, sound or not, from the first keyframe on."""
    with opened(path) as (container, stream):
        frames = _begun(_numbered(enumerate(container.demux(stream)), read_header(path)), read_header(path))
        return np.array([index for index, *_ in frames], dtype=np.int64)


def _collect(path: Path, indices: np.ndarray, fit: Fit, seek: bool = False) -> dict[int, np.ndarray]:
    """The frames of these indices, as far as they are sound. seek: start near the first, by the file's index."""
    needed, found, sizes = set(indices.tolist()), {}, set()
    for index, frame, orientation in _sound(path, min(needed) if seek else None):
        if index in needed:
            pixels = oriented(frame.to_ndarray(format="rgb24"), orientation)
            sizes.add(f"{pixels.shape[1]}x{pixels.shape[0]}")
            found[index] = fit(pixels)
        if len(found) == len(needed):
            break
    if len(sizes) > 1:
        raise ClipError("undecodable", f"frames of different sizes, {' and '.join(sorted(sizes))}")
    return found


def _stacked(found: dict[int, np.ndarray], indices: np.ndarray) -> np.ndarray:
    """The frames of these indices, which may repeat."""
    wanted = set(indices.tolist())
    if lost := sorted(wanted - set(found)):
        some = f"{len(wanted) - len(lost)} of {len(wanted)} frames could be read"
        raise ClipError("undecodable", f"damaged at frame {lost[0] + 1}, {some}")
    return np.stack([found[index] for index in indices.tolist()])


def _sound(path: Path, near: int | None = None) -> Iterator[tuple]:
    """Triples (index, frame, orientation) of the frames that are sound, in the order they are shown.

    near: start at a keyframe some way before this frame, not at the start of the file, which must have an index.

    Damage reaches on to the next keyframe, and back as far as a frame may be shown before one it is predicted from. It
    reaches to the end where frames are counted, as it may have cost one, and no header gives their number.
    """
    header = read_header(path) if near is None else ENTERED
    held, sound = deque(), True
    with opened(path) as (container, stream):
        packets = enumerate(container.demux(stream)) if near is None else _from_keyframe(container, stream, near)
        for shown in _begun(_numbered(packets, header), header):
            frame = shown[1]
            sound = not frame.is_corrupt and (sound or frame.key_frame)
            if sound:
                held.append(shown)
            elif frame.is_corrupt:
                held.clear()
                if not header.numbered:
                    return
            while len(held) > stream.codec_context.reorder_depth:
                yield held.popleft()
        yield from held


def _begun(frames: Iterator[tuple], header: Header) -> Iterator[tuple]:
    """Triples (index, frame, orientation) from the first keyframe on; what a decoder gives before it is made up.

    An orientation holds until another is stated, as a stream may say it once.

    Where an edit list hides frames, the keyframe of the first one shown is among them. Some codecs mark none at all, so
    the first frame is believed to be one if the container says so and the codec does not say that it is predicted.
    """
    begun, last, orientation = header.hidden > 0, None, AS_STORED
    for place, (index, frame) in enumerate(frames):
        begun = begun or frame.key_frame or (not place and not header.lead and frame.pict_type not in PREDICTED)
        if not begun:
            continue
        if header.timed and last is not None and frame.pts <= last:
            raise ClipError("undecodable", "damaged, its pictures are in another order than their times")
        last, orientation = frame.pts, of_frame(frame) or orientation
        yield index, frame, orientation


def _numbered(packets: Iterable[tuple], header: Header) -> Iterator[tuple]:
    """Pairs (index in the video, frame) of a stream, from its pairs (place in the file, packet).

    A frame's index is the rank of its display time among those of the packets: so it stays right when the decoder
    leaves out a frame. As many frames are shown before a group of pictures as there are packets before it.
    """
    times, start, count = [], None, 0
    for place, packet in packets:
        start = place if start is None else start
        if header.ranked and packet.size:
            insort(times, packet.pts)
        for frame in packet.decode():
            yield start + (bisect_left(times, frame.pts) if header.ranked else count), frame
            count += 1


def _from_keyframe(container, stream, first: int) -> Iterator[tuple]:
    """Pairs (place in the file, packet), from a keyframe before frame `first` on, by the index of the file."""
    entries, latest, start = stream.index_entries, max(first - 2 * REORDER, 0), None
    if latest:
        container.seek(entries[latest].timestamp, stream=stream)  # to some keyframe at or before it
    for offset, packet in enumerate(container.demux(stream)):
        if start is None:
            start = next((place for place in range(latest, -1, -1) if entries[place].pos == packet.pos), None)
            if start is None:
                raise ClipError("undecodable", "damaged, its index is not that of its frames")
        yield start + offset, packet


def _through_decord(path: Path, frames: np.ndarray, indices: np.ndarray, fit: Fit) -> np.ndarray:
    """The frames of these indices as decord gives them, once each is known to be the one that FFmpeg gives (frames)."""
    from decord import DECORDError

    try:
        reader, pairs = _decord_reader(path), zip(indices.tolist(), frames, strict=True)
        return np.stack([_agreeing(reader[index].asnumpy(), index, shown, fit) for index, shown in pairs])
    except (DECORDError, IndexError) as error:  # its message is a place in its source
        raise ClipError("undecodable", "decord cannot read it; decoder=auto does") from error


def _agreeing(pixels: np.ndarray, index: int, shown: np.ndarray, fit: Fit) -> np.ndarray:
    """decord turns pictures by the angle alone that their file states, if at all; so each way round is tried."""
    for orientation in ORIENTATIONS:
        turned = fit(oriented(pixels, orientation))
        if turned.shape == shown.shape and np.abs(turned.astype(int) - shown).max() <= ALIKE:
            return turned
    raise ClipError("undecodable", f"decord's frame {index + 1} is not the one that is shown; decoder=auto reads it")


def _decord_reader(path: Path):
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    return decord.VideoReader(str(path.absolute()), num_threads=1)
