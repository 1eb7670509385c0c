"""Drawings of Figures F-EP 5 and AOSA 4 to 8: what they show of what they are given."""

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vxbench.errors import UserError
from vxbench.figures.drawing.cascade import cascade_figure, room_below
from vxbench.figures.drawing.maps import FigureClip, block, side_by_side
from vxbench.figures.drawing.masks import Arrows, hidden, masks_figure
from vxbench.figures.drawing.plots import Bands, bands_figure, bands_page
from vxbench.figures.drawing.tiles import Block, Row, tiles_figure

PICTURE = np.zeros((4, 4, 3), np.uint8)


def grid(points):
    """points: [(r_l, r_h, mean)]."""
    table = pd.DataFrame(points, columns=["r_l", "r_h", "mean"])
    return table.assign(low=table["mean"] - 5, high=table["mean"] + 5, n=8, one_sided=0.0)


def lines(axes):
    """{label: [(x, y)]} of what the legend names."""
    return {
        line.get_label(): list(zip(*line.get_data(), strict=True)) for line in axes.lines if line.get_label()[0] != "_"
    }


def test_the_two_plots_show_the_series_of_the_grid():
    # 0.1 + 0.2 is not 0.3 to the last bit: a sweep's shares need not be either.
    points = [(1.0, 0.0, 20.0), (0.1 + 0.2, 0.0, 50.0), (0.5, 0.0, 60.0), (0.3, 0.1, 55.0), (0.9, 0.1, 1.0)]
    left, right = bands_page([Bands("net on data", grid(points))], "STC (%)", [0.3, 0.5]).axes
    over_low = lines(left)
    assert over_low["F-EP, $r_h = 0$"] == [(0.1 + 0.2, 50.0), (0.5, 60.0), (1.0, 20.0)]
    assert over_low["EP ($r_l = 1$)"] == [(1, 20.0)]
    assert lines(right) == {"$r_l = 0.3$": [(0.0, 50.0), (0.1, 55.0)], "$r_l = 0.5$": [(0.0, 60.0)]}
    assert left.get_ylim() == right.get_ylim()


def test_without_its_end_point_the_series_has_no_ep():
    [left, _] = bands_page([Bands("net", grid([(0.5, 0.0, 60.0)]))], "STC (%)", [0.3]).axes
    assert list(lines(left)) == ["F-EP, $r_h = 0$"]


def test_points_of_one_sided_maps_are_hollow():
    table = grid([(0.1, 0.0, 100.0), (0.5, 0.0, 60.0)]).assign(one_sided=[1.0, 0.4])
    left, _ = bands_page([Bands("net", table)], "STC (%)", [0.5]).axes
    [hollow] = [line for line in left.lines if line.get_markerfacecolor() == "white"]
    assert list(zip(*hollow.get_data(), strict=True)) == [(0.1, 100.0)]


def test_every_network_has_a_row_of_plots_and_none_is_refused(tmp_path):
    panels = [Bands(name, grid([(0.5, 0.0, 60.0)])) for name in ("one", "$two")]
    assert len(bands_page(panels, "STC (%)", [0.5]).axes) == 4
    paths = bands_figure(tmp_path / "a.b", panels, "STC (%)", [0.5], ["a $foot", "more"])
    assert [path.name for path in paths] == ["a.b.png", "a.b.pdf"]
    with pytest.raises(UserError, match="no sweep to draw"):
        bands_figure(tmp_path / "none", [], "STC (%)", [0.5])


def part(rows, columns=2, outlines=None):
    pictures = [PICTURE + column for column in range(columns)]
    return Block("", "", [f"t = {t}" for t in range(columns)], [Row(name, pictures, "", outlines) for name in rows])


def test_blocks_beside_each_other_keep_pictures_and_outlines_in_order():
    mask = np.ones((4, 4), bool)
    one, two = part(["a", "b"]), part(["a", "b"], 1, [mask])
    two.rows[1].note = "p = 0.5"
    joined = side_by_side("title", "clip", {"R3D": one, "SlowFast": two})
    assert joined.headings == ["R3D, t = 0", "R3D, t = 1", "SlowFast, t = 0"]
    row = joined.rows[1]
    wanted = [*one.rows[1].pictures, *two.rows[1].pictures]
    assert all(given is picture for given, picture in zip(row.pictures, wanted, strict=True))
    assert row.note == "p = 0.5"
    assert [outline.any() for outline in row.outlines] == [False, False, True]
    assert side_by_side("", "", {"R3D": one}).rows[0].outlines is None
    assert len(tiles_figure([joined]).axes) == 2 * 3


