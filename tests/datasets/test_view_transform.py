import math
from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vxbench.datasets.view import Spatial, cut_frames, draw_boxes
from vxbench.errors import OutOfRange, UserError

REFERENCE = (320, 240)
boxes = st.tuples(st.integers(0, 310), st.integers(0, 230), st.integers(1, 320), st.integers(1, 240))
spatials = st.sampled_from(
    [
        Spatial(112, 112),
        Spatial(48, 64),
        Spatial(224, 224, "crop", 240),
        Spatial(40, 50, "crop", 53),
        Spatial(224, 224, "crop", full=(320, 240)),
    ]
)


def drawn(box, spatial, size=REFERENCE):
    return draw_boxes([np.array([box])], REFERENCE, spatial.window(*size))[0]


def shrunk(plane, pixels):
    """A mask (h, w) less `pixels` at each of its edges; the window's edge is one, as a widened box may end there."""
    kernel = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return cv2.erode(plane.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0).astype(bool)


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
    if spatial.resize == "squash" or spatial.full:  # another crop of a stretched video shows another part
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
    assert (seen[shrunk(plane, 1)] > 127.5).all()  # off the edges, where floor and ceil may have widened the box


@given(
    boxes.filter(lambda b: b[2] > 60 and b[3] > 60),
    st.integers(151, 420),
    st.integers(151, 420),
    st.sampled_from(
        [
            Spatial(112, 112),
            Spatial(97, 65),
            Spatial(112, 112, "crop", 128),
            Spatial(97, 65, "crop", 97),
            Spatial(112, 112, "crop", full=(160, 120)),
        ]
    ),
)
@settings(deadline=None)
def test_boxes_fit_frames_of_any_size_and_aspect(box, width, height, spatial):
    """The frame was stretched from the boxes' 320 x 240: a box painted in it, at its own scale, is where it is drawn.

    Painting rounds each edge to a pixel of the frame and the resize blurs by half a pixel of either side: two pixels of
    the window are left open at each edge (frames are at most 3 times smaller than the window is large).
    """
    x, y, w, h = box
    frame = np.zeros((1, height, width, 3), dtype=np.uint8)
    left, right = (min(round(edge * width / 320), width) for edge in (x, x + w))
    top, bottom = (min(round(edge * height / 240), height) for edge in (y, y + h))
    frame[0, top:bottom, left:right] = 255
    window = spatial.window(width, height)
    seen = cut_frames(frame, window)[0].mean(axis=2) > 127.5
    plane = draw_boxes([np.array([box])], REFERENCE, window)[0]
    assert not (seen & shrunk(~plane, 2)).any()
    assert seen[shrunk(plane, 2)].all()


@pytest.mark.parametrize("size", [(320, 240), (240, 320), (340, 256), (256, 256), (1921, 1081), (203, 361)])
@pytest.mark.parametrize("side", [112, 224, 256])
def test_a_crop_as_large_as_the_short_side_takes_all_of_it(size, side):
    window = Spatial(side, side, "crop", side).window(*size)
    short = (window.full_width, window.full_height)[size[0] > size[1]]
    start = (window.left, window.top)[size[0] > size[1]]
    assert (short, start) == (side, 0)
    assert window.left + side <= window.full_width
    assert window.top + side <= window.full_height
    assert abs((window.full_width - side) - 2 * window.left) <= 1
    assert abs((window.full_height - side) - 2 * window.top) <= 1
    assert cut_frames(np.zeros((2, size[1], size[0], 3), dtype=np.uint8), window).shape == (2, side, side, 3)


@pytest.mark.parametrize("size", [(320, 240), (640, 360), (240, 320)])
def test_a_crop_of_full_squashes_the_whole_frame_first(size):
    """STEP's clips for VGG16LSTM: 320 x 240 whatever the aspect, of which the centre."""
    window = Spatial(224, 200, "crop", full=[320, 240]).window(*size)
    assert (window.full_width, window.full_height) == (320, 240)
    assert (window.left, window.top, window.width, window.height) == (60, 8, 200, 224)


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
    ("short_side", "full"),
    [(None, [320]), (None, (300, 200, 3)), (240, (320, 240)), (None, (320, 223)), (None, (0, 0))],
)
def test_a_crop_of_what_is_not_so_large_is_refused(short_side, full):
    with pytest.raises(UserError, match="full"):
        Spatial(224, 224, "crop", short_side, full)


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
