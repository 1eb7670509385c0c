"""No frame of a stroke tells which one it is; the order of the frames does."""

import math

import numpy as np
import pytest
from scipy.stats import kstest

from vxbench.datasets.mini.actors import COORDINATES, SLOW, STROKES, coordinates, wave
from vxbench.datasets.mini.exact import stream
from vxbench.datasets.view import sample_centre

N = 800  # draws
OPPOSITES = [("right", "left"), ("down", "up"), ("growing", "shrinking"), ("clockwise", "counterclockwise")]


@pytest.mark.parametrize("name", STROKES)
def test_in_any_frame_each_coordinate_is_uniform_and_independent_of_the_others(name):
    drawn = [coordinates(stream(0, i), [STROKES[name]], 41) for i in range(N)]
    for t in (0, 17, 40):
        values = np.array([[at[coordinate][t] for coordinate in COORDINATES] for at in drawn])
        # p of 96 uniform samples; independent ones correlate by 1 / sqrt(N)
        assert all(kstest(column, "uniform").pvalue > 1e-6 for column in values.T), t
        assert abs(np.corrcoef(values.T) - np.eye(4)).max() < 5 / math.sqrt(N), t


@pytest.mark.parametrize("name", STROKES)
def test_one_coordinate_moves_its_slow_way_for_most_of_the_time(name):
    stroke = STROKES[name]
    for i in range(20):
        at = coordinates(stream(1, i), [stroke], 81)
        assert all(np.ptp(values) == 0 for other, values in at.items() if other != stroke.coordinate)
        moved = np.sign(np.diff(at[stroke.coordinate]))
        slow = 1 if stroke.coordinate == "angle" else SLOW
        # two turning points and the jump of the angle each put one of 80 steps on the wrong side
        assert np.mean(moved == stroke.way) == pytest.approx(slow, abs=2 / 80)
        # it meets the ends of its range within a step of the quick way, 8 / 81
        assert np.ptp(at[stroke.coordinate]) > 1 - 8 / 81


@pytest.mark.parametrize("pair", OPPOSITES)
@pytest.mark.parametrize("frames", [8, 16])
def test_opposite_ways_show_the_same_frames_in_the_opposite_order(pair, frames):
    for n in range(31, 110, 2):
        one, other = (coordinates(stream(2, n), [STROKES[name]], n)[STROKES[name].coordinate] for name in pair)
        picked = sample_centre(n, frames)
        # float64 rounding of sums near 1, times the slope of the wave
        np.testing.assert_allclose(one[picked], other[picked][::-1], atol=1e-13)


def test_a_wave_is_continuous_and_periodic():
    turns = np.linspace(-1, 1, 2049)
    assert abs(np.diff(wave(turns))).max() <= 8 / 1024 * (1 + 1e-9)  # the quick way: 1 in an eighth of a turn
    np.testing.assert_allclose(wave(turns), wave(turns + 1), atol=1e-13)
    assert (wave(np.array([0, SLOW / 2, SLOW, 1.0])) == [0, 0.5, 1, 0]).all()
