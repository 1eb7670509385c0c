"""Each data set of a folder is opened and every clip loaded; what is wrong is counted, named, and told by the exit status."""

import shutil

import pytest

from vxbench.runner.check_data import main

ONLY = ["--only", "ucf101_24", "--workers", "1"]


@pytest.fixture
def copy(mini_data, tmp_path):
    return shutil.copytree(mini_data, tmp_path / "mini")


def video(root, name):
    return root / f"ucf101/videos/{name.split('_')[1]}/{name}.avi"


def test_sound_data_pass(mini_data, capsys):
    assert main(["--root", str(mini_data), *ONLY]) == 0
    assert capsys.readouterr().out == "ucf101_24 test: 16 clips listed, 16 found, 16 sound\n"


def test_only_the_clips_of_the_tables_are_checked_on_demand(mini_data, capsys):
    assert main(["--root", str(mini_data), *ONLY, "--profile", "smoke", "--tables"]) == 0
    assert "8 clips listed" in capsys.readouterr().out


def test_each_problem_is_counted_and_named(copy, capsys):
    video(copy, "v_ClockwiseFromWest_g01_c01").unlink()
    video(copy, "v_ClockwiseFromEast_g01_c01").write_bytes(b"")
    with (copy / "ucf101_24/splits/testlist01.txt").open("a") as file:
        file.write("ClockwiseFromWest/v_ClockwiseFromWest_g09_c01\n")
    other = video(copy, "v_ClockwiseFromWest_g09_c01")
    shutil.copy(video(copy, "v_ClockwiseFromWest_g02_c01"), other)
    assert main(["--root", str(copy), *ONLY]) == 1
    first, *rest = capsys.readouterr().out.splitlines()
    assert first == "ucf101_24 test: 17 clips listed, 16 found, 14 sound, 1 missing, 1 unannotated, 1 undecodable"
    assert any(line.startswith("  missing: ") and "v_ClockwiseFromWest_g01_c01" in line for line in rest)
    assert any(line.startswith("  unannotated: ") and "v_ClockwiseFromWest_g09_c01" in line for line in rest)
    assert any(line.startswith("  undecodable: v_ClockwiseFromEast_g01_c01.avi: ") for line in rest)
    assert any(line.startswith("  to get: UCF101 from www.crcv.ucf.edu") for line in rest)


def test_data_sets_that_are_not_there_are_named_with_their_sources(tmp_path, capsys):
    assert main(["--root", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "epic_action",
        "epic_object",
        "kinetics400",
        "kinetics700",
        "ucf101",
        "ucf101_24",
    ]
    assert all("not usable" in line and "missing: " in line for line in lines)


@pytest.mark.parametrize("words", [["--only", "ucf"], [*ONLY, "dataset.gapss=use"]])
def test_wrong_words_are_one_line(words, capsys):
    assert main(words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
