"""conf/train.yaml: every model with every data set and recipe, and what its keys say of each other."""

import json
import re
import shlex
from functools import partial

import pytest
from helpers import configs
from helpers.paths import ROOT
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError
from safetensors.torch import load_file

from vxbench.config import build, options
from vxbench.datasets.base import ClipRef
from vxbench.errors import UserError
from vxbench.models.checkpoints import WEIGHTS, locate
from vxbench.training import shipped
from vxbench.training.augment import Augmentation
from vxbench.training.fit import Fit
from vxbench.training.settings import Training, export_path
from vxbench.training.train import classifier_for, data_settings, keep_classes

MODELS, DATASETS, RECIPES = options("model"), options("dataset"), options("recipe")
RECORDS = {path.stem: json.loads(path.read_text()) for path in sorted(WEIGHTS.glob("*.json"))}
STAGES = [f"mini_vgg16lstm_epic_action{stage}" for stage in ("_square", "_wide", "_sideways", "")]
OWN = ["model.network._target_=torch.nn.Identity"]


@pytest.fixture(scope="module")
def composed():
    """composed(*overrides): conf/train.yaml."""
    return partial(configs.composed, name="train")


def resolved(node: DictConfig) -> dict:
    return OmegaConf.to_container(node, resolve=True, throw_on_missing=True)


@pytest.fixture(scope="module", params=["mini", "paper"])
def profile(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def datasets(profile, composed) -> dict[str, DictConfig]:
    """{name: its node}: groups do not hang on one another, so each is composed once and put beside every model."""
    return {name: composed(f"profile={profile}", f"dataset={name}").dataset for name in DATASETS}


@pytest.mark.parametrize("model", MODELS)
def test_every_model_composes_with_every_data_set(profile, model, datasets, composed):
    cfg = composed(f"profile={profile}", f"model={model}", *(OWN if model == "custom" else ()))
    for dataset in datasets.values():
        cfg.dataset = dataset
        given = resolved(cfg.dataset)
        assert given["frames"] == cfg.model.input.frames
        assert given.get("per_class") is None  # training takes all there are
        assert Training.of(cfg).decisive["dataset.labels"] == given["labels"]
        assert cfg.scale.name == profile
        entry = cfg.weights.get(cfg.dataset.labels, {})
        if entry.get("file", "").endswith(".safetensors"):
            assert export_path(cfg) == locate(entry.file)
        else:  # no weights are known, or they are a published file
            with pytest.raises(UserError, match="export"):
                export_path(cfg)


def test_a_pair_without_an_entry_asks_for_a_file_in_one_line(composed):
    cfg = composed("model=tsm", "dataset=kinetics700")
    with pytest.raises(InterpolationKeyError):
        _ = cfg.export
    with pytest.raises(UserError, match=r"no entry for tsm on the classes of kinetics700.*export=<file>") as error:
        export_path(cfg)
    assert "\n" not in str(error.value)
    given = composed("model=tsm", "dataset=kinetics700", "export=here.safetensors")
    assert export_path(given).name == "here.safetensors"


def test_the_data_set_gives_the_number_of_classes(composed):
    classifier = classifier_for(Training.of(composed("model=tsm", "dataset=kinetics700")), classes=7)
    assert classifier.num_classes == 7
    assert classifier.checkpoint is None


def test_a_body_is_taken_from_an_entry_of_the_weights(composed):
    plain = classifier_for(Training.of(composed("model=tsm")), classes=8).recognizer.state_dict()
    for init in ("ucf101_24", "pkg:mini_tsm.safetensors"):
        begun = classifier_for(Training.of(composed("model=tsm", f"init={init}")), classes=8).recognizer.state_dict()
        same = {name for name in plain if plain[name].equal(begun[name]) and plain[name].ndim > 1}
        assert same == {"cls_head.fc_cls.weight"}


VGG16LSTM_ON = {"ucf101_24": (64, 64), "epic_object": (64, 64), "epic_action": (64, 112)}

WIDER = ("model=vgg16lstm", "init=ucf101_24", "model.input.width=96")


def test_a_layer_of_another_shape_is_drawn_anew(composed):
    begun = classifier_for(Training.of(composed(*WIDER, "init_without=[fc6,lstm]")), classes=8).recognizer.state_dict()
    there = load_file(locate("pkg:mini_vgg16lstm_ucf101_24.safetensors"))
    differ = {name for name in begun if begun[name].shape != there[name].shape or not begun[name].equal(there[name])}
    assert {name.split(".")[0] for name in differ} == {"fc6", "lstm", "fc8"}


def test_a_layer_of_another_shape_is_refused_if_it_is_not_named(composed):
    with pytest.raises(UserError, match=r"fc6\.weight"):
        classifier_for(Training.of(composed(*WIDER)), classes=8)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("[fc66]", r"init_without: vgg16lstm has no layer fc66.* fc6"),
        ("fc6", r"init_without = fc6 is not a list of layers, such as \[fc6\]"),
    ],
)
def test_layers_to_leave_out_that_make_no_sense_are_one_line(composed, layers, message):
    with pytest.raises(UserError, match=message) as error:
        classifier_for(Training.of(composed("model=vgg16lstm", "init=ucf101_24", f"init_without={layers}")), classes=8)
    assert "\n" not in str(error.value)


