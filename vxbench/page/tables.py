"""Lays a table out as rows of texts for the template; words and numbers are those of render/text.py."""

from dataclasses import dataclass, field
from typing import NamedTuple

from vxbench.page.data import PageTable
from vxbench.tables.comparison import Pair
from vxbench.tables.orders import verdict
from vxbench.tables.published import doubts, layout, tables
from vxbench.tables.render.text import beside, groups, interval, last_lines, number, sample, signed
from vxbench.tables.table import STATES, Entry, Table

KINDS = {"paper": "", "own": "", "added": "not in the paper", "control": "controls"}


class Cell(NamedTuple):
    """text, and small print under it. sort: what the column is sorted by, None for nothing. hint: said on hover."""

    text: str
    small: str = ""
    sort: float | None = None
    style: str = ""
    hint: str = ""


@dataclass(frozen=True)
class TableView:
    """groups: [(heading, columns under it)] or nothing; starts: which columns begin one. bodies: [(heading, [(row's
    name, cells)])]; foot: [(name, cells)].
    """

    name: str
    title: str
    subtitle: str
    comparable: bool
    rows_are: str
    groups: list[tuple[str, int]]
    starts: set[int]
    heads: list[str]
    bodies: list[tuple[str, list[tuple[str, list[Cell]]]]]
    foot: list[tuple[str, list[Cell]]]
    differences: list["Difference"] = field(default_factory=list)
    notes: list[tuple[str, list[str]]] = field(default_factory=list)
    made: str = ""


class Difference(NamedTuple):
    """Two rows of a column. difference: a minus b, with its interval. ahead: the row that is really better, or "".

    order: what that says of the paper's order of the two, "" where it prints none.
    """

    column: str
    a: str
    b: str
    difference: Cell
    n: int
    p: float
    ahead: str
    order: str


def table_view(page: PageTable) -> TableView:
    table = page.table
    return TableView(
        name=page.name,
        title=table.title,
        subtitle=table.subtitle,
        comparable=table.profile.comparable,
        rows_are="Method" if table.layout.rows_are == "methods" else "Model",
        groups=_groups(table),
        starts=_starts(table),
        heads=[text for i, column in enumerate(table.columns) for text in _pair(table, i, column.heading, "paper")],
        bodies=_bodies(table),
        foot=[(name, _foot(table, texts)) for name, texts in last_lines(table)],
        differences=differences(table),
        notes=table.notes,
        made=page.made,
    )


def differences(table: Table) -> list[Difference]:
    """Each two rows of each column, compared clip by clip."""
    return [_difference(table, pair) for pair in table.pairs]


def _difference(table: Table, pair: Pair) -> Difference:
    names = {row.key: row.display for row in table.rows} | {"": ""}
    column, found = table.columns[pair.column], pair.difference
    decimals = column.decimals
    small = f"[{signed(found.low, decimals)}, {signed(found.high, decimals)}]"
    said = Cell(signed(found.mean, decimals), small, found.mean)
    ahead = names[pair.ahead(column.higher_is_better)]
    rows = names[pair.a], names[pair.b]
    return Difference(column.name, *rows, said, found.n, pair.p_holm, ahead, verdict(table, pair))


def overview(pages: list[PageTable]) -> list[dict]:
    """One line a published table, made or not: what it shows and what became of its cells."""
    lines = [_summary(page) for page in pages]
    made = {page.table.key for page in pages}
    for key in tables():
        if key not in made:
            paper = layout(key)
            lines.append({"name": key, "printed": paper.name, "title": paper.title, "made": ""})
    order = {key: place for place, key in enumerate(tables())}
    return sorted(lines, key=lambda line: order.get(line.get("key", line["name"]), len(order)))


def _summary(page: PageTable) -> dict:
    table = page.table
    states = [entry.state for row in table.rows for entry in table.entries[row.key]]
    return {
        "key": table.key,
        "name": page.name,
        "printed": table.layout.name if table.layout.printed else table.key,
        "title": table.layout.title,
        "protocol": table.profile.protocol,
        "profile": table.profile.name,
        "made": page.made or "yes",
        "cells": len(page.cells),
        "clips": len({(cell.result.dataset, clip) for cell in page.cells for clip in cell.clips}),
        "numbers": states.count("measured"),
        "dashes": states.count("not_applicable"),
        "broken": len(states) - states.count("measured") - states.count("not_applicable"),
    }


def _groups(table: Table) -> list[tuple[str, int]]:
    found = [(table.columns[run[0]].group, sum(_width(table, i) for i in run)) for run in groups(table)]
    return found if any(heading for heading, _ in found) else []


def _starts(table: Table) -> set[int]:
    """The first column of the table under each heading."""
    before = [sum(_width(table, i) for i in range(run[0])) for run in groups(table)]
    return set(before)


def _width(table: Table, index: int) -> int:
    return 2 if table.columns[index].printed else 1


def _pair(table: Table, index: int, own, paper) -> list:
    """A column that no paper printed has none of the paper's beside it."""
    return [own, paper][: _width(table, index)]


def _bodies(table: Table) -> list[tuple[str, list]]:
    bodies = [
        (heading, [(row.display, _cells(table, row.key)) for row in table.of_kind(kind)])
        for kind, heading in KINDS.items()
    ]
    return [(heading, rows) for heading, rows in bodies if rows]


def _cells(table: Table, row: str) -> list[Cell]:
    entries = enumerate(table.entries[row])
    return [cell for i, entry in entries for cell in _pair(table, i, _own(table, i, entry), _paper(table, i, entry))]


def _own(table: Table, index: int, entry: Entry) -> Cell:
    if not entry.measured:
        return Cell(STATES[entry.state], style=f"missing {entry.state}", hint=entry.reason)
    found, column = entry.estimate, table.columns[index]
    small = interval(entry, column.decimals) + sample(column, entry)
    return Cell(number(found.mean, column.decimals), small, found.mean, entry.mark, _counts(entry))


def _counts(entry: Entry) -> str:
    found = entry.estimate
    counts = {"failed": entry.failed, "without a value": found.skipped, "with a constant map": entry.degenerate}
    return ", ".join([f"n = {found.n} clips", *(f"{count} {what}" for what, count in counts.items() if count)])


def _paper(table: Table, index: int, entry: Entry) -> Cell:
    sort = entry.published.value if entry.published else None
    codes = entry.published.doubts if entry.published else ()
    said = [line for line in doubts(table.key) if line.partition(":")[0] in codes]
    return Cell(*_two_lines(beside(table.columns[index], entry)), sort=sort, style="paper", hint=" ".join(said))


def _foot(table: Table, texts: list[str]) -> list[Cell]:
    return [cell for i, text in enumerate(texts) for cell in _pair(table, i, Cell(*_two_lines(text)), Cell(""))]


def _two_lines(text: str) -> tuple[str, str]:
    """The number, and what is said of it."""
    first, _, rest = text.partition(" ")
    return first, rest
