"""From a folder of results to the page: what the runs left is on it, and what they did not leave is said."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
from helpers.paths import ROOT
from matplotlib.figure import Figure

from vxbench.commands.report import main
from vxbench.config import options
from vxbench.errors import UserError
from vxbench.figures.drawing.save import save
from vxbench.page.collect import beyond, caption, figures, galleries, make_report, page_table
from vxbench.runner.outcome import Outcome
from vxbench.runner.store import Picture, Store, failure, frame
from vxbench.tables.record import new_record, write_record
from vxbench.tables.results import RunInfo

CLIPS = ("a/clip <1>", "b/clip 2")
SIZE = (3, 4, 5)
RUN = {"run": "1", "commit": "c0ffee", "hardware": {"cpu": "a processor"}, "seconds": 1.0, "clips": 2, "weights": "w1"}


def line(clip, metric, value):
    row = {"clip": clip, "label": 0, "target": 0, "status": "ok", "metric": metric, "value": value}
    return row | {"reason": "" if value == value else "no box", "degenerate": False}


def picture(clip, level):
    return Picture(clip, np.full(SIZE, level), np.full((*SIZE, 3), 9, np.uint8), np.ones(SIZE, bool))


def fill(results, explainer, rows, pictures=()):
    """A cell in the store, and its outcome."""
    outcome = Outcome("r2plus1d", "ucf101_24", explainer, f"r2plus1d-ucf101_24-{explainer}-0", clips=len(CLIPS))
    store = Store(results / "cells" / outcome.cell)
    store.commit(frame(rows), list(pictures))
    store.note("clips.txt", "".join(f"{clip}\n" for clip in CLIPS))
    store.note("config.yaml", f"explainer: {explainer}\n")
    store.record_run(RUN | {"run": explainer})
    return outcome


def write(results, outcomes, protocol="described", rows=None):
    profile = RunInfo("smoke", "generated clips", comparable=False, protocol=protocol)
    record = new_record("fep_1", profile, outcomes, results, rows or {})
    write_record(record)
    return record


@pytest.fixture
def results(tmp_path):
    return tmp_path / "results"


@pytest.fixture
def record(results):
    """Two cells, one of which lost a clip, and one that failed as a whole."""
    fep = [line(CLIPS[0], "dc", 10.0), line(CLIPS[0], "stc", float("nan")), line(CLIPS[1], "dc", 20.0)]
    step = [line(CLIPS[0], "dc", 30.0), failure(CLIPS[1], 0, "undecodable", "it is <broken>")]
    outcomes = [
        fill(results, "fep", fep, [picture(clip, 0.5) for clip in CLIPS]),
        fill(results, "step", step, [picture(CLIPS[0], 0.25)]),
        Outcome("r2plus1d", "ucf101_24", "gradcam", status="failed", message="out of luck"),
    ]
    return write(results, outcomes)


def data_of(path) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text()).group(1))


def test_what_the_runs_left_is_on_the_page(results, record):
    path = make_report(results)
    assert path == results / "report" / "index.html"
    text, data = path.read_text(), data_of(path)
    assert data["clips"] == {"ucf101_24": list(CLIPS)}
    assert data["cells"]["r2plus1d-ucf101_24-fep-0"]["values"]["dc"] == [10.0, 20.0]
    assert data["cells"]["r2plus1d-ucf101_24-step-0"]["reasons"] == {"1": {"": "undecodable: it is <broken>"}}
    [one] = data["sets"]
    assert [sorted(clip["maps"]) for clip in one["pictures"]] == [["fep", "step"], ["fep"]]
    for said in (
        "profile smoke, not comparable with the papers",
        "out of luck",
        "c0ffee",
        "a processor",
        "w1",
        "1.0 s",
    ):
        assert said in text
    assert "it is &lt;broken&gt;" in text
    assert "<broken>" not in text


def test_cells_carry_what_their_stores_say(record):
    page = page_table(record)
    fep, step, gradcam = page.cells
    assert (page.name, page.made) == ("fep_1", record.made)
    assert (fep.clips, fep.config, fep.runs[0]["run"]) == (CLIPS, "explainer: fep\n", "fep")
    assert len(step.result.failures) == 1
    assert (gradcam.id, gradcam.status, gradcam.message, gradcam.runs) == ("", "failed", "out of luck", ())


def test_the_rows_of_a_cell_are_read_once(record, monkeypatch):
    read, rows = [], Store.rows
    monkeypatch.setattr(Store, "rows", lambda self: read.append(self.folder.name) or rows(self))
    page_table(record)
    assert sorted(read) == [outcome.cell for outcome in record.outcomes if outcome.cell]


def test_the_page_is_made_without_torch():
    code = "import sys, vxbench.page.collect; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "False\n"


def test_a_row_that_is_an_explainer_of_another_name_keeps_its_maps(results):
    outcome = fill(results, "ep3d_evenly", [line(CLIPS[0], "dc", 1.0)], [picture(CLIPS[0], 0.5)])
    record = write(results, [outcome], rows={"ep3d": "ep3d_evenly"})
    [gallery] = galleries(record, 2)
    assert list(gallery.clips[0].maps) == ["ep3d"]
    assert data_of(make_report(results))["sets"][0]["methods"][0]["name"] == "EP"


@pytest.mark.parametrize(("clips", "shown"), [(0, 0), (1, 1), (2, 2), (9, 2)])
def test_no_more_clips_are_shown_than_asked_for_and_the_rest_is_said(results, record, clips, shown):
    path = make_report(results, clips)
    assert len(data_of(path)["sets"][0]["pictures"]) == shown
    said = f"gallery of fep_1, r2plus1d on ucf101_24: {2 - shown} of 2 clips; --clips 2 shows them"
    assert (said in path.read_text()) == (shown < 2)
    assert len(beyond(record, clips)) == (shown < 2)


def test_both_protocols_of_a_table_stand_side_by_side(results, record):
    write(results, record.outcomes, protocol="released")
    data = data_of(make_report(results))
    assert [one["table"] for one in data["sets"]] == ["fep_1", "fep_1_released"]
    assert len(data["cells"]) == 2  # each cell once


def test_the_papers_figures_that_were_made_are_embedded_with_their_captions(results, record):
    key = options("figure")[0]
    draw(results, key, {"profile": "smoke", "made": "2026-01-01"})
    (results / "figures" / "fep_1_r2plus1d_ucf101_24.png").write_bytes(b"the maps, which the gallery shows")
    text = make_report(results).read_text()
    assert text.count("data:image/png;base64,") == 1
    assert f'id="figure-{key}"' in text
    assert f"{caption(key)} Profile smoke; made 2026-01-01.</figcaption>" in text


def draw(results, key, facts):
    figure = Figure(figsize=(1, 1))
    save(figure, results / "figures" / key, facts)


def test_a_figure_of_another_profile_than_the_tables_says_so(results, record):
    draw(results, "fep_2", {"profile": "paper"})
    draw(results, "fep_3", None)
    found = {figure.key: figure.caption for figure in figures(results, {"smoke", "mini"})}
    assert found["fep_2"].endswith(" Profile paper, unlike the tables on this page (mini, smoke).")
    assert found["fep_3"].endswith(" Its file does not say of which profile it is.")


def test_a_results_folder_without_tables_is_one_line(results):
    with pytest.raises(UserError, match=r"results: no table was made here; make one, such as make reproduce-table1"):
        make_report(results)


def test_a_broken_file_is_left_out_and_said_in_a_line_that_names_it(results, record, capsys):
    draw(results, "fep_2", {"profile": "paper"})
    draw(results, "fep_3", {"profile": "paper"})
    cell = record.store(record.outcomes[0]).folder
    broken = [results / "figures" / "fep_2.png", cell / "provenance.json", results / "tables" / "fep_2.json"]
    broken += [*cell.glob("pictures/*.npz")][:1]
    for path in broken:
        path.write_bytes(b"[")
    text = make_report(results).read_text()
    said = capsys.readouterr().err.splitlines()
    assert all(sum(str(path) in line for line in said) == 1 for path in broken), said
    assert 'id="figure-fep_3"' in text
    assert 'id="figure-fep_2"' not in text


def test_a_cell_whose_folder_was_deleted_is_not_run(results, record):
    for path in sorted((results / "cells").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    text = make_report(results).read_text()
    assert "not run" in text
    assert "No clip failed." in text


def test_the_command_writes_the_page_and_says_so(results, record, capsys):
    assert main(["--results", str(results), "--clips", "1"]) == 0
    assert re.fullmatch(r"wrote .*results/report/index\.html \(0\.\d MB\)\n", capsys.readouterr().out)


def test_a_wrong_number_of_clips_is_one_line(results, record, capsys):
    assert main(["--results", str(results), "--clips", "-1"]) == 2
    assert capsys.readouterr().err.startswith("error: clips = -1")


def test_the_script_says_in_one_line_what_is_wrong(tmp_path):
    command = [sys.executable, str(ROOT / "scripts" / "report.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert re.fullmatch("error: results: no table was made here; .*\n", done.stderr)
