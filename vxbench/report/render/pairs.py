"""csv of the differences: one line for each two rows of a column, numbers at full precision."""

from vxbench.report.comparison import Pair
from vxbench.report.orders import verdict
from vxbench.report.render.tidy import lines_of
from vxbench.report.table import Table

FIELDS = (
    "table", "profile", "protocol", "comparable", "model_a", "model_b", "dataset", "metric", "unit", "higher_is_better",
    "row_a", "row_b", "n", "difference", "low", "high", "p", "p_holm", "real", "ahead",
    "published_difference", "published_order",
)  # fmt: skip


def render(table: Table) -> str:
    """The difference is a minus b over their n common clips. The columns are FIELDS."""
    return lines_of(FIELDS, (_line(table, pair) for pair in table.pairs))


def _line(table: Table, pair: Pair) -> dict:
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
        "unit": table.layout.unit,
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
