import shutil

import pytest
from vxbench.datasets.check import main


@pytest.fixture
def copy(mini_root, tmp_path):
    return shutil.copytree(mini_root, tmp_path / "mini")


def test_sound_data_pass(mini_root, capsys):
    assert main(["--root", str(mini_root)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ucf101_24 test: 8 clips listed, 8 sound",
        "ucf101_24 train: 16 clips listed, 16 sound",
    ]


def test_each_problem_is_counted_and_named(copy, capsys):
    videos = copy / "ucf101/videos/ClockwiseFromWest"
    (videos / "v_ClockwiseFromWest_g01_c01.avi").unlink()
    (videos / "v_ClockwiseFromWest_g08_c01.avi").write_bytes(b"")
    assert main(["--root", str(copy), "--workers", "1"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "ucf101_24 test: 8 clips listed, 7 sound, 1 missing" in lines
    assert "ucf101_24 train: 16 clips listed, 15 sound, 1 undecodable" in lines
    assert any(line.startswith("  undecodable: v_ClockwiseFromWest_g08_c01.avi: ") for line in lines)


def test_a_folder_without_data_is_an_error(tmp_path, capsys):
    assert main(["--root", str(tmp_path)]) == 2
    assert "no data set below" in capsys.readouterr().err


def test_an_incomplete_data_set_is_an_error(copy, capsys):
    (copy / "ucf101_24/splits/testlist01.txt").unlink()
    assert main(["--root", str(copy)]) == 2
    assert "corrected-UCF101-Annots" in capsys.readouterr().err
