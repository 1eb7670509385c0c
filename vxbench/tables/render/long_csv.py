"""Writes a table as csv in long form: one line per row and column, numbers at full precision."""

import csv
import io
from collections.abc import Iterable

from vxbench.errors import printable
from vxbench.tables.comparison import Pair
from vxbench.tables.orders import verdict
from vxbench.tables.table import Column, Entry, Row, Table

FIELDS = (
    "table", "profile", "protocol", "comparable", "row", "kind", "model", "dataset", "metric", "unit",
    "higher_is_better", "state", "mean", "low", "high", "n", "failed",
    "skipped", "degenerate", "published", "blank", "doubt", "scored", "difference", "published_in_interval",
    "rank_tau", "rank_low", "rank_high", "rank_rows", "reason",
)  # fmt: skip


FORMULAS = ("=", "+", "-", "@", "\t")  # with which a spreadsheet's formulas begin


def render(table: Table) -> str:
    """Empty where there is nothing to say; booleans as true and false. The columns are FIELDS."""
    places = ((row, *place) for row in table.rows for place in zip(table.columns, table.entries[row.key], strict=True))
    return lines_of(FIELDS, (_line(table, *place) for place in places))


def lines_of(fields: tuple[str, ...], lines: Iterable[dict]) -> str:
    """csv with a header; what a line does not say is empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, fields, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows({key: _text(value) for key, value in line.items()} for line in lines)
    return out.getvalue()


def _line(table: Table, row: Row, column: Column, entry: Entry) -> dict:
    line = {
        "table": table.key,
        "profile": table.profile.name,
        "protocol": table.profile.protocol,
        "comparable": table.profile.comparable,
        "row": row.key,
        "kind": row.kind,
        "model": column.model or row.key,
        "dataset": column.dataset,
        "metric": column.metric,
        "unit": column.unit,
        "higher_is_better": column.higher_is_better,
        "state": entry.state,
        "failed": entry.failed,
        "degenerate": entry.degenerate,
        "blank": entry.blank,
        "rank_rows": column.ranked,
        "reason": " ".join(entry.reason.split()),
    }
    return line | _measured(entry) | _published(entry) | _rank(column)


def _measured(entry: Entry) -> dict:
    names = ("n", "skipped") if entry.estimate else ()
    names += ("mean", "low", "high") if entry.measured else ()
    return {name: getattr(entry.estimate, name) for name in names}


def _published(entry: Entry) -> dict:
    if entry.published is None:
        return {}
    return {
        "published": entry.published.value,
        "doubt": " ".join(entry.published.doubts),
        "scored": entry.published.scored,
        "difference": entry.difference,
        "published_in_interval": entry.inside,
    }


def _rank(column: Column) -> dict:
    return {f"rank_{name}": getattr(column.rank, name) for name in ("tau", "low", "high")} if column.rank else {}


def _text(value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else cell(value) if isinstance(value, str) else str(value)


def cell(text: str) -> str:
    """A text that a spreadsheet does not take for a formula."""
    text = printable(text)
    return f"'{text}" if text.startswith(FORMULAS) else text


PAIR_FIELDS = (
    "table", "profile", "protocol", "comparable", "model_a", "model_b", "dataset", "metric", "unit", "higher_is_better",
    "row_a", "row_b", "n", "difference", "low", "high", "p", "p_holm", "real", "ahead",
    "published_difference", "published_order",
)  # fmt: skip


def render_pairs(table: Table) -> str:
    """The difference is a minus b over their n common clips. The columns are PAIR_FIELDS."""
    return lines_of(PAIR_FIELDS, (_pair_line(table, pair) for pair in table.pairs))


def _pair_line(table: Table, pair: Pair) -> dict:
    column = table.columns[pair.column]
    a, b = (table.entries[row][pair.column].published for row in (pair.a, pair.b))
    return {
        "table": table.key,
        "profile": table.profile.name,
        "protocol": table.profile.protocol,
        "comparable": table.profile.comparable,
        "model_a": column.model or pair.a,
        "model_b": column.model or pair.b,
        "dataset": column.dataset,
        "metric": column.metric,
        "unit": column.unit,
        "higher_is_better": column.higher_is_better,
        "row_a": pair.a,
        "row_b": pair.b,
        "n": pair.difference.n,
        "difference": pair.difference.mean,
        "low": pair.difference.low,
        "high": pair.difference.high,
        "p": pair.p,
        "p_holm": pair.p_holm,
        "real": pair.real,
        "ahead": pair.ahead(column.higher_is_better),
        "published_difference": a.value - b.value if a and b else None,
        "published_order": verdict(table, pair),
    }