def test_clips_are_as_wide_as_the_weights_want_them(composed):
    shapes = {labels: composed("model=vgg16lstm", f"dataset={labels}").dataset for labels in VGG16LSTM_ON}
    assert {labels: (data.height, data.width) for labels, data in shapes.items()} == VGG16LSTM_ON


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_whole(name, composed, tmp_path):
    cfg = composed(f"recipe={name}")
    recipe = resolved(cfg.recipe)
    assert recipe["name"] == name
    assert isinstance(build(cfg, "recipe.augmentation"), Augmentation)
    keys = ("epochs", "batch_size", "optimizer", "param_scheduler", "label_smoothing")
    Fit(tmp_path, **{key: recipe[key] for key in keys})


def test_step_s_recipe_is_the_paper_s(composed):
    recipe = resolved(composed("recipe=step").recipe)
    assert (recipe["epochs"], recipe["optimizer"]["lr"]) == (40, 1e-4)
    assert resolved(composed("recipe=step_epic").recipe)["optimizer"] == {"type": "SGD", "lr": 1e-2, "momentum": 0.9}
    model = resolved(composed("profile=paper", "model=r2plus1d", "dataset=epic_object").model.input)
    assert model["frames"] == 16


def without_module(recipe: dict) -> dict:
    """The recipe with the class of its augmentation alone, which has been in another module."""
    augmentation = recipe["augmentation"]
    return recipe | {"augmentation": augmentation | {"_target_": augmentation["_target_"].rpartition(".")[2]}}


@pytest.mark.parametrize("name", RECORDS)
def test_an_experiment_is_the_training_that_the_record_of_its_weights_tells(name, composed):
    record = RECORDS[name]
    experiment = composed(f"+experiment={name}")
    recorded = composed(*shlex.split(record["command"])[2:])
    assert OmegaConf.to_container(experiment) == OmegaConf.to_container(recorded)
    assert (experiment.model.key, experiment.dataset.labels) == (record["model"], record["labels"])
    assert (experiment.seed, experiment.threads) == (record["seed"], record["threads"])
    assert export_path(experiment) == WEIGHTS / record["weights"]
    if "recipe" in record:
        assert without_module(resolved(experiment.recipe)) == without_module(record["recipe"])


def test_every_experiment_makes_weights_that_ship_or_is_a_stage_towards_them():
    assert set(options("experiment")) == {*RECORDS, *STAGES}


def test_a_stage_starts_from_the_weights_of_the_one_before(composed):
    stages = [composed(f"+experiment={name}") for name in STAGES]
    assert [stage.init for stage in stages] == ["ucf101_24", *(stage.export for stage in stages[:-1])]
    assert len({stage.work_dir for stage in stages[:-1]}) == 3


def test_make_train_mini_makes_every_experiment_after_those_it_starts_from():
    text = (ROOT / "Makefile").read_text().replace("\\\n", "")
    order = re.search(r"^EXPERIMENTS := (.*)$", text, re.MULTILINE)[1].split()
    assert sorted(order) == options("experiment")
    chain = ["mini_vgg16lstm_epic_object", "mini_vgg16lstm_ucf101_24", *STAGES]
    assert [name for name in order if name in chain] == chain


def test_the_page_on_the_weights_is_what_records_and_experiments_make():
    written = shipped.PAGE.read_text(encoding="utf-8")
    assert shipped.page(written) == written, "say make docs"


def test_a_page_without_a_place_for_a_table_is_one_line():
    with pytest.raises(UserError, match=r"no place for the table of weights") as error:
        shipped.page("# Weights")
    assert "\n" not in str(error.value)


