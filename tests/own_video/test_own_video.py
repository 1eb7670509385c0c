"""A user's own video: the times of its frames, any part of it, and its frames in order as the decoders number them."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from helpers.videos import encode, noise
from PIL import Image

from vxbench.datasets.base import ClipRef
from vxbench.datasets.decode import read_frames
from vxbench.datasets.pool import DecodePool
from vxbench.errors import ClipError, OutOfRange
from vxbench.own_video.video import FOLDER_RATE, OwnVideo, in_order, read_timeline

VIEW = {"frames": 4, "height": 32, "width": 32}


@pytest.fixture
def folder_of(tmp_path):
    """folder_of(frames): a folder of them as PNG, counted from 1."""

    def write(frames):
        folder = tmp_path / "frames"
        folder.mkdir()
        for index, frame in enumerate(frames, 1):
            Image.fromarray(frame).save(folder / f"img_{index:05d}.png")
        return folder

    return write


def ref(path):
    return ClipRef(Path(path).name, Path(path), None)


@pytest.mark.parametrize(
    ("codec", "ending", "options"),
    [
        ("libx264", "mp4", {"bf": "2", "g": "12"}),
        ("libx264", "mkv", {"bf": "2", "g": "12"}),
        ("mpeg4", "avi", {"bf": "0"}),
        ("mpeg4", "mp4", {"bf": "2", "g": "12"}),
    ],
)
@pytest.mark.parametrize("span", [(0, 40), (17, 31)])
def test_frames_in_order_are_those_that_the_decoder_numbers(tmp_path, codec, ending, options, span):
    """Byte for byte the frames of read_frames, also from the middle on, where an MP4 is entered at a keyframe."""
    path = encode(tmp_path / f"a.{ending}", noise(40), codec, "yuv420p", **options)
    timeline = read_timeline(path)
    shown = list(in_order(path, timeline, span))
    expected, _ = read_frames(path, lambda n: np.arange(*span), "pyav")
    np.testing.assert_array_equal(np.stack([pixels for _, pixels in shown]), expected)
    # Times are stored in whole milliseconds at the coarsest (Matroska).
    np.testing.assert_allclose([seconds for seconds, _ in shown], np.arange(*span) / 25, atol=1e-3)
    assert len(timeline.ticks) == 40


def test_times_are_those_that_the_file_stores(tmp_path):
    """A telephone's frames are not evenly spaced."""
    ticks = [5, 6, 9, 10, 17, 18]
    path = encode(tmp_path / "a.mp4", noise(6), "libx264", "yuv420p", times=ticks)
    timeline = read_timeline(path)
    np.testing.assert_allclose(timeline.seconds, (np.array(ticks) - 5) / 25, atol=1e-9)
    clip = OwnVideo(**VIEW).load(ref(path))
    np.testing.assert_array_equal(clip.indices, [0, 2, 3, 5])
    np.testing.assert_allclose(clip.times, [0, 4 / 25, 5 / 25, 13 / 25], atol=1e-9)


def test_frames_come_upright(tmp_path):
    frames = noise(4, (64, 96))
    path = encode(tmp_path / "a.mp4", frames, "libx264", "yuv420p", rotation=90)
    shown = [pixels for _, pixels in in_order(path, read_timeline(path), (0, 4))]
    expected, _ = read_frames(path, np.arange, "pyav")
    np.testing.assert_array_equal(shown, expected)
    assert OwnVideo(**VIEW).load(ref(path)).size == (64, 96)


@pytest.mark.parametrize(
    ("start", "length", "span"),
    [(None, None, (0, 50)), (0.4, None, (10, 50)), (None, 0.4, (0, 10)), (0.4, 0.8, (10, 30)), (1.99, 5, None)],
)
def test_a_part_is_the_frames_shown_in_it(tmp_path, start, length, span, make_video, number_of):
    path = make_video(tmp_path / "a.mp4", 50)
    video = OwnVideo(start, length, **VIEW)
    if span is None:
        with pytest.raises(ClipError, match=r"start=1\.99 length=5 leaves 0 of its 50 frames; the last is at 1\.96 s"):
            video.load(ref(path))
        return
    clip = video.load(ref(path))
    count = span[1] - span[0]
    assert clip.span == span
    np.testing.assert_array_equal(clip.indices, span[0] + (2 * np.arange(4) + 1) * count // 8)
    sampled, _ = read_frames(path, lambda n: clip.indices)
    assert [number_of(frame) for frame in sampled] == clip.indices.tolist()
    np.testing.assert_allclose(clip.times, clip.indices / 25)


def test_a_folder_of_frames_is_a_video_of_a_given_rate(folder_of):
    frames = noise(6)
    folder = folder_of(frames)
    assert read_timeline(folder).rate == FOLDER_RATE
    timeline = read_timeline(folder, 12.5)
    assert timeline.rate == Fraction(25, 2)
    shown = list(in_order(folder, timeline, (1, 5)))
    np.testing.assert_allclose([seconds for seconds, _ in shown], np.arange(1, 5) / 12.5)
    np.testing.assert_array_equal([pixels for _, pixels in shown], frames[1:5])
    clip = OwnVideo(fps=12.5, **VIEW).load(ref(folder))
    np.testing.assert_array_equal(clip.indices, [0, 2, 3, 5])
    assert clip.size == (80, 80)


def test_it_comes_whole_out_of_a_decoding_process(tmp_path):
    path = encode(tmp_path / "a.mp4", noise(8), "libx264", "yuv420p")
    with DecodePool(1, 60) as pool:
        [clip] = pool.load(OwnVideo(start=0.08, **VIEW), [ref(path)])
    assert (clip.span, clip.size, clip.frames.shape) == ((2, 8), (80, 80), (4, 32, 32, 3))


def broken_files(folder):
    """name -> what is wrong with it, in words of the message."""
    (folder / "text.mp4").write_text("no video")
    (folder / "empty.mp4").touch()
    encode(folder / "one.mp4", noise(1), "libx264", "yuv420p")
    whole = encode(folder / "whole.mp4", noise(30), "libx264", "yuv420p").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "none").mkdir()
    return {
        "text.mp4": "not a video that can be read",
        "empty.mp4": "not a video that can be read",
        "one.mp4": "a single frame",
        "cut.mp4": "not a video that can be read",
        "none": "no frames of",
        "absent.mp4": "no file",
    }


def test_what_is_no_video_is_one_line(tmp_path):
    for name, words in broken_files(tmp_path).items():
        with pytest.raises(ClipError, match=words) as caught:
            OwnVideo(**VIEW).load(ref(tmp_path / name))
        assert name in caught.value.message
        assert "\n" not in caught.value.message


def test_a_video_has_its_own_rate(tmp_path):
    path = encode(tmp_path / "a.mp4", noise(4), "libx264", "yuv420p")
    with pytest.raises(ClipError, match="fps = 3 is for folders of frames"):
        OwnVideo(fps=3, **VIEW).load(ref(path))


@pytest.mark.parametrize("wrong", [{"start": -1}, {"length": 0}, {"fps": 0}, {"start": "2"}, {"length": float("nan")}])
def test_values_outside_their_range_are_refused(wrong):
    with pytest.raises(OutOfRange):
        OwnVideo(**wrong, **VIEW)
