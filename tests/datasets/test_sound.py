"""The film is read and no cover, the frames are sound or refused, and memory does not grow with the video's size."""

import struct
from contextlib import suppress

import av
import numpy as np
import pytest
from helpers.videos import encode, nearest, noise, without_first

from vxbench.datasets.decode import read_frames
from vxbench.errors import ClipError

pytestmark = pytest.mark.slow

COUNT = 48
SOURCE = noise(COUNT)
X264 = {"crf": "10", "x264-params": "keyint=12:bframes=2:scenecut=0"}
XVID = {"g": "12", "bf": "0", "qmin": "2", "qmax": "3", "sc_threshold": "1000000000"}
OFF_KEY = {
    "h264": ("libx264", X264),
    "hevc": ("libx265", {"x265-params": "keyint=12:log-level=none"}),
    "mpeg4": ("mpeg4", XVID),
    "mpeg4 b": ("mpeg4", {**XVID, "bf": "2"}),
    "mpeg2": ("mpeg2video", {**XVID, "bf": "2"}),
}


def refusal(path, pick=np.arange, *arguments):
    with pytest.raises(ClipError) as caught:
        read_frames(path, pick, *arguments)
    assert caught.value.kind == "undecodable"
    assert path.name in caught.value.message
    return caught.value.message


def test_frames_of_two_sizes_are_refused_only_where_both_are_picked(tmp_path):
    joined = tmp_path / "a.ts"
    parts = [
        encode(tmp_path / f"{n}.ts", noise(20, size, n), "libx264", "yuv420p")
        for n, size in ((1, (80, 80)), (2, (48, 64)))
    ]
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert "frames of different sizes, 64x48 and 80x80" in refusal(joined)
    for pick, size in (((0, 7, 19), (80, 80)), ((20, 39), (48, 64))):
        frames, indices = read_frames(joined, lambda n, p=pick: np.array(p))
        assert frames.shape[1:3] == size
        assert indices.tolist() == list(pick)


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("name", OFF_KEY)
def test_a_video_that_begins_off_a_keyframe_gives_the_sound_frames(tmp_path, name, container):
    codec, options = OFF_KEY[name]
    whole = encode(tmp_path / f"whole.{container}", SOURCE, codec, "yuv420p", **options)
    path = without_first(whole, tmp_path / f"a.{container}", 5)
    told = []
    frames, indices = read_frames(path, lambda n: told.append(n) or np.arange(n))
    shown = nearest(frames, SOURCE)
    assert shown[-1] == COUNT - 1
    assert shown == [*range(shown[0], COUNT)]
    assert shown[0] <= 12  # the second keyframe
    assert told[-1] == len(frames)
    assert (np.diff(indices) == 1).all()
    span = (20, 24)
    frames, indices = read_frames(path, np.arange, "auto", span)
    assert indices.tolist() == [*range(*span)]
    assert np.diff(nearest(frames, SOURCE)).tolist() == [1, 1, 1]


def damaged_indices(path, count):
    """Copies of an AVI in each of which bytes of the index (idx1) are flipped."""
    content = np.frombuffer(path.read_bytes(), np.uint8)
    start = path.read_bytes().rindex(b"idx1") + 8
    for seed in range(count):
        random, copy = np.random.default_rng(seed), content.copy()
        places = random.integers(start, len(content), random.integers(1, 12))
        copy[places] = random.integers(0, 256, len(places))
        flipped = path.with_name(f"{seed:03d}.avi")
        flipped.write_bytes(copy.tobytes())
        yield flipped


def with_sound(path, **options):
    """SOURCE in an AVI in which pictures and sound take turns: FFmpeg then asks the index how they are laid."""
    with av.open(str(path), "w") as file:
        film, sound = file.add_stream("mpeg4", rate=25), file.add_stream("pcm_s16le", rate=8000, layout="mono")
        film.height, film.width, film.pix_fmt, film.codec_context.options = 80, 80, "yuv420p", options
        for frame in SOURCE:
            file.mux(film.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            heard = av.AudioFrame.from_ndarray(np.zeros((1, 320), np.int16), format="s16", layout="mono")
            heard.sample_rate = 8000
            file.mux(sound.encode(heard))
        file.mux(film.encode())
    return path


@pytest.mark.parametrize("sound", [False, True])
def test_a_damaged_index_of_an_avi_gives_no_wrong_frame(tmp_path, sound):
    make = with_sound if sound else lambda path, **o: encode(path, SOURCE, "mpeg4", "yuv420p", **o)
    video, read = make(tmp_path / "whole.avi", **XVID), dict.fromkeys(("auto", "decord"), 0)
    for path in damaged_indices(video, 25):
        for decoder in read:
            with suppress(ClipError):
                frames, indices = read_frames(path, lambda n: np.array([3, 11, 12, 20, 31, 47]), decoder)
                assert nearest(frames, SOURCE) == indices.tolist(), (path.name, decoder)
                read[decoder] += 1
    assert read["auto"] > 20


def test_a_frame_that_its_index_lists_and_the_file_lacks_is_a_failure(tmp_path):
    """The head of a chunk is lost: FFmpeg goes on with the next one, and all later frames would be one too early."""
    path = encode(tmp_path / "a.avi", SOURCE, "ffv1", "bgr0", g="1")
    with av.open(str(path)) as file:
        start = [packet.pos for packet in file.demux(video=0) if packet.size][10] - 8
    content = bytearray(path.read_bytes())
    assert content[start : start + 4] == b"00dc"
    content[start : start + 8] = bytes(8)
    path.write_bytes(content)
    assert "frames are lost" in refusal(path, lambda n: np.array([5, 20, 30]))


@pytest.mark.parametrize("span", [None, (20, 40)])
@pytest.mark.parametrize("shift", [1, 3, 12, 500])
def test_a_damaged_list_of_keyframes_gives_no_wrong_frame(tmp_path, shift, span):
    """The box stss of an MP4, by which a span is entered: each keyframe but the first is said to be another frame."""
    path = encode(tmp_path / "a.mp4", SOURCE, "libx264", "yuv420p", **X264)
    content = bytearray(path.read_bytes())
    start = content.index(b"stss") + 8
    [count] = struct.unpack_from(">I", content, start)
    keys = struct.unpack_from(f">{count}I", content, start + 4)
    struct.pack_into(f">{count}I", content, start + 4, *(key + shift * (key > 1) for key in keys))
    path.write_bytes(content)
    assert count > 2
    frames, indices = read_frames(path, lambda n: np.array([1, 5, 19]), "auto", span)
    assert nearest(frames, SOURCE) == indices.tolist()


def test_times_of_display_that_no_decoder_gives_are_refused(tmp_path):
    """The box ctts of an MP4, of the times between decoding and showing a frame: one is a minute."""
    path = encode(tmp_path / "a.mp4", SOURCE, "libx264", "yuv420p", **X264)
    content = bytearray(path.read_bytes())
    struct.pack_into(">I", content, content.index(b"ctts") + 12 + 8 * 5 + 4, 60 * 12800)
    path.write_bytes(content)
    assert "times of display" in refusal(path)