def test_mini_clips_are_not_mirrored(composed):
    assert not composed("recipe=mini").recipe.augmentation.flip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("amp=fp16", "amp = fp16 needs a GPU"),
        ("amp=fp8", "amp = fp8 is not one of False, fp16, bf16"),
        ("device=gpu", "device = gpu"),
        ("recipe.epochs=0", "recipe.epochs = 0"),
        ("recipe.label_smoothing=2", "recipe.label_smoothing = 2"),
        ("workers=-1", "workers = -1"),
        ("timeout_s=0", "timeout_s = 0"),
        ("unreadable=ignore", "unreadable = ignore is not one of refuse, leave_out"),
        ("recipe.trainable=fc", r"recipe.trainable = fc is not null or a list .*\[fc\]"),
        ("recipe.trainable=[1]", "recipe.trainable = "),
        ("recipe.trainable={fc:1}", "recipe.trainable = "),
        ("test_controls=[backwards]", "control = backwards is not one of None, shuffled, still, background"),
        ("dataset=ucf101 control=background", "background is a control of the mini UCF101-24, not of ucf101"),
        ("scale=paper", "scale = paper does not go with profile = mini"),
    ],
)
def test_a_wrong_setting_is_refused_at_once(change, message, composed):
    with pytest.raises(UserError, match=message):
        Training.of(composed(*change.split()))


def test_what_decides_no_weight_does_not_hinder_resuming(composed):
    plain = Training.of(composed()).decisive
    free = ("paths.cache=elsewhere", "model.display=X", "resume=true", "unreadable=leave_out", "timeout_s=1")
    assert Training.of(composed(*free)).decisive == plain
    for change in (
        "workers=3",
        "+model.overrides.cache=1",
        "seed=1",
        "recipe.optimizer.lr=1",
        "model.input.frames=4",
        "dataset.seed=3",
        "control=still",
        "train_classes=[Diving]",
    ):
        assert Training.of(composed(change)).decisive != plain, change


class Listed:
    """What `data_settings` and `keep_classes` need of a data set. labels: of the clips, 0 where there are no more."""

    selection = "all clips"

    def __init__(self, ids, classes, digest="", labels=()):
        labels = [*labels, *[0] * (len(ids) - len(labels))]
        self.clips = [ClipRef(name, "nowhere", label) for name, label in zip(ids, labels, strict=True)]
        self.classes, self.digest = classes, lambda: digest


def test_other_clips_classes_or_annotation_hinder_resuming():
    plain = data_settings(Listed(["a/1", "a/2"], ["a"], "x"))
    assert plain == data_settings(Listed(["a/1", "a/2"], ["a"], "x"))
    for other in (["a/1"], ["a"], "x"), (["a/1", "a/2"], ["a", "b"], "x"), (["a/1", "a/2"], ["a"], "y"):
        assert data_settings(Listed(*other)) != plain


@pytest.mark.parametrize(
    ("names", "kept"),
    [("[]", "abcd"), ("[pull]", "bd"), ("[pull,lift]", "abd"), ("[push,pull,lift]", "abcd")],
)
def test_some_classes_alone_are_trained_on(names, kept, composed):
    dataset = Listed("abcd", ["lift", "pull", "push"], labels=[0, 1, 2, 1])
    keep_classes(dataset, Training.of(composed(f"train_classes={names}")).classes)
    assert [ref.id for ref in dataset.clips] == list(kept)
    assert dataset.classes == ["lift", "pull", "push"]  # so the labels mean the same


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("[pul]", r"train_classes: there is no class 'pul'; did you mean pull, push\?$"),
        ("[1]", "there is no class 1; there are lift, pull, push$"),
        ("['']", "there is no class ''; there are lift, pull, push$"),
        ("pull", "train_classes = pull is not a list of classes"),
        ("null", r"train_classes = None is not a list of classes; \[\] is all of them$"),
        ("[lift,push]", "train_classes: no clip of push is left of all clips"),
    ],
)
def test_classes_to_train_on_that_make_no_sense_are_one_line(names, message, composed):
    with pytest.raises(UserError, match=message) as error:
        keep_classes(Listed("ab", ["lift", "pull", "push"]), Training.of(composed(f"train_classes={names}")).classes)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ((), "Apache-2.0"),
        (("init=somewhere.pth",), "that of somewhere.pth"),
        (("init=ucf101_24",), "that of pkg:mini_tsm.safetensors"),
        (("init=ucf101_24", "+weights.ucf101_24.licence=CC-BY"), "CC-BY"),
        (("init=somewhere.pth", "licence=MIT"), "MIT"),
    ],
)
def test_the_licence_is_that_of_the_weights_to_start_from(overrides, expected, composed):
    assert Training.of(composed("model=tsm", *overrides)).licence == expected
