"""The class is in the order of the frames and nowhere else."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import kstest

from vxbench.datasets.mini import ucf as motion
from vxbench.datasets.mini.exact import cosine, draw, nearest, sine, stream
from vxbench.datasets.view import sample_centre

RING = motion.Ring(x=160, y=120, radius=60, half_width=30, half_height=25)


class Still:
    """A stand-in for a random stream that always gives the lowest value: no wobble, phase 0."""

    def randint(self, low, high):
        return low


def path(name, n, jitter=0.0):
    return motion.on_ring(Still(), name, RING, jitter, n)


def test_sine_and_cosine_are_close_and_mirror_exactly():
    turns = np.linspace(-1, 1, 4097)
    # Bhaskara's formula is within 0.0017 of the sine: a tenth of a pixel on the largest ring.
    np.testing.assert_allclose(sine(turns), np.sin(2 * math.pi * turns), atol=0.0017)
    np.testing.assert_allclose(cosine(turns), np.cos(2 * math.pi * turns), atol=0.0017)
    eighths = np.arange(0, 64) / 64  # exact in binary, so mirror images are equal to the bit
    assert (sine(eighths) == -sine(-eighths)).all()
    assert (cosine(eighths) == cosine(-eighths)).all()


def test_nearest_rounds_halves_up():
    assert nearest(np.array([-0.5, 0.49, 0.5, 1.5])).tolist() == [0, 0, 1, 2]


def test_there_are_ten_classes_in_alphabetical_order():
    assert (len(motion.TURNS), len(motion.CLASSES)) == (8, 10)
    assert sorted(motion.CLASSES) == motion.CLASSES


@pytest.mark.parametrize("way", motion.WAYS)
@pytest.mark.parametrize(
    ("start", "towards"), [("East", (1, 0)), ("South", (0, 1)), ("West", (-1, 0)), ("North", (0, -1))]
)
def test_the_actor_starts_where_the_class_says_and_goes_round_once(way, start, towards):
    x, y = (path(f"{way}From{start}", 61) - (RING.x, RING.y)).T
    # Half a step of the 61 from the start is 3 degrees: cos 3 deg = 0.9986, and one pixel of rounding.
    assert np.dot((x[0], y[0]), towards) >= 60 * 0.9986 - 1
    steps = np.diff(np.unwrap(np.arctan2(y, x)))
    turned = steps.sum() / (2 * math.pi)
    # y points down, so clockwise is the way of growing angles. 60 of 61 steps are seen; rounding is a pixel of 60.
    assert turned == pytest.approx(motion.WAYS[way] * 60 / 61, abs=0.01)
    assert (np.sign(steps) == motion.WAYS[way]).all()


@pytest.mark.parametrize(("name", "times"), motion.SWINGS.items())
def test_a_swing_goes_to_and_fro_over_half_the_ring(name, times):
    for i in range(20):
        angles = motion.angles(name, motion.starting_turn(stream(4, i)), 89)
        # 89 samples of a cosine miss its ends by 2.5 % at most
        assert 2 * motion.ARC * 0.975 < np.ptp(angles) <= 2 * motion.ARC
        steps = np.sign(np.diff(angles))
        assert abs(np.count_nonzero(np.diff(steps[steps != 0])) - 2 * times) <= 1  # a turn may lie at either end


@pytest.mark.parametrize("name", motion.SWINGS)
@pytest.mark.parametrize("t", [0, 30])
def test_a_frame_of_a_swing_has_the_actor_anywhere_on_the_ring(name, t):
    angles = [motion.angles(name, motion.starting_turn(stream(5, i)), 31)[t] % 1 for i in range(1000)]
    assert kstest(angles, "uniform").pvalue > 1e-6


def places(name, n, jitter, frames):
    return sorted(map(tuple, path(name, n, jitter)[sample_centre(n, frames)].tolist()))


@pytest.mark.parametrize("frames", [8, 16])
@pytest.mark.parametrize("start", motion.STARTS)
def test_both_ways_visit_the_same_places(start, frames):
    """Sampled frames do, too; a pixel apart at most, where a half is rounded up on either side."""
    for n in range(motion.SHORTEST, motion.LONGEST + 1, 2):
        a, b = (places(f"{way}From{start}", n, 0.01, frames) for way in motion.WAYS)
        gaps = np.abs(np.array(a)[:, None] - np.array(b)[None]).max(axis=2)
        assert gaps.min(axis=0).max() <= 1
        assert gaps.min(axis=1).max() <= 1


@pytest.mark.parametrize("frames", [8, 16])
def test_all_starts_visit_the_same_places(frames):
    """Sampled angles of two starts differ by the rounding of sample times to frames: at most half a frame each."""
    for n in range(motion.SHORTEST, motion.LONGEST + 1, 2):
        step = 2 * math.pi * 60 / n  # pixels along the ring from frame to frame
        a, b = (np.array(places(f"ClockwiseFrom{start}", n, 0.01, frames)) for start in ("East", "North"))
        gaps = np.linalg.norm(a[:, None] - b[None], axis=2)
        assert gaps.min(axis=0).max() <= step + 1.5  # 1.5: the diagonal of a pixel's rounding


def test_lengths_are_odd_and_within_bounds():
    lengths = {motion.clip_length(stream(0, i)) for i in range(500)}
    assert all(n % 2 == 1 for n in lengths)
    assert (min(lengths), max(lengths)) == (motion.SHORTEST, motion.LONGEST)


def test_actors_stay_clear_of_the_border_and_of_one_another():
    numbers = []
    for i in range(300):
        random = stream(1, i)
        rings = motion.rings(random)
        numbers.append(len(rings))
        spans = []
        for ring in rings:
            half = np.array([ring.half_width, ring.half_height])
            centres = motion.on_ring(random, motion.CLASSES[i % 8], ring, motion.starting_turn(random), 31)
            low, high = (centres - half).min(axis=0), (centres + half).max(axis=0)
            assert (low >= 1).all()
            assert (high <= (motion.WIDTH - 2, motion.HEIGHT - 2)).all()
            spans.append((low[0], high[0]))
        assert all(left[1] < right[0] for left, right in pairwise(spans))
    # One in five has two actors; 300 draws have a standard deviation of 7, 5 of them are allowed.
    assert abs(numbers.count(2) - 60) < 35


def test_streams_are_their_own():
    assert draw(stream(0, "a"), 0, 10**9) == draw(stream(0, "a"), 0, 10**9)
    assert len({draw(stream(seed, name), 0, 10**9) for seed in (0, 1) for name in ("a", "b")}) == 4


def test_the_smooth_path_keeps_inside():
    for i in range(100):
        points = motion.smooth_path(stream(2, i), 30, 31)
        assert points.min() >= 30
        assert (points <= (motion.WIDTH - 31, motion.HEIGHT - 31)).all()
