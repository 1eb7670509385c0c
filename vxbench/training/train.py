"""Trains a model on a data set: from the settings of conf/train.yaml to weights and their record.

A control takes away what the class ought to be read from; a model trained and tested on it must be near
chance, or the class leaks from elsewhere. `shuffled`: the frames of each clip in random order. `still`: the
first frame of each clip alone. `background`: the mini clips drawn without their actors.
"""

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vxbench.datasets.base import VideoDataset
from vxbench.errors import UserError, did_you_mean
from vxbench.files import check_writable
from vxbench.models.checkpoints import load_body
from vxbench.models.classifier import Classifier
from vxbench.models.fetch import obtain
from vxbench.training.clips import SkippedClips, TestClips, TrainingClips, backgrounds, failing_workers, videos
from vxbench.training.fit import Fit, fit
from vxbench.training.outcome import accuracy, export, versions
from vxbench.training.resume import STATE
from vxbench.training.settings import Training, export_path


def train(cfg: DictConfig) -> dict[str, Any]:
    """Trains cfg.model on the training split, tests it, writes its weights to cfg.export; the record.

    With cfg.control the model is trained and tested on the control, and nothing is exported.

    Raises:
        UserError: the data or a setting is wrong, or a process that decodes fails.
        ClipError: a video is damaged.
        OSError: the weights cannot be written.
    """
    how, path = Training.of(cfg), export_path(cfg)
    if path:
        check_writable("export", path, path.with_suffix(".json"))
        print(f"the weights will be {path}", flush=True)
    check_writable("work_dir", Path(cfg.work_dir) / STATE)
    torch.set_num_threads(how.threads)
    train_set, test_set = map(how.parts.split, how.splits)
    if train_set.classes != test_set.classes:
        raise UserError(f"dataset: the splits {how.splits[0]} and {how.splits[1]} have different classes")
    missing = {"train": leave_out_missing(train_set), "test": leave_out_missing(test_set)}
    keep_classes(train_set, how.classes)
    classifier = classifier_for(how, len(test_set.classes))
    left_out = {"train": SkippedClips(how.unreadable), "test": SkippedClips(how.unreadable)}
    seconds = _fitted(how, Path(cfg.work_dir), classifier, train_set, test_set, left_out)
    scores = {}
    for control in how.tested_on:
        clips = evaluation_clips(how, test_set, control)
        scores[control or "test"] = _accuracy(how, classifier, clips, left_out["test"])
    unread = {split: clips.record() for split, clips in left_out.items()}
    record = _record(how, scores, seconds, train_set, test_set) | {"missing_clips": missing, "unreadable_clips": unread}
    print(json.dumps(record, indent=1), flush=True)
    if path:
        export(classifier, path, record)
    return record


def classifier_for(how: Training, classes: int) -> Classifier:
    """The model for so many classes, on its device: random weights, or the body of those to start from."""
    classifier = how.parts.with_random_weights(classes).build("model", seed=how.seed)
    if how.start:
        obtain(how.start, how.mirror, how.download)
        load_body(classifier.recognizer, how.start, drawn_anew(how, classifier))
    return classifier.to(how.device)


def drawn_anew(how: Training, classifier: Classifier) -> list[str]:
    """Names in the recognizer of what is not taken from the start: the head, and the layers of init_without.

    Raises:
        UserError: init_without names a layer that the model has not.
    """
    layers = dict(classifier.recognizer.named_modules())
    for name in how.init_without:
        if name not in layers:
            raise UserError(f"init_without: {how.parts.model} has no layer {name}{did_you_mean(str(name), layers)}")
    return [*head_of(classifier), *how.init_without]


def head_of(classifier: Classifier) -> list[str]:
    """Names in the recognizer of the modules that the classes are read off: the first of the model's stages.

    Raises:
        UserError: the model's configuration names no stages.
    """
    if not classifier.stages:
        raise UserError("init keeps the head as it is, and model.stages names none: [{fc: [recognizer.<layer>]}, ...]")
    (names,) = classifier.stages[0].values()
    return [name.removeprefix("recognizer.") for name in names]


