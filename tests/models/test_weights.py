"""The weights that ship with the project do what their record says."""

import json
from pathlib import Path

import pytest
from helpers.configs import composed
from helpers.paths import MINI, ROOT
from omegaconf import DictConfig, OmegaConf

from vxbench.config import build
from vxbench.datasets.mini.generate import Plan, is_complete
from vxbench.models.checkpoints import PACKAGED, WEIGHTS, digest, locate
from vxbench.training.outcome import accuracy
from vxbench.training.settings import Training
from vxbench.training.train import evaluation_clips, leave_out_missing

pytestmark = pytest.mark.slow

ENOUGH = 0.85
MOST_BYTES = 10 * 2**20  # of all weights
RECORDS = {path.stem: json.loads(path.read_text()) for path in sorted(WEIGHTS.glob("*.json"))}
MADE_BY = {"ucf101_24": "ucf101", "epic_object": "epic55", "epic_action": "epic55"}  # labels -> what is generated


@pytest.fixture(scope="module", params=RECORDS)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def record(name) -> dict:
    return RECORDS[name]


@pytest.fixture(scope="module")
def mini(made_once):
    """mini(part): a root with this part of the mini data; that of `make mini` if it is there, else made anew.

    A clip does not depend on how many others are made, so few training clips are. Only which of EPIC's clips are for
    testing hangs on how many there are.
    """

    def root(part: str) -> Path:
        few = {} if part == "epic55" else {"train_per_class": 1}
        return MINI if is_complete(MINI, Plan()) else made_once(f"tests_of_{part}", only=(part,), **few)

    return root


def config_of(record: dict, *overrides: str) -> DictConfig:
    return composed(f"model={record['model']}", f"dataset={record['dataset']}", *overrides, name="train")


@pytest.fixture(scope="module")
def cfg(record, mini) -> DictConfig:
    return config_of(record, f"paths.data={mini(MADE_BY.get(record['labels'], record['labels']))}")


@pytest.fixture(scope="module")
def measured(cfg, record) -> dict:
    """{control or test: (clips, {top1, top5})}"""
    classifier, dataset = build(cfg, "model"), build(cfg, "dataset")
    leave_out_missing(dataset)
    how = Training.of(cfg)
    clips = {what: evaluation_clips(how, dataset, None if what == "test" else what) for what in record["accuracy"]}
    return {what: (len(of), accuracy(classifier, of)) for what, of in clips.items()}


def test_accuracy_is_as_recorded(measured, record):
    for what, stated in record["accuracy"].items():
        count, found = measured[what]
        assert set(found) == set(stated)
        for key, value in stated.items():
            if value is None:  # top-5 of no more than 5 classes
                assert found[key] is None
                continue
            # one clip: another CPU rounds differently, which can tip a clip on the border between two classes
            assert abs(found[key] - value) <= 1 / count + 1e-9, (what, key)


def test_the_class_is_read_from_the_clip(measured):
    assert measured["test"][1]["top1"] >= ENOUGH


def test_without_order_or_actors_it_is_near_chance(measured, cfg):
    twice_chance = 2 / cfg.model.num_classes
    for what, (_, found) in measured.items():
        assert what == "test" or found["top1"] <= twice_chance, what


def test_the_record_belongs_to_the_file(name, record, cfg, measured):
    file = WEIGHTS / record["weights"]
    assert file.name == f"{name}.safetensors"
    assert digest(file) == record["digest"]
    assert locate(cfg.model.checkpoint.file) == file  # conf/model/size names it for this model and these classes
    assert record["test_clips"] == measured["test"][0]


def test_the_page_about_the_weights_gives_the_recorded_figures(record):
    page = (WEIGHTS / "README.md").read_text()
    row = next(line for line in page.splitlines() if record["weights"] in line)
    for scores in record["accuracy"].values():
        assert f"{100 * scores['top1']:.1f} %" in row
    assert record["digest"] in row
    assert record["data_digest"] in row
    assert f"| `{Path(record['weights']).stem}` |" in page  # its experiment


def test_every_file_has_a_record_and_all_are_small():
    files = list(WEIGHTS.glob("*.safetensors"))
    assert {file.stem for file in files} == set(RECORDS)
    assert sum(file.stat().st_size for file in files) <= MOST_BYTES


def test_every_packaged_file_that_the_configs_name_ships():
    sizes = [OmegaConf.load(path) for path in (ROOT / "conf/model/size/mini").glob("*.yaml")]
    named = {entry.file for size in sizes for entry in size.get("weights", {}).values()}
    assert named == {f"{PACKAGED}{name}.safetensors" for name in RECORDS}
    assert [file for file in named if not locate(file).is_file()] == []
