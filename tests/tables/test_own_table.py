"""Tables and columns of one's own: made from config and cells alone, and again from the record."""

import csv
import io
import sys
from pathlib import Path

import pytest
import yaml
from omegaconf import OmegaConf
from rich.console import Console

from vxbench.config import compose
from vxbench.errors import UserError
from vxbench.fact import Fact
from vxbench.metrics import facts
from vxbench.page import PageTable
from vxbench.page.tables import overview, table_view
from vxbench.runner.outcome import Outcome
from vxbench.runner.store import Store, frame
from vxbench.tables.build import make_table
from vxbench.tables.make import make_and_show
from vxbench.tables.record import read_records
from vxbench.tables.render import latex, long_csv, markdown
from vxbench.tables.render.terminal import print_table
from vxbench.tables.spec import TableSpec, checked_spec

MINE = Fact("My number", short="Mine", unit="pixels", decimals=0, low=0, higher_is_better=False)
SPEC = TableSpec(title="Two things", facts={"mine": MINE})
MODULE = """
from vxbench.fact import Fact
from vxbench.metrics import Metric


class Mine(Metric):
    keys = ("zeal", "mine")
    facts = {
        "mine": Fact("My number", short="Mine", unit="pixels", decimals=0, low=0, higher_is_better=False),
        "zeal": Fact("Zeal", unit="fraction", higher_is_better=True),
    }

    @classmethod
    def describe(cls, size=1):
        return {"mine": f"Mine counts pixels of size {size}."}
"""


