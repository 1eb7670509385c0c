"""The columns of a table: as printed, and beside them what explains or replaces a number."""

from dataclasses import replace

from vxbench.report.published import Layout, PaperColumn, published
from vxbench.report.table import Column

# A share of the map, printed right of the metric it explains: recall can be bought with a large map.
COMPANIONS = {"stc": ("area_above_tau", "Area ≥ τ")}
SHORT = {"deletion": "del.", "insertion": "ins."}


def columns(paper: Layout, computed: set[str]) -> list[Column]:
    """The printed columns in their order, each followed by those that belong to it. computed: the cells' metrics."""
    better = {key[3]: value.higher_is_better for key, value in published(paper.key).items()}
    found = []
    for printed in paper.columns:
        place = {"model": printed.model, "dataset": printed.dataset, "group": printed.group}
        about = {"metric": printed.metric, "higher_is_better": better[printed.metric]}
        found.append(Column(**place, **about, **_titles(paper, printed)))
        if paper.ratios_to:
            found.append(_ratio_column(paper, found[-1]))
        metric, title = COMPANIONS.get(printed.metric, ("", ""))
        if metric in computed:
            label = f"{printed.group} {title}".strip()
            found.append(Column(**place, metric=metric, title=title, label=label, higher_is_better=None))
    return found


def _ratio_column(paper: Layout, column: Column) -> Column:
    title = f"ratio to {paper.rows[paper.ratios_to]}"
    metric = f"{column.metric}/{paper.ratios_to}"
    return replace(column, metric=metric, title=title, label=title, ratio_to=paper.ratios_to)


def _titles(paper: Layout, column: PaperColumn) -> dict[str, str]:
    """The printed heading; with the metric in place of the group where the paper prints two metrics under it."""
    heading = (column.group, column.display)
    if sum((other.group, other.display) == heading for other in paper.columns) > 1:
        title = f"{column.display} {SHORT.get(column.metric, column.metric)}"
        return {"title": title, "label": title}
    return {"title": column.display, "label": f"{column.group} {column.display}".strip()}
