import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vxbench.datasets.transform import Spatial, cut_frames, draw_boxes
from vxbench.errors import OutOfRange

REFERENCE = (320, 240)
boxes = st.tuples(st.integers(0, 310), st.integers(0, 230), st.integers(1, 320), st.integers(1, 240))
spatials = st.sampled_from(
    [Spatial(112, 112), Spatial(48, 64), Spatial(224, 224, "crop", 240), Spatial(40, 50, "crop", 53)]
)


def drawn(box, spatial, size=REFERENCE):
    return draw_boxes([np.array([box])], REFERENCE, spatial.window(*size))[0]


def test_squash_by_hand():
    plane = drawn((191, 9, 115, 164), Spatial(112, 112))
    # x: 191 * .35 = 66.85 -> 66, 306 * .35 = 107.1 -> 108; y: 9 * 112/240 = 4.2 -> 4, 173 * 112/240 = 80.7 -> 81
    expected = np.zeros((112, 112), dtype=bool)
    expected[4:81, 66:108] = True
    assert (plane == expected).all()


def test_crop_by_hand():
    plane = drawn((100, 60, 100, 60), Spatial(112, 112, "crop", 120))
    # Half size, 160x120; the window starts at (24, 4): x 50-24..100-24, y 30-4..60-4
    expected = np.zeros((112, 112), dtype=bool)
    expected[26:56, 26:76] = True
    assert (plane == expected).all()


@given(boxes, spatials)
def test_edges_are_the_exact_ones_rounded_outwards_and_clipped(box, spatial):
    window = spatial.window(*REFERENCE)
    x1, y1, x2, y2 = window.edges(np.array(box), REFERENCE)
    x, y, w, h = box
    across, down = Fraction(window.full_width, 320), Fraction(window.full_height, 240)
    assert x1 == max(0, math.floor(x * across) - window.left)
    assert y1 == max(0, math.floor(y * down) - window.top)
    assert x2 == min(window.width, math.ceil((x + w) * across) - window.left)
    assert y2 == min(window.height, math.ceil((y + h) * down) - window.top)


@given(boxes, spatials)
def test_boxes_follow_the_video_and_not_its_size(box, spatial):
    if spatial.resize == "squash":  # a crop of a stretched video shows another part
        assert (drawn(box, spatial) == drawn(box, spatial, size=(340, 256))).all()
    assert drawn(box, spatial).shape == (spatial.height, spatial.width)


@given(boxes.filter(lambda b: b[2] > 30 and b[3] > 30), spatials)
def test_frames_and_boxes_go_through_the_same_map(box, spatial):
    """A white box painted into the frame stays inside the drawn box, up to the reach of the resize."""
    x, y, w, h = box
    frame = np.zeros((1, 240, 320, 3), dtype=np.uint8)
    frame[0, y : y + h, x : x + w] = 255
    seen = cut_frames(frame, spatial.window(*REFERENCE))[0].mean(axis=2)
    plane = drawn(box, spatial)
    assert not (seen[~plane] > 127.5).any()  # brighter than half means the pixel's centre is in the box
    inner = plane.copy()
    for axis in (0, 1):  # one pixel off each edge, where floor and ceil may have widened the box
        inner &= np.roll(plane, 1, axis) & np.roll(plane, -1, axis)
    assert (seen[inner] > 127.5).all()


def test_a_box_outside_the_crop_leaves_nothing():
    assert not drawn((1, 1, 20, 20), Spatial(100, 100, "crop", 240)).any()


def test_boxes_of_a_frame_are_united_and_frames_are_kept_apart():
    two = np.array([[0, 0, 32, 24], [160, 120, 32, 24]])
    planes = draw_boxes([two, np.zeros((0, 4), dtype=int)], REFERENCE, Spatial(10, 10).window(*REFERENCE))
    assert np.argwhere(planes[0]).tolist() == [[0, 0], [5, 5]]
    assert not planes[1].any()


def test_a_portrait_video_is_cropped_from_its_own_short_side():
    window = Spatial(112, 112, "crop", 128).window(202, 360)
    assert (window.full_width, window.full_height) == (128, 228)
    assert (window.left, window.top) == (8, 58)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((112, 112, "stretch", None), "resize = stretch is not one of squash, crop"),
        ((0, 112, "squash", None), "height = 0"),
        ((112, 112, "crop", None), "short_side = None"),
        ((112, 112, "crop", 100), "short_side = 100"),
    ],
)
def test_bad_values_are_refused(arguments, message):
    with pytest.raises(OutOfRange, match=message):
        Spatial(*arguments)
