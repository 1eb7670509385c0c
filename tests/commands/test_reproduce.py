"""`make reproduce-table%`: which tables there are, what they need, and what they leave."""

import csv
import json
import subprocess
import sys

import pytest
from helpers.paths import ROOT

from vxbench.commands.reproduce import runs_alone
from vxbench.errors import UserError
from vxbench.runner.assemble import Assembled
from vxbench.runner.multirun import cells, missing_files
from vxbench.tables.published import tables, wanted_tables

pytestmark = pytest.mark.slow

ENDINGS = (".md", ".csv", "_pairs.csv", ".tex", ".json")


def reproduce(runner, *words):
    command = [sys.executable, str(ROOT / "scripts" / "reproduce.py"), *words]
    return subprocess.run(
        command, cwd=runner.folder, env=runner.environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize(
    ("number", "paper", "keys"),
    [
        (1, "fep", ["fep_1"]),
        (1, None, ["fep_1", "step_1", "aosa_1"]),
        (2, None, ["fep_2", "step_2", "aosa_2"]),
        (7, None, ["aosa_7"]),
        (None, "fep", ["fep_1", "fep_2"]),
        (None, None, tables()),
    ],
)
def test_the_tables_wanted(number, paper, keys):
    assert wanted_tables(number, paper) == keys


@pytest.mark.parametrize(("number", "paper"), [(3, "fep"), (9, None)])
def test_a_table_that_no_paper_has_is_one_line_that_names_those_there_are(number, paper):
    with pytest.raises(UserError, match=rf"no table {number}; there are fep_1, .*aosa_7"):
        wanted_tables(number, paper)


@pytest.mark.parametrize("key", tables())
def test_only_what_measures_time_runs_alone(key):
    assert runs_alone(key) is (key == "aosa_5")


def test_an_unknown_paper_is_refused():
    with pytest.raises(UserError, match="known: fep, step, aosa"):
        wanted_tables(1, "lime")


def lacking(key, profile, *overrides):
    """What the cells of a table lack, a line each."""
    return missing_files([Assembled(config) for config in cells(f"+table={key}", [f"profile={profile}", *overrides])])


def test_the_paper_profile_lists_all_it_lacks_at_once(monkeypatch, tmp_path):
    monkeypatch.setenv("VXBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("VXBENCH_CHECKPOINTS", str(tmp_path / "weights"))
    data, *checkpoints = lacking("fep_1", "paper")
    assert all(name in data for name in ("ucf101/videos", "pyannot.pkl", "testlist01.txt"))
    assert [any(f"{tmp_path}/weights/{name}" in line for line in checkpoints) for name in ("r2plus1d", "tsm")] == [
        True
    ] * 2
    assert len(lacking("fep_1", "paper", "model.checkpoint=null")) == 1


def test_the_mini_profile_lacks_nothing_once_its_data_are_made(monkeypatch, mini_data):
    monkeypatch.setenv("VXBENCH_MINI_DATA", str(mini_data))
    assert lacking("fep_1", "mini") == []


def test_the_mini_profile_never_stands_in_for_the_paper(runner):
    runner.environment["VXBENCH_DATA"] = str(runner.folder / "nowhere")
    done = reproduce(runner, "--table", "1", "--paper", "fep", "--profile", "paper")
    assert done.returncode == 1
    head, *rest = done.stderr.splitlines()
    assert head == "error: fep_1 with profile=paper needs data sets or checkpoints that this machine lacks (3):"
    assert all(line.startswith("  ") for line in rest)
    assert "make-mini" not in done.stderr
    assert not runner.results.exists()


def test_cells_side_by_side_make_the_table_its_files_and_pictures(runner):
    words = ("--table", "1", "--paper", "fep", "--profile", "smoke", "--jobs", "2")
    cells = ("hydra.sweeper.params.model=tsm", "hydra.sweeper.params.explainer='gradients,gradcam,boxes'")
    done = reproduce(runner, *words, *cells)
    assert done.returncode == 0, done.stderr
    folder = runner.results / "tables"
    assert {path.name for path in folder.iterdir()} == {f"fep_1{end}" for end in ENDINGS} | {"index.md"}
    assert "clips of ucf101_24: 8 clips, 1 of each of the 8 classes" in (folder / "fep_1.md").read_text()
    assert "not comparable with the paper" in (folder / "fep_1.md").read_text().splitlines()[0]
    with open(folder / "fep_1.csv") as file:
        lines = {(line["row"], line["metric"]): line for line in csv.DictReader(file) if line["model"] == "tsm"}
    # Annotation as the map: every box voxel is kept, so STC is 100 whatever the model.
    assert float(lines["boxes", "stc"]["mean"]) == 100
    assert lines["gradients", "dc"]["published"] == "90.8"
    assert int(lines["gradients", "dc"]["n"]) == 8
    assert (runner.results / "figures" / "fep_1_tsm_ucf101_24.png").stat().st_size > 10_000

    for note in runner.results.glob("cells/*/provenance.json"):
        [run] = json.loads(note.read_text())
        explainer = note.parent.name.split("-")[2]
        assert run["command"][:2] == ["vxbench", "run"]
        assert {"+table=fep_1", "profile=smoke", "model=tsm", f"explainer={explainer}"} <= set(run["command"])

    again = reproduce(runner, *words, *cells)
    assert again.returncode == 0
    assert "3 cells, 0 clips computed" in again.stdout
