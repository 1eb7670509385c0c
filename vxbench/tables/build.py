"""Builds the Table from the results of cells: what stands where, the best of a column, what the comparisons say."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd

from vxbench.errors import UserError
from vxbench.tables.comparison import Pair, pairs, rank_correlation, ratio
from vxbench.tables.notes import notes
from vxbench.tables.published import Blank, Layout, PaperColumn, Value, layout, published, tables
from vxbench.tables.results import CONTROLS, CellResult, RunInfo, check
from vxbench.tables.spec import TableSpec, check_fits, heading_of, own_layout, require_computed
from vxbench.tables.statistics import estimate
from vxbench.tables.table import Column, Entry, Row, Table

ADDED = "not in the paper"  # the heading over columns that `table.also` adds


def columns(paper: Layout, spec: TableSpec, computed: set[str]) -> list[Column]:
    """The layout's columns in their order, each followed by those that belong to it, then those that `also` adds.

    computed: the metric keys of the cells.

    Raises:
        UserError: no cell has a key of `also`, or the paper's table has it already.
    """
    found = []
    for listed in paper.columns:
        found.append(_column(paper, spec, listed))
        if paper.ratios_to:
            found.append(_ratio_column(paper, found[-1]))
        companion = spec.fact(listed.metric).companion
        if companion in computed - {column.metric for column in paper.columns}:
            found.append(_companion(found[-1], companion, spec))
    return found + _added(paper, spec, computed)


def _column(paper: Layout, spec: TableSpec, listed: PaperColumn) -> Column:
    place = {"model": listed.model, "dataset": listed.dataset, "group": listed.group, "metric": listed.metric}
    known = spec.fact(listed.metric)
    unit, decimals = (paper.unit, paper.decimals) if paper.printed else known.in_unit(paper.unit)
    shown = {"unit": unit, "decimals": decimals if paper.decimals is None else paper.decimals}
    about = {"higher_is_better": known.higher_is_better, "printed": paper.printed}
    return Column(**place, **about, **shown, **_titles(paper, spec, listed))


def _ratio_column(paper: Layout, column: Column) -> Column:
    title = f"ratio to {paper.rows[paper.ratios_to]}"
    metric = f"{column.metric}/{paper.ratios_to}"
    return replace(column, metric=metric, title=title, label=title, unit="ratio", ratio_to=paper.ratios_to)


def _companion(column: Column, metric: str, spec: TableSpec) -> Column:
    """The column right of one whose number is to be read with this metric."""
    title = spec.heading(metric)
    unit, _ = spec.fact(metric).in_unit(column.unit)
    about = {"title": title, "label": f"{column.group} {title}".strip(), "unit": unit, "higher_is_better": None}
    return replace(column, metric=metric, printed=False, companion=True, **about)


def _titles(paper: Layout, spec: TableSpec, column: PaperColumn) -> dict[str, str]:
    """The printed heading; with the metric in place of the group where two metrics stand under it."""
    heading = (column.group, column.display)
    if sum((other.group, other.display) == heading for other in paper.columns) > 1:
        title = f"{column.display} {spec.heading(column.metric)}"
        return {"title": title, "label": title}
    return {"title": column.display, "label": f"{column.group} {column.display}".strip()}


def _added(paper: Layout, spec: TableSpec, computed: set[str]) -> list[Column]:
    """The columns of `also`: one a key, model and data set that the paper printed."""
    require_computed("also", spec.also, computed)
    there = {column.metric for column in paper.columns}
    for key in spec.also:
        if key in there:
            raise UserError(f"table.also = {key}: {paper.key} has that column already; leave it out")
    places = dict.fromkeys((column.model, column.dataset) for column in paper.columns)
    return [_added_column(paper, spec, place, heading_of(place, places), key) for place in places for key in spec.also]


def _added_column(paper: Layout, spec: TableSpec, place: tuple[str, str], where: str, key: str) -> Column:
    known, title = spec.fact(key), f"{where} {spec.heading(key)}".strip()
    shown = dict(zip(("unit", "decimals"), known.in_unit(paper.unit), strict=True))
    about = {"title": title, "label": title, "higher_is_better": known.higher_is_better}
    return Column(*place, key, ADDED, **about, **shown, printed=False)


def sample(cell: CellResult | None, metric: str, factor: float) -> pd.DataFrame | None:
    """The clips of a cell with a value, times `factor`, as `comparison` takes them; None without one."""
    if cell is None or not cell.ran:
        return None
    scored = cell.scored[(cell.scored["metric"] == metric) & cell.scored["value"].notna()]
    frame = scored.set_index("clip")[["value", "weight", "group"]].astype(float)
    return frame.assign(value=frame["value"] * factor) if len(frame) else None


def measure(cell: CellResult | None, metric: str, factor: float) -> Entry:
    """The measured number alone, times `factor`."""
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
    values = scored["value"].astype(float).to_numpy() * factor
    found = estimate(values, scored["weight"].to_numpy(float), scored["group"].to_numpy(int))
    state = "measured" if found.n else "no_value"
    return Entry(state, found, reason="" if found.n else "no clip could be scored, see below", **counts)


def with_published(entry: Entry, value: Value | None, blank: Blank | None, table: Table, column: Column) -> Entry:
    """Adds the paper's number; a cell the paper leaves blank and nobody ran becomes a dash for the same reason."""
    if blank and entry.state == "not_run":
        entry = replace(entry, state="not_applicable", reason=blank.reason)
    inside = _inside(entry, value, table, column)
    return replace(entry, published=value, blank=blank.printed if blank else "", inside=inside)


