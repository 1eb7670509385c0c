"""What the files and the terminal show of a Table."""

import csv
import io
import math
import os
import re
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console

from vxbench.metrics.facts import fact
from vxbench.tables.build import make_table
from vxbench.tables.make import write_table
from vxbench.tables.published import layout, published, tables
from vxbench.tables.render import latex, long_csv, markdown
from vxbench.tables.render.long_csv import PAIR_FIELDS, render_pairs
from vxbench.tables.render.terminal import print_table
from vxbench.tables.render.text import blocks, number, span
from vxbench.tables.statistics import MIN_RANKED

NAN = math.nan
# A column separator: an ampersand that is not escaped.
AMPERSAND = re.compile(r"(?<!\\)&")


@pytest.fixture
def cells(make_cell):
    failed = {"v_|x|": "undecodable: 50% of_the *file* is missing"}
    return [
        make_cell("fep", dc=[30.0, 30.0], stc=[60.0, 60.0], area_above_tau=[10.0, 10.0], failed=failed),
        make_cell("step", dc=[34.2, 34.2], stc=[64.0, NAN], area_above_tau=[12.0, 12.0], failed=failed),
        make_cell("ep3d", dc=[40.0, 40.0], stc=[61.0, 61.0], area_above_tau=[13.0, 13.0]),
        make_cell("gradcam", flags={"not_applicable": "no layer named layer4"}),
        make_cell("random", dc=[90.0, 90.0], stc=[90.0, 90.0]),
        make_cell("own_method", dc=[10.0, 10.0]),
    ]


@pytest.fixture
def table(cells, paper_profile):
    return make_table("fep_1", cells, paper_profile)


def grids(text):
    """The tables of a markdown page as lists of lists of cell texts, without the rulers and no-break spaces."""
    found = []
    for block in text.replace("\u00a0", " ").split("\n\n"):
        if block.startswith("|"):
            lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in block.splitlines()]
            assert len({len(line) for line in lines}) == 1
            found.append([[cell.strip() for cell in line] for line in lines if "---" not in line[0]])
    return found


def test_markdown_has_one_table_a_model_with_paper_columns(table):
    first, second = grids(markdown.render(table))
    assert first[0] == ["Method", "DC ↓", "paper", "Acc. ↑", "paper", "STC ↑", "paper", "Area ≥ τ"]
    assert [line[0] for line in first[-9:]] == [
        "*not in the paper*", "own_method", "*controls*", "random map", "central blob", "boxes as the map",
        "*clips (n)*", "*Kendall's τ*", "*over rows*",
    ]  # fmt: skip
    assert second[-2] == ["*Kendall's τ*", "–", "", "–", "", "–", "", ""]


def test_markdown_cells(table):
    lines = {line[0]: line for line in grids(markdown.render(table))[0]}
    assert lines["F-EP (ours)"] == [
        "F-EP (ours)", "**30.0** [30.0, 30.0]", "32.9 (−2.9) ✗", "not run", "73.4",
        "60.0 [60.0, 60.0]", "67.0 (−7.0) ✗", "10.0 [10.0, 10.0]",
    ]  # fmt: skip
    assert lines["STEP"][1:3] == ["<ins>34.2</ins> [34.2, 34.2]", "34.2 (0.0) ✓"]
    assert lines["STEP"][5] == "**64.0** [64.0, 64.0] (n=1)"
    assert lines["Grad-CAM"][1:3] == ["–", "42.7"]
    assert lines["random map"][1:3] == ["90.0 [90.0, 90.0]", ""]
    # DC: measured fep < step < ep3d as printed; STC: 60, 64, 61 against 67.0, 63.8, 63.8: of 3 pairs one is tied in
    # print, fep loses to both others: -2 / sqrt(3 * 2) = -0.82. All resamples are alike, so the interval has no width,
    # but for those of STC without STEP's one clip, 1 in 4, which count as 0.
    assert lines["*Kendall's τ*"][1::2] == ["1.00 [1.00, 1.00]", "–", "−0.82 [−0.82, 0.00]", ""]
    assert lines["*over rows*"][1::2] == ["3 of 8", "", "3 of 8", ""]
    assert lines["*clips (n)*"][1::2] == ["2", "", "2", "2"]


def test_markdown_is_aligned_when_read_raw(table):
    for block in markdown.render(table).split("\n\n"):
        if block.startswith("|"):
            assert len({len(line) for line in block.splitlines()}) == 1


