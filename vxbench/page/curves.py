"""Draws mean curves as paths, one chart a metric, one line a method."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from vxbench.errors import UserError
from vxbench.fact import Fact
from vxbench.page.data import PageCell, PageTable
from vxbench.page.values import combinations, methods
from vxbench.tables.published import display_names

COLOURS = 8  # of style.css; further lines repeat them dashed
WIDTH, HEIGHT = 440, 300  # pixels of a chart
LEFT, RIGHT, TOP, BOTTOM = 44, 428, 34, 260  # of the frame in which it is drawn
TICKS = 5


@dataclass(frozen=True)
class Line:
    """number: of the method, the same in both charts. area: under the mean curve. points: of an SVG polyline."""

    number: int
    name: str
    area: float
    clips: int
    points: str
    values: list[float]

    @property
    def style(self) -> str:
        return f"c{self.number % COLOURS} d{self.number // COLOURS}"


@dataclass(frozen=True)
class Chart:
    """Both axes are [0, 1], so that charts can be compared. xs, ys: [(pixel, label)] of the ticks."""

    title: str
    x_title: str
    lines: list[Line]
    xs: list[tuple[float, str]]
    ys: list[tuple[float, str]]
    box: str = f"0 0 {WIDTH} {HEIGHT}"
    left: int = LEFT
    right: int = RIGHT
    bottom: int = BOTTOM


@dataclass(frozen=True)
class CurveSet:
    """The charts of one model and data set of a table, and its methods [(number, name, style)]."""

    title: str
    charts: list[Chart]
    legend: list[tuple[int, str, str]]


def curve_sets(page: PageTable) -> list[CurveSet]:
    """Every model and data set of the table that has curves."""
    found = [_curve_set(page, *where) for where in combinations(page)]
    return [curves for curves in found if curves.charts]


def _curve_set(page: PageTable, model: str, dataset: str) -> CurveSet:
    listed = list(methods(page, model, dataset))
    charts = []
    keys = sorted({key for _, cell in listed for key in cell.result.scored["metric"]})
    drawn = {key: known for key in keys if (known := page.table.spec.fact(key)).curve}
    for metric, known in drawn.items():
        means = [(i, name, *mean_curve(cell, metric)) for i, (name, cell) in enumerate(listed)]
        means = [entry for entry in means if entry[3]]
        if means:
            charts.append(_chart(known, means))
    styles = {line.number: (line.number, line.name, line.style) for chart in charts for line in chart.lines}
    names = display_names("models").get(model, model), display_names("datasets").get(dataset, dataset)
    return CurveSet(" on ".join(names), charts, [styles[number] for number in sorted(styles)])


def mean_curve(cell: PageCell, metric: str) -> tuple[np.ndarray, int]:
    """The mean over the clips that were scored, and their number. Clips count alike.

    Raises:
        UserError: the clips' curves differ in length.
    """
    rows = cell.result.scored
    if "curve" not in rows:
        return np.empty(0), 0
    rows = rows[(rows["metric"] == metric) & rows["value"].notna() & rows["curve"].map(_is_curve)]
    curves = [np.asarray(curve, float) for curve in rows["curve"]]
    if len({len(curve) for curve in curves}) > 1:
        raise UserError(f"cell {cell.id}: its {metric} curves differ in length; delete the cell and run it again")
    return (np.mean(curves, axis=0), len(curves)) if curves else (np.empty(0), 0)


def area(curve: np.ndarray) -> float:
    """Trapezoids over [0, 1]."""
    return float((curve[:-1] + curve[1:]).mean() / 2)


def _is_curve(curve: object) -> bool:
    return curve is not None and not (np.isscalar(curve) and pd.isna(curve)) and len(curve) > 1


def _chart(known: Fact, means: list[tuple[int, str, np.ndarray, int]]) -> Chart:
    lines = [
        Line(number, name, area(curve), clips, _points(curve), curve.tolist()) for number, name, curve, clips in means
    ]
    ticks = np.linspace(0, 1, TICKS + 1)
    xs = [(_x(tick), f"{tick:.1f}") for tick in ticks]
    ys = [(_y(tick), f"{tick:.1f}") for tick in ticks]
    return Chart(known.curve, known.axis, lines, xs, ys)


def _points(curve: np.ndarray) -> str:
    xs = np.linspace(0, 1, len(curve))
    return " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in zip(xs, curve, strict=True))


def _x(share: float) -> float:
    return LEFT + share * (RIGHT - LEFT)


def _y(probability: float) -> float:
    return BOTTOM - probability * (BOTTOM - TOP)