def keep_classes(dataset: VideoDataset, names: Sequence[str]) -> None:
    """Drops the clips of all classes but these, if any is named; labels stay as they are.

    Raises:
        UserError: one of them is no class of the data set, or has no clip left.
    """
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
    how: Training, dataset: VideoDataset, control: str | None = None, in_memory: bool = False
) -> TestClips:
    """What accuracy is measured on."""
    return TestClips(dataset.clips, _reader(how, dataset, control), dataset.pick, control, in_memory)


def data_settings(train_set: VideoDataset) -> dict[str, Any]:
    """What the weights depend on of the clips of training, beside the settings."""
    ids = hashlib.sha256("\n".join(ref.id for ref in train_set.clips).encode()).hexdigest()[:16]
    return {"data.digest": train_set.digest(), "data.clips": ids, "data.classes": len(train_set.classes)}


def _fitted(
    how: Training,
    work_dir: Path,
    classifier: Classifier,
    train_set: VideoDataset,
    test_set: VideoDataset,
    left_out: Mapping[str, SkippedClips],
) -> float:
    """Fits the classifier; the seconds it took."""
    recipe = how.recipe
    fitting = Fit(
        work_dir=work_dir,
        **{key: recipe[key] for key in ("epochs", "batch_size", "optimizer", "param_scheduler", "label_smoothing")},
        trainable=tuple(recipe["trainable"] or ()),
        **{key: getattr(how, key) for key in ("amp", "workers", "timeout_s", "seed", "resume")},
        settings=how.decisive | data_settings(train_set),
    )
    validation = evaluation_clips(how, test_set, how.control, in_memory=how.in_memory)
    tracker = how.parts.build("tracker")
    tracker.start(work_dir.name, fitting.settings)
    try:
        clips = _training_clips(how, train_set)
        scores = partial(_accuracy, how, classifier, validation, left_out["test"])
        return fit(classifier, clips, scores, fitting, tracker, left_out["train"])
    finally:
        tracker.finish()


def _accuracy(
    how: Training, classifier: Classifier, clips: TestClips, left_out: SkippedClips
) -> dict[str, float | None]:
    with failing_workers():
        return accuracy(classifier, clips, how.recipe["batch_size"], how.workers, how.timeout_s, left_out)


def _reader(how: Training, dataset: VideoDataset, control: str | None):
    return backgrounds(dataset.spatial, how.root) if control == "background" else videos(dataset)


def _training_clips(how: Training, dataset: VideoDataset) -> TrainingClips:
    read, augment = _reader(how, dataset, how.control), how.parts.build("recipe.augmentation")
    stand_in = how.unreadable == "leave_out"
    return TrainingClips(dataset.clips, read, dataset.pick, augment, how.control, how.in_memory, stand_in)


def _record(
    how: Training, scores: dict, seconds: float, train_set: VideoDataset, test_set: VideoDataset
) -> dict[str, Any]:
    """What a reader must know to trust the weights, or to make them again."""
    hydra = HydraConfig.get()
    return {
        "model": hydra.runtime.choices["model"],
        "dataset": hydra.runtime.choices["dataset"],
        "labels": how.parts.labels,
        "scale": how.scale,
        "command": shlex.join(["vxbench", "train", *hydra.overrides.task]),
        "control": how.control,
        "accuracy": scores,
        "train_classes": how.classes,
        "train_clips": len(train_set.clips),
        "test_clips": len(test_set.clips),
        "selection": test_set.selection,
        "data_digest": test_set.digest(),
        "recipe": how.recipe,
        "init": how.init,
        "init_without": how.init_without,
        "amp": how.amp,
        "seed": how.seed,
        "device": how.device,
        "threads": how.threads,
        "wall_seconds": round(seconds),
        "versions": versions(),
        "licence": how.licence,
    }
