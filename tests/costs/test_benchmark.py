"""The benchmark runs what it says, on small cases; what it measures is not tested."""

import re

import pytest
from helpers.paths import ROOT

from vxbench.commands.benchmark import main
from vxbench.config import options
from vxbench.costs import models
from vxbench.costs.network import random_clips
from vxbench.costs.options import every_model
from vxbench.datasets.mini.generate import generate

pytestmark = pytest.mark.slow


def numbers(line):
    return [float(number) for number in re.findall(r"\d+\.\d+", line)]


def test_every_model_of_conf_is_timed_unless_it_needs_the_user():
    assert set(every_model()) == set(options("model")) - {"custom"}


def test_a_model_at_its_papers_size_is_timed_and_written(tmp_path, capsys):
    """R3D-50, the fastest."""
    assert main(["models", "--models", "r3d", "--repeats", "1", "--write", str(tmp_path)]) == 0
    [row] = [line for line in (tmp_path / "models_cpu.md").read_text().splitlines() if line.startswith("| r3d")]
    _, model, clip, precision, parameters, forward, both, peak, _ = (cell.strip() for cell in row.split("|"))
    assert (model, clip, precision, peak) == ("r3d", "16x112x112", "fp32", "-")
    assert 46 < float(parameters) < 48
    assert 0 < float(forward) < float(both)
    assert "models_cpu.md" in capsys.readouterr().out


def test_outputs_that_are_not_finite_are_no_timing(monkeypatch, capsys):
    def spoilt(*what):
        clip, target = random_clips(*what)
        return clip * float("nan"), target

    monkeypatch.setattr(models, "random_clips", spoilt)
    assert main(["models", "--models", "r3d", "--repeats", "1"]) == 1
    assert "not finite" in capsys.readouterr().err


def test_loading_is_timed_with_and_without_the_cache(tmp_path, monkeypatch, capsys):
    generate(tmp_path / "mini", train_per_class=1, test_per_class=1, only=("ucf101",))
    monkeypatch.setenv("VXBENCH_MINI_DATA", str(tmp_path / "mini"))
    assert main(["loading", "--clips", "10", "--workers", "1", "--size", "4", "32", "32"]) == 0
    plain, kept = capsys.readouterr().out.splitlines()[1:]
    assert plain.startswith("decoded:")
    assert kept.startswith("from cache:")
    assert all(number > 0 for line in (plain, kept) for number in numbers(line))


def test_an_explainer_is_timed_beside_its_network(capsys):
    assert main(["explainers", "--models", "r3d", "--explainers", "ep3d", "--iterations", "1"]) == 0
    row = capsys.readouterr().out.splitlines()[-1]
    assert row.startswith("r3d")
    assert all(number > 0 for number in numbers(row)[:2])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("models --models r3dd", "--models r3dd is unknown; did you mean r3d"),
        ("models --models custom", "--models custom is unknown"),
        ("models --repeats 0", "--repeats = 0"),
        ("models --batch -1", "--batch = -1"),
        ("models --device gpu", "device = gpu is not one of"),
        ("explainers --models r3dd", "--models r3dd is unknown"),
        ("explainers --iterations 0", "--iterations = 0"),
        ("explainers --device gpu", "device = gpu"),
        ("explainers --explainers fap", "--explainers fap is unknown; did you mean fep"),
        ("explainers --explainers fep gradcam", "--explainers gradcam has no iterations"),
        ("loading --dataset ucf", "--dataset ucf is unknown"),
        ("loading --profile big", "--profile big is unknown"),
        ("loading --clips 0", "--clips = 0"),
        ("loading --workers 0", "--workers = 0"),
        ("loading --size 8 0 32", "--size = 0"),
    ],
)
def test_a_wrong_option_is_one_line(words, message, capsys):
    assert main(words.split()) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    assert not out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("models --device cuda:99", "device = cuda:99 but"),
        ("models --write README.md", "cannot be written: Not a directory; nothing was computed; set --write"),
    ],
)
def test_what_is_not_there_or_cannot_be_written_is_one_line(words, message, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(words.split()) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert message in line
