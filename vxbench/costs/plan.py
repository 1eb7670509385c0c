"""What one cell of a table would compute: clips, passes through the network, bytes. Nothing is computed or written."""

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vxbench.config import build
from vxbench.costs.pace import Part, network_key
from vxbench.datasets.base import VideoDataset
from vxbench.device import check_device, hardware
from vxbench.errors import UserError, first_line
from vxbench.explainers.base import Explainer, Passes
from vxbench.explainers.perturbation.loop import PerturbationExplainer
from vxbench.metrics.base import Metric
from vxbench.models.checkpoints import RANDOM, digest
from vxbench.models.fetch import obtain
from vxbench.runner.cell import Cell, cell_of
from vxbench.runner.job import check_classes, check_keys, check_settings, pictured, shard
from vxbench.runner.store import NOT_APPLICABLE, Store, frame
from vxbench.runner.weights import check_entry, chosen

CLASSES = {"ucf101_24": 24, "ucf101": 101, "kinetics400": 400, "kinetics700": 700}  # that have test clips
WHOLE = {"ucf101_24": 910, "ucf101": 3783}  # clips of the first test list
ABSENT = "absent"
BYTES_OF_PIXEL = 6  # of a picture, uncompressed: three colours, half precision of the map, a box
POINTS = 32  # of the curve that a metric may keep beside a value; 29 by default


@dataclass
class CellPlan:
    """A cell of a table, as it stands on this machine.

    key: what tells cells apart; tables that share a cell have the same. clips: None where their number is not known;
    about: it is what the profile asks for, as the data set is not there. pictures: clips whose maps are left to be
    kept. passes: those left, None if they are not known. network: what decides how long they take, "" if there are
    none. parts: what is done that can be timed by itself, things: by their keys what does it. videos: the data set,
    None where it is not there. bytes: of rows and pictures left. missing: one line for each thing that the machine
    lacks.
    """

    model: str
    dataset: str
    explainer: str
    metric: str
    config: DictConfig
    key: tuple = ()
    clips: int | None = None
    about: bool = False
    done: int = 0
    not_applicable: bool = False
    pictures: int = 0
    passes: Passes | None = None
    network: str = ""
    parts: list[Part] = field(default_factory=list)
    things: dict[str, PerturbationExplainer | Metric] = field(default_factory=dict)
    videos: VideoDataset | None = None
    bytes: int = 0
    missing: list[str] = field(default_factory=list)

    @property
    def left(self) -> int | None:
        """Clips to be computed."""
        if self.not_applicable:
            return 0
        return None if self.clips is None else self.clips - self.done


class Planner:
    """Plans cells; what several have in common, such as a data set's index, is read once."""

    def __init__(self):
        self._datasets: dict[str, VideoDataset | UserError] = {}

    def __call__(self, config: DictConfig) -> CellPlan:
        """config: of a job, with Hydra's node."""
        choices = dict(config.hydra.runtime.choices)
        planned = CellPlan(*(choices[name] for name in ("model", "dataset", "explainer", "metric")), config)
        attempt = _Attempts(planned.missing)
        attempt(check_settings, config)
        if planned.missing and device_there(config.device):
            return planned
        dataset, weights = attempt(self._dataset, config), attempt(weights_there, config)
        if dataset:
            attempt(check_classes, config, dataset)
        explainer, metrics = attempt(build, config, "explainer"), attempt(_metrics, config)
        if explainer and metrics:
            cell = attempt(_cell, config, choices, weights or ABSENT, dataset, metrics)
            planned.key = (cell.id, config.shard.index, config.shard.count) if cell else ()
        planned.videos = dataset
        _count(planned, dataset)
        if explainer and metrics and planned.left is not None:
            attempt(_cost, planned, explainer, metrics)
        return planned

    def _dataset(self, config: DictConfig) -> VideoDataset:
        key = OmegaConf.to_yaml(config.dataset, resolve=True)
        if key not in self._datasets:
            try:
                self._datasets[key] = build(config, "dataset")
            except UserError as error:
                self._datasets[key] = error
        if isinstance(self._datasets[key], UserError):
            raise self._datasets[key]
        return self._datasets[key]


class _Attempts:
    """Calls what may fail; the reason becomes a line of `missing`, the result None."""

    def __init__(self, missing: list[str]):
        self.missing = missing

    def __call__(self, action: Callable, *args: Any) -> Any:
        try:
            return action(*args)
        except (UserError, OSError) as error:
            self.missing.append(first_line(error))
        except OmegaConfBaseException as error:  # after another reason it is a consequence of it
            self.missing += [] if self.missing else [first_line(error)]
        return None


def weights_there(config: DictConfig) -> str:
    """Digest of the checkpoint, or which random weights are used; as weights_digest, but nothing is ever fetched.

    Raises:
        UserError: the checkpoint is not there, or not the published one.
    """
    checkpoint = chosen(config)
    if checkpoint is None:
        return f"random-{config.model.seed}"
    if not isinstance(checkpoint, str):
        check_entry(config, checkpoint)
    return digest(obtain(checkpoint, mirror=None, download=False, hint=RANDOM))


