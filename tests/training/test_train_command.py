"""scripts/train.py from the shell, an epoch on a handful of clips: weights, their record, and a cell that uses them."""

import json
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from helpers.paths import ROOT
from helpers.run_process import Runner
from safetensors.torch import load_file

from vxbench.commands.train import main
from vxbench.training.resume import STATE

pytestmark = pytest.mark.slow

TINY = ["recipe.batch_size=4", "model.input.height=32", "model.input.width=32"]
TSM = ["model=tsm", "recipe.epochs=3"]


@pytest.fixture(scope="module")
def few_clips(made_once) -> Path:
    """Mini UCF101 of one training and one test clip a class."""
    return made_once("one_each", train_per_class=1, test_per_class=1, only=("ucf101",))


def overrides(folder: Path, data: Path) -> list[str]:
    return [*TINY, "recipe.epochs=1", f"paths.data={data}", f"paths.results={folder / 'results'}"]


def command(folder: Path, data: Path, *more: str) -> list[str]:
    return [sys.executable, str(ROOT / "scripts" / "train.py"), *overrides(folder, data), *more]


def run(folder: Path, data: Path, *overrides: str):
    return subprocess.run(command(folder, data, *overrides), capture_output=True, text=True, cwd=ROOT)


@pytest.fixture(scope="module")
def trained_tsm(few_clips, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tsm")
    done = run(folder, few_clips, *TSM, f"export={folder / 'weights.safetensors'}")
    assert done.returncode == 0, done.stderr
    return folder / "weights.safetensors"


@pytest.fixture(scope="module")
def trained_r3d(few_clips, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("r3d")
    slow = ["amp=bf16", "workers=1", "in_memory=false"]
    done = run(folder, few_clips, "model=r3d", "dataset=ucf101", *slow, f"export={folder / 'weights.safetensors'}")
    assert done.returncode == 0, done.stderr
    return folder / "weights.safetensors"


def test_the_record_can_be_run_again(trained_tsm):
    record = json.loads(trained_tsm.with_suffix(".json").read_text())
    assert shlex.split(record["command"])[2:4] == TINY[:2]
    assert record["unreadable_clips"] == {"train": {"clips": 0, "first": []}, "test": {"clips": 0, "first": []}}
    assert record["licence"] == "Apache-2.0"


@pytest.mark.parametrize(("model", "dataset"), [("tsm", "ucf101_24"), ("r3d", "ucf101")])
def test_a_cell_measures_the_accuracy_of_the_record(model, dataset, few_clips, tmp_path, request):
    file = request.getfixturevalue(f"trained_{model}")
    record = json.loads(file.with_suffix(".json").read_text())
    assert (record["model"], record["dataset"]) == (model, dataset)
    assert record["amp"] == ("bf16" if model == "r3d" else False)
    assert set(record["accuracy"]) == {"test"} | ({"shuffled", "still", "background"} if model == "tsm" else set())
    assert not any(weight.dtype == torch.bfloat16 for weight in load_file(file).values())

    cell = Runner(tmp_path, few_clips)
    size = ["model.input.height=32", "model.input.width=32", "dataset.per_class=null"]
    classes = f"model.num_classes={record['test_clips']}"  # one test clip of each class
    chosen = [f"model={model}", f"dataset={dataset}", "explainer=centre", "metric=topk"]
    ran = cell(*chosen, *size, classes, f"model.checkpoint={file}")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    rows = cell.rows()
    assert len(rows) == 2 * record["test_clips"]
    for key, share in record["accuracy"]["test"].items():
        assert rows[rows.metric == key].value.mean() == pytest.approx(share)


def killed_after_an_epoch(folder: Path, data: Path, *overrides: str) -> None:
    state = next((folder / "results").rglob(STATE), None)
    process = subprocess.Popen(command(folder, data, *overrides), cwd=ROOT, stdout=subprocess.DEVNULL)
    while process.poll() is None and state is None:
        time.sleep(0.02)
        state = next((folder / "results").rglob(STATE), None)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert state is not None


def test_a_killed_run_resumes_to_the_same_weights(trained_tsm, few_clips, tmp_path):
    file = tmp_path / "resumed.safetensors"
    killed_after_an_epoch(tmp_path, few_clips, *TSM, f"export={file}")
    assert not file.exists()
    fewer = tmp_path / "fewer"
    shutil.copytree(few_clips, fewer)
    next(fewer.rglob("v_*g08_c01.avi")).unlink()
    refused = run(tmp_path, fewer, *TSM, f"export={file}", "resume=true")
    assert refused.returncode == 1
    assert "data.clips=" in refused.stderr
    resumed = run(tmp_path, few_clips, *TSM, f"export={file}", "resume=true")
    assert resumed.returncode == 0, resumed.stderr
    assert file.read_bytes() == trained_tsm.read_bytes()


def test_an_interrupt_is_one_line(few_clips, tmp_path):
    def interruptible():
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it

    given = command(tmp_path, few_clips, "recipe.epochs=1000", f"export={tmp_path / 'w.safetensors'}")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(given, cwd=ROOT, preexec_fn=interruptible, **pipes)
    assert process.stdout.readline() == f"the weights will be {tmp_path / 'w.safetensors'}\n"
    while process.poll() is None and not list((tmp_path / "results").rglob(STATE)):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert said == "error: stopped; resume=true goes on\n"
    (folder,) = (path.parent.name for path in (tmp_path / "results").rglob(STATE))
    assert folder == "r2plus1d-ucf101_24-mini-mini-control_None-seed0"


def test_a_control_is_tested_on_itself_and_exports_nothing(few_clips, tmp_path):
    file = tmp_path / "none.safetensors"
    one_clip = ["train_classes=[ClockwiseFromWest]", "recipe.batch_size=1"]
    done = run(tmp_path, few_clips, "control=background", *one_clip, f"export={file}", "tracker=wandb")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout[done.stdout.index("{") :])
    assert list(record["accuracy"]) == ["background"]
    assert (record["train_classes"], record["train_clips"], record["test_clips"]) == (["ClockwiseFromWest"], 1, 8)
    assert not file.exists()
    assert list((tmp_path / "results" / "wandb").rglob("*.wandb"))


@pytest.mark.parametrize(
    ("override", "status", "message"),
    [
        ("model=tsn", 2, "model=tsn does not exist; did you mean tsm"),
        ("recipe=stepp", 2, "recipe"),
        ("epoch=3", 2, "epoch=3: the config has no epoch"),
        ("train_classes=[ClockwiseFromWes]", 1, "no class 'ClockwiseFromWes'; did you mean ClockwiseFromWest, "),
        ("export=README.md/weights.safetensors", 1, "README.md/weights.safetensors cannot be written: Not a directory"),
        ("export=/proc/no/weights.safetensors", 1, "cannot be written"),
    ],
)
def test_a_mistake_is_one_line(override, status, message, few_clips, tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main([*overrides(tmp_path, few_clips), override]) == status
    said = capfd.readouterr().err
    assert said.startswith("error: ")
    assert message in said
    assert said.count("\n") == 1
