"""`scripts/train.py`: from a composed config to weights and their record.

A control takes away what the class ought to be read from; a model trained and tested on it must be near
chance, or the class leaks from elsewhere. `shuffled`: the frames of each clip in random order. `still`: the
first frame of each clip alone. `background`: the mini clips drawn without their actors.
"""

import hashlib
import json
import shlex
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError

from vxbench.config import build
from vxbench.datasets.base import VideoDataset
from vxbench.device import check_device
from vxbench.errors import UserError, did_you_mean
from vxbench.models.checkpoints import load_body, locate
from vxbench.models.classifier import Classifier
from vxbench.models.fetch import obtain
from vxbench.ranges import above, one_of, whole, within
from vxbench.training.clips import RULES, SkippedClips, TestClips, TrainingClips, backgrounds, failing_workers, videos
from vxbench.training.fit import PRECISIONS, Fit, fit
from vxbench.training.outcome import accuracy, check_writable, export, versions

LICENCE = "Apache-2.0"
CONTROLS = ("shuffled", "still", "background")

# Keys that decide no weight: a run may be resumed with others.
NOT_DECISIVE = ("dataset.root", "dataset.cache", "model.display")


def train(cfg: DictConfig) -> dict[str, Any]:
    """Trains cfg.model on the training split, tests it, writes its weights to cfg.export; the record.

    With cfg.control the model is trained and tested on the control, and nothing is exported.

    Raises:
        UserError: the data or a setting is wrong, or a process that decodes fails.
        ClipError: a video is damaged.
        OSError: the weights cannot be written.
    """
    check_settings(cfg)
    path = export_path(cfg)
    if path:
        check_writable(path)
        print(f"the weights will be {path}", flush=True)
    torch.set_num_threads(cfg.threads)
    train_set, test_set = build(cfg, "dataset", split=cfg.train_split), build(cfg, "dataset")
    if train_set.classes != test_set.classes:
        raise UserError(f"dataset: the splits {cfg.train_split} and {cfg.dataset.split} have different classes")
    missing = {"train": leave_out_missing(train_set), "test": leave_out_missing(test_set)}
    keep_classes(train_set, cfg.train_classes)
    classifier = classifier_for(cfg, len(test_set.classes))
    left_out = {"train": SkippedClips(cfg.unreadable), "test": SkippedClips(cfg.unreadable)}
    seconds = _fitted(cfg, classifier, train_set, test_set, left_out)
    scores = {}
    for control in _tested_on(cfg):
        clips = evaluation_clips(cfg, test_set, control)
        scores[control or "test"] = _accuracy(cfg, classifier, clips, left_out["test"])
    unread = {split: clips.record() for split, clips in left_out.items()}
    record = _record(cfg, scores, seconds, train_set, test_set) | {"missing_clips": missing, "unreadable_clips": unread}
    print(json.dumps(record, indent=1), flush=True)
    if path:
        export(classifier, path, record)
    return record


def check_settings(cfg: DictConfig) -> None:
    """Refuses a wrong value before anything is built or read."""
    if (cfg.profile.name == "paper") != (cfg.scale.name == "paper"):
        raise UserError(
            f"scale = {cfg.scale.name} does not go with profile = {cfg.profile.name}: give the profile alone"
        )
    for control in _tested_on(cfg):
        one_of("control", control, (None, *CONTROLS))
    one_of("amp", cfg.amp, PRECISIONS)
    one_of("unreadable", cfg.unreadable, RULES)
    for key, value in (("threads", cfg.threads), *((f"recipe.{k}", cfg.recipe[k]) for k in ("epochs", "batch_size"))):
        whole(key, value, 1)
    whole("seed", cfg.seed, 0)
    whole("workers", cfg.workers, 0)
    above("timeout_s", cfg.timeout_s, 0)
    _check_trainable(cfg.recipe.trainable)
    within("recipe.label_smoothing", cfg.recipe.label_smoothing, 0, 1)
    if "background" in _tested_on(cfg) and cfg.dataset.labels != "ucf101_24":
        raise UserError(f"background is a control of the mini UCF101-24, not of {cfg.dataset.labels}")
    check_device(str(cfg.device))
    if cfg.amp == "fp16" and cfg.device == "cpu":
        raise UserError("amp = fp16 needs a GPU: set device=cuda, or amp=bf16")


def _check_trainable(parts: ListConfig | None) -> None:
    if parts is not None and not (isinstance(parts, ListConfig) and all(isinstance(part, str) for part in parts)):
        raise UserError(f"recipe.trainable = {parts} is not null or a list of parts of names, such as [{parts}]")