def _inside(entry: Entry, value: Value | None, table: Table, column: Column) -> bool | None:
    """Whether the paper's number lies in the interval, rounded as shown; None where it is not to be scored."""
    scored = value is not None and value.scored and table.profile.comparable
    if not scored or not entry.measured or bool(table.layout.ratios_to) != bool(column.ratio_to):
        return None
    decimals = column.decimals
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


Slot = tuple[str, str, str]  # row, model, dataset
Samples = dict[tuple[str, int], pd.DataFrame]  # by row and index of the column, as `comparison` takes them


def make_table(key: str, cells: list[CellResult], profile: RunInfo, spec: TableSpec | None = None) -> Table:
    """The table `key` as measured by `cells`: a paper's, or one's own, whose rows and columns are those of the cells.

    The cells of a paper's table may come in any order.

    Raises:
        UserError: two cells for one place in the table, a cell that `results.check` refuses, or a spec that asks for
            what no cell has.
    """
    spec = spec or TableSpec()
    for cell in cells:
        check(cell, spec.fact)
    check_fits(key, spec, key in tables())
    paper = layout(key) if key in tables() else own_layout(key, spec, cells)
    cells = sorted(cells, key=lambda cell: (cell.model, cell.dataset, cell.row))
    placed = place(paper, cells)
    computed = {metric for cell in placed.values() for metric in cell.scored["metric"]}
    table = Table(paper, profile, _rows(paper, spec, placed), columns(paper, spec, computed), entries={}, spec=spec)
    samples = _samples(table, placed)
    table.entries = {row.key: _entries(table, row, placed, samples) for row in table.rows}
    for index in range(len(table.columns)):
        _mark_best(table, index)
        table.columns[index] = _summed_up(table, index, samples)
    table.pairs = _pairs(table, samples)
    table.notes = notes(table, list(placed.values()), [cell for cell in cells if slot(paper, cell) is None])
    return table


def slot(paper: Layout, cell: CellResult) -> Slot | None:
    """The place of a cell in the table, None where it has none.

    Where the rows are models nothing is asked of the map, so any one explainer's cell will do.
    """
    by_model = paper.rows_are == "models"
    if by_model and cell.model not in paper.rows:
        return None
    for column in paper.columns:
        if column.model in ("", cell.model) and column.dataset in ("", cell.dataset):
            return cell.model if by_model else cell.row, cell.model, column.dataset
    return None


def place(paper: Layout, cells: list[CellResult]) -> dict[Slot, CellResult]:
    """The cells that have a place in the table."""
    placed: dict[Slot, CellResult] = {}
    for cell in cells:
        where = slot(paper, cell)
        if where in placed:
            both = f"{placed[where].name} and {cell.name}"
            raise UserError(f"{paper.key}: two cells for one place, {both}; keep one")
        if where is not None:
            placed[where] = cell
    return placed


