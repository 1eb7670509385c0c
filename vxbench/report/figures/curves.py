"""Curves of several methods in one plot, as in Fig. 4 of Lin et al. 2021: told apart without colour, controls faint."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vxbench.errors import UserError
from vxbench.report.figures import style
from vxbench.report.figures.save import Facts, save
from vxbench.report.figures.style import FAINT, HAIR, INK, PLAIN
from vxbench.report.figures.tiles import wrapped

WIDTH, TALL, HEAD, FOOT_LINE, LEFT, RIGHT = 7.6, 3.6, 0.55, 0.14, 0.65, 2.45  # inches
CONTROL = "#a8a8a8"
CONTROL_LINES = ("-", "--", ":")
MARKS = 7  # along a curve


@dataclass(frozen=True)
class Curve:
    """One line. y: (n,), at `x` of the plot. note: printed behind the name, such as its area.

    place: which of the looks it has, so that a method looks the same in every plot. control: drawn faint.
    """

    name: str
    y: np.ndarray
    place: int
    note: str = ""
    control: bool = False


def curves_figure(
    stem: str | Path,
    title: str,
    x: np.ndarray,
    curves: Sequence[Curve],
    labels: tuple[str, str],
    heading: str = "",
    foot: str = "",
    facts: Facts = None,
) -> list[Path]:
    """<stem>.png and .pdf. x: (n,). labels: of the two axes. heading: over the legend, which keeps the curves' order.

    Raises:
        UserError: no curve, or one of another length than x.
    """
    if not curves:
        raise UserError(f"{title}: no curve to draw")
    for curve in curves:
        if curve.y.shape != x.shape:
            raise UserError(f"{curve.name}: a curve of {len(curve.y)} points over {len(x)} places")
    foot = "\n".join(wrapped(foot, WIDTH - 0.24))
    below = 0.65 + FOOT_LINE * len(foot.splitlines())
    height = HEAD + TALL + below
    figure = Figure(figsize=(WIDTH, height), dpi=style.DPI, facecolor="white")
    wide = WIDTH - LEFT - RIGHT
    axes = figure.add_axes((LEFT / WIDTH, below / height, wide / WIDTH, TALL / height))
    _plot(axes, x, curves, heading)
    _dress(axes, labels)
    _words(figure, title, foot)
    return save(figure, stem, facts)


def _words(figure: Figure, title: str, foot: str) -> None:
    height = figure.get_figheight()
    large = {"size": style.TITLE_SIZE, "weight": "bold", "color": INK, "va": "top", **PLAIN}
    figure.text(LEFT / WIDTH, 1 - 0.15 / height, title, **large)
    small = {"size": style.FOOT_SIZE, "color": FAINT, "va": "bottom", "linespacing": 1.3, **PLAIN}
    figure.text(0.12 / WIDTH, 0.1 / height, foot, **small)


def _plot(axes: Axes, x: np.ndarray, curves: Sequence[Curve], heading: str) -> None:
    drawn = [_draw(axes, x, curve) for curve in curves]
    names = [f"{curve.name}  {curve.note}".rstrip() for curve in curves]
    legend = axes.legend(
        drawn,
        names,
        title=heading,
        loc="upper left",
        bbox_to_anchor=(1.02, 1.02),
        fontsize=style.SMALL_SIZE,
        title_fontsize=style.SMALL_SIZE,
        frameon=False,
        handlelength=3.4,
        labelspacing=0.6,
        alignment="left",
    )
    for text, curve in zip(legend.get_texts(), curves, strict=True):
        text.set(color=FAINT if curve.control else INK, **PLAIN)


def look(curve: Curve) -> dict:
    """Keywords of its line."""
    if curve.control:
        return {"color": CONTROL, "linestyle": CONTROL_LINES[curve.place % len(CONTROL_LINES)], "linewidth": 1}
    return style.line(curve.place) | {"linewidth": 1.5, "markersize": 4}


def _draw(axes: Axes, x: np.ndarray, curve: Curve) -> Line2D:
    """Markers stand at other places on every line, so that they do not hide each other."""
    apart = max(1, len(x) // MARKS)
    place = len(axes.lines) % apart
    [line] = axes.plot(x, curve.y, markevery=(place, apart), zorder=2 if curve.control else 3, **look(curve))
    return line


def _dress(axes: Axes, labels: tuple[str, str]) -> None:
    axes.set_xlabel(labels[0], size=style.NAME_SIZE, color=INK, **PLAIN)
    axes.set_ylabel(labels[1], size=style.NAME_SIZE, color=INK, **PLAIN)
    axes.margins(x=0)
    axes.set_ylim(bottom=0)
    axes.grid(color=HAIR, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=style.SMALL_SIZE, color=FAINT, labelcolor=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