def asked_for(name: str, config: DictConfig) -> int | None:
    """Clips that the profile asks for of the real data set; None where only the data set itself can tell."""
    node = config.dataset
    if config.scale.name != "paper" or node.get("fold", 1) != 1 or node.split == "train":
        return None
    if "held_out" in node:
        return node.classes * min(node.held_out, node.per_class or node.held_out)
    if node.per_class is None:
        return WHOLE.get(name)
    return CLASSES[name] * node.per_class if name in CLASSES else None


@lru_cache
def part_bytes(clips: int, keys: tuple[str, ...]) -> int:
    """Bytes of a part file of the store with the rows of so many clips."""
    row = {"label": 0, "target": 0, "status": "ok", "reason": "", "degenerate": False}
    values = ((f"Class/clip_{i}", key, (i + 1) / 7) for i in range(clips) for key in keys)
    rows = [row | {"clip": clip, "metric": key, "value": v, "curve": [v] * POINTS} for clip, key, v in values]
    buffer = io.BytesIO()
    frame(rows).to_parquet(buffer, index=False)
    return buffer.getbuffer().nbytes


def _metrics(config: DictConfig) -> list[Metric]:
    metrics = {name: build(config, f"metric.{name}") for name in config.get("metric") or {}}
    check_keys(metrics)
    return list(metrics.values())


def _cell(
    config: DictConfig, choices: dict[str, str], weights: str, dataset: VideoDataset | None, metrics: list[Metric]
) -> Cell:
    """Cells that lack data or weights are told apart as well, but no results are found for them."""
    timed = any(metric.measures_time for metric in metrics)
    machine = hardware(config.device) if timed and device_there(config.device) else None
    return cell_of(config, choices, weights, dataset.digest() if dataset else ABSENT, machine)


def device_there(device: str) -> bool:
    try:
        check_device(str(device))
    except UserError:
        return False
    return True


def _count(planned: CellPlan, dataset: VideoDataset | None) -> None:
    """Clips of the cell, those that are done and the pictures left."""
    share, pictures = planned.config.shard, planned.config.runner.pictures
    if dataset is None:
        asked = asked_for(planned.dataset, planned.config)
        planned.clips = None if asked is None else len(range(share.index, asked, share.count))
        planned.about, planned.pictures = True, pictures
        return
    refs = shard(dataset.clips, share.index, share.count)
    done = set()
    if planned.key:
        store = Store(Path(planned.config.paths.results) / "cells" / planned.key[0])
        done, planned.not_applicable = store.done(), bool(store.read_note(NOT_APPLICABLE))
    planned.clips, planned.done = len(refs), sum(ref.id in done for ref in refs)
    planned.pictures = len(pictured(refs, pictures) - done)


def _cost(planned: CellPlan, explainer: Explainer, metrics: list[Metric]) -> None:
    """Passes and bytes of the clips that are left.

    Raises:
        UserError: a method does not say what it costs.
    """
    config, left = planned.config, planned.left
    shape = tuple(config.model.input[side] for side in ("frames", "height", "width"))
    class_asked = Passes(forward=1) if config.target == "predicted" else Passes()
    try:
        parts = [class_asked, explainer.passes(shape), *(metric.passes(shape) for metric in metrics)]
    except NotImplementedError as error:
        raise UserError(f"explainer={planned.explainer} or metric={planned.metric} does not define passes()") from error
    before = [metric.passes_before(shape) for metric in metrics] if left else []
    planned.passes = sum(parts, Passes()) * left + sum(before, Passes())
    planned.network = network_key(config) if planned.passes.forward else ""
    if left:
        _divide(planned, explainer, metrics, shape)
    keys = tuple(key for metric in metrics for key in metric.keys)
    parts_left, rest = divmod(left, config.runner.batch_size)
    rows = parts_left * part_bytes(config.runner.batch_size, keys) + (part_bytes(rest, keys) if rest else 0)
    planned.bytes = rows + (planned.pictures * math.prod(shape) * BYTES_OF_PIXEL if left else 0)


def _divide(planned: CellPlan, explainer: Explainer, metrics: list[Metric], shape: tuple[int, int, int]) -> None:
    """What can be timed by itself: perturbation methods, also those that a metric runs, and metrics that run none."""
    left, nodes = planned.left, planned.config
    _part(planned, nodes.explainer, explainer, explainer.passes(shape) * left)
    for name, metric in zip(nodes.metric, metrics, strict=True):
        node, passes = nodes.metric[name], metric.passes(shape) * left + metric.passes_before(shape)
        if hasattr(metric, "explainer"):
            _part(planned, node, metric.explainer, passes)
        elif not metric.calibration:
            key = OmegaConf.to_yaml(node, resolve=True)
            planned.parts.append(Part(key, left, passes))
            planned.things[key] = metric


def _part(planned: CellPlan, node: DictConfig, method: Explainer, passes: Passes) -> None:
    """A perturbation method, as often on a clip as its backward passes say. node: of its config."""
    if isinstance(method, PerturbationExplainer):
        key, once = OmegaConf.to_yaml(node, resolve=True), method.passes_of_search(len(method.areas))
        planned.parts.append(Part(key, passes.backward / once.backward, passes))
        planned.things[key] = method