def test_markdown_leaves_no_markup_of_a_clip_id_to_chance(table):
    text = markdown.render(table)
    assert (
        r"- v\_\|x\|: undecodable: 50% of_the \*file\* is missing (2 of 5 cells: fep on r2plus1d, step on r2plus1d)"
        in text
    )


def test_csv_round_trip(table):
    lines = list(csv.DictReader(io.StringIO(long_csv.render(table))))
    assert list(lines[0]) == list(long_csv.FIELDS)
    places = [(row, i) for row in table.rows for i in range(len(table.columns))]
    for line, (row, i) in zip(lines, places, strict=True):
        column, entry = table.columns[i], table.entries[row.key][i]
        assert (line["row"], line["model"], line["metric"]) == (row.key, column.model, column.metric)
        assert (line["state"], line["failed"]) == (entry.state, str(entry.failed))
        assert line["published"] == ("" if entry.published is None else str(entry.published.value))
        names = ("mean", "low", "high", "n", "skipped")
        rank = ["" if column.rank is None else repr(getattr(column.rank, end)) for end in ("tau", "low", "high")]
        assert [line["rank_tau"], line["rank_low"], line["rank_high"]] == rank
        if entry.measured:
            assert [float(line[name]) for name in names] == [getattr(entry.estimate, name) for name in names]
            assert line["difference"] == ("" if entry.difference is None else repr(entry.difference))
        else:
            assert line["mean"] == line["low"] == line["high"] == line["difference"] == ""


@pytest.mark.parametrize("render", [long_csv.render, render_pairs])
def test_every_csv_says_the_protocol(render, cells, paper_profile):
    for protocol in ("described", "released"):
        table = make_table("fep_1", cells, replace(paper_profile, protocol=protocol))
        assert {line["protocol"] for line in csv.DictReader(io.StringIO(render(table)))} == {protocol}


def test_csv_is_read_by_pandas(table):
    frame = pd.read_csv(io.StringIO(long_csv.render(table)))
    fep = frame[(frame.row == "fep") & (frame.model == "r2plus1d")].set_index("metric")
    assert fep.loc["dc", ["mean", "published", "published_in_interval"]].tolist() == [30.0, 32.9, False]


def test_csv_says_inside_only_where_it_can_be_compared(cells, mini_profile, paper_profile):
    for profile, expected in [(mini_profile, {""}), (paper_profile, {"", "true", "false"})]:
        lines = csv.DictReader(io.StringIO(long_csv.render(make_table("fep_1", cells, profile))))
        assert {line["published_in_interval"] for line in lines} == expected


def balanced(text):
    """Environments close in the order they open, and so do braces that are not escaped."""
    open_environments = []
    for what, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if what == "begin":
            open_environments.append(name)
        else:
            assert open_environments.pop() == name
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", re.sub(r"%.*", "", text.replace(r"\%", ""))):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    return not open_environments and depth == 0


def check_latex(text):
    """ASCII, balanced, and every line of a tabular has as many cells as the tabular has columns."""
    assert balanced(text)
    assert text.isascii()
    for tabular in re.findall(r"\\begin\{tabular\}.*?\\end\{tabular\}", text, re.DOTALL):
        columns = len(re.search(r"\{@\{\}(\w+)@\{\}\}", tabular)[1])
        for line in tabular.splitlines():
            if line.endswith(r"\\"):
                spanned = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", line))
                assert len(AMPERSAND.findall(line)) + 1 + spanned == columns


@pytest.mark.parametrize("key", tables())
def test_latex_is_well_formed_for_every_table(key, paper_profile):
    check_latex(latex.render(make_table(key, [], paper_profile)))


def filled(key, make_cell):
    """Cells for every printed number of a table, and an explainer of one's own and two controls where it has methods.

    Their clips lie around 97 % of the printed number, for a rate of 1 has no room above, in the unit of the store.
    """
    paper, cells = layout(key), {}
    for (row, model, dataset, metric), value in published(key).items():
        middle = 0.97 * value.value / fact(metric).factor(paper.unit)
        last = NAN if metric in ("stc", "s_pt") else middle  # a clip without a box
        place = ("centre" if paper.rows_are == "models" else row, model, dataset or "ucf101")
        cells.setdefault(place, {})[metric] = [0.98 * middle, 1.02 * middle, middle, last]
    if paper.rows_are == "methods":
        _, *where = first = next(iter(cells))
        cells |= {(row, *where): cells[first] for row in ("own_method", "random", "boxes")}
    return [make_cell(row, model=model, dataset=dataset, **values) for (row, model, dataset), values in cells.items()]


