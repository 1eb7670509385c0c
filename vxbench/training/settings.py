"""Reads conf/train.yaml: what a training is asked for, as checked values, and the parts it is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError

from vxbench.device import check_device
from vxbench.errors import UserError
from vxbench.models.checkpoints import locate
from vxbench.ranges import above, one_of, whole, within
from vxbench.runner.assemble import Assembled
from vxbench.training.clips import RULES
from vxbench.training.fit import PRECISIONS

LICENCE = "Apache-2.0"
CONTROLS = ("shuffled", "still", "background")

# Keys that decide no weight: a run may be resumed with others.
NOT_DECISIVE = ("dataset.root", "dataset.cache", "model.display")
STARTS = ("train_split", "train_classes", "init", "init_without")


@dataclass(frozen=True)
class Training:
    """What conf/train.yaml says of one training; its comments say what each key means.

    parts: of the cell that its model, data set and tracker make. splits: of the data set, trained and tested on.
    start: the weights to start from, an entry of conf/model/size or a file, None for random ones; init is its name.
    decisive: {dotted key: value} of all that decides the weights.
    """

    parts: Assembled
    recipe: dict[str, Any]
    splits: tuple[str, str]
    classes: list[str]
    init: str | None
    start: str | Mapping[str, Any] | None
    init_without: list[str]
    licence: str
    control: str | None
    tested_on: tuple[str | None, ...]
    in_memory: bool
    workers: int
    timeout_s: float
    unreadable: str
    seed: int
    threads: int
    amp: str | bool
    root: str
    resume: bool
    download: bool
    mirror: str | None
    scale: str
    decisive: dict[str, Any]

    @classmethod
    def of(cls, cfg: DictConfig) -> "Training":
        """Reads and checks a composed conf/train.yaml; its Hydra node, if any, names the options chosen.

        Raises:
            UserError: a value that makes no sense, by itself or beside another.
        """
        tested_on = (cfg.control,) if cfg.control else (None, *cfg.test_controls)
        _check(cfg, tested_on)
        start = cfg.weights.get(cfg.init, cfg.init) if cfg.init else None
        start = OmegaConf.to_container(start, resolve=True) if OmegaConf.is_config(start) else start
        plain = {key: cfg[key] for key in ("init", "control", "in_memory", "unreadable", "amp", "resume", "download")}
        return cls(
            parts=Assembled(cfg),
            recipe=OmegaConf.to_container(cfg.recipe, resolve=True),
            splits=(cfg.train_split, cfg.dataset.split),
            classes=_list("train_classes", cfg.train_classes, "classes; [] is all of them"),
            start=start,
            init_without=_list("init_without", cfg.init_without, f"layers, such as [{cfg.init_without}]"),
            licence=_licence(cfg, start),
            tested_on=tested_on,
            **plain,
            workers=whole("workers", cfg.workers, 0),
            timeout_s=above("timeout_s", cfg.timeout_s, 0),
            seed=whole("seed", cfg.seed, 0),
            threads=whole("threads", cfg.threads, 1),
            root=cfg.dataset.root,
            mirror=cfg.paths.mirror,
            scale=cfg.scale.name,
            decisive=_decisive(cfg),
        )

    @property
    def device(self) -> str:
        return self.parts.device


def export_path(cfg: DictConfig) -> Path | None:
    """Path that the weights will be written to; None for a control.

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


def _check(cfg: DictConfig, tested_on: tuple[str | None, ...]) -> None:
    """Refuses values that do not go together, or that the recipe cannot have."""
    if (cfg.profile.name == "paper") != (cfg.scale.name == "paper"):
        raise UserError(
            f"scale = {cfg.scale.name} does not go with profile = {cfg.profile.name}: give the profile alone"
        )
    for control in tested_on:
        one_of("control", control, (None, *CONTROLS))
    one_of("amp", cfg.amp, PRECISIONS)
    one_of("unreadable", cfg.unreadable, RULES)
    for key in ("epochs", "batch_size"):
        whole(f"recipe.{key}", cfg.recipe[key], 1)
    _check_trainable(cfg.recipe.trainable)
    within("recipe.label_smoothing", cfg.recipe.label_smoothing, 0, 1)
    if "background" in tested_on and cfg.dataset.labels != "ucf101_24":
        raise UserError(f"background is a control of the mini UCF101-24, not of {cfg.dataset.labels}")
    check_device(str(cfg.device))
    if cfg.amp == "fp16" and cfg.device == "cpu":
        raise UserError("amp = fp16 needs a GPU: set device=cuda, or amp=bf16")


def _check_trainable(parts: ListConfig | None) -> None:
    if parts is not None and not (isinstance(parts, ListConfig) and all(isinstance(part, str) for part in parts)):
        raise UserError(f"recipe.trainable = {parts} is not null or a list of parts of names, such as [{parts}]")


def _list(key: str, value: Any, wanted: str) -> list[str]:
    """A list of the config as Python's own.

    Raises:
        UserError: it is no list.
    """
    if not isinstance(value, ListConfig):
        raise UserError(f"{key} = {value} is not a list of {wanted}")
    return list(value)


def _licence(cfg: DictConfig, start: Any) -> str:
    """The weights' licence: as given, else that of the weights they start from, else vxbench's own."""
    if cfg.licence or not cfg.init:
        return cfg.licence or LICENCE
    entry = start if isinstance(start, Mapping) else None
    return (entry and entry.get("licence")) or f"that of {entry['file'] if entry else cfg.init}"


def _decisive(cfg: DictConfig) -> dict[str, Any]:
    chosen = {key: cfg[key] for key in ("recipe", "dataset", *STARTS, "control", "amp", "seed", "workers")}
    chosen["model"] = {key: cfg.model[key] for key in cfg.model if key not in ("num_classes", "checkpoint")}
    return _flat(OmegaConf.to_container(OmegaConf.create(chosen, parent=cfg), resolve=True))


def _flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in node.items():
        key = f"{prefix}{name}"
        if key not in NOT_DECISIVE:
            flat |= _flat(value, f"{key}.") if isinstance(value, Mapping) else {key: value}
    return flat