def export_path(cfg: DictConfig) -> Path | None:
    """Where the weights will be written; None for a control.

    Raises:
        UserError: no place is known for this model on this data set, or the file would not be safetensors.
    """
    if cfg.control:
        return None
    try:
        path = locate(cfg.export)
    except InterpolationKeyError as error:
        raise UserError(
            f"conf/model/size has no entry for {cfg.model.key} on the classes of {cfg.dataset.labels}; "
            "say where the weights go: export=<file>.safetensors"
        ) from error
    one_of("the ending of export", path.suffix, (".safetensors",))
    return path


def classifier_for(cfg: DictConfig, classes: int) -> Classifier:
    """The model for so many classes, on cfg.device: random weights, but for the body if cfg.init names a source."""
    cfg = cfg.copy()
    cfg.model.num_classes, cfg.model.checkpoint = classes, None
    classifier = build(cfg, "model", seed=cfg.seed)
    if cfg.init:
        start = cfg.weights.get(cfg.init, cfg.init)
        obtain(start, cfg.paths.mirror, cfg.download)
        load_body(classifier.recognizer, start, drawn_anew(cfg, classifier))
    return classifier.to(cfg.device)


def drawn_anew(cfg: DictConfig, classifier: Classifier) -> list[str]:
    """Names in the recognizer of what is not taken from cfg.init: the head, and the layers of cfg.init_without.

    Raises:
        UserError: init_without is no list, or names a layer that the model has not.
    """
    if not isinstance(cfg.init_without, ListConfig):
        raise UserError(f"init_without = {cfg.init_without} is not a list of layers, such as [{cfg.init_without}]")
    layers = dict(classifier.recognizer.named_modules())
    for name in cfg.init_without:
        if name not in layers:
            raise UserError(f"init_without: {cfg.model.key} has no layer {name}{did_you_mean(str(name), layers)}")
    return [*head_of(classifier), *cfg.init_without]


def head_of(classifier: Classifier) -> list[str]:
    """Names in the recognizer of the modules that the classes are read off: the first of the model's stages.

    Raises:
        UserError: the model's configuration names no stages.
    """
    if not classifier.stages:
        raise UserError("init keeps the head as it is, and model.stages names none: [{fc: [recognizer.<layer>]}, ...]")
    (names,) = classifier.stages[0].values()
    return [name.removeprefix("recognizer.") for name in names]


def keep_classes(dataset: VideoDataset, names: ListConfig) -> None:
    """Drops the clips of all classes but these, if any is named; labels stay as they are.

    Raises:
        UserError: names is no list, or one of them is no class of the data set or has no clip left.
    """
    if not isinstance(names, ListConfig):
        raise UserError(f"train_classes = {names} is not a list of classes; [] is all of them")
    for name in names:
        if name not in dataset.classes:
            raise UserError(f"train_classes: there is no class {name!r}{did_you_mean(str(name), dataset.classes)}")
        if dataset.classes.index(name) not in {ref.label for ref in dataset.clips}:
            raise UserError(f"train_classes: no clip of {name} is left of {dataset.selection}")
    if names:
        dataset.clips = [ref for ref in dataset.clips if dataset.classes[ref.label] in names]


def leave_out_missing(dataset: VideoDataset) -> int:
    """Drops the clips without a file, as Kinetics always has some; their number, which is said.

    Raises:
        UserError: none is left.
    """
    there = [ref for ref in dataset.clips if ref.path.exists()]
    missing = len(dataset.clips) - len(there)
    if not there:
        raise UserError(f"no clip of {dataset.selection} is on disk, such as {dataset.clips[0].path}; {dataset.source}")
    if missing:
        print(f"{missing} of {dataset.selection} are not on disk and left out")
    dataset.clips = there
    return missing


def evaluation_clips(
    cfg: DictConfig, dataset: VideoDataset, control: str | None = None, in_memory: bool = False
) -> TestClips:
    """What accuracy is measured on."""
    return TestClips(dataset.clips, _reader(cfg, dataset, control), dataset.pick, control, in_memory)


def settings(cfg: DictConfig) -> dict[str, Any]:
    """{dotted key: value} of all that decides the weights."""
    starts = ("train_split", "train_classes", "init", "init_without")
    keys = ("recipe", "dataset", *starts, "control", "amp", "seed", "workers")
    chosen = {key: cfg[key] for key in keys}
    chosen["model"] = {key: cfg.model[key] for key in cfg.model if key not in ("num_classes", "checkpoint")}
    return _flat(OmegaConf.to_container(OmegaConf.create(chosen, parent=cfg), resolve=True))


