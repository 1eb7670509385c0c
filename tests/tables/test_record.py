"""What a table run leaves on record, and what is made from it."""

import json
from dataclasses import replace

import pytest

from vxbench.config import options
from vxbench.errors import UserError
from vxbench.runner.outcome import Outcome
from vxbench.runner.store import NOT_APPLICABLE, Store, failure, frame
from vxbench.tables.make import write_index
from vxbench.tables.published import tables
from vxbench.tables.record import TableRun, new_record, read_record, read_records, record_name, write_record
from vxbench.tables.reference import collect, provenance_of
from vxbench.tables.results import RunInfo
from vxbench.tables.spec import TableSpec

PROFILE = RunInfo("mini", "generated clips", comparable=False)


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


def stored(results, explainer: str, value: float, metric: str = "s_pt", dataset: str = "ucf101_24") -> Outcome:
    """A cell with one clip of that value and one that failed."""
    cell = f"r3d-{dataset}-{explainer}-0"
    shared = {"label": 0, "target": 0, "status": "ok", "reason": "", "degenerate": False}
    rows = [{"clip": "a", "metric": metric, "value": value, **shared}, failure("b", 0, "undecodable", "no frames")]
    store = Store(results / "cells" / cell)
    store.commit(frame(rows))
    run = {"run": explainer, "commit": "c", "versions": {}, "hardware": {}, "weights": "w", "data": "d", "seconds": 2.5}
    store.record_run(run)
    return Outcome("r3d", dataset, explainer, cell, clips=2)


def record_of(results, *outcomes, key="aosa_4", rows=None, profile=PROFILE, selected=False):
    return new_record(key, profile, list(outcomes), results, rows or {}, selected)


def entry(record, row):
    return record.table().entries[row][0]


def test_a_record_read_again_is_the_record(results):
    lost = Outcome("r3d", "ucf101_24", "gradcam", status="failed", message="no weights")
    record = replace(record_of(results, stored(results, "osa", 0.5), lost), taus=["0.50 [0.10, 0.90]", "–"])
    again = read_record(write_record(record))
    assert again == record
    assert entry(again, "osa").estimate.mean == 0.5
    assert (entry(again, "osa").failed, entry(again, "gradcam").state) == (1, "failed")


def test_a_row_of_another_name_takes_its_explainers_cell(results):
    cell = stored(results, "aosa_approx", 0.25, "deletion", "ucf101")
    record = record_of(results, cell, key="aosa_7", rows={"aosa_approx_cond_relu": "aosa_approx"})
    assert entry(record, "aosa_approx_cond_relu").estimate.mean == 0.25
    assert record.row(Outcome("r3d", "ucf101", "aosa_approx_cond")) == "aosa_approx_cond"


def test_protocols_do_not_overwrite_one_another(results):
    described = record_of(results, stored(results, "osa", 1.0))
    released = record_of(results, profile=replace(PROFILE, protocol="released"))
    assert write_record(described) != write_record(released)
    assert [record.name for record in read_records(results)] == ["aosa_4", "aosa_4_released"]


def test_selected_shares_do_not_overwrite_the_papers(results):
    names = [record_name("fep_1", protocol, selected) for protocol in ("described", "released") for selected in (0, 1)]
    assert names == ["fep_1", "fep_1_selected", "fep_1_released", "fep_1_released_selected"]
    write_record(record_of(results, key="fep_1"))
    write_record(record_of(results, key="fep_1", selected=True, profile=replace(PROFILE, protocol="released")))
    plain, other = read_records(results)
    assert (plain.name, plain.variants) == ("fep_1", [])
    assert (other.name, other.variants) == ("fep_1_released_selected", ["released", "selected"])


def test_records_come_in_the_order_of_the_papers(results):
    for key in ("aosa_1", "step_3", "fep_2"):
        write_record(record_of(results, key=key))
    assert [record.key for record in read_records(results)] == ["fep_2", "step_3", "aosa_1"]


@pytest.mark.parametrize("text", ["", "[]", '{"key": "fep_1"}', "nonsense"])
def test_a_damaged_record_is_one_line_that_names_it(results, text):
    path = write_record(record_of(results))
    path.write_text(text)
    with pytest.raises(UserError, match=r"aosa_4\.json: not the record of a table"):
        read_records(results)


