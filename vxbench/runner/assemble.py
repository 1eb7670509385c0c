"""Turns a composed config into the typed parts of a cell; what computes behind it reads no config."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from vxbench.config import build, class_of
from vxbench.datasets.base import VideoDataset
from vxbench.device import check_device, full_precision, hardware, own_gpu
from vxbench.errors import UserError, first_line
from vxbench.explainers.base import Explainer
from vxbench.metrics.base import Metric
from vxbench.ranges import local, one_of, whole
from vxbench.runner.cell import Cell, cell_of
from vxbench.runner.code import code_digests
from vxbench.runner.data import open_dataset
from vxbench.runner.store import Store
from vxbench.runner.weights import weights_digest, weights_file

ABSENT = "absent"  # digest of data or weights that are not on this machine
PARTS = ("settings", "usable_device", "explainer", "metrics", "dataset", "weights", "matching_classes", "code")


@dataclass(frozen=True)
class Settings:
    """The keys of conf/run.yaml that every cell has.

    device: cpu | cuda | cuda:<number>. target: the class explained, label (the data set's) | predicted (the model's).
    batch_size: clips decoded, explained and committed together. chunk: clips in the network at once. workers: decoding
    processes, each given timeout_s seconds a clip. pictures: clips whose maps are kept. shard, shards: this job has
    every shards-th clip from the shard-th on. force: clips that have rows are computed anew. results: folder of all
    results.
    """

    device: str
    seed: int
    target: str
    batch_size: int
    chunk: int
    workers: int
    timeout_s: float
    pictures: int
    shard: int
    shards: int
    force: bool
    results: Path

    @classmethod
    def of(cls, config: DictConfig) -> "Settings":
        """Reads and checks them.

        Raises:
            OutOfRange: a value that the key cannot have.
        """
        runner, shards = config.runner, whole("shard.count", config.shard.count, 1)
        return cls(
            device=str(config.device),
            seed=whole("seed", config.seed, 0),
            target=one_of("target", config.target, ("label", "predicted")),
            batch_size=whole("runner.batch_size", runner.batch_size, 1),
            chunk=whole("runner.chunk", runner.chunk, 1),
            workers=runner.workers,
            timeout_s=runner.timeout_s,
            pictures=whole("runner.pictures", runner.pictures, 0),
            shard=whole("shard.index", config.shard.index, 0, shards - 1),
            shards=shards,
            force=one_of("force", config.force, (False, True)),
            results=local("paths.results", config.paths.results),
        )


class Assembled:
    """The parts of the cell that a config describes, each built when it is first asked for, and kept.

    A part that cannot be had raises UserError whenever it is asked for; `missing` lists them all.

    choices: {config group: option chosen}, from the config's own Hydra node if not given. fetch: whether an absent
    checkpoint may be fetched, as the config says. datasets: data sets that other cells have opened, added to here.
    """

    def __init__(
        self,
        config: DictConfig,
        choices: Mapping[str, str] | None = None,
        fetch: bool = True,
        datasets: dict[str, VideoDataset | UserError] | None = None,
    ):
        self._config = config
        self.choices = dict(OmegaConf.select(config, "hydra.runtime.choices") or {} if choices is None else choices)
        self.fetch = fetch
        self._datasets = {} if datasets is None else datasets

    def __reduce__(self):
        return type(self), (self._config, self.choices, self.fetch)  # another process builds its own parts

    def check(self) -> "Assembled":
        """Builds every part; itself.

        Raises:
            UserError: the first that cannot be had.
        """
        for part in PARTS:
            getattr(self, part)
        return self

    @cached_property
    def missing(self) -> list[str]:
        """What is said of each part that cannot be had on this machine; none behind settings that make no sense."""
        lines: dict[str, None] = {}
        for part in PARTS:
            try:
                getattr(self, part)
            except (UserError, OSError) as error:
                lines[str(error)] = None
                if part == "settings":
                    break
            except OmegaConfBaseException as error:  # behind another reason it is a consequence of it
                lines |= {} if lines else {first_line(error): None}
        return list(lines)

    def get(self, part: str) -> Any:
        """The part, or None if it cannot be had."""
        try:
            return getattr(self, part)
        except (UserError, OSError, OmegaConfBaseException):
            return None

    @cached_property
    def settings(self) -> Settings:
        return Settings.of(self._config)

    @cached_property
    def usable_device(self) -> str:
        """The device, which this machine has."""
        check_device(self.settings.device)
        return self.settings.device

    @property
    def device(self) -> str:
        """The device asked for; see `usable_device`."""
        return str(self._config.device)

    @property
    def model(self) -> str:
        """The model's name in tables, which its variants share."""
        return self._config.model.key

    @property
    def group(self) -> str:
        """The table or sweep that the cell is computed for; "" for a cell of its own."""
        key = OmegaConf.select(self._config, "table.key") or self.choices.get("table") or self.choices.get("sweep")
        return key or ""

    @property
    def display(self) -> str:
        """The model's name in full."""
        return self._config.model.display or self.model

    @property
    def outputs(self) -> int:
        """Number of the model's outputs."""
        return self._config.model.num_classes

    @property
    def shape(self) -> tuple[int, int, int]:
        """(T, H, W) of a clip as the model takes it."""
        return tuple(self._config.model.input[side] for side in ("frames", "height", "width"))

    @cached_property
    def weights(self) -> str:
        """Digest of the checkpoint, or `random-<seed>`."""
        return weights_digest(self._config, self.fetch)

    @cached_property
    def dataset(self) -> VideoDataset:
        """The data set; cells of the same settings share it."""
        key = self.yaml("dataset")
        if key not in self._datasets:
            try:
                self._datasets[key] = open_dataset(self._config)
            except UserError as error:
                self._datasets[key] = error
        if isinstance(self._datasets[key], UserError):
            raise self._datasets[key]
        return self._datasets[key]

    def split(self, name: str) -> VideoDataset:
        """Another split of the data set."""
        return open_dataset(self._config, split=name)

    @property
    def clips_asked_for(self) -> int | None:
        """Clips that the settings ask for of the real data set, told without it; None where only its files can tell."""
        if self._config.scale.name != "paper":
            return None
        settings = OmegaConf.to_container(self._config.dataset, resolve=True)
        dataset = class_of(self._config, settings["_target_"], "dataset")
        return dataset.asked_for(settings) if hasattr(dataset, "asked_for") else None

    @property
    def labels(self) -> str:
        """Name of the class list that labels and outputs index."""
        return self._config.dataset.labels

    @cached_property
    def matching_classes(self) -> int:
        """Number of classes of model and data set.

        Raises:
            UserError: they differ, so labels and outputs would not mean the same.
        """
        outputs, classes = self.outputs, len(self.dataset.classes)
        if outputs != classes:
            raise UserError(
                f"model.num_classes = {outputs}, but dataset.labels = {self.labels} has {classes} classes; "
                "labels and outputs would not mean the same"
            )
        return classes

    @cached_property
    def explainer(self) -> Explainer:
        return build(self._config, "explainer")

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """{name of the config's node: metric}, at least one, no two of which give the same key."""
        metrics = {name: build(self._config, f"metric.{name}") for name in self._config.get("metric") or {}}
        check_keys(metrics)
        return metrics

    @cached_property
    def code(self) -> dict[str, str]:
        """{`_target_`: digest} of code that is not of the released vxbench, see `code_digests`."""
        return code_digests(self._config)

    @property
    def timed(self) -> bool:
        """Whether a metric measures time, so that the cell belongs to this machine."""
        return any(metric.measures_time for metric in self.metrics.values())

    @cached_property
    def cell(self) -> Cell:
        return self.cell_with(self.weights, self.dataset.digest())

    def cell_with(self, weights: str, data: str) -> Cell:
        """The cell for these digests, of which those of absent files are ABSENT."""
        machine = None
        if self.timed and self.get("usable_device"):
            own_gpu(self.device)  # the one that will be timed
            machine = hardware(self.device)
        return cell_of(self._config, self.choices, weights, data, machine, self.get("code"))

    @cached_property
    def store(self) -> Store:
        return Store(self.settings.results / "cells" / self.cell.id)

    def classifier(self) -> nn.Module:
        """The model with its weights on the device, in eval mode; float32 means float32 from here on.

        Raises:
            UserError: its weights cannot be had, or do not fit.
        """
        own_gpu(self.device)
        weights_file(self._config)  # says in one line what is missing
        network = build(self._config, "model").to(self.device).eval()
        full_precision()  # whatever the module of a network of one's own has set when it was imported
        return network

    def build(self, key: str, **changes: Any) -> Any:
        """Builds anew what a node of the config describes, with these settings in place of its own."""
        return build(self._config, key, **changes)

    def yaml(self, key: str) -> str:
        """A node of the config as text: what it describes is equal where the text is."""
        return OmegaConf.to_yaml(OmegaConf.select(self._config, key), resolve=True)

    def with_random_weights(self, classes: int) -> "Assembled":
        """The same with random weights and so many classes; it needs no checkpoint."""
        config = self._config.copy()
        with open_dict(config):
            config.model.checkpoint, config.model.num_classes = None, classes
        return Assembled(config, self.choices, self.fetch, self._datasets)


def check_keys(metrics: Mapping[str, Metric]) -> None:
    """Refuses a run without metrics, and two metrics that would write the same key."""
    if not metrics:
        raise UserError("metric is empty; choose one, such as metric=dc_acc_stc")
    owner: dict[str, str] = {}
    for name, metric in metrics.items():
        for key in metric.keys:
            if key in owner:
                raise UserError(f"metric.{owner[key]} and metric.{name} both give {key!r}; run them in two cells")
            owner[key] = name
