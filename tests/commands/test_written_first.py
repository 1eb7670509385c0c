"""What cannot be written is said before anything is computed, by every command, and names are cut to what fits."""

import importlib
import os

import pytest

from vxbench.commands import main

# (command, what it would compute)
WRITERS = [
    ("explain video={video} paths.results={place}", "own_video.explain.explained"),
    ("run explainer=centre metric=topk paths.results={place}", "runner.job.run_cell"),
    ("run +table=fep_1 profile=smoke paths.results={place}", "runner.job.run_cell"),
    ("run +sweep=fep_bands profile=smoke paths.results={place}", "runner.job.run_cell"),
    ("figure fep_2 profile=smoke paths.results={place}", "commands.figure.draw"),
    ("train export={place}/net.safetensors work_dir={folder}", "training.train.fit"),
    ("train export={folder}/net.safetensors work_dir={place}", "training.train.fit"),
    ("benchmark models --models tsm --write {place}", "costs.models.measure"),
    ("make-mini --root {place}/mini", "datasets.mini.generate._write_all"),
]


@pytest.fixture
def video(make_video, tmp_path):
    return make_video(tmp_path / "clip.mp4", count=20)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["file", "/proc/x"])
@pytest.mark.parametrize(("words", "computes"), WRITERS, ids=[words.split(" paths")[0][:24] for words, _ in WRITERS])
def test_nothing_is_computed_where_nothing_can_be_written(
    words, computes, place, tmp_path, video, mini_data, monkeypatch, capsys
):
    (tmp_path / "file").write_text("kept")
    place = place if place.startswith("/") else tmp_path / place
    module, _, name = f"vxbench.{computes}".rpartition(".")
    monkeypatch.setattr(importlib.import_module(module), name, lambda *_, **__: pytest.fail("something was computed"))
    monkeypatch.setenv("VXBENCH_MINI_DATA", str(mini_data))
    monkeypatch.chdir(tmp_path)
    given = words.format(place=place, video=video, folder=tmp_path / "there")
    assert main(given.split()) == 1
    *_, line = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert str(place) in line
    assert "what was computed is kept" not in line
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a" * 251, "日" * 83, "é" * 125])
def test_a_video_may_have_the_longest_name(name, make_video, tmp_path, monkeypatch, mini_data, capsys):
    monkeypatch.setenv("VXBENCH_MINI_DATA", str(mini_data))
    monkeypatch.setenv("VXBENCH_RESULTS", str(tmp_path / "results"))
    video = tmp_path / f"{name}.avi"
    os.rename(make_video(tmp_path / "clip.avi", count=20), video)
    assert main(["explain", f"video={video}", "explainer=centre"]) == 0, capsys.readouterr().err
    [folder] = (tmp_path / "results" / "explained").iterdir()
    assert len(os.fsencode(folder.name)) <= 255
    assert {"overlay.mp4", "map.npz", "result.json"} <= {path.name for path in folder.iterdir()}
