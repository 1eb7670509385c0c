"""One epoch of scripts/train.py on a handful of clips, from the shell."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from safetensors.torch import load_file

from vxbench.datasets.mini.generate import generate

REPOSITORY = Path(__file__).parents[2]
TINY = ["epochs=1", "batch_size=4", "model.input.height=32", "model.input.width=32"]


@pytest.fixture(scope="module")
def few_clips(tmp_path_factory):
    root = tmp_path_factory.mktemp("few") / "mini"
    generate(root, train_per_class=1, test_per_class=1)
    return root


def run(folder: Path, data: Path, *overrides: str):
    command = [sys.executable, str(REPOSITORY / "scripts" / "train.py"), *TINY, f"paths.data={data}", *overrides]
    return subprocess.run([*command, f"hydra.run.dir={folder}"], capture_output=True, text=True, cwd=REPOSITORY)


def test_the_same_seed_trains_the_same_weights_and_they_load(few_clips, tmp_path, conf_dir):
    files = [tmp_path / f"{name}.safetensors" for name in ("one", "again")]
    for file in files:
        done = run(tmp_path / "run", few_clips, "model=tsm", f"export={file}")
        assert done.returncode == 0, done.stderr
    one, again = (load_file(file) for file in files)
    assert all(torch.equal(one[name], again[name]) for name in one)

    record = json.loads(files[0].with_suffix(".json").read_text())
    assert set(record["accuracy"]) == {"test", "shuffled", "still", "background"}
    assert record["train_clips"] == record["test_clips"] == 8

    overrides = ["+model=tsm", "+model/size@model=mini/tsm", f"model.checkpoint={files[0]}"]
    with initialize_config_dir(str(conf_dir), version_base="1.3"):
        classifier = instantiate(compose(overrides=overrides).model)
    assert classifier.checkpoint_digest == record["digest"]
    assert torch.equal(classifier.recognizer.cls_head.fc_cls.weight, one["cls_head.fc_cls.weight"])


def test_a_control_is_tested_on_itself_and_exports_nothing(few_clips, tmp_path):
    file = tmp_path / "none.safetensors"
    done = run(tmp_path / "run", few_clips, "control=background", f"export={file}")
    assert done.returncode == 0, done.stderr
    assert list(json.loads(done.stdout[done.stdout.index("{") :])["accuracy"]) == ["background"]
    assert not file.exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("control=backwards", "control = backwards is not one of None, shuffled, still, background"),
        ("model=tsn", "model=tsn does not exist; did you mean 'tsm'?"),
        ("model.input.frames=0", "model.input.frames = 0 is not a whole number"),
        ("epoch=3", "Could not override 'epoch'"),
        ("paths.data=/nowhere", "/nowhere"),
        ("export=weights.pth", "export"),
    ],
)
def test_a_mistake_is_one_line(override, message, few_clips, tmp_path):
    done = run(tmp_path / "run", few_clips, override)
    assert done.returncode == 1
    assert done.stderr.startswith("train: ")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