@pytest.mark.parametrize("key", tables())
def test_every_table_is_whole_in_every_form(key, make_cell, paper_profile):
    """Each printed number has one of ours beside it, in the table's unit; the page and the screen are not too wide."""
    table = make_table(key, filled(key, make_cell), paper_profile)
    for row in table.of_kind("paper"):
        for column, entry in zip(table.columns, table.entries[row.key], strict=True):
            assert entry.measured == (not entry.blank)
            if entry.measured:
                expected = entry.published.value * (1 if column.ratio_to else 0.97)
                assert entry.estimate.mean == pytest.approx(expected, rel=1e-12)  # rounding
    for column in table.columns:
        assert (column.rank is not None) == (column.compared and column.ranked >= MIN_RANKED)
    check_latex(latex.render(table))
    page, screen = markdown.render(table), terminal(table, 100)
    assert len(grids(page)) == len(blocks(table))
    # GitHub shows a page 1012 pixels wide: some 150 signs, where cells may be broken between number and interval.
    assert max(sum(map(len, line)) for grid in grids(page) for line in grid) <= 150
    assert max(map(len, screen.splitlines())) <= 100
    lines = list(csv.DictReader(io.StringIO(long_csv.render(table))))
    assert len(lines) == len(table.rows) * len(table.columns)
    assert "…" not in screen
    assert not any("nan" in text.lower() for text in (page, screen, *(line["mean"] for line in lines)))


def test_the_differences_are_a_csv_of_their_own(cells, paper_profile):
    table = make_table("fep_1", cells, paper_profile)
    lines = list(csv.DictReader(io.StringIO(render_pairs(table))))
    assert list(lines[0]) == list(PAIR_FIELDS)
    assert len(lines) == len(table.pairs)
    first = next(line for line in lines if (line["row_a"], line["row_b"]) == ("step", "fep"))
    assert (first["metric"], first["model_a"], first["model_b"], first["n"]) == ("dc", "r2plus1d", "r2plus1d", "2")
    # 34.2 - 30.0 on both clips; two clips can tell nothing: p = 2 / 2^2, times 6 pairs.
    assert [float(first[name]) for name in ("difference", "low", "high")] == pytest.approx([4.2] * 3, rel=1e-12)
    assert (first["p"], first["p_holm"], first["real"], first["ahead"]) == ("0.5", "1.0", "false", "")
    assert float(first["published_difference"]) == pytest.approx(34.2 - 32.9, rel=1e-12)
    assert first["published_order"] == "undecided"
    own = next(line for line in lines if line["row_b"] == "own_method")
    assert (own["published_difference"], own["published_order"]) == ("", "")


def test_a_table_without_cells_has_no_differences(paper_profile):
    table = make_table("fep_1", [], paper_profile)
    assert render_pairs(table) == ",".join(PAIR_FIELDS) + "\n"
    assert not {"The paper's orders", "Either assignment of the two rows in doubt"} & set(dict(table.notes))


@pytest.mark.parametrize(
    ("model", "shown"), [("slowfast", "0.237‡ (0.000)"), ("timesformer", "0.237† (0.000) ✓")], ids=["D3", "marked"]
)
def test_numbers_in_doubt_carry_a_sign(make_cell, paper_profile, model, shown):
    cell = make_cell("step", model=model, dataset="kinetics400", deletion=[0.237, 0.237])
    table = make_table("aosa_3", [cell], paper_profile)
    assert shown in markdown.render(table).replace("\u00a0", " ")
    assert shown in terminal(table, 100)
    tex = latex.escape(shown)
    assert tex in latex.render(table)
    assert ("ddagger" in tex) == (model == "slowfast")
    lines = list(csv.DictReader(io.StringIO(long_csv.render(table))))
    line = next(one for one in lines if (one["row"], one["model"], one["metric"]) == ("step", model, "deletion"))
    assert (line["doubt"], line["scored"]) == ("D3", "false" if model == "slowfast" else "true")


@pytest.mark.parametrize(
    ("places", "text"), [([1], "1"), ([1, 2], "1, 2"), ([1, 2, 3], "1–3"), ([1, 3, 4, 5, 7], "1, 3–5, 7"), ([], "")]
)
def test_runs_of_places_are_drawn_together(places, text):
    assert span(places) == text


@pytest.mark.parametrize(("value", "text"), [(-0.04, "0.0"), (-0.06, "−0.1"), (0.06, "0.1")])
def test_a_number_has_a_true_minus_and_none_before_zero(value, text):
    assert number(value, 1) == text


