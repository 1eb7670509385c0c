"""A cell: one model x data set x explainer with all that decides its numbers, named by a hash of exactly that."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

MATHS_VERSION = 3  # raise it when a change of code changes numbers: all cells are then computed anew

# Keys that change no number but by rounding, as the batch a clip is computed in does: they do not enter the hash.
NEUTRAL = {"root", "chunk", "display", "checkpoint", "cache"}


@dataclass(frozen=True)
class Cell:
    """identity: what the hash is taken of. id: "<model>-<dataset>-<explainer>-<12 hex digits>"."""

    model: str
    dataset: str
    explainer: str
    identity: dict[str, Any]

    @property
    def id(self) -> str:
        text = json.dumps(self.identity, sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return f"{self.model}-{self.dataset}-{self.explainer}-{digest}"


def cell_of(config: DictConfig, choices: dict[str, str], weights: str, data: str, machine: dict | None = None) -> Cell:
    """The cell a composed config describes.

    choices: the group options chosen, for the names; a model is named by its key, so that variants of one model take
    its place in a table. weights, data: digests of the checkpoint and of the annotation,
    so that retrained weights or other data make another cell. machine: the hardware, where time is measured.
    """
    parts = {name: _resolved(config[name]) for name in ("model", "dataset", "explainer", "metric")}
    identity = {
        **parts,
        "weights": weights,
        "data": data,
        "target": config.target,
        "protocol": config.protocol.name,
        "seed": config.seed,
        "maths": MATHS_VERSION,
        **({"machine": machine} if machine else {}),
    }
    return Cell(config.model.key, choices["dataset"], choices["explainer"], identity)


def _resolved(node: DictConfig) -> Any:
    return _without_neutral(OmegaConf.to_container(node, resolve=True))


def _without_neutral(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _without_neutral(v) for k, v in value.items() if k not in NEUTRAL}
    if isinstance(value, list):
        return [_without_neutral(v) for v in value]
    return value
