"""The list of checkpoints: a line each, fetched on demand, and an exit status that tells."""

import pytest

from vxbench.commands.checkpoints import main
from vxbench.models.checkpoints import WEIGHTS


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv("VXBENCH_CHECKPOINTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


def test_every_model_is_listed_with_what_to_do(folder, capsys):
    assert main([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert {line.split(" on ")[0] for line in lines} >= {"r2plus1d", "r2plus1d_34", "tsm"}
    assert all(f"checkpoint {folder}/" in line and "does not exist" in line for line in lines)


def test_a_mirror_fills_the_folder(folder, capsys, tmp_path):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "net.safetensors").write_bytes((WEIGHTS / "mini_tsm.safetensors").read_bytes())
    file = f"weights.ucf101_24.file={folder}/net.safetensors"
    assert main(["model=tsm", file, "~weights.kinetics400", f"paths.mirror={mirror}"]) == 0
    assert capsys.readouterr().out == f"tsm on ucf101_24: {folder}/net.safetensors is there\n"


@pytest.mark.parametrize("words", [["model=tsn"], ["model=tsm", "no_such_key=1"], ["model=tsm", "download=ture"]])
def test_wrong_words_are_one_line(words, folder, capsys):
    assert main(words) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