def test_latex_cells_and_escapes(table):
    text = latex.render(table)
    assert balanced(text)
    assert text.isascii()
    assert r"F-EP (ours) & \textbf{30.0} {\scriptsize [30.0, 30.0]} & 32.9 ($-$2.9) $\times$ & not run" in text
    assert r"STEP & \underline{34.2} {\scriptsize [34.2, 34.2]} & 34.2 (0.0) $\surd$" in text
    assert r"own\_method & 10.0" in text
    assert latex.escape("a_b & 50% of #1 {x} ~ ^ \\") == (
        r"a\_b \& 50\% of \#1 \{x\} \textasciitilde{} \textasciicircum{} \textbackslash{}"
    )


def test_latex_counts_the_clips_and_lists_none(make_cell, paper_profile):
    for failed in ({}, {"clip9": "missing: no file"}):
        cell = make_cell("step", stc=[NAN], failed=failed)
        text = latex.render(make_table("fep_1", [cell], paper_profile))
        assert rf"ucf101\_24: {'2 clips' if failed else '1 clip'} in 1 cell; " in text
        assert "stc: 1 clip skipped" in text
        assert "clip9" not in text


@pytest.mark.parametrize("key", tables())
def test_every_table_without_any_cell_is_all_not_run(key, paper_profile):
    table = make_table(key, [], paper_profile)
    entries = [entry for row in table.rows for entry in table.entries[row.key]]
    # What the paper leaves blank is a dash for its reason.
    assert {entry.state for entry in entries} <= {"not_run", "not_applicable"}
    assert sum(entry.state == "not_applicable" for entry in entries) == len(layout(key).blanks)
    for display in layout(key).rows.values():
        assert markdown.escape(display) in markdown.render(table)


def terminal(table, width):
    out = io.StringIO()
    print_table(table, Console(file=out, width=width, force_terminal=False))
    return out.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_terminal_cuts_no_number_at_any_width(table, width):
    text = terminal(table, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for shown in ("30.0*", "34.2°", "32.9 (−2.9) ✗", "90.0 [90.0, 90.0]", "not run"):
        assert shown in re.sub(r" +\[", " [", text)


def test_terminal_says_what_made_it(cells, mini_profile):
    text = terminal(make_table("fep_1", cells, mini_profile), 160)
    assert "not comparable with the paper: generated clips, small models" in text
    assert "✓" not in text


def test_terminal_shortens_a_long_list_and_says_so(make_cell, paper_profile):
    long = replace(paper_profile, settings=[f"setting{i:03d}" for i in range(50)])
    table = make_table("fep_1", [make_cell("fep", dc=[1.0])], long)
    text = terminal(table, 160)
    assert "setting000" in text
    assert "setting049" not in text
    assert "... and 39 more, all of them in the .md file" in text  # the protocol and 50 lines, 12 shown
    assert "setting049" in markdown.render(table)


def test_of_many_clips_that_failed_the_first_few_of_each_kind_are_named(make_cell, paper_profile):
    """YouTube has lost hundreds of the clips of Kinetics."""
    failed = {f"clip{i:03d}": "missing: no file" for i in range(904)} | {"clip950": "nan_map: NaN"}
    table = make_table("fep_1", [make_cell("fep", dc=[1.0], failed=failed)], paper_profile)
    for text in (markdown.render(table), terminal(table, 160)):
        assert "905 failed: 904 missing, 1 nan" in text
        assert text.count("missing: no file") == 5
        assert "and 899 more: missing" in text
        assert "clip004: missing" in text
        assert "clip950: nan" in text


def test_files_are_the_same_bytes_for_the_same_input(tmp_path, cells, paper_profile):
    for name, order in (("a", cells), ("b", cells[::-1])):
        paths = write_table(make_table("fep_1", order, paper_profile), tmp_path / name)
        assert [path.name for path in paths] == ["fep_1.md", "fep_1.csv", "fep_1_pairs.csv", "fep_1.tex"]
    for path in paths:
        assert path.read_bytes() == (tmp_path / "a" / path.name).read_bytes()


def test_an_interrupted_write_leaves_the_old_file(tmp_path, table, monkeypatch):
    (tmp_path / "fep_1.md").write_text("old")

    def full_disk(handle):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write_table(table, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["fep_1.md"]
    assert (tmp_path / "fep_1.md").read_text() == "old"


def test_importing_the_report_is_cheap():
    """A run that prints no table pays for none of it; no part of the report knows Hydra."""
    script = (
        "import sys, vxbench.tables; print(sorted({'pandas', 'scipy', 'matplotlib', 'rich'} & set(sys.modules)));"
        "from vxbench.tables import *; print({'hydra', 'torch', 'mmaction'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "set()"]
