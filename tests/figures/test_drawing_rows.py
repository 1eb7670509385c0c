"""Rows of tiles, maps of both signs, kept frames and curves: what is drawn, not its pixels."""

import numpy as np
import pytest

from vxbench.errors import UserError
from vxbench.figures.drawing import maps as gradients
from vxbench.figures.drawing import maps as kept
from vxbench.figures.drawing import plots as curves
from vxbench.figures.drawing import style
from vxbench.figures.drawing.maps import FigureClip, kept_figure, signed_figure
from vxbench.figures.drawing.plots import Curve, curves_figure, look
from vxbench.figures.drawing.tiles import Block, Row, tiles_figure

X = np.linspace(0, 1, 5)


@pytest.fixture
def clip():
    frames = np.full((6, 20, 30, 3), 90, np.uint8)
    boxes = np.zeros((6, 20, 30), bool)
    boxes[0, 5:9, 5:9] = True
    return FigureClip("Class/v_$x$", "Class", frames, boxes, {}, {"": "p = 0.94", "EP": "p = 0.95\nprinted 1.00"})


@pytest.fixture
def drawn(monkeypatch):
    """The figures that a drawing function would have written."""
    figures = []
    for module in (curves, gradients, kept):
        monkeypatch.setattr(module, "save", lambda figure, stem, facts: figures.append(figure) or [])
    return figures


def words(figure):
    return [text.get_text() for text in figure.texts]


def outside(figure):
    """Words that leave the page."""
    figure.canvas.draw()
    page = figure.bbox
    boxes = [(text.get_text(), text.get_window_extent()) for text in figure.texts if text.get_text()]
    return [said for said, box in boxes if box.x0 < 0 or box.x1 > page.x1 or box.y0 < 0 or box.y1 > page.y1]


def test_long_names_notes_and_feet_stay_on_the_page():
    picture = np.zeros((8, 8, 3))
    row = Row("a method of a very long name, W M W M", [picture], "CounterclockwiseFromNorthWest\np = 0.12")
    long = "SlowFast on Kinetics-400: doing aerobics MMM"
    figure = tiles_figure([Block(long, f"{long}/{long}", ["t = 0"], [row])], "made of " + "many words " * 40)
    assert outside(figure) == []
    assert figure.texts[-1].get_text().count("\n") >= 2  # wrapped


def test_a_row_of_another_number_of_pictures_is_refused():
    with pytest.raises(UserError, match="EP: 1 pictures for 2 columns"):
        tiles_figure([Block("", "", ["a", "b"], [Row("EP", [np.zeros((2, 2, 3))])])])
    with pytest.raises(UserError, match="nothing to draw"):
        tiles_figure([])


def test_values_of_both_signs_share_one_scale(tmp_path, clip, drawn):
    small, large = np.full((6, 20, 30), 1.0), np.full((6, 20, 30), -4.0)
    signed_figure(tmp_path / "a", clip, {"g": small, "modulated": large, "none": small * 0}, "foot", columns=2)
    [figure] = drawn
    frames, g, modulated, none = (figure.axes[i].images[0].get_array()[0, 0] for i in (0, 2, 5, 7))
    assert frames[0] == 90
    assert none.min() > 0.95  # zero is near white, whatever the extremes are
    orange, purple = g[:3], modulated[:3]
    assert orange[0] > orange[2]
    assert purple[2] > purple[1]
    assert purple.mean() < orange.mean() - 0.3  # four times the magnitude is far darker
    bar = figure.axes[4]
    assert [text.get_text() for text in bar.get_yticklabels()] == ["-4", "0", "4"]


def test_kept_clips_stand_below_the_clip_with_their_notes(tmp_path, clip, drawn):
    kept_frames = {"EP": clip.frames // 2, "F-EP": clip.frames // 3}
    kept_figure(tmp_path / "a", clip, kept_frames, "profile mini", columns=3)
    [figure] = drawn
    assert [int(figure.axes[i].images[0].get_array()[0, 0, 0]) for i in (0, 3, 6)] == [90, 45, 30]
    assert {"EP", "p = 0.95\nprinted 1.00", "F-EP", "p = 0.94", "profile mini", "t = 2", "t = 5"} <= set(words(figure))
    outlined = [len(axes.collections) for axes in figure.axes]
    assert outlined == [1, 0, 0] * 3  # the box is annotated in the first frame alone, and drawn in every row


def test_curves_are_told_apart_without_colour():
    looks = [look(Curve("", X, place)) for place in range(21)]
    assert len({(one["color"], str(one["linestyle"])) for one in looks}) == 21
    assert len({(str(one["linestyle"]), one["marker"]) for one in looks}) == 21
    faint = [look(Curve("", X, place, control=True)) for place in range(3)]
    assert len({one["linestyle"] for one in faint}) == 3
    assert {one["color"] for one in faint}.isdisjoint(style.COLOURS)


def test_a_curve_keeps_its_look_whatever_else_is_drawn(tmp_path, drawn):
    ep, fep = Curve("EP", X, 5, "0.350"), Curve("F-EP", X / 2, 7, "0.374")
    curves_figure(tmp_path / "a", "both", X, [fep, ep], ("x", "y"))
    curves_figure(tmp_path / "b", "one", X, [ep], ("x", "y"))
    both, alone = (figure.axes[0].lines for figure in drawn)
    assert (both[1].get_color(), both[1].get_marker()) == (alone[0].get_color(), alone[0].get_marker())
    assert both[0].get_color() != both[1].get_color() or both[0].get_linestyle() != both[1].get_linestyle()
    legend = [text.get_text() for text in drawn[0].axes[0].get_legend().get_texts()]
    assert legend == ["F-EP  0.374", "EP  0.350"]
    np.testing.assert_array_equal(both[0].get_ydata(), X / 2)


def test_a_legend_of_eleven_names_stays_on_the_page(tmp_path, drawn):
    rows = [Curve("Integrated Grad", X, place, "0.123", place > 7) for place in range(11)]
    curves_figure(tmp_path / "a", "title", X, rows, ("x", "y"), "area under the curve, lower is better", "foot " * 60)
    [figure] = drawn
    assert outside(figure) == []
    box = figure.axes[0].get_legend().get_window_extent()
    assert min(box.x0, box.y0) > 0
    assert box.x1 < figure.bbox.x1


def test_curves_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(UserError, match="EP: a curve of 4 points over 5 places"):
        curves_figure(tmp_path / "a", "title", X, [Curve("EP", X[:4], 0)], ("x", "y"))
    with pytest.raises(UserError, match="title: no curve to draw"):
        curves_figure(tmp_path / "a", "title", X, [], ("x", "y"))
    assert not list(tmp_path.iterdir())