def _rows(paper: Layout, spec: TableSpec, placed: dict[Slot, CellResult]) -> list[Row]:
    """The layout's rows, then explainers it does not have, then the controls: with a paper's table all that apply."""
    given = {row for row, _, _ in placed}
    rows = [Row(key, display, "paper" if paper.printed else "own") for key, display in paper.rows.items()]
    if paper.rows_are == "models":
        return rows
    rows += [Row(key, spec.row(key), "added") for key in sorted(given - set(paper.rows) - set(CONTROLS))]
    boxes = any(spec.fact(column.metric).needs == "boxes" for column in paper.columns)
    wanted = [key for key in CONTROLS if key in given or (paper.printed and (key != "boxes" or boxes))]
    return rows + [Row(key, CONTROLS[key], "control") for key in wanted]


def _samples(table: Table, placed: dict[Slot, CellResult]) -> Samples:
    """{(row, column's index): its clips}, where there are any; a column of ratios has those it is made of."""
    found: Samples = {}
    for row in table.rows:
        for index, column in enumerate(table.columns):
            cell = placed.get((row.key, column.model or row.key, column.dataset))
            clips = sample(cell, column.stored, _factor(table, column))
            if clips is not None:
                found[row.key, index] = clips
    return found


def _factor(table: Table, column: Column) -> float:
    """What the stored values of a column are multiplied by."""
    return table.spec.fact(column.stored).factor(column.unit)


def _entries(table: Table, row: Row, placed: dict[Slot, CellResult], samples: Samples) -> list[Entry]:
    values, blanks = published(table.key), table.layout.blanks
    entries = []
    for index, column in enumerate(table.columns):
        place = (row.key, column.model or row.key, column.dataset)
        where = (*place, column.stored)
        if column.ratio_to:
            entry = _ratio(table, row, index, samples, whole=entries[-1])
            entries.append(with_published(entry, printed_ratio(values, where, table.layout), None, table, column))
        else:
            entry = measure(placed.get(place), column.stored, _factor(table, column))
            entries.append(with_published(entry, values.get(where), blanks.get(where), table, column))
    return entries


def _ratio(table: Table, row: Row, index: int, samples: Samples, whole: Entry) -> Entry:
    """whole: the entry of the column on the left, whose multiple this is."""
    reference = table.columns[index].ratio_to
    own, one = (samples.get((key, index)) for key in (row.key, reference))
    return as_ratio(whole, own, one, table.layout.rows[reference])


def _common_n(table: Table, index: int) -> int:
    """How many clips most entries of a column rest on; the larger of two equally frequent numbers."""
    entries = [table.entries[row.key][index] for row in table.rows]
    counts = Counter(entry.estimate.n for entry in entries if entry.measured)
    return max(counts, key=lambda n: (counts[n], n), default=0)


def _mark_best(table: Table, index: int) -> None:
    """Marks the best and second best value among the main rows, as printed; rows that tie share the mark."""
    better, decimals = table.columns[index].higher_is_better, table.columns[index].decimals
    if better is None:
        return
    entries = {row.key: table.entries[row.key][index] for row in table.main}
    shown = {key: round(e.estimate.mean, decimals) for key, e in entries.items() if e.measured}
    order = sorted(set(shown.values()), reverse=better)
    if len(order) < 2:
        return
    marks = {order[0]: "best", order[1]: "second"}
    for key, value in shown.items():
        table.entries[key][index] = replace(entries[key], mark=marks.get(value, ""))


def _summed_up(table: Table, index: int, samples: Samples) -> Column:
    """The column with its common n and its rank correlation with the paper."""
    printed = {row.key: table.entries[row.key][index].published for row in table.rows}
    scored = {row: value.value for row, value in printed.items() if value and value.scored}
    ranked = {row: clips for row, clips in _of_column(table, index, samples, "paper").items() if row in scored}
    rank = None
    if table.columns[index].compared:
        rank = rank_correlation(list(ranked.values()), [scored[row] for row in ranked])
    counts = {"ranked": len(ranked), "numbers": sum(value is not None for value in printed.values())}
    return replace(table.columns[index], n=_common_n(table, index), rank=rank, **counts)


def _pairs(table: Table, samples: Samples) -> list[Pair]:
    """Each two explainers of each column; the controls are there to be looked at, not to be beaten."""
    compared = [index for index, column in enumerate(table.columns) if column.compared]
    return [pair for i in compared for pair in pairs(i, _of_column(table, i, samples, "paper", "own", "added"))]


def _of_column(table: Table, index: int, samples: Samples, *kinds: str) -> dict[str, pd.DataFrame]:
    """{row: its clips} of the measured rows of these kinds."""
    return {row.key: samples[row.key, index] for row in table.of_kind(*kinds) if (row.key, index) in samples}