def data_settings(train_set: VideoDataset) -> dict[str, Any]:
    """What the weights depend on of the clips of training, beside the settings."""
    ids = hashlib.sha256("\n".join(ref.id for ref in train_set.clips).encode()).hexdigest()[:16]
    return {"data.digest": train_set.digest(), "data.clips": ids, "data.classes": len(train_set.classes)}


def _flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in node.items():
        key = f"{prefix}{name}"
        if key not in NOT_DECISIVE:
            flat |= _flat(value, f"{key}.") if isinstance(value, Mapping) else {key: value}
    return flat


def _fitted(
    cfg: DictConfig,
    classifier: Classifier,
    train_set: VideoDataset,
    test_set: VideoDataset,
    left_out: Mapping[str, SkippedClips],
) -> float:
    """Fits the classifier; the seconds it took."""
    recipe = OmegaConf.to_container(cfg.recipe, resolve=True)
    how = Fit(
        work_dir=Path(cfg.work_dir),
        **{key: recipe[key] for key in ("epochs", "batch_size", "optimizer", "param_scheduler", "label_smoothing")},
        trainable=tuple(recipe["trainable"] or ()),
        **{key: cfg[key] for key in ("amp", "workers", "timeout_s", "seed", "resume")},
        settings=settings(cfg) | data_settings(train_set),
    )
    validation = evaluation_clips(cfg, test_set, cfg.control, in_memory=cfg.in_memory)
    tracker = build(cfg, "tracker")
    tracker.start(Path(cfg.work_dir).name, how.settings)
    try:
        clips = _training_clips(cfg, train_set)
        scores = partial(_accuracy, cfg, classifier, validation, left_out["test"])
        return fit(classifier, clips, scores, how, tracker, left_out["train"])
    finally:
        tracker.finish()


def _accuracy(
    cfg: DictConfig, classifier: Classifier, clips: TestClips, left_out: SkippedClips
) -> dict[str, float | None]:
    with failing_workers():
        return accuracy(classifier, clips, cfg.recipe.batch_size, cfg.workers, cfg.timeout_s, left_out)


def _tested_on(cfg: DictConfig) -> tuple:
    """Its own control, or the test split as it is and under test_controls."""
    return (cfg.control,) if cfg.control else (None, *cfg.test_controls)


def _reader(cfg: DictConfig, dataset: VideoDataset, control: str | None):
    if control == "background":
        return backgrounds(dataset.spatial, cfg.dataset.root)
    return videos(dataset)


def _training_clips(cfg: DictConfig, dataset: VideoDataset) -> TrainingClips:
    read = _reader(cfg, dataset, cfg.control)
    augment = build(cfg, "recipe.augmentation")
    stand_in = cfg.unreadable == "leave_out"
    return TrainingClips(dataset.clips, read, dataset.pick, augment, cfg.control, cfg.in_memory, stand_in)


def licence(cfg: DictConfig) -> str:
    """Of the weights: as given, else that of the weights they start from, else vxbench's own."""
    if cfg.licence or not cfg.init:
        return cfg.licence or LICENCE
    entry = cfg.weights.get(cfg.init)
    return (entry and entry.get("licence")) or f"that of {entry.file if entry else cfg.init}"


def _record(
    cfg: DictConfig, scores: dict, seconds: float, train_set: VideoDataset, test_set: VideoDataset
) -> dict[str, Any]:
    """What a reader must know to trust the weights, or to make them again."""
    hydra = HydraConfig.get()
    return {
        "model": hydra.runtime.choices["model"],
        "dataset": hydra.runtime.choices["dataset"],
        "labels": cfg.dataset.labels,
        "scale": cfg.scale.name,
        "command": shlex.join(["python", "scripts/train.py", *hydra.overrides.task]),
        "control": cfg.control,
        "accuracy": scores,
        "train_classes": list(cfg.train_classes),
        "train_clips": len(train_set.clips),
        "test_clips": len(test_set.clips),
        "selection": test_set.selection,
        "data_digest": test_set.digest(),
        "recipe": OmegaConf.to_container(cfg.recipe, resolve=True),
        "init": cfg.init,
        "init_without": list(cfg.init_without),
        "amp": cfg.amp,
        "seed": cfg.seed,
        "device": cfg.device,
        "threads": cfg.threads,
        "wall_seconds": round(seconds),
        "versions": versions(),
        "licence": licence(cfg),
    }
