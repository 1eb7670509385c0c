"""From the results of cells to the Table: what stands where, the best of a column, the rank correlation."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from vxbench.errors import UserError
from vxbench.report.cells import CONTROLS, CellResult, Profile, check, factor
from vxbench.report.notes import notes
from vxbench.report.published import Blank, Layout, PaperColumn, Value, layout, published
from vxbench.report.statistics import estimate, kendall_tau
from vxbench.report.table import Column, Entry, Row, Table

# A share of the map, printed right of the metric it explains: recall can be bought with a large map.
COMPANIONS = {"stc": ("area_above_tau", "Area ≥ τ")}
NEEDS_BOXES = ("stc", "s_pt")
SHORT = {"deletion": "del.", "insertion": "ins."}

Slot = tuple[str, str, str]  # row, model, dataset


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
    table = Table(paper, profile, _rows(paper, placed), _columns(paper, placed), {})
    table.entries = {row.key: _entries(table, row, placed) for row in table.rows}
    for index in range(len(table.columns)):
        _mark_best(table, index)
        table.columns[index] = _summed_up(table, index)
    table.notes = notes(table, list(placed.values()), [cell for cell in cells if slot(paper, cell) is None])
    return table


def slot(paper: Layout, cell: CellResult) -> Slot | None:
    """Where a cell stands in the table, or None where it has no place."""
    by_model = paper.rows_are == "models"
    if by_model and (cell.model not in paper.rows or cell.row in CONTROLS):
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


def _columns(paper: Layout, placed: dict[Slot, CellResult]) -> list[Column]:
    better = {key[3]: value.higher_is_better for key, value in published(paper.key).items()}
    metrics = {metric for cell in placed.values() for metric in cell.scored["metric"]}
    columns = []
    for printed in paper.columns:
        place = {"model": printed.model, "dataset": printed.dataset, "group": printed.group}
        title = _title(paper, printed)
        columns.append(Column(**place, metric=printed.metric, title=title, higher_is_better=better[printed.metric]))
        metric, title = COMPANIONS.get(printed.metric, ("", ""))
        if metric in metrics:
            columns.append(Column(**place, metric=metric, title=title, higher_is_better=None))
    return columns


def _title(paper: Layout, column: PaperColumn) -> str:
    """The printed heading, with the metric where the paper prints two metrics under one heading."""
    heading = (column.group, column.display)
    twins = [other for other in paper.columns if (other.group, other.display) == heading]
    return f"{column.display} {SHORT.get(column.metric, column.metric)}" if len(twins) > 1 else column.display


def _entries(table: Table, row: Row, placed: dict[Slot, CellResult]) -> list[Entry]:
    values, blanks = published(table.key), table.layout.blanks
    entries = []
    for column in table.columns:
        model = column.model or row.key
        where = (row.key, model, column.dataset, column.metric)
        entry = _measure(placed.get((row.key, model, column.dataset)), column, table.layout.unit)
        entries.append(_beside(entry, values.get(where), blanks.get(where), table))
    return entries


def _measure(cell: CellResult | None, column: Column, unit: str) -> Entry:
    if cell is None:
        return Entry("not_run", reason="not run")
    if cell.not_applicable:
        return Entry("not_applicable", reason=cell.not_applicable)
    if cell.error:
        return Entry("failed", reason=cell.error)
    scored = cell.scored[cell.scored["metric"] == column.metric]
    counts = {"failed": len(cell.failures), "degenerate": int(scored["degenerate"].astype(bool).sum())}
    if counts["failed"] and not len(cell.scored):
        return Entry("failed", reason="every clip failed, see below", **counts)
    if not len(scored):
        return Entry("not_run", reason=f"{column.metric} was not computed", **counts)
    values = scored["value"].astype(float).to_numpy() * factor(column.metric, unit)
    found = estimate(values, scored["weight"].to_numpy(float), scored["group"].to_numpy(int))
    state = "measured" if found.n else "no_value"
    return Entry(state, found, reason="" if found.n else "no clip could be scored, see below", **counts)


def _beside(entry: Entry, value: Value | None, blank: Blank | None, table: Table) -> Entry:
    """The entry with the paper's number; the interval is rounded as shown before it is compared."""
    inside = None
    if value and entry.measured and table.profile.comparable:
        low, high = (round(end, table.layout.decimals) for end in (entry.estimate.low, entry.estimate.high))
        inside = low <= value.value <= high
    return replace(entry, published=value, blank=blank.printed if blank else "", inside=inside)


def _common_n(table: Table, index: int) -> int:
    """How many clips most entries of a column rest on; the larger of two equally frequent numbers."""
    entries = [table.entries[row.key][index] for row in table.rows]
    counts = Counter(entry.estimate.n for entry in entries if entry.measured)
    return max(counts, key=lambda n: (counts[n], n), default=0)


def _of_paper(table: Table, index: int) -> Iterator[tuple[str, Entry]]:
    for row in table.rows:
        if row.kind == "paper" and table.entries[row.key][index].measured:
            yield row.key, table.entries[row.key][index]


def _mark_best(table: Table, index: int) -> None:
    """Best and second best value among the paper's rows, as printed; rows that tie share the mark."""
    better = table.columns[index].higher_is_better
    if better is None:
        return
    shown = {key: round(entry.estimate.mean, table.layout.decimals) for key, entry in _of_paper(table, index)}
    order = sorted(set(shown.values()), reverse=better)
    if len(order) < 2:
        return
    marks = {order[0]: "best", order[1]: "second"}
    for key, value in shown.items():
        entries = table.entries[key]
        entries[index] = replace(entries[index], mark=marks.get(value, ""))


def _summed_up(table: Table, index: int) -> Column:
    """The column with its common n and its rank correlation with the paper."""
    pairs = [(e.estimate.mean, e.published.value) for _, e in _of_paper(table, index) if e.published]
    measured, printed = zip(*pairs, strict=True) if pairs else ((), ())
    tau = kendall_tau(measured, printed)
    counts = {"n": _common_n(table, index), "ranked": len(pairs), "printed": _printed(table, index)}
    return replace(table.columns[index], tau=tau, **counts)


def _printed(table: Table, index: int) -> int:
    return sum(table.entries[row.key][index].published is not None for row in table.rows)
