"""`make reproduce-table%`: which tables there are, what they need, and what they leave."""

import csv
import subprocess
import sys

import pytest
from run_process import ROOT

from vxbench.errors import UserError
from vxbench.runner.preflight import missing_files
from vxbench.runner.reproduce import wanted_tables


def reproduce(runner, *words):
    command = [sys.executable, str(ROOT / "scripts" / "reproduce.py"), *words]
    return subprocess.run(
        command, cwd=runner.folder, env=runner.environment, capture_output=True, text=True, timeout=300, check=False
    )


def test_a_table_that_is_there():
    assert wanted_tables(1, "fep") == ["fep_1"]


def test_the_tables_that_are_not_there_are_named_and_left_out(capsys):
    assert wanted_tables(1, None) == ["fep_1"]
    assert "step_1, aosa_1" in capsys.readouterr().out


@pytest.mark.parametrize(("number", "paper"), [(2, "fep"), (2, None), (9, None), (9, "fep")])
def test_no_table_at_all_is_one_line_that_names_those_that_exist(number, paper):
    with pytest.raises(UserError, match=r"tables that exist: .*fep_1"):
        wanted_tables(number, paper)


def test_an_unknown_paper_is_refused():
    with pytest.raises(UserError, match="known: fep, step, aosa"):
        wanted_tables(1, "lime")


def test_the_paper_profile_lists_all_it_lacks_at_once(monkeypatch, tmp_path):
    monkeypatch.setenv("VXBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("VXBENCH_CHECKPOINTS", str(tmp_path / "weights"))
    data, *checkpoints = missing_files("fep_1", "paper", [])
    assert all(name in data for name in ("ucf101/videos", "pyannot.pkl", "testlist01.txt"))
    assert [any(f"{tmp_path}/weights/{name}" in line for line in checkpoints) for name in ("r2plus1d", "tsm")] == [
        True
    ] * 2
    assert len(missing_files("fep_1", "paper", ["model.checkpoint=null"])) == 1


def test_the_mini_profile_lacks_nothing_once_its_data_are_made(monkeypatch, mini_data):
    monkeypatch.setenv("VXBENCH_MINI_DATA", str(mini_data))
    assert missing_files("fep_1", "mini", []) == []


def test_the_mini_profile_never_stands_in_for_the_paper(runner):
    runner.environment["VXBENCH_DATA"] = str(runner.folder / "nowhere")
    done = reproduce(runner, "--table", "1", "--paper", "fep", "--profile", "paper")
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert not runner.results.exists()


def test_cells_side_by_side_make_the_table_its_files_and_pictures(runner):
    words = ("--table", "1", "--paper", "fep", "--profile", "smoke", "--jobs", "2")
    cells = ("hydra.sweeper.params.model=tsm", "hydra.sweeper.params.explainer='gradients,gradcam,boxes'")
    done = reproduce(runner, *words, *cells)
    assert done.returncode == 0, done.stderr
    tables = runner.results / "tables"
    assert {path.name for path in tables.iterdir()} == {"fep_1.md", "fep_1.csv", "fep_1.tex"}
    assert "clips of ucf101_24: 8 clips, 1 of each of the 8 classes" in (tables / "fep_1.md").read_text()
    assert "not comparable with the paper" in (tables / "fep_1.md").read_text().splitlines()[0]
    with open(tables / "fep_1.csv") as file:
        lines = {(line["row"], line["metric"]): line for line in csv.DictReader(file) if line["model"] == "tsm"}
    # Annotation as the map: every box voxel is kept, so STC is 100 whatever the model.
    assert float(lines["boxes", "stc"]["mean"]) == 100
    assert lines["gradients", "dc"]["published"] == "90.8"
    assert int(lines["gradients", "dc"]["n"]) == 8
    assert (runner.results / "figures" / "fep_1_tsm.png").stat().st_size > 10_000

    again = reproduce(runner, *words, *cells)
    assert again.returncode == 0
    assert "3 cells, 0 clips computed" in again.stdout
