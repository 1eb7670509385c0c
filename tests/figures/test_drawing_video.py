"""Videos of maps: each value lands on the source pixels and at the times it was computed for."""

from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vxbench.datasets.view import Spatial
from vxbench.errors import UserError
from vxbench.figures.drawing.maps import overlay
from vxbench.figures.drawing.video import (
    BAND,
    GAP,
    BackProjection,
    InTime,
    blended,
    overlay_frames,
    panels_side_by_side,
    pixel_aspect,
    write_video,
)

SQUASH = Spatial(16, 24)
CROP = Spatial(16, 24, resize="crop", short_side=32)
SIZES = st.tuples(st.integers(30, 200), st.integers(30, 200))
RATE = Fraction(25)


def frames(count, height=48, width=64, step=0.04):
    """Each frame one colour of its own."""
    return [(index * step, np.full((height, width, 3), 20 + 10 * index, np.uint8)) for index in range(count)]


def decoded(path):
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]


def test_a_video_has_every_frame_at_its_time_and_plays_in_browsers(tmp_path):
    """Display times are exact to a tick of 1/60000 s; flat colours survive H.264 within 3 of 255."""
    times = [1.0, 1.1, 1.15, 1.4]  # as a telephone makes them, and not from 0 on
    given = [(time, pixels) for time, (_, pixels) in zip(times, frames(4), strict=True)]
    written = write_video(tmp_path / "new" / "a.mp4", given, RATE)
    assert (written.codec, written.frames, written.path) == ("libx264", 4, tmp_path / "new" / "a.mp4")
    with av.open(str(written.path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt, context.colorspace) == ("h264", "yuv420p", 6)
    for (time, pixels), (seconds, expected) in zip(decoded(written.path), given, strict=True):
        assert time == pytest.approx(seconds - 1.0, abs=2 / 60000)
        assert np.abs(pixels.astype(int) - expected).max() <= 3


def test_odd_sides_grow_by_a_copy_of_their_last_pixels(tmp_path):
    write_video(tmp_path / "a.mp4", frames(2, 47, 63), RATE)
    assert decoded(tmp_path / "a.mp4")[0][1].shape == (48, 64, 3)


@pytest.mark.parametrize("codecs", [{"libx264", "mpeg4"}, {"mpeg4"}])
def test_pixels_keep_their_shape(tmp_path, monkeypatch, codecs):
    """Pixels of a DVD are no squares."""
    monkeypatch.setattr(av, "codecs_available", codecs)
    write_video(tmp_path / "wide.mp4", frames(2), RATE, Fraction(16, 11))
    write_video(tmp_path / "plain.mp4", frames(2), RATE)
    assert pixel_aspect(tmp_path / "wide.mp4") == Fraction(16, 11)
    assert pixel_aspect(tmp_path / "plain.mp4") == 1
    assert pixel_aspect(tmp_path) == 1  # a folder of frames


def test_without_libx264_the_video_is_mpeg4_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(av, "codecs_available", {"mpeg4"})
    assert write_video(tmp_path / "a.mp4", frames(3), RATE).codec == "mpeg4"
    assert len(decoded(tmp_path / "a.mp4")) == 3


def test_what_fails_half_way_leaves_the_older_video(tmp_path):
    def broken():
        yield from frames(2)
        raise RuntimeError("no more")

    path = tmp_path / "a.mp4"
    path.write_bytes(b"older")
    with pytest.raises(RuntimeError, match="no more"):
        write_video(path, broken(), RATE)
    with pytest.raises(UserError, match=r"a\.mp4: no frame"):
        write_video(path, [], RATE)
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("a.mp4", b"older")]


@given(SIZES, st.integers(0, 15), st.integers(0, 23), st.sampled_from([SQUASH, CROP]))
def test_a_single_value_lands_on_the_source_pixels_that_its_pixel_saw(size, row, column, spatial):
    """Nothing further than one pixel of the model from its centre, and most where the source is nearest to it.

    Within half a pixel of the edges the last value holds; there it is not less further out.
    """
    window = spatial.window(*size)
    projection = BackProjection(window, size)
    saliency = np.zeros((16, 24))
    saliency[row, column] = 1
    whole = np.zeros(size[::-1])
    whole[projection.rows, projection.columns] = projection(saliency)
    scale_x, scale_y = size[0] / window.full_width, size[1] / window.full_height
    x, y = (window.left + column + 0.5) * scale_x, (window.top + row + 0.5) * scale_y
    rows, columns = np.nonzero(whole)
    assert (np.abs(columns + 0.5 - x) <= scale_x).all()
    assert (np.abs(rows + 0.5 - y) <= scale_y).all()
    if len(rows) and 0 < row < 15 and 0 < column < 23:  # a source smaller than the model may have no pixel there
        nearest = whole[rows[np.abs(rows + 0.5 - y).argmin()], columns[np.abs(columns + 0.5 - x).argmin()]]
        assert nearest == pytest.approx(whole.max(), abs=1e-4)


