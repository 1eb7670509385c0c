"""The numbers of a table: what a cell gives for a column, the paper's number beside it, ratios to a row."""

from dataclasses import replace

import numpy as np
import pandas as pd

from vxbench.report.cells import CellResult, factor
from vxbench.report.comparison import ratio
from vxbench.report.published import Blank, Layout, Value
from vxbench.report.statistics import estimate
from vxbench.report.table import Column, Entry, Table


def sample(cell: CellResult | None, metric: str, unit: str) -> pd.DataFrame | None:
    """The clips of a cell with a value, in the table's unit, as `comparison` takes them; None without one."""
    if cell is None or not cell.ran:
        return None
    scored = cell.scored[(cell.scored["metric"] == metric) & cell.scored["value"].notna()]
    frame = scored.set_index("clip")[["value", "weight", "group"]].astype(float)
    return frame.assign(value=frame["value"] * factor(metric, unit)) if len(frame) else None


def measure(cell: CellResult | None, metric: str, unit: str) -> Entry:
    """The measured number alone."""
    if cell is None:
        return Entry("not_run", reason="not run")
    if cell.not_applicable:
        return Entry("not_applicable", reason=cell.not_applicable)
    if cell.error:
        return Entry("failed", reason=cell.error)
    scored = cell.scored[cell.scored["metric"] == metric]
    counts = {"failed": len(cell.failures), "degenerate": int(scored["degenerate"].astype(bool).sum())}
    if counts["failed"] and not len(cell.scored):
        return Entry("failed", reason="every clip failed, see below", **counts)
    if not len(scored):
        return Entry("not_run", reason=f"{metric} was not computed", **counts)
    values = scored["value"].astype(float).to_numpy() * factor(metric, unit)
    found = estimate(values, scored["weight"].to_numpy(float), scored["group"].to_numpy(int))
    state = "measured" if found.n else "no_value"
    return Entry(state, found, reason="" if found.n else "no clip could be scored, see below", **counts)


def beside(entry: Entry, value: Value | None, blank: Blank | None, table: Table, column: Column) -> Entry:
    """The entry with the paper's number. What the paper leaves blank and nobody ran is a dash for the same reason."""
    if blank and entry.state == "not_run":
        entry = replace(entry, state="not_applicable", reason=blank.reason)
    inside = _inside(entry, value, table, column)
    return replace(entry, published=value, blank=blank.printed if blank else "", inside=inside)


def _inside(entry: Entry, value: Value | None, table: Table, column: Column) -> bool | None:
    """Whether the paper's number lies in the interval, rounded as shown; None where it is not to be scored."""
    scored = value is not None and value.scored and table.profile.comparable
    if not scored or not entry.measured or bool(table.layout.ratios_to) != bool(column.ratio_to):
        return None
    decimals = table.layout.decimals
    low, high = (round(end, decimals) for end in (entry.estimate.low, entry.estimate.high))
    return low <= round(value.value, decimals) <= high


def as_ratio(entry: Entry, own: pd.DataFrame | None, reference: pd.DataFrame | None, name: str) -> Entry:
    """A row's number as a multiple of the reference row's, which is called `name`."""
    if not entry.measured:
        return entry
    if reference is None:
        return Entry("not_run", reason=f"{name} was not measured")
    found = ratio(own, reference)
    if found is None:
        return Entry("no_value", reason=f"no clip in common with {name}")
    return Entry("measured", found, failed=entry.failed, degenerate=entry.degenerate)


def printed_ratio(values: dict, where: tuple[str, str, str, str], paper: Layout) -> Value | None:
    """The ratio of the paper's two numbers; that of the reference to itself is no finding."""
    own, reference = values.get(where), values.get((paper.ratios_to, *where[1:]))
    if own is None or reference is None:
        return None
    quotient = float(np.divide(own.value, reference.value))
    return own._replace(value=quotient, scored=own.scored and where[0] != paper.ratios_to)
