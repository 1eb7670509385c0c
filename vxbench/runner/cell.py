"""Names a cell, one model x data set x explainer, by a hash of exactly what decides its numbers."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vxbench.files import fitted

MATHS_VERSION = 3  # raise it when a change of code changes numbers: all cells are then computed anew

# Keys left out of the hash, `*` for any one name: they do not change results except by rounding, or another key already
# covers them: the weights' digest or seed, model.cam_layer for the layer of CAM methods, the sanity check's own stages.
NOT_IN_HASH = [
    tuple(path.split("."))
    for path in (
        "dataset.root",
        "dataset.cache",
        "model.display",
        "model.checkpoint",
        "model.seed",
        "model.cam_at",
        "model.cam_layers",
        "model.stages",
        "explainer.chunk",
        "metric.*.chunk",
        "metric.*.explainer.chunk",
    )
]


@dataclass(frozen=True)
class Cell:
    """A cell's names, and the identity that its hash is taken of.

    id: "<model>-<dataset>-<explainer>-<12 hex digits>", its names cut where it would not fit a folder's.
    """

    model: str
    dataset: str
    explainer: str
    identity: dict[str, Any]

    @property
    def id(self) -> str:
        text = json.dumps(self.identity, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return fitted(f"{self.model}-{self.dataset}-{self.explainer}", f"-{digest}")


def cell_of(
    config: DictConfig,
    choices: dict[str, str],
    weights: str,
    data: str,
    machine: dict | None = None,
    code: dict[str, str] | None = None,
) -> Cell:
    """The cell a composed config describes.

    choices: the group options chosen, for the names; a model is named by its key, so that variants of one model take
    its place in a table. weights, data: digests of the checkpoint and of the annotation,
    so that retrained weights or other data make another cell. machine: the hardware, where time is measured. code:
    digests of classes that are not of the released vxbench.
    """
    parts = {name: _resolved(config[name], name) for name in ("model", "dataset", "explainer", "metric")}
    identity = {
        **parts,
        "weights": weights,
        "data": data,
        "target": config.target,
        "protocol": config.protocol.name,
        "seed": config.seed,
        "maths": MATHS_VERSION,
        **({"machine": machine} if machine else {}),
        **({"code": code} if code else {}),
    }
    return Cell(config.model.key, choices["dataset"], choices["explainer"], identity)


def _resolved(node: DictConfig, name: str) -> Any:
    return _without_neutral(OmegaConf.to_container(node, resolve=True), (name,))


def _without_neutral(value: Any, path: tuple[str, ...]) -> Any:
    if isinstance(value, list):
        return [_without_neutral(item, (*path, "[]")) for item in value]
    if not isinstance(value, dict):
        return value
    below = {str(key): (*path, str(key)) for key in value}
    return {str(k): _without_neutral(v, below[str(k)]) for k, v in value.items() if not _is_neutral(below[str(k)])}


def _is_neutral(path: tuple[str, ...]) -> bool:
    return any(
        len(path) == len(neutral) and all(name in ("*", key) for name, key in zip(neutral, path, strict=True))
        for neutral in NOT_IN_HASH
    )
