"""The weights that ship with the project do what their record says."""

import json

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from vxbench.datasets.ucf101_24 import UCF101_24
from vxbench.models import digest
from vxbench.models.checkpoints import WEIGHTS
from vxbench.models.train import accuracy
from vxbench.models.train_data import TestClips
from vxbench.models.train_readers import backgrounds, videos

ENOUGH = 0.90
TWICE_CHANCE = 2 / 8


@pytest.fixture(scope="module", params=["r2plus1d", "tsm"])
def model(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def classifier(model, conf_dir):
    with initialize_config_dir(str(conf_dir), version_base="1.3"):
        return instantiate(compose(overrides=[f"+model={model}", f"+model/size@model=mini/{model}"]).model)


@pytest.fixture(scope="module")
def record(model) -> dict:
    return json.loads((WEIGHTS / f"mini_{model}.json").read_text())


@pytest.fixture(scope="module")
def split(mini_test_split):
    return UCF101_24(mini_test_split, frames=8, height=64, width=64)


@pytest.fixture(scope="module")
def clips(split, mini_test_split) -> dict:
    def of(read, control=None):
        return TestClips(split.clips, read, "centre", 8, control)

    filmed = videos(split.spatial, split.decoder)
    return {
        "test": of(filmed),
        "shuffled": of(filmed, "shuffled"),
        "still": of(filmed, "still"),
        "background": of(backgrounds(split.spatial, mini_test_split)),
    }


@pytest.mark.parametrize("what", ["test", "shuffled", "still", "background"])
def test_accuracy_is_as_recorded(what, classifier, clips, record):
    measured = accuracy(classifier, clips[what].clips, clips[what].labels)
    # one clip: another CPU rounds differently, which can tip a clip on the border between two classes
    assert abs(measured - record["accuracy"][what]) <= 1 / len(clips[what]) + 1e-9


def test_the_class_is_read_from_the_clip(classifier, clips):
    assert accuracy(classifier, clips["test"].clips, clips["test"].labels) >= ENOUGH


@pytest.mark.parametrize("control", ["shuffled", "still", "background"])
def test_without_order_or_actors_it_is_near_chance(control, classifier, clips):
    assert accuracy(classifier, clips[control].clips, clips[control].labels) <= TWICE_CHANCE


def test_the_record_belongs_to_the_file(model, record, classifier):
    file = WEIGHTS / f"mini_{model}.safetensors"
    assert digest(file) == record["digest"] == classifier.checkpoint_digest
    assert file.stat().st_size <= 2 * 2**20


def test_the_page_about_the_weights_gives_the_recorded_figures(model, record):
    page = (WEIGHTS / "README.md").read_text()
    row = next(line for line in page.splitlines() if f"mini_{model}.safetensors" in line)
    for figure in (*record["accuracy"].values(),):
        assert f"{100 * figure:.1f} %" in row
    for fact in (record["command"], record["digest"], record["data_digest"]):
        assert fact in page
