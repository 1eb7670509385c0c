"""Draws curves of several methods in one plot, and scores over the bands of F-EP (Fig. 4 of Lin et al. 2021)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vxbench.errors import UserError
from vxbench.figures.drawing.save import Facts, save
from vxbench.figures.drawing.style import (
    DPI,
    FAINT,
    FOOT_SIZE,
    INK,
    NAME_SIZE,
    PLAIN,
    SMALL_SIZE,
    TITLE_SIZE,
    bare_axes,
    line,
)
from vxbench.figures.drawing.tiles import wrapped

WIDTH, TALL, HEAD, FOOT_LINE, LEFT, RIGHT = 7.6, 3.6, 0.55, 0.14, 0.65, 2.45  # inches, of a plot of curves
CONTROL = "#a8a8a8"
CONTROL_LINES = ("-", "--", ":")
MARKS = 7  # along a curve

ROW, TITLE, FOOT = 3.1, 0.35, 0.8  # inches, of plots over bands
BANDS_LEFT = 0.09  # share of the width
NEAR = 1e-9  # shares are sums of tenths


@dataclass(frozen=True)
class Curve:
    """One line of a plot.

    y: (n,), at the plot's x. note: printed behind the name, such as its area. place: the number of its look, so that a
    method looks the same in every plot. control: drawn faint.
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
    """Writes <stem>.png and .pdf of curves over x, (n,), and returns them.

    labels: the names of the two axes. heading: stands over the legend, which keeps the curves' order.

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
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    wide = WIDTH - LEFT - RIGHT
    axes = figure.add_axes((LEFT / WIDTH, below / height, wide / WIDTH, TALL / height))
    _plot(axes, x, curves, heading)
    _dress(axes, labels)
    _words(figure, title, foot)
    return save(figure, stem, facts)


def look(curve: Curve) -> dict:
    """Matplotlib's keywords for a curve's line."""
    if curve.control:
        return {"color": CONTROL, "linestyle": CONTROL_LINES[curve.place % len(CONTROL_LINES)], "linewidth": 1}
    return line(curve.place) | {"linewidth": 1.5, "markersize": 4}


def _words(figure: Figure, title: str, foot: str) -> None:
    height = figure.get_figheight()
    large = {"size": TITLE_SIZE, "weight": "bold", "color": INK, "va": "top", **PLAIN}
    figure.text(LEFT / WIDTH, 1 - 0.15 / height, title, **large)
    small = {"size": FOOT_SIZE, "color": FAINT, "va": "bottom", "linespacing": 1.3, **PLAIN}
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
        fontsize=SMALL_SIZE,
        title_fontsize=SMALL_SIZE,
        frameon=False,
        handlelength=3.4,
        labelspacing=0.6,
        alignment="left",
    )
    for text, curve in zip(legend.get_texts(), curves, strict=True):
        text.set(color=FAINT if curve.control else INK, **PLAIN)


def _draw(axes: Axes, x: np.ndarray, curve: Curve) -> Line2D:
    """Draws a curve, with markers at other places than on other lines, so that they do not hide each other."""
    apart = max(1, len(x) // MARKS)
    place = len(axes.lines) % apart
    [drawn] = axes.plot(x, curve.y, markevery=(place, apart), zorder=2 if curve.control else 3, **look(curve))
    return drawn


def _dress(axes: Axes, labels: tuple[str, str]) -> None:
    axes.set_xlabel(labels[0], size=NAME_SIZE, color=INK, **PLAIN)
    axes.set_ylabel(labels[1], size=NAME_SIZE, color=INK, **PLAIN)
    axes.margins(x=0)
    axes.set_ylim(bottom=0)
    bare_axes(axes)


@dataclass(frozen=True)
class Bands:
    """Scores of one network on one data set over the bands of F-EP.

    grid: one line a pair of shares, with columns r_l, r_h, mean, low, high (the 95 % interval), n (clips) and
    one_sided (share of the clips whose map is above the threshold of STC everywhere or nowhere).
    """

    title: str
    grid: pd.DataFrame


def bands_figure(
    stem: str | Path, panels: list[Bands], metric: str, r_l: list[float], foot: list[str] = (), facts: Facts = None
) -> list[Path]:
    """Writes <stem>.png and .pdf of `bands_page`, and returns them. facts: see `save`."""
    return save(bands_page(panels, metric, r_l, foot), stem, facts)


def bands_page(panels: list[Bands], metric: str, r_l: list[float], foot: list[str] = ()) -> Figure:
    """Draws a row of two plots for each of `panels`: over r_l with r_h = 0, and over r_h for every one of `r_l`.

    metric: its name, for the axis. foot: lines below.

    Raises:
        UserError: nothing to draw.
    """
    if not panels:
        raise UserError("bands_figure: no sweep to draw; give at least one")
    height = len(panels) * ROW + FOOT
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    for number, panel in enumerate(panels):
        _bands_row(figure, panel, height - number * ROW, metric, r_l)
    for place, words in enumerate(foot):
        y = (FOOT - 0.14 - 0.14 * place) / height
        figure.text(BANDS_LEFT, y, words, size=FOOT_SIZE, color=FAINT, va="top", **PLAIN)
    return figure


def _bands_row(figure: Figure, panel: Bands, top: float, metric: str, r_l: list[float]) -> None:
    """Draws one row of two plots, whose upper edge is `top` inches from below."""
    height = figure.get_figheight()
    title = {"size": TITLE_SIZE, "weight": "bold", "color": INK, "va": "top"}
    figure.text(BANDS_LEFT, (top - 0.08) / height, panel.title, **title, **PLAIN)
    bottom, tall = (top - ROW + 0.5) / height, (ROW - TITLE - 0.5) / height
    left = figure.add_axes((BANDS_LEFT, bottom, 0.4, tall))
    right = figure.add_axes((0.55, bottom, 0.4, tall), sharey=left)
    _over_low(left, panel.grid, metric)
    _over_high(right, panel.grid, r_l)
    right.tick_params(labelleft=False)


def _over_low(axes: Axes, grid: pd.DataFrame, metric: str) -> None:
    series = _where(grid, "r_h", 0.0).sort_values("r_l")
    _band_series(axes, series, "r_l", 4, "F-EP, $r_h = 0$")
    end = _where(series, "r_l", 1.0)
    if len(end):
        point = end.iloc[0]
        axes.plot(
            1, point["mean"], marker="*", markersize=13, color="#d55e00", linestyle="none", label="EP ($r_l = 1$)"
        )
    _dress_bands(axes, "share of low frequencies kept, $r_l$")
    axes.set_ylabel(metric, size=NAME_SIZE, color=INK)
    axes.set_ylim(-3, 105)


def _over_high(axes: Axes, grid: pd.DataFrame, shares: list[float]) -> None:
    for number, share in enumerate(shares):
        _band_series(axes, _where(grid, "r_l", share).sort_values("r_h"), "r_h", number, f"$r_l = {share:g}$")
    _dress_bands(axes, "share of high frequencies kept, $r_h$")


def _band_series(axes: Axes, series: pd.DataFrame, over: str, number: int, name: str) -> None:
    """Draws means with their intervals, hollow where most of the maps are one-sided."""
    x, mean, hollow = series[over].to_numpy(), series["mean"].to_numpy(), (series.one_sided > 0.5).to_numpy()
    draw_means(axes, x, series, number, name)
    face = {name: value for name, value in line(number).items() if name != "linestyle"} | {"markerfacecolor": "white"}
    axes.plot(x[hollow], mean[hollow], linestyle="none", markersize=5, **face)


def draw_means(axes: Axes, x: np.ndarray, series: pd.DataFrame, number: int, name: str) -> None:
    """Draws means (columns mean, low, high) over x, (n,), with their intervals, in the look of line `number`."""
    look, mean = line(number), series["mean"].to_numpy()
    axes.fill_between(x, series.low, series.high, color=look["color"], alpha=0.13, linewidth=0)
    reach = np.clip([mean - series.low, series.high - mean], 0, None)
    axes.errorbar(x, mean, reach, color=look["color"], linestyle="none", elinewidth=0.8, capsize=2)
    axes.plot(x, mean, **look, markersize=5, linewidth=1.4, label=name)


def _dress_bands(axes: Axes, xlabel: str) -> None:
    axes.set_xlim(-0.04, 1.04)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_xlabel(xlabel, size=NAME_SIZE, color=INK)
    bare_axes(axes)
    if axes.lines:
        axes.legend(fontsize=SMALL_SIZE, frameon=False)


def _where(grid: pd.DataFrame, name: str, value: float) -> pd.DataFrame:
    return grid[(grid[name] - value).abs() < NEAR]
