"""Mean curves: of the scored clips alone, drawn where their values are."""

import numpy as np
import pytest
from helpers.pages import cell, page_table, rows
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vxbench.errors import UserError
from vxbench.page import PageTable
from vxbench.page.curves import BOTTOM, LEFT, RIGHT, TOP, area, curve_sets, mean_curve


def with_curves(curves, values=None) -> object:
    table = rows({"deletion": values or [0.5] * len(curves)}, clips=[f"clip {i}" for i in range(len(curves))])
    return cell("gradients", table.assign(curve=curves))


@given(st.integers(2, 9).flatmap(lambda n: arrays(float, n, elements=st.floats(0, 1))))
def test_the_area_is_numpys(curve):
    steps = np.linspace(0, 1, len(curve))
    expected = np.sum((curve[1:] + curve[:-1]) / 2 * np.diff(steps))
    assert area(curve) == pytest.approx(expected, abs=1e-12)  # the same sum in another order


def test_clips_that_were_not_scored_are_not_in_the_mean():
    curve, clips = mean_curve(with_curves([[1, 0.5, 0], [0.8, 0.1, 0], [np.nan] * 3], [0.5, 0.2, np.nan]), "deletion")
    assert clips == 2
    assert curve == pytest.approx([0.9, 0.3, 0])


def test_a_cell_without_curves_has_none():
    assert mean_curve(with_curves([None, None]), "deletion")[1] == 0
    assert mean_curve(with_curves([[1, 0]]), "insertion")[1] == 0


def test_curves_of_two_lengths_are_refused():
    with pytest.raises(UserError, match="r2plus1d-gradients-1: its deletion curves differ in length"):
        mean_curve(with_curves([[1, 0], [1, 0.5, 0]]), "deletion")


def test_a_line_stands_where_its_values_are():
    page = page_table()
    [curves] = curve_sets(PageTable("fep_1", page.table, [with_curves([[1.0, 0.5, 0.0], [1.0, 0.5, 0.0]])]))
    [chart] = curves.charts
    [line] = chart.lines
    points = [tuple(map(float, point.split(","))) for point in line.points.split()]
    assert points == [(LEFT, TOP), ((LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2), (RIGHT, BOTTOM)]
    assert (line.area, line.clips, line.name) == (0.5, 2, "Gradients")
    assert [label for _, label in chart.ys] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]


def test_both_charts_have_the_same_axes_whatever_the_values():
    table = rows({"deletion": [0.7], "insertion": [0.7]}, clips=["a"]).assign(
        curve=[[0.9, 0.75, 0.65], [0.1, 0.1, 0.2]]
    )
    [curves] = curve_sets(PageTable("fep_1", page_table().table, [cell("gradients", table)]))
    first, second = curves.charts
    assert (first.xs, first.ys) == (second.xs, second.ys)
    assert first.ys[0] == (BOTTOM, "0.0")
    assert first.ys[-1] == (TOP, "1.0")


def test_methods_are_told_apart_by_colour_and_then_by_dashes():
    page = page_table()
    cells = [cell(f"mine{i}", rows({"deletion": [0.1, 0.2]})) for i in range(20)]
    [curves] = curve_sets(PageTable("fep_1", page.table, cells))
    assert len({style for _, _, style in curves.legend}) == 20
