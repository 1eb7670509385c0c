"""Estimates one cell's clips, network passes and bytes. Nothing is computed or written."""

import io
import math
from dataclasses import dataclass, field
from functools import lru_cache

from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vxbench.costs.pace import Part, network_key
from vxbench.datasets.base import VideoDataset
from vxbench.errors import UserError
from vxbench.explainers.base import Explainer, Passes
from vxbench.explainers.perturbation.loop import PerturbationExplainer
from vxbench.metrics.base import Metric
from vxbench.runner import first_batch
from vxbench.runner.assemble import ABSENT, Assembled
from vxbench.runner.job import pictured, shard
from vxbench.runner.store import NOT_APPLICABLE, Store, frame

BYTES_OF_PIXEL = 6  # of a picture, uncompressed: three colours, half precision of the map, a box
POINTS = 32  # of the curve that a metric may keep beside a value; 29 by default


@dataclass
class CellPlan:
    """A cell of a table, as it stands on this machine.

    key: what tells cells apart; tables that share a cell have the same. begun: whether clips are done, in any shard,
    so that its network is not looked at any more. clips: None where their number is not known;
    about: it is what the profile asks for, as the data set is not there. pictures: clips whose maps are left to be
    kept. passes: those left, None if they are not known. network: what decides how long they take, "" if there are
    none. parts: what is done that can be timed by itself, things: by their keys what does it. bytes: of rows and
    pictures left.
    """

    assembled: Assembled
    key: tuple = ()
    clips: int | None = None
    about: bool = False
    done: int = 0
    begun: bool = False
    not_applicable: bool = False
    pictures: int = 0
    passes: Passes | None = None
    network: str = ""
    parts: list[Part] = field(default_factory=list)
    things: dict[str, PerturbationExplainer | Metric] = field(default_factory=dict)
    bytes: int = 0

    @property
    def names(self) -> tuple[str, str, str, str]:
        """Model, data set, explainer and metric, by the options chosen."""
        return tuple(self.assembled.choices[group] for group in ("model", "dataset", "explainer", "metric"))

    @property
    def device(self) -> str:
        return self.assembled.device

    @property
    def missing(self) -> list[str]:
        """One line for each thing that the machine lacks for this cell."""
        return self.assembled.missing

    @property
    def videos(self) -> VideoDataset | None:
        """The data set, None where it is not there."""
        return self.assembled.get("dataset")

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
        """config: of a cell, with Hydra's node."""
        parts = Assembled(config, fetch=False, datasets=self._datasets)
        plan = CellPlan(parts)
        if not parts.get("settings"):
            return plan
        described = bool(parts.get("explainer") and parts.get("metrics"))
        if described:
            plan.key = _key(parts)
        _count(plan)
        if described and plan.left is not None:
            _cost(plan, parts.explainer, parts.metrics)
        return plan


@lru_cache
def part_bytes(clips: int, keys: tuple[str, ...]) -> int:
    """Bytes of a part file of the store with the rows of so many clips."""
    row = {"label": 0, "target": 0, "status": "ok", "reason": "", "degenerate": False}
    values = ((f"Class/clip_{i}", key, (i + 1) / 7) for i in range(clips) for key in keys)
    rows = [row | {"clip": clip, "metric": key, "value": v, "curve": [v] * POINTS} for clip, key, v in values]
    buffer = io.BytesIO()
    frame(rows).to_parquet(buffer, index=False)
    return buffer.getbuffer().nbytes


def _key(parts: Assembled) -> tuple:
    """Cells that lack data or weights are told apart as well, but no results are found for them."""
    dataset = parts.get("dataset")
    try:
        cell = parts.cell_with(parts.get("weights") or ABSENT, dataset.digest() if dataset else ABSENT)
    except OmegaConfBaseException:  # without weights, not even the number of classes may be known
        return ()
    return (cell.id, parts.settings.shard, parts.settings.shards)


def _count(plan: CellPlan) -> None:
    """Fills in the clips of the cell, those that are done and the pictures left."""
    settings, dataset = plan.assembled.settings, plan.videos
    if dataset is None:
        asked = plan.assembled.get("clips_asked_for")
        plan.clips = None if asked is None else len(range(settings.shard, asked, settings.shards))
        plan.about, plan.pictures = True, settings.pictures
        return
    refs = shard(dataset.clips, settings.shard, settings.shards)
    done = set()
    if plan.key:
        store = Store(settings.results / "cells" / plan.key[0])
        done, plan.not_applicable = store.done(), bool(store.read_note(NOT_APPLICABLE))
    plan.clips, plan.done, plan.begun = len(refs), sum(ref.id in done for ref in refs), bool(done)
    plan.pictures = len(pictured(refs, settings.pictures) - done)


def _cost(plan: CellPlan, explainer: Explainer, metrics: dict[str, Metric]) -> None:
    """Fills in passes and bytes of the clips that are left; passes stay unknown where a method does not say them."""
    settings, left, shape = plan.assembled.settings, plan.left, plan.assembled.shape
    plan.passes = _passes_left(plan, explainer, metrics)
    if plan.passes is not None:
        plan.network = network_key(plan.assembled) if plan.passes.forward else ""
        if left:
            _divide(plan, explainer, metrics)
    keys = tuple(key for metric in metrics.values() for key in metric.keys)
    whole, rest = divmod(left, settings.batch_size)
    rows = whole * part_bytes(settings.batch_size, keys) + (part_bytes(rest, keys) if rest else 0)
    plan.bytes = rows + (plan.pictures * math.prod(shape) * BYTES_OF_PIXEL if left else 0)


def _passes_left(plan: CellPlan, explainer: Explainer, metrics: dict[str, Metric]) -> Passes | None:
    """Passes through the network that are left, None where a method does not declare its own."""
    shape, left = plan.assembled.shape, plan.left
    each = [Passes(forward=1), explainer.passes(shape), *(metric.passes(shape) for metric in metrics.values())]
    before = [_look(plan, metrics), *(metric.passes_before(shape) for metric in metrics.values())] if left else []
    return None if None in (*each, *before) else sum(each, Passes()) * left + sum(before, Passes())


def _look(plan: CellPlan, metrics: dict[str, Metric]) -> Passes:
    """Passes of the look at what the network is given first: the clips of a calibration, or a batch."""
    settings = plan.assembled.settings
    first = next((metric.calibration for metric in metrics.values() if metric.calibration), 0)
    clips = min(first, len(plan.videos.clips) if plan.videos else first) or min(settings.batch_size, plan.left)
    return Passes() if plan.begun else first_batch.passes(clips, settings.chunk)


def _divide(plan: CellPlan, explainer: Explainer, metrics: dict[str, Metric]) -> None:
    """Adds what can be timed by itself: perturbation methods, also inside a metric, and metrics that run none."""
    shape, left, parts = plan.assembled.shape, plan.left, plan.assembled
    _part(plan, parts.yaml("explainer"), explainer, explainer.passes(shape) * left)
    for name, metric in metrics.items():
        key, passes = parts.yaml(f"metric.{name}"), metric.passes(shape) * left + metric.passes_before(shape)
        if metric.explainer is not None:
            _part(plan, key, metric.explainer, passes)
        elif not metric.calibration:
            plan.parts.append(Part(key, left, passes))
            plan.things[key] = metric


def _part(plan: CellPlan, key: str, method: Explainer, passes: Passes) -> None:
    """Adds a perturbation method, as often on a clip as its backward passes say."""
    if isinstance(method, PerturbationExplainer):
        once = method.passes_of_search(len(method.areas))
        plan.parts.append(Part(key, passes.backward / once.backward, passes))
        plan.things[key] = method
