"""From the clip to its motion: 8-bit frames, flow, black bars, anchors, likeness."""

import numpy as np
import pytest
import torch
from helpers.toys import GapFC, clips, seeded

from vxbench.errors import UserError
from vxbench.explainers.occlusion.aosa import AOSA
from vxbench.explainers.occlusion.motion import (
    DARK,
    Field,
    anchors_of,
    eight_bit,
    farneback,
    field_of,
    follow,
    gray_frames,
    neighbours_of,
    similarities,
)

MEAN, STD = [114.0, 115, 116], [57.0, 58, 59]


def test_values_no_8_bit_frame_has_are_held_at_its_ends():
    clip = torch.tensor([-9.0, 9]).view(1, 1, 1, 1, 2).expand(1, 3, 1, 1, 2)
    for how in ("truncated", "rounded"):
        assert eight_bit(clip, MEAN, STD, how)[0, 0, 0].tolist() == [[0] * 3, [255] * 3]


def test_gray_weights_of_red_and_blue():
    red = np.zeros((1, 2, 2, 3), np.uint8)
    red[..., 0] = 100
    assert gray_frames(red)[0, 0, 0] == 11
    assert gray_frames(red, "rgb")[0, 0, 0] == 30


def test_flow_is_that_of_the_motion_in_x_and_y():
    """A texture that moves 2 pixels to the right and 1 up a frame, looked at away from the border."""
    y, x = np.mgrid[:64, :80]
    gray = [np.sin((x - 2 * t) / 4) + np.sin((y + t) / 5) + np.sin((x - 2 * t + y + t) / 7) for t in range(3)]
    flow = farneback(np.stack([40 * g + 128 for g in gray]).astype(np.uint8))
    assert flow.shape == (2, 64, 80, 2)
    assert np.abs(flow[:, 20:-20, 20:-20] - [2, -1]).max() < 0.3


def test_one_frame_has_no_flow():
    assert farneback(np.zeros((1, 9, 7), np.uint8)).shape == (0, 9, 7, 2)


def test_what_opencv_cannot_do_is_one_line():
    with pytest.raises(UserError, match=r"^the optical flow of 0 x 7 frames failed: [^\n]+$"):
        farneback(np.zeros((2, 0, 7), np.uint8))


# Black bars.


def barred(height, value, deep):
    frames = np.full((2, height, height, 3), 128, np.uint8)
    frames[:, :deep] = frames[:, height - deep :] = value
    return frames


@pytest.mark.parametrize("value", [15, 16])
def test_at_112_pixels_the_scaled_rule_is_the_released_one(value):
    """The released sum is over 16 frames."""
    frames = np.repeat(barred(112, value, 3), 8, axis=0)
    scaled, released = (field_of(frames, how) for how in ("scaled", "released_112"))
    assert scaled == released
    assert (scaled.start == (12, 100)) == (value < DARK)


def test_the_scaled_rule_at_another_size():
    assert field_of(barred(224, 15, 6)).rows == (32, 192)
    assert field_of(barred(224, 15, 5)).rows == (0, 223)  # 6 rows are looked at
    assert field_of(barred(224, 15, 6), "off").rows == (0, 223)
    assert field_of(barred(8, 0, 1)).start == pytest.approx((12 / 14, 100 / 14))  # one row at least


def test_released_112_keeps_its_pixels_at_another_size():
    field = field_of(barred(224, 0, 3), "released_112")
    assert (field.start, field.rows, field.columns) == ((12, 100), (16, 96), (0, 111))
    field = field_of(barred(224, 200, 3), "released_112")
    assert (field.start, field.rows, field.columns) == ((0, 223), (0, 111), (0, 111))


# Anchors and neighbours.


@pytest.mark.parametrize(("stride", "rows"), [(8, [4, 12, 20]), (5, [2, 7, 12, 17, 22]), (1, list(range(24)))])
def test_anchors_begin_at_half_the_stride(stride, rows):
    y, x = anchors_of(24, 24, stride, (0, 23))
    assert sorted(set(y.tolist())) == rows == sorted(set(x.tolist()))
    assert x[:2].tolist() == rows[:2]  # x is the inner one
    assert len(y) == len(rows) ** 2


def test_no_anchor_is_one_line():
    with pytest.raises(UserError, match=r"^stride = 60 leaves no anchor on frames of 20 x 28$"):
        AOSA(MEAN, STD, 60)(seeded(GapFC()), clips(1, 3, 4, 20, 28), torch.tensor([2]))


def test_equal_likenesses_go_by_index_whatever_their_rounding():
    """Anchors that all move one way, each at a speed of its own: cosines of 1, give or take a last bit."""
    motion = np.arange(1, 6)[:, None, None] * np.linspace(1e4, 9e4, 30)  # far above the 1e-10 on norms
    likeness = similarities(np.repeat(motion, 2, axis=1))
    assert 0 < np.ptp(likeness) < 1e-13
    near = neighbours_of(likeness, 3)
    assert near[0].tolist() == [3, 2, 1]
    assert near[1].tolist() == [3, 2, 0]
    assert (near[3:] == [2, 1, 0]).all()


def test_positions_round_half_to_even_and_stay_inside():
    flow = np.zeros((3, 9, 9, 2), np.float32)
    flow[0] = (0.5, 1.5)
    flow[1] = (-4.4, 1)
    y, x = np.array([4, 5]), np.array([4, 5])
    tracks = follow(flow, y, x, Field((0, 8), (0, 8), (0, 8)))
    assert tracks.x.tolist() == [[4, 5], [4, 6], [0, 2], [0, 2]]  # 4.5 and 5.5; -.4 leaves, 1.6 does not
    assert tracks.y.tolist() == [[4, 5], [6, 6], [7, 7], [7, 7]]
    assert tracks.alive.tolist() == [[True, True], [True, True], [False, True], [False, True]]
    assert tracks.displacement[1].tolist() == [[np.float32(-4.4)] * 2, [1, 1]]


def test_there_are_no_more_neighbours_than_others():
    motion = np.random.default_rng(0).normal(size=(4, 2, 5))
    for ties in ("index", "released"):
        assert neighbours_of(similarities(motion), 99, ties).shape == (5, 4)
    near = neighbours_of(similarities(motion), 99)
    assert all(i not in near[i] for i in range(5))
