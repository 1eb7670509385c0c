"""Holds and checks what tables are made of: the results of cells, and how their run was set up."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from vxbench.errors import UserError
from vxbench.fact import Fact

COLUMNS = ("clip", "status", "metric", "value", "reason", "degenerate")
POOLING = {"weight": 1.0, "group": 0}  # columns that say how clips are averaged, with their defaults

# Display names of the rows that stand below every table, in this order.
CONTROLS = {"random": "random map", "centre": "central blob", "boxes": "boxes as the map"}

SLACK = 1e-4  # float32 rounding of a mean, as a share of the upper end


@dataclass
class CellResult:
    """One cell: a model, a data set and an explainer, scored on every clip.

    model, dataset, row: keys as in published.csv; row may also be a control or one's own explainer.
    rows: long form, one line per (clip, metric) with the columns COLUMNS. `status` is "ok" or "failed"; a
        failed clip has one line, with metric "", value NaN and reason "<kind>: <message>". A clip that was
        not scored by a metric has value NaN and the reason. `degenerate` says that the map was constant. Without
        the columns POOLING every clip counts alike.
    not_applicable: why the explainer has no meaning for the model; the table prints a dash.
    error: why the whole cell failed; the table prints "failed".
    """

    model: str
    dataset: str
    row: str
    rows: pd.DataFrame
    not_applicable: str = ""
    error: str = ""

    def __post_init__(self):
        if not len(self.rows):
            self.rows = pd.DataFrame(columns=COLUMNS)
        absent = {name: default for name, default in POOLING.items() if name not in self.rows.columns}
        self.rows = self.rows.assign(**absent)

    @property
    def name(self) -> str:
        return f"{self.model}/{self.dataset}/{self.row}"

    @property
    def ran(self) -> bool:
        return not (self.not_applicable or self.error)

    @property
    def failures(self) -> pd.DataFrame:
        """The lines of the clips that failed."""
        return self.rows[self.rows["status"] == "failed"]

    @property
    def scored(self) -> pd.DataFrame:
        """The lines of the clips that did not fail; a value may still be NaN."""
        return self.rows[self.rows["status"] == "ok"]


@dataclass(frozen=True)
class RunInfo:
    """How a table was made.

    title_line: what was run, in one line. Where the table is not comparable with the paper it says why, and
    is printed as "not comparable with the paper: <title_line>". settings: lines printed below the table.
    protocol: `described` (the paper's words) or `released` (the authors' evaluation code).
    described: {metric key: a sentence on how it was computed}, printed below tables that have it.
    """

    name: str
    title_line: str
    comparable: bool
    settings: list[str] = field(default_factory=list)
    protocol: str = "described"
    described: dict[str, str] = field(default_factory=dict)


def check(cell: CellResult, fact_of: Callable[[str], Fact]) -> None:
    """Refuses a cell that cannot be reported as it is. fact_of: what is known of a metric key.

    Raises:
        UserError: a column is missing, a clip is scored twice, a value is outside the unit of its metric, or a weight
            or group is none.
    """
    missing = [name for name in COLUMNS if name not in cell.rows.columns]
    if missing:
        wanted = ", ".join(COLUMNS)
        raise UserError(f"cell {cell.name}: its rows lack the column {missing[0]!r}; they need {wanted}")
    _check_statuses(cell)
    twice = cell.rows.duplicated(["clip", "metric"])
    if twice.any():
        line = cell.rows[twice].iloc[0]
        what = line["metric"] or "its failure"
        raise UserError(f"cell {cell.name}: clip {line['clip']} has two lines for {what}; keep one")
    _check_units(cell, fact_of)
    _check_pooling(cell)


def _check_statuses(cell: CellResult) -> None:
    strange = sorted(map(str, set(cell.rows["status"]) - {"ok", "failed"}))
    if strange:
        raise UserError(f"cell {cell.name}: status {strange[0]!r} is neither 'ok' nor 'failed'")


def _check_units(cell: CellResult, fact_of: Callable[[str], Fact]) -> None:
    """A share outside its range is most often a percentage taken for a fraction."""
    for metric, values in cell.scored.groupby("metric")["value"]:
        if np.isinf(values.astype(float)).any():
            raise UserError(f"cell {cell.name}: {metric} is infinite for a clip; a clip without a value is NaN")
        known = fact_of(metric)
        low, high = (-np.inf if known.low is None else known.low), (np.inf if known.high is None else known.high)
        slack = SLACK * abs(high) if np.isfinite(high) else 0.0
        outside = values[(values < low - slack) | (values > high + slack)]
        if len(outside):
            found = f"{metric} = {outside.iloc[0]:g}"
            raise UserError(f"cell {cell.name}: {found} is outside [{low:g}, {high:g}], its unit")


def _check_pooling(cell: CellResult) -> None:
    """What a scored clip counts must be a number above 0, its group a whole number."""
    there = cell.scored[cell.scored["value"].notna()]
    weights, groups = there["weight"].to_numpy(float), there["group"].to_numpy(float)
    for name, values, good in (
        ("weight", weights, np.isfinite(weights) & (weights > 0)),
        ("group", groups, np.isfinite(groups) & (groups == np.round(groups))),
    ):
        if not good.all():
            clip, value = there["clip"].iloc[int(np.argmin(good))], values[int(np.argmin(good))]
            wanted = {"weight": "a number above 0", "group": "a whole number"}[name]
            raise UserError(f"cell {cell.name}: clip {clip} has {name} {value:g}; it must be {wanted}")
