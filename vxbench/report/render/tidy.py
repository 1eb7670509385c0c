"""csv in long form: one line per row and column of the table, numbers at full precision."""

import csv
import io

from vxbench.report.table import Column, Entry, Row, Table

FIELDS = (
    "table", "profile", "comparable", "row", "kind", "model", "dataset", "metric", "unit",
    "higher_is_better", "state", "mean", "low", "high", "n", "failed",
    "skipped", "degenerate", "published", "difference", "published_in_interval", "rank_tau", "rank_rows",
    "reason",
)  # fmt: skip


def render(table: Table) -> str:
    """Empty where there is nothing to say; booleans as true and false. The columns are FIELDS."""
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, lineterminator="\n", restval="")
    writer.writeheader()
    for row in table.rows:
        for column, entry in zip(table.columns, table.entries[row.key], strict=True):
            writer.writerow({key: _text(value) for key, value in _line(table, row, column, entry).items()})
    return out.getvalue()


def _line(table: Table, row: Row, column: Column, entry: Entry) -> dict:
    line = {
        "table": table.key,
        "profile": table.profile.name,
        "comparable": table.profile.comparable,
        "row": row.key,
        "kind": row.kind,
        "model": column.model or row.key,
        "dataset": column.dataset,
        "metric": column.metric,
        "unit": table.layout.unit,
        "higher_is_better": column.higher_is_better,
        "state": entry.state,
        "failed": entry.failed,
        "degenerate": entry.degenerate,
        "published": entry.published.value if entry.published else None,
        "difference": entry.difference,
        "published_in_interval": entry.inside,
        "rank_tau": column.tau,
        "rank_rows": column.ranked,
        "reason": " ".join(entry.reason.split()),
    }
    if entry.estimate:
        line |= {name: getattr(entry.estimate, name) for name in ("n", "skipped")}
    if entry.measured:
        line |= {name: getattr(entry.estimate, name) for name in ("mean", "low", "high")}
    return line


def _text(value) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)