def test_the_index_lists_every_table_with_its_profile_and_failures(results):
    lost = Outcome("r3d", "ucf101_24", "gradcam", status="failed", message="no weights")
    write_record(record_of(results, stored(results, "osa", 0.5), lost))
    write_record(record_of(results, key="step_3", profile=replace(PROFILE, protocol="released")))
    lines = write_index(results / "tables", read_records(results)).read_text().splitlines()
    [step, aosa] = [line.split(" | ") for line in lines if line.startswith("| [")]
    assert ("(step_3_released.md)" in step[0], step[2]) == (True, "mini, released")
    assert ("(aosa_4.md)" in aosa[0], *aosa[3:5]) == (True, "2", "1")


def test_the_index_is_written_from_records_alone(results, monkeypatch):
    """Tables may have thousands of clips: no cell is read, no bootstrap drawn again."""
    record = replace(record_of(results, stored(results, "osa", 0.5)), taus=["0.71 [0.43, 0.90]", "–"])
    write_record(record)
    monkeypatch.setattr(TableRun, "cells", lambda record: pytest.fail("the cells are read"))
    [line] = write_index(results / "tables", read_records(results)).read_text().splitlines()[-1:]
    assert line.split(" | ")[3:6] == ["1", "", "0.71 [0.43, 0.90], –"]


def test_a_reference_needs_every_table_and_figure(results):
    write_record(record_of(results))
    with pytest.raises(UserError, match=r"lacks fep_1, .*aosa_7, .*fep_2.*make reproduce-all") as found:
        collect(results, "mini")
    assert "aosa_4," not in str(found.value).split("aosa_7")[0]


def test_a_reference_has_the_plain_tables_and_an_index_of_just_these(results):
    for key in tables():
        write_record(record_of(results, key=key))
        (results / "tables" / f"{key}.md").write_text(key)
    write_record(record_of(results, key="fep_1", selected=True))
    write_record(record_of(results, key="step_3", profile=replace(PROFILE, protocol="released")))
    write_record(record_of(results, stored(results, "osa", 0.5), key="my_own"))
    (results / "tables" / "fep_1_selected.md").write_text("of other shares")
    write_index(results / "tables", read_records(results))
    (results / "figures").mkdir()
    for key in options("figure"):
        (results / "figures" / f"{key}.png").write_bytes(b"")
    wrote = collect(results, "mini")
    folder = results / "reference" / "mini" / "tables"
    assert {path.name for path in folder.iterdir()} == {"index.md", *(f"{key}.md" for key in tables())}
    listed = [line.split(".md)")[0].split("(")[-1] for line in (folder / "index.md").read_text().splitlines()[8:]]
    assert listed == tables()
    assert {folder / "index.md", folder / "fep_1.md", folder.parent / "provenance.json"} <= set(wrote)


def test_a_reference_has_no_table_with_columns_of_ones_own(results):
    write_record(replace(record_of(results), spec=TableSpec(also=("mine",))))
    with pytest.raises(UserError, match=r"lacks .*aosa_4, "):
        collect(results, "mini")


def test_a_method_that_does_not_apply_left_no_unfinished_run(results):
    record = record_of(results, stored(results, "osa", 0.5), stored(results, "step", 0.7))
    store = record.store(record.outcomes[0])
    refused = json.loads(store.read_note("provenance.json"))[0] | {"seconds": None, "commit": "other"}
    store.record_run(refused)
    assert provenance_of(record)["unfinished_runs"] == 1
    store.note(NOT_APPLICABLE, "the network is no transformer")
    found = provenance_of(record)
    assert (found["unfinished_runs"], found["commit"], len(found["cells"])) == (0, ["c"], 2)


def test_provenance_sums_what_the_cells_say(results):
    record = record_of(results, stored(results, "osa", 0.5), stored(results, "step", 0.7))
    cut_off = json.loads(record.store(record.outcomes[0]).read_note("provenance.json"))[0] | {"run": "2"}
    record.store(record.outcomes[0]).record_run(cut_off | {"seconds": None})
    found = provenance_of(record)
    assert (found["seconds_of_finished_runs"], found["unfinished_runs"]) == (5.0, 1)
    assert (found["commit"], found["weights"]) == (["c"], ["w"])
    assert len(found["cells"]) == 2
    assert json.dumps(found)