@pytest.mark.parametrize("spatial", [SQUASH, CROP, Spatial(16, 24, resize="crop", full=(40, 20))])
@pytest.mark.parametrize("size", [(100, 61), (61, 100), (97, 96)])
def test_what_the_model_saw_comes_back_to_where_it_was(spatial, size):
    """A ramp of one a pixel is cut out as a clip is, and brought back, to a hundredth: OpenCV works in float32.

    At the edges of what it saw the last value holds, so a pixel of the model is left out there.
    """
    width, height = size
    window = spatial.window(width, height)
    ramp = np.zeros((height, width, 3), np.float32)
    ramp[..., 0], ramp[..., 1] = np.arange(width), np.arange(height)[:, None]
    seen, projection = window.cut(ramp), BackProjection(window, size)
    rim_x, rim_y = int(np.ceil(width / window.full_width)), int(np.ceil(height / window.full_height))
    for channel in (0, 1):
        back = projection(seen[..., channel])[rim_y:-rim_y, rim_x:-rim_x]
        there = ramp[projection.rows, projection.columns, channel][rim_y:-rim_y, rim_x:-rim_x]
        assert back.size
        assert np.abs(back - there).max() <= 0.01


def test_a_crop_is_told_in_source_pixels():
    projection = BackProjection(CROP.window(128, 64), (128, 64))  # twice as large as 64 x 32, of which 24 x 16 are seen
    np.testing.assert_allclose(projection.box, [40, 16, 88, 48])
    assert (projection.columns, projection.rows) == (slice(40, 88), slice(16, 48))


def test_a_squash_comes_back_as_opencv_enlarges():
    """Both are bilinear between the centres of pixels; they differ by the rounding of float32."""
    saliency = np.random.default_rng(0).random((16, 24), dtype=np.float32)
    projection = BackProjection(SQUASH.window(100, 61), (100, 61))
    expected = cv2.resize(saliency, (100, 61), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(projection(saliency), expected, atol=1e-5)
    np.testing.assert_allclose(projection.box, [0, 0, 100, 61])


def test_between_sampled_frames_maps_change_linearly():
    maps = InTime(np.arange(3.0)[:, None, None] * np.ones((3, 2, 2)), np.array([1.0, 2.0, 4.0]))
    values = {seconds: maps(seconds) for seconds in (1.0, 1.25, 2.0, 3.0, 4.0)}
    assert {seconds: value[0, 0] for seconds, value in values.items()} == {1: 0, 1.25: 0.25, 2: 1, 3: 1.5, 4: 2}


def test_beyond_the_sampled_frames_maps_hold_for_one_step():
    maps = InTime(np.arange(2.0)[:, None, None] * np.ones((2, 2, 2)), np.array([5.0, 6.0]))
    assert (maps(4.1).max(), maps(6.9).min()) == (0, 1)
    assert maps(3.9) is None
    assert maps(7.1) is None


def test_of_a_frame_sampled_twice_the_mean_is_shown():
    maps = InTime(np.array([0.0, 1.0, 0.4])[:, None, None] * np.ones((3, 2, 2)), np.array([1.0, 0.0, 1.0]))
    assert maps(1.0)[0, 0] == pytest.approx(0.2)
    assert maps(0.0)[0, 0] == 1


def test_the_overlay_has_the_colours_of_the_figures():
    """Whole numbers at each of three steps: three half steps and OpenCV's grey, of 255."""
    generator = np.random.default_rng(0)
    frame, saliency = generator.integers(0, 256, (40, 60, 3), dtype=np.uint8), generator.random((40, 60))
    expected = 255 * overlay(frame, np.rint(saliency * 255) / 255)
    assert np.abs(blended(frame, saliency) - expected).max() <= 3


def test_what_the_model_did_not_see_stays_as_it_is():
    """Neither what the crop cuts away nor the time far from its frames; and the source's arrays are not written to."""
    source = [(time, np.full((64, 128, 3), 200, np.uint8)) for time in (0.0, 1.0, 9.0)]
    projection = BackProjection(CROP.window(128, 64), (128, 64))
    drawn = [pixels for _, pixels in overlay_frames(source, InTime(np.zeros((2, 16, 24)), [0.0, 1.0]), projection)]
    seen = np.zeros((64, 128), bool)
    seen[16:48, 40:88] = True
    for pixels in drawn[:2]:
        assert (pixels[~seen] == 200).all()
        assert (pixels[seen] < 200).all()
    assert (drawn[2] == 200).all()
    assert all((pixels == 200).all() for _, pixels in source)


def test_panels_stand_beside_each_other_pixel_by_pixel():
    panels = [np.random.default_rng(seed).integers(0, 256, (3, 100, 50, 3), dtype=np.uint8) for seed in range(3)]
    rows = list(panels_side_by_side(panels, ["a", "", "c"], [0.0, 0.5, 1.0]))
    assert [time for time, _ in rows] == [0.0, 0.5, 1.0]
    assert rows[1][1].shape == (BAND + 300, 3 * 150 + 2 * GAP, 3)
    for number, panel in enumerate(panels):
        left = number * (150 + GAP)
        np.testing.assert_array_equal(rows[1][1][BAND + 1 :: 3, left + 1 : left + 150 : 3], panel[1])


def test_captions_stand_over_their_panels_and_are_cut_short():
    panels = [np.zeros((1, 256, 60, 3), np.uint8)] * 2
    [(_, picture)] = panels_side_by_side(panels, ["", "a caption that is far too long for sixty pixels"], [0.0])
    band = picture[:BAND].min(axis=2) < 128
    assert not band[:, :60].any()
    assert band[:, 68:].any()
    assert not band[:, -4:].any()
