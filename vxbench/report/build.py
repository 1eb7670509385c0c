"""From the results of cells to the Table: what stands where, the best of a column, what the comparisons say."""

from collections import Counter
from dataclasses import replace

import pandas as pd

from vxbench.errors import UserError
from vxbench.report.cells import CONTROLS, CellResult, Profile, check
from vxbench.report.columns import columns
from vxbench.report.comparison import Pair, pairs, rank_correlation
from vxbench.report.entries import as_ratio, beside, measure, printed_ratio, sample
from vxbench.report.notes import notes
from vxbench.report.published import Layout, layout, published
from vxbench.report.table import Column, Entry, Row, Table

NEEDS_BOXES = ("stc", "s_pt")

Slot = tuple[str, str, str]  # row, model, dataset
Samples = dict[tuple[str, int], pd.DataFrame]  # by row and index of the column, as `comparison` takes them


def make_table(key: str, cells: list[CellResult], profile: Profile) -> Table:
    """The published table `key` as measured by `cells`, which may come in any order.

    Raises:
        UserError: no such table, two cells for one place in it, or a cell that `cells.check` refuses.
    """
    paper = layout(key)
    for cell in cells:
        check(cell)
    cells = sorted(cells, key=lambda cell: (cell.model, cell.dataset, cell.row))
    placed = place(paper, cells)
    computed = {metric for cell in placed.values() for metric in cell.scored["metric"]}
    table = Table(paper, profile, _rows(paper, placed), columns(paper, computed), entries={})
    samples = _samples(table, placed)
    table.entries = {row.key: _entries(table, row, placed, samples) for row in table.rows}
    for index in range(len(table.columns)):
        _mark_best(table, index)
        table.columns[index] = _summed_up(table, index, samples)
    table.pairs = _pairs(table, samples)
    table.notes = notes(table, list(placed.values()), [cell for cell in cells if slot(paper, cell) is None])
    return table


def slot(paper: Layout, cell: CellResult) -> Slot | None:
    """Where a cell stands in the table, or None where it has no place.

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


def _rows(paper: Layout, placed: dict[Slot, CellResult]) -> list[Row]:
    """The paper's rows, then explainers it does not have, then the controls."""
    given = {row for row, _, _ in placed}
    rows = [Row(key, display, "paper") for key, display in paper.rows.items()]
    if paper.rows_are == "models":
        return rows
    rows += [Row(key, key, "added") for key in sorted(given - set(paper.rows) - set(CONTROLS))]
    boxes = any(column.metric in NEEDS_BOXES for column in paper.columns)
    wanted = [key for key in CONTROLS if key != "boxes" or boxes or key in given]
    return rows + [Row(key, CONTROLS[key], "control") for key in wanted]


def _samples(table: Table, placed: dict[Slot, CellResult]) -> Samples:
    """{(row, column's index): its clips}, where there are any; a column of ratios has those it is made of."""
    found: Samples = {}
    for row in table.rows:
        for index, column in enumerate(table.columns):
            cell = placed.get((row.key, column.model or row.key, column.dataset))
            clips = sample(cell, column.stored, table.layout.unit)
            if clips is not None:
                found[row.key, index] = clips
    return found


def _entries(table: Table, row: Row, placed: dict[Slot, CellResult], samples: Samples) -> list[Entry]:
    values, blanks = published(table.key), table.layout.blanks
    entries = []
    for index, column in enumerate(table.columns):
        place = (row.key, column.model or row.key, column.dataset)
        where = (*place, column.stored)
        if column.ratio_to:
            entry = _ratio(table, row, index, samples, whole=entries[-1])
            entries.append(beside(entry, printed_ratio(values, where, table.layout), None, table, column))
        else:
            entry = measure(placed.get(place), column.stored, table.layout.unit)
            entries.append(beside(entry, values.get(where), blanks.get(where), table, column))
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
    """Best and second best value among the paper's rows, as printed; rows that tie share the mark."""
    better = table.columns[index].higher_is_better
    if better is None:
        return
    entries = {row.key: table.entries[row.key][index] for row in table.of_kind("paper")}
    shown = {key: round(e.estimate.mean, table.layout.decimals) for key, e in entries.items() if e.measured}
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
    counts = {"ranked": len(ranked), "printed": sum(value is not None for value in printed.values())}
    return replace(table.columns[index], n=_common_n(table, index), rank=rank, **counts)


def _pairs(table: Table, samples: Samples) -> list[Pair]:
    """Each two explainers of each column; the controls are there to be looked at, not to be beaten."""
    compared = [index for index, column in enumerate(table.columns) if column.compared]
    return [pair for i in compared for pair in pairs(i, _of_column(table, i, samples, "paper", "added"))]


def _of_column(table: Table, index: int, samples: Samples, *kinds: str) -> dict[str, pd.DataFrame]:
    """{row: its clips} of the measured rows of these kinds."""
    return {row.key: samples[row.key, index] for row in table.of_kind(*kinds) if (row.key, index) in samples}
