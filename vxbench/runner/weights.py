"""Finds the weights that a cell runs with."""

from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationKeyError

from vxbench.errors import UserError
from vxbench.models.checkpoints import RANDOM, Checkpoint, digest
from vxbench.models.fetch import obtain
from vxbench.ranges import one_of, whole

UNORDERED = ("3d_resnets",)  # formats whose networks number Kinetics' classes otherwise than alphabetically


def weights_file(config: DictConfig, fetch: bool = True) -> Path | None:
    """The checkpoint of the model on this data set's classes; None for random weights.

    An absent one is taken from `paths.mirror`, and with `download` from the network, see `vxbench.models.fetch`; with
    fetch=False from neither.

    Raises:
        UserError: none is known for them, it cannot be had, or it is not the published one.
    """
    checkpoint = chosen(config)
    if checkpoint is None:
        return None
    if isinstance(checkpoint, Mapping):
        check_entry(config, checkpoint)
    mirror, download = (config.paths.mirror, may_download(config)) if fetch else (None, False)
    return obtain(checkpoint, mirror, download, RANDOM)


def may_download(config: DictConfig) -> bool:
    """The key `download`: whether checkpoints may be fetched over the network."""
    return one_of("download", config.download, (False, True))


def chosen(config: DictConfig) -> str | DictConfig | None:
    """What model.checkpoint is: a file, an entry of `weights`, or None.

    Raises:
        UserError: `weights` has no entry for the model on the data set's classes, or the model lacks a value.
    """
    if "labels" not in config.dataset:
        raise UserError("dataset.labels is missing: the name of the class list that labels and outputs index")
    if missing := _missing(config.model):
        raise UserError(f"give {' '.join(missing)}; conf/model/{config.model.key}.yaml says more")
    try:
        if "???" not in (config.model.num_classes, config.model.checkpoint):
            return config.model.checkpoint
    except InterpolationKeyError:  # of the number of classes
        pass
    known = ", ".join(config.weights) or "none"
    raise UserError(
        f"{config.model.key} has no weights for the classes of {config.dataset.labels} (known: {known}); "
        "give model.checkpoint=<file> or null, and model.num_classes=<number>"
    )


def _missing(model: DictConfig) -> list[str]:
    """What a network of the user's own must be given and is not."""
    given = OmegaConf.to_container(model, resolve=False)
    target, classes = (given.get("network") or {}).get("_target_"), given["num_classes"]
    wanted = {"model.network._target_=<module.Class>": target, "model.num_classes=<number>": classes}
    return [words for words, value in wanted.items() if value == "???"]


def weights_digest(config: DictConfig, fetch: bool = True) -> str:
    """Digest of the checkpoint, or which random weights are used: `random-<seed>`.

    fetch: false never asks a mirror or the network for an absent checkpoint.

    Raises:
        UserError: as weights_file.
    """
    path = weights_file(config, fetch)
    return f"random-{config.model.seed}" if path is None else digest(path)


def check_entry(config: DictConfig, entry: Mapping) -> None:
    """Checks an entry against model and data set, before its file is fetched and read.

    Raises:
        UserError: it is for another number of classes, or nothing says how it numbers them.
    """
    checkpoint, classes = Checkpoint.of(entry), whole("model.num_classes", config.model.num_classes, 1)
    if checkpoint.num_classes not in (None, classes):
        raise UserError(
            f"checkpoint {checkpoint.path} holds {checkpoint.num_classes} classes, but model.num_classes = {classes}"
        )
    if checkpoint.format in UNORDERED and not checkpoint.class_order and _order_by_default(config):
        raise UserError(
            f"checkpoint {checkpoint.path}: networks of {checkpoint.format} do not number classes alphabetically; give "
            "class_order: train_csv in the entry, or dataset.class_order=..., and train.csv of the release they know"
        )


def _order_by_default(config: DictConfig) -> bool:
    """Whether the data set knows several numberings, and what stands there is what follows from the checkpoint."""
    given = OmegaConf.to_container(config.dataset, resolve=False).get("class_order")
    return isinstance(given, str) and given.startswith("${")