def test_blocks_of_other_rows_cannot_stand_beside_each_other():
    with pytest.raises(UserError, match="SlowFast: its rows are not a, b"):
        side_by_side("", "", {"R3D": part(["a", "b"]), "SlowFast": part(["b", "a"])})
    with pytest.raises(UserError, match="nothing to draw"):
        side_by_side("", "", {})


squares = st.tuples(*[st.integers(0, 6)] * 4)


@given(st.lists(squares, max_size=4))
def test_the_union_of_the_squares_is_hidden_and_nothing_else(given):
    frame = np.random.default_rng(0).integers(1, 255, (6, 6, 3), np.uint8)
    inside = np.zeros((6, 6), bool)
    for y, x in np.ndindex(6, 6):
        inside[y, x] = any(top <= y < bottom and left <= x < right for top, bottom, left, right in given)
    picture = hidden(frame, np.array(given, int).reshape(-1, 4), (9.6, 20.0, 30.4))
    assert (picture[inside] == [10, 20, 30]).all()
    assert (picture[~inside] == frame[~inside]).all()


def arrows(dx, frames=3):
    dx = np.tile(np.asarray(dx, float), (frames - 1, 1))
    place = np.tile(np.arange(dx.shape[1]) * 8.0, (frames - 1, 1))
    return Arrows(place, place, dx, np.zeros_like(dx), 0, 8)


def test_arrows_are_lengthened_to_nearly_reach_the_next_and_never_shortened():
    assert arrows([2.0, -1.0]).factor == 3.6  # 0.9 * 8 / 2
    assert arrows([2.0, np.nan]).factor == 3.6
    assert arrows([30.0]).factor == 1
    assert arrows([0.0, np.nan]).factor == arrows([np.nan]).factor == 1


@pytest.mark.parametrize("dx", [[2.0, 1.0], [0.0, np.nan], [np.nan, np.nan]])
def test_a_mask_is_drawn_whatever_moves(tmp_path, dx):
    clip = FigureClip("id", "Class", np.full((3, 32, 32, 3), 90, np.uint8), None, {})
    places = np.tile([[4, 12, 4, 12], [20, 20, 0, 8]], (3, 1, 1)).transpose(1, 0, 2)
    png, pdf = masks_figure(tmp_path / "m", clip, arrows(dx), places, (200.0, 10.0, 10.0), "foot", columns=3)
    assert pdf.stat().st_size > 1_000
    image = (matplotlib.image.imread(png)[..., :3] * 255).round()
    filled = (image == [200, 10, 10]).all(axis=2).sum() / (1.35 * 120) ** 2
    # Six squares (two rows, three frames), each 8/32 of a tile in either direction; 20 % lies under the border.
    assert filled == pytest.approx(6 / 16, rel=0.3)


@settings(max_examples=5)
@given(st.floats(0.5, 20))
def test_room_below_moves_nothing_that_is_there(inches):
    figure = tiles_figure([part(["a", "b"])])
    tall, before = figure.get_figheight(), placed(figure)
    room_below(figure, inches)
    assert figure.get_figheight() == pytest.approx(tall + inches)
    np.testing.assert_allclose(placed(figure), before, atol=1e-9)  # inches; float64 rounding


def placed(figure):
    """Left, distance from the top, width and height of all axes, and the same of texts' anchors; inches."""
    width, height = figure.get_size_inches()
    boxes = [axes.get_position().bounds for axes in figure.axes]
    places = [(x * width, (1 - y) * height, w * width, h * height) for x, y, w, h in boxes]
    texts = [text.get_position() for text in figure.texts]
    return places + [(x * width, (1 - y) * height, 0, 0) for x, y in texts]


def test_the_curves_stand_below_the_maps(tmp_path):
    stages = ["original", "fc", "layer1"]
    clip = FigureClip("id", "Class", np.zeros((4, 8, 8, 3), np.uint8), None, {})
    clip.maps = {stage: np.full((4, 8, 8), 0.5) for stage in stages}
    maps = side_by_side("R3D", "id", {"AOSA": block(clip, [(stage, stage) for stage in stages], 2)})
    curves = pd.DataFrame(
        {"method": method, "measure": measure, "stage": stage, "mean": 1 - i / 2, "low": 0.9 - i / 2, "high": 1.0}
        for method in ("AOSA", "AOSA-approx")
        for measure in ("rank", "ssim")
        for i, stage in enumerate(stages)
    )
    paths = cascade_figure(tmp_path / "c", maps, curves, {"rank": "rank correlation", "ssim": "SSIM"}, "two\nlines")
    assert [path.name for path in paths] == ["c.png", "c.pdf"]
    alone = tiles_figure([maps]).get_size_inches()
    height, width, _ = matplotlib.image.imread(paths[0]).shape
    assert width == pytest.approx(alone[0] * 120, abs=1)  # a pixel of rounding
    assert height > (alone[1] + 2) * 120
