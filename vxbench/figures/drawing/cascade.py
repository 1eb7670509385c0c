"""Draws maps of a network re-initialised stage by stage, and how alike they stay (Fig. 8 of Uchiyama et al.)."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vxbench.figures.drawing.plots import draw_means
from vxbench.figures.drawing.save import Facts, save
from vxbench.figures.drawing.style import FAINT, FOOT_SIZE, INK, NAME_SIZE, PLAIN, SMALL_SIZE, TITLE_SIZE, bare_axes
from vxbench.figures.drawing.tiles import EDGE, LEFT, Block, tiles_figure

CURVES, FOOT_LINE, BETWEEN = 2.9, 0.16, 0.85  # inches


def cascade_figure(
    stem: str | Path,
    maps: Block,
    curves: pd.DataFrame,
    measures: dict[str, str],
    foot: str = "",
    facts: Facts = None,
) -> list[Path]:
    """Writes <stem>.png and .pdf, one row of maps a stage and, below, one plot a measure over the stages; returns them.

    curves: columns method, measure, stage, mean, low, high (the 95 % interval); methods and stages keep their order.
    measures: {key: name of the axis}.
    """
    figure, lines = tiles_figure([maps]), foot.splitlines()
    below = CURVES + FOOT_LINE * len(lines)
    room_below(figure, below)
    width, height = figure.get_size_inches()
    wide = (width - LEFT - EDGE - BETWEEN * (len(measures) - 1)) / len(measures)
    for place, (measure, name) in enumerate(measures.items()):
        left, bottom = LEFT + place * (wide + BETWEEN), FOOT_LINE * len(lines) + 0.7
        axes = figure.add_axes((left / width, bottom / height, wide / width, (CURVES - 1.15) / height))
        _curves(axes, curves[curves.measure == measure], name)
    title = {"size": TITLE_SIZE, "weight": "bold", "color": INK, "va": "top"}
    figure.text(LEFT / width, (below - 0.05) / height, "likeness to the map of the trained network", **title)
    look = {"size": FOOT_SIZE, "color": FAINT, "va": "bottom", "linespacing": 1.3}
    figure.text(EDGE / width, EDGE / height, foot, **look, **PLAIN)
    return save(figure, stem, facts)


def room_below(figure: Figure, inches: float) -> None:
    """Makes the page longer at its lower end; what is drawn keeps its size and its distance from the top."""
    width, height = figure.get_size_inches()
    share = height / (height + inches)
    figure.set_size_inches(width, height + inches)
    for axes in figure.axes:
        x, y, wide, tall = axes.get_position().bounds
        axes.set_position((x, 1 - (1 - y) * share, wide, tall * share))
    for text in figure.texts:
        text.set_y(1 - (1 - text.get_position()[1]) * share)


def _curves(axes: Axes, curves: pd.DataFrame, name: str) -> None:
    stages = list(dict.fromkeys(curves.stage))
    for number, (method, series) in enumerate(curves.groupby("method", sort=False)):
        draw_means(axes, series.stage.map(stages.index).to_numpy(), series, number, method)
    axes.axhline(0, color=INK, linewidth=0.6)
    axes.set_ylim(min(-0.05, curves.low.min() - 0.05), 1.05)
    axes.set_xticks(range(len(stages)), stages)
    axes.set_xlabel("drawn anew, with all before it", size=NAME_SIZE, color=INK)
    axes.set_ylabel(name, size=NAME_SIZE, color=INK)
    bare_axes(axes)
    axes.legend(fontsize=SMALL_SIZE, frameon=False)