@pytest.fixture
def metric(tmp_path, monkeypatch) -> str:
    """The `_target_` of a metric in a module outside vxbench that nobody has imported yet."""
    (tmp_path / "elsewhere_metrics.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "elsewhere_metrics", raising=False)
    monkeypatch.setattr(facts, "_declared", dict(facts._declared))
    return "elsewhere_metrics.Mine"


def row(clip, metric, value):
    known = {"clip": clip, "label": 0, "target": 0, "status": "ok", "metric": metric, "value": value}
    return known | {"reason": "", "degenerate": False}


def stored(results, explainer, target, **values) -> Outcome:
    """A finished cell whose config names the metric's class, with a value for each of two clips."""
    name = f"r2plus1d-ucf101_24-{explainer}-0"
    store = Store(Path(results) / "cells" / name)
    nodes = {"any": {"_target_": "vxbench.metrics.Faithfulness"}, "own": {"_target_": target, "size": 3}}
    store.note("config.yaml", yaml.safe_dump({"metric": nodes}))
    store.commit(frame(row(f"c{i}", key, value) for key, pair in values.items() for i, value in enumerate(pair)))
    return Outcome("r2plus1d", "ucf101_24", explainer, name, clips=2)


def run(results, outcomes, *overrides):
    """The end of a table run, and the record that it left, as another process would read it."""
    config = compose([*overrides, f"paths.results={results}"], with_hydra=True)
    config.allow = ["elsewhere_metrics", "nowhere_at_all"]
    make_and_show(config, outcomes)
    [record] = read_records(results)
    return record


@pytest.fixture
def cells(make_cell):
    return [
        make_cell(row, model=model, mine=[10.0 * i, 10.0 * i], dc=[1.0, 2.0], stc=[5.0, 6.0], area_above_tau=[7.0, 8.0])
        for model in ("tsm", "r2plus1d")
        for i, row in enumerate(("step", "random", "fep"))
    ]


def columns(table) -> list[tuple]:
    return [(column.model, column.heading, column.unit, column.decimals) for column in table.columns]


def test_rows_and_columns_are_those_of_the_cells(cells, mini_profile):
    table = make_table("mine", cells, mini_profile, SPEC)
    shown = [("Mine ↓", "pixels", 0), ("DC ↓", "percent", 1), ("STC ↑", "percent", 1), ("Area ≥ τ", "percent", 1)]
    assert columns(table) == [(model, *column) for model in ("tsm", "r2plus1d") for column in shown]
    assert [column.group for column in table.columns] == ["TSM"] * 4 + ["R(2+1)D"] * 4
    assert [(row.key, row.kind) for row in table.rows] == [("step", "own"), ("fep", "own"), ("random", "control")]
    assert [(entry.estimate.mean, entry.mark) for entry in (table.entries[key][0] for key in ("step", "fep"))] == [
        (0, "best"), (20, "second"),
    ]  # fmt: skip
    assert table.title == "Two things, profile mini: generated clips, small models"


def test_columns_units_decimals_and_names_can_be_chosen(make_cell, mini_profile):
    cells = [make_cell("fep", dataset=dataset, dc=[25.0], s_pt=[0.5], mine=[3.0]) for dataset in ("ucf101_24", "other")]
    given = {"columns": ["s_pt", "dc"], "unit": "fraction", "decimals": 2, "display": {"fep": "F-EP"}}
    table = make_table("mine", cells, mini_profile, checked_spec(given))
    assert [(column.heading, column.unit, column.decimals) for column in table.columns[:2]] == [
        ("S-PT ↑", "fraction", 2), ("DC ↓", "fraction", 2),
    ]  # fmt: skip
    assert [column.group for column in table.columns] == ["UCF101-24"] * 2 + ["other"] * 2
    assert [entry.estimate.mean for entry in table.entries["fep"]] == [0.5, 0.25] * 2
    assert (table.rows[0].display, table.layout.name) == ("F-EP", "mine")
    percent = make_table("mine", cells, mini_profile, TableSpec(unit="percent"))
    assert {(c.metric, c.unit, c.decimals) for c in percent.columns} == {
        ("s_pt", "percent", 1), ("dc", "percent", 1), ("mine", "", 3),
    }  # fmt: skip


def test_a_place_has_the_columns_that_were_computed_there(make_cell, mini_profile):
    cells = [make_cell("fep", dataset="ucf101_24", s_pt=[0.5]), make_cell("fep", dataset="ucf101", deletion=[0.5])]
    cells.append(make_cell("fep", dataset="other", flags={"error": "out of memory"}))
    table = make_table("mine", cells, mini_profile)
    found = {(column.dataset, column.metric): table.entries["fep"][i].state for i, column in enumerate(table.columns)}
    assert found == {
        ("ucf101_24", "s_pt"): "measured",
        ("ucf101", "deletion"): "measured",
        ("other", "deletion"): "failed",
        ("other", "s_pt"): "failed",
    }


def test_nothing_is_said_of_a_paper(cells, mini_profile):
    table = make_table("mine", cells, mini_profile, SPEC)
    screen = io.StringIO()
    print_table(table, Console(file=screen, width=100))
    for text in (markdown.render(table), latex.render(table), screen.getvalue()):
        assert not any(word in text for word in ("paper's", "Kendall", "| paper", "not in the paper", "comparable"))
    lines = list(csv.DictReader(io.StringIO(long_csv.render(table))))
    assert {(line["published"], line["rank_tau"], line["kind"]) for line in lines} == {
        ("", "", "own"), ("", "", "control"),
    }  # fmt: skip
    text = markdown.render(table)
    assert "Mine: My number, in pixels (lower is better); DC: Drop in Confidence, in percent (lower is better)" in text
    assert "| *controls* " in text


def test_the_latex_has_as_many_cells_as_columns(cells, mini_profile):
    text = latex.render(make_table("mine", cells, mini_profile, SPEC))
    for tabular in text.split(r"\begin{tabular}")[1:]:
        spec, *lines = tabular.split("\\\\\n")
        width = spec.partition("{@{}l")[2].partition("@")[0].count("r")
        assert {line.count(" & ") for line in lines if r"\multicolumn" not in line and " & " in line} == {width}


def test_the_page_lays_it_out_and_lists_it(cells, mini_profile):
    table = make_table("mine", cells, mini_profile, SPEC)
    view = table_view(PageTable("mine", table, []))
    rows = [cells for _, body in view.bodies for _, cells in body] + [cells for _, cells in view.foot]
    assert {len(cells) for cells in rows} == {len(view.heads)} == {8}
    assert (view.subtitle, [name for name, _ in view.foot]) == ("", ["clips (n)"])
    last = overview([PageTable("mine", table, [])])[-1]
    assert (last["printed"], last["title"]) == ("mine", "Two things")


def test_a_metric_from_elsewhere_has_its_column_and_so_when_the_table_is_remade(tmp_path, metric, monkeypatch):
    results = tmp_path / "results"
    outcomes = [
        stored(results, "fep", metric, zeal=[0.25, 0.75], mine=[3.0, 5.0], dc=[10.0, 20.0]),
        stored(results, "step", metric, zeal=[0.5, 0.5], mine=[8.0, 9.0], dc=[30.0, 40.0]),
    ]
    record = run(results, outcomes, "+table.key=my_own", "+table.title=All mine", "+table.display={fep: Ours}")
    monkeypatch.setattr(facts, "_declared", {})  # another process, which imports no metric
    table = record.table()
    order = [("DC ↓", "percent", 1), ("zeal ↑", "fraction", 3), ("Mine ↓", "pixels", 0)]  # that of the classes' keys
    assert columns(table) == [("r2plus1d", *column) for column in order]
    assert [entry.estimate.mean for entry in table.entries["fep"]] == [15, 0.5, 4]
    assert [row.display for row in table.rows] == ["Ours", "step"]
    assert "Mine counts pixels of size 3." in dict(table.notes)["How to read it"]
    assert (results / "tables" / "my_own.md").read_text() == markdown.render(table)
    assert "[my_own](my_own.md) | All mine | mini | 2 | " in (results / "tables" / "index.md").read_text()


def test_a_range_from_elsewhere_is_held_to(tmp_path, metric):
    outcome = stored(tmp_path / "results", "fep", metric, mine=[3.0, -1.0])
    with pytest.raises(UserError, match=r"mine = -1 is outside \[0, inf\]"):
        run(tmp_path / "results", [outcome], "+table.key=my_own")


def test_a_metric_that_cannot_be_imported_is_one_line(tmp_path):
    outcome = stored(tmp_path / "results", "fep", "nowhere_at_all.Mine", mine=[3.0, 1.0])
    with pytest.raises(UserError, match=r"metric\._target_ = nowhere_at_all\.Mine cannot be imported: .*PYTHONPATH"):
        run(tmp_path / "results", [outcome], "+table.key=my_own")


def test_a_papers_table_takes_further_columns_behind_its_own(tmp_path, metric):
    results = tmp_path / "results"
    outcomes = [
        stored(results, "fep", metric, zeal=[0.25, 0.75], mine=[3.0, 5.0], dc=[10.0, 20.0]),
        stored(results, "step", metric, zeal=[0.5, 0.5], mine=[8.0, 9.0], dc=[30.0, 40.0]),
    ]
    plain = run(results, outcomes, "+table=fep_1").table()
    more = run(results, outcomes, "+table=fep_1", "+table.also=[mine,zeal]").table()
    assert more.columns[: len(plain.columns)] == plain.columns
    added = more.columns[len(plain.columns) :]
    assert [(column.heading, column.unit, column.decimals) for column in added] == [
        ("R(2+1)D Mine ↓", "pixels", 0), ("R(2+1)D zeal ↑", "percent", 1),
        ("TSM Mine ↓", "pixels", 0), ("TSM zeal ↑", "percent", 1),
    ]  # fmt: skip
    [mine, zeal] = more.entries["fep"][len(plain.columns) :][:2]
    assert (mine.estimate.mean, mine.mark, mine.published, zeal.estimate.mean) == (4, "best", None, 50)
    old, new = (markdown.render(table).split("\n**How to read it**")[0] for table in (plain, more))
    assert new.startswith(old)  # what the paper printed stands as before
    assert new.removeprefix(old).lstrip().startswith("### not in the paper\n")
    assert "mine, without" not in new
    assert len(run(results, outcomes, "+table=fep_1", "+table.also=[mine]").taus) == 6


def test_a_table_of_networks_takes_further_columns_too(make_cell, mini_profile):
    cells = [make_cell("centre", dataset=dataset, top1=[1.0], mine=[2.0]) for dataset in ("ucf101_24", "epic_object")]
    table = make_table("step_1", cells, mini_profile, TableSpec(also=("mine",), facts=SPEC.facts))
    assert [column.title for column in table.columns[-3:]] == [
        "UCF101-24 Mine", "EPIC-Kitchens objects Mine", "EPIC-Kitchens actions Mine",
    ]  # fmt: skip
    assert [entry.state for entry in table.entries["r2plus1d"][-3:]] == ["measured", "measured", "not_run"]


@pytest.mark.parametrize(
    ("key", "spec", "message"),
    [
        ("mine", TableSpec(columns=("mien",)), r"table\.columns: no cell of the table has 'mien'; did you mean mine\?"),
        ("fep_1", TableSpec(also=("mien",)), r"table\.also: no cell of the table has 'mien'; did you mean mine\?"),
        ("fep_1", TableSpec(also=("dc",)), r"table\.also = dc: fep_1 has that column already"),
        ("fep_1", TableSpec(columns=("dc",)), r"table\.columns: fep_1 looks as its paper printed it; table\.also"),
        ("fep_1", TableSpec(decimals=0), r"table\.decimals: fep_1 looks as its paper"),
        ("mine", TableSpec(also=("dc",)), r"table\.also: no paper printed mine; name its keys in table\.columns"),
    ],
)
def test_what_a_table_cannot_have_is_one_line(cells, mini_profile, key, spec, message):
    with pytest.raises(UserError, match=message):
        make_table(key, cells, mini_profile, spec)


def test_a_table_of_nothing_is_one_line(make_cell, mini_profile):
    with pytest.raises(UserError, match="no cell of the table mine could be computed"):
        make_table("mine", [make_cell("fep", flags={"error": "out of memory"})], mini_profile)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"columns": "dc"}, r"table\.columns = dc is not a list of metric keys, such as \[dc\]"),
        ({"also": "dc"}, r"table\.also = dc is not a list"),
        ({"display": "dc"}, r"table\.display = dc is not a mapping"),
        ({"unit": "permille"}, r"table\.unit = permille is not one of"),
        ({"decimals": -1}, r"table\.decimals = -1 is not a whole number"),
    ],
)
def test_a_value_of_the_wrong_kind_is_one_line(given, message):
    with pytest.raises(UserError, match=message):
        checked_spec(given)


def test_a_misspelt_key_of_a_table_is_one_line(tmp_path, metric):
    outcome = stored(tmp_path / "results", "fep", metric, dc=[3.0, 1.0])
    with pytest.raises(UserError, match=r"table\.colums is no key of a table; did you mean columns"):
        run(tmp_path / "results", [outcome], "+table.key=my_own", "+table.colums=[dc]")


def test_a_table_without_a_key_is_named_by_its_file(tmp_path, metric):
    outcome = stored(tmp_path / "results", "fep", metric, dc=[3.0, 1.0])
    config = compose(["+table.title=x", f"paths.results={tmp_path}/results"], with_hydra=True)
    OmegaConf.update(config, "hydra.runtime.choices.table", "from_its_file", force_add=True)
    config.allow = ["elsewhere_metrics"]
    make_and_show(config, [outcome])
    assert (tmp_path / "results" / "tables" / "from_its_file.csv").exists()
