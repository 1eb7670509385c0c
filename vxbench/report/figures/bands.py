"""STC over the shares of low and high frequencies that F-EP keeps, as in Fig. 5 of Lin et al. 2021."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vxbench.errors import UserError
from vxbench.report.figures.save import Facts, save
from vxbench.report.figures.style import (
    DPI,
    FAINT,
    FOOT_SIZE,
    HAIR,
    INK,
    NAME_SIZE,
    PLAIN,
    SMALL_SIZE,
    TITLE_SIZE,
    line,
)

WIDTH, ROW, TITLE, FOOT = 7.6, 3.1, 0.35, 0.8  # inches
LEFT = 0.09  # of the width
NEAR = 1e-9  # shares are sums of tenths


@dataclass(frozen=True)
class Bands:
    """One network on one data set.

    grid: one line a pair of shares, with columns r_l, r_h, mean, low, high (the 95 % interval), n (clips) and
    one_sided (share of the clips whose map is above the threshold of STC everywhere or nowhere).
    """

    title: str
    grid: pd.DataFrame


def bands_figure(
    stem: str | Path, panels: list[Bands], metric: str, r_l: list[float], foot: list[str] = (), facts: Facts = None
) -> list[Path]:
    """<stem>.png and .pdf of `bands_page`. facts: see `save`."""
    return save(bands_page(panels, metric, r_l, foot), stem, facts)


def bands_page(panels: list[Bands], metric: str, r_l: list[float], foot: list[str] = ()) -> Figure:
    """A row of two plots for each of `panels`: over r_l with r_h = 0, and over r_h for every one of `r_l`.

    metric: its name, for the axis. foot: lines below.

    Raises:
        UserError: nothing to draw.
    """
    if not panels:
        raise UserError("bands_figure: no sweep to draw; give at least one")
    height = len(panels) * ROW + FOOT
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    for number, panel in enumerate(panels):
        _row(figure, panel, height - number * ROW, metric, r_l)
    for place, words in enumerate(foot):
        y = (FOOT - 0.14 - 0.14 * place) / height
        figure.text(LEFT, y, words, size=FOOT_SIZE, color=FAINT, va="top", **PLAIN)
    return figure


def _row(figure: Figure, panel: Bands, top: float, metric: str, r_l: list[float]) -> None:
    """top: the row's upper edge, inches from below."""
    height = figure.get_figheight()
    title = {"size": TITLE_SIZE, "weight": "bold", "color": INK, "va": "top"}
    figure.text(LEFT, (top - 0.08) / height, panel.title, **title, **PLAIN)
    bottom, tall = (top - ROW + 0.5) / height, (ROW - TITLE - 0.5) / height
    left = figure.add_axes((LEFT, bottom, 0.4, tall))
    right = figure.add_axes((0.55, bottom, 0.4, tall), sharey=left)
    _over_low(left, panel.grid, metric)
    _over_high(right, panel.grid, r_l)
    right.tick_params(labelleft=False)


def _over_low(axes: Axes, grid: pd.DataFrame, metric: str) -> None:
    series = _where(grid, "r_h", 0.0).sort_values("r_l")
    _series(axes, series, "r_l", 4, "F-EP, $r_h = 0$")
    end = _where(series, "r_l", 1.0)
    if len(end):
        point = end.iloc[0]
        axes.plot(
            1, point["mean"], marker="*", markersize=13, color="#d55e00", linestyle="none", label="EP ($r_l = 1$)"
        )
    _finish(axes, "share of low frequencies kept, $r_l$")
    axes.set_ylabel(metric, size=NAME_SIZE, color=INK)
    axes.set_ylim(-3, 105)


def _over_high(axes: Axes, grid: pd.DataFrame, shares: list[float]) -> None:
    for number, share in enumerate(shares):
        _series(axes, _where(grid, "r_l", share).sort_values("r_h"), "r_h", number, f"$r_l = {share:g}$")
    _finish(axes, "share of high frequencies kept, $r_h$")


def _series(axes: Axes, series: pd.DataFrame, over: str, number: int, name: str) -> None:
    """Means with their intervals; hollow where most of the maps are one-sided."""
    look = line(number)
    x, mean = series[over].to_numpy(), series["mean"].to_numpy()
    axes.fill_between(x, series.low, series.high, color=look["color"], alpha=0.13, linewidth=0)
    reach = np.clip([mean - series.low, series.high - mean], 0, None)
    axes.errorbar(x, mean, reach, color=look["color"], linestyle="none", elinewidth=0.8, capsize=2)
    axes.plot(x, mean, **look, markersize=5, linewidth=1.4, label=name)
    hollow = (series.one_sided > 0.5).to_numpy()
    face = {"markerfacecolor": "white", "color": look["color"], "marker": look["marker"], "linestyle": "none"}
    axes.plot(x[hollow], mean[hollow], markersize=5, **face)


def _finish(axes: Axes, xlabel: str) -> None:
    axes.set_xlim(-0.04, 1.04)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_xlabel(xlabel, size=NAME_SIZE, color=INK)
    axes.grid(color=HAIR, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=SMALL_SIZE, color=FAINT, labelcolor=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    if axes.lines:
        axes.legend(fontsize=SMALL_SIZE, frameon=False)


def _where(grid: pd.DataFrame, name: str, value: float) -> pd.DataFrame:
    return grid[(grid[name] - value).abs() < NEAR]
