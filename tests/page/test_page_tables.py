"""Tables say on the page what they say in markdown."""

from dataclasses import replace

import pytest
from helpers.pages import page_table

from vxbench.page.tables import differences, overview, table_view
from vxbench.tables.published import doubts, tables
from vxbench.tables.render.text import beside, interval, last_lines, number


@pytest.fixture(scope="module")
def page():
    return page_table()


@pytest.fixture(scope="module")
def view(page):
    return table_view(page)


def cells_of(view, name) -> dict[str, list]:
    return {row: cells for _, rows in view.bodies for row, cells in rows}[name]


def test_every_row_has_a_cell_below_every_head(view):
    rows = [cells for _, body in view.bodies for _, cells in body] + [cells for _, cells in view.foot]
    assert {len(cells) for cells in rows} == {len(view.heads)}
    assert sum(span for _, span in view.groups) == len(view.heads)
    assert [heading for heading, _ in view.bodies] == ["", "not in the paper", "controls"]


def test_numbers_intervals_and_the_papers_are_those_of_the_other_renderers(page, view):
    entry = page.table.entries["gradients"][0]
    own, paper = cells_of(view, "Gradients")[:2]
    assert (own.text, own.small, own.sort) == (number(entry.estimate.mean, 1), interval(entry, 1), entry.estimate.mean)
    assert f"{paper.text} {paper.small}" == beside(page.table.columns[0], entry)
    assert paper.sort == entry.published.value
    assert cells_of(view, "F-EP (ours)")[0].style == "best"
    assert [name for name, _ in view.foot] == [name for name, _ in last_lines(page.table)]


def test_what_is_lost_is_said_on_hover(view):
    assert cells_of(view, "F-EP (ours)")[0].hint == "n = 1 clips, 1 failed"
    assert cells_of(view, "Gradients")[4].hint == "n = 1 clips, 1 without a value"
    assert cells_of(view, "EP")[0][:4] == ("failed", "", None, "missing failed")
    assert cells_of(view, "EP")[0].hint == "out of luck"
    assert cells_of(view, "Grad-CAM")[0].text == "–"
    assert cells_of(view, "Grad-CAM")[0].hint == "it has no layer"


def test_a_number_in_doubt_explains_itself(page, view):
    marked = [cell for _, rows in view.bodies for _, cells in rows for cell in cells if "†" in cell.text]
    assert marked
    assert all(cell.hint.split(":")[0] in {line.split(":")[0] for line in doubts("fep_1")} for cell in marked)
    assert cells_of(view, "Gradients")[1].hint == ""


def test_groups_begin_where_their_first_column_stands(view):
    spans = [span for _, span in view.groups]
    assert view.starts == {sum(spans[:i]) for i in range(len(spans))}


def test_differences_are_the_pairs_of_the_table(page, view):
    pairs = page.table.pairs
    assert len(view.differences) == len(pairs) > 0
    found = {(line.column, line.a, line.b): line for line in view.differences}
    line = found["R(2+1)D DC ↓", "Gradients", "STEP"]  # 40 - 30, 60 - 40
    assert (line.difference.text, line.difference.sort, line.n) == ("+15.0", 15.0, 2)
    assert line.difference.small == "[+10.0, +20.0]"
    [pair] = [pair for pair in pairs if (pair.column, pair.a, pair.b) == (0, "gradients", "step")]
    assert (line.p, line.ahead) == (pair.p_holm, "")  # two clips tell nothing apart
    assert line.order == "undecided"


def test_the_row_that_is_ahead_is_named_as_printed(page):
    column = page.table.columns[0]
    certain = replace(page.table.pairs[0], p_holm=0.0)
    [line] = differences(replace(page.table, pairs=[certain]))
    names = {row.key: row.display for row in page.table.rows}
    assert line.ahead == names[certain.ahead(column.higher_is_better)]


def test_the_overview_lists_all_published_tables_in_their_order(page):
    lines = overview([page])
    assert [line.get("key", line["name"]) for line in lines] == tables()
    made = lines[0]
    assert (made["cells"], made["clips"], made["profile"], made["broken"] > 0) == (7, 2, "mini", True)
    entries = [entry for row in page.table.rows for entry in page.table.entries[row.key]]
    assert made["numbers"] + made["dashes"] + made["broken"] == len(entries)
    assert not any(line["made"] for line in lines[1:])
