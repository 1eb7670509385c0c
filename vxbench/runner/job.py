"""One job: one cell, from a composed config to rows in the store."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from vxbench.config import build
from vxbench.datasets.base import Clip, ClipRef, VideoDataset
from vxbench.datasets.pool import DecodePool
from vxbench.device import check_device, full_precision, hardware, own_gpu
from vxbench.errors import ClipError, NotApplicable, UserError
from vxbench.metrics.base import Metric
from vxbench.ranges import one_of, whole
from vxbench.runner.batch import BatchScorer, Computed
from vxbench.runner.cell import cell_of
from vxbench.runner.outcome import Outcome
from vxbench.runner.progress import Progress
from vxbench.runner.provenance import finished, provenance
from vxbench.runner.store import CLIPS, NOT_APPLICABLE, Store
from vxbench.runner.weights import weights_digest


def run_cell(config: DictConfig, choices: dict[str, str], live: bool = False) -> Outcome:
    """Computes what the cell lacks and commits it batch by batch; computes nothing if nothing is missing.

    choices: the group options chosen. live: whether a progress bar may be drawn.

    Raises:
        UserError: a setting or a file the user has to mend.
    """
    check_settings(config)
    own_gpu(str(config.device))
    job = Job(config, choices)
    outcome = Outcome(job.cell.model, job.cell.dataset, job.cell.explainer, job.cell.id, clips=len(job.refs))
    outcome.selection = job.dataset.selection
    outcome.network, outcome.weights = config.model.display, job.weights
    if not job.store.read_note(NOT_APPLICABLE):
        started = time.monotonic()
        outcome.computed = job.compute_missing(live)
        outcome.seconds = time.monotonic() - started
    if reason := job.store.read_note(NOT_APPLICABLE):
        outcome.status, outcome.message = "not_applicable", reason
    outcome.failed_clips = job.failed_clips()
    return outcome


class Job:
    """A cell with all it is made of. Builds the cheap parts first, so that a wrong value is refused at once."""

    def __init__(self, config: DictConfig, choices: dict[str, str]):
        self.config = config
        self.explainer = build(config, "explainer")
        self.metrics = {name: build(config, f"metric.{name}") for name in config.get("metric") or {}}
        check_keys(self.metrics)
        self.dataset: VideoDataset = build(config, "dataset")
        self.weights, self.data = weights_digest(config), self.dataset.digest()
        check_classes(config, self.dataset)
        self.timed = any(metric.measures_time for metric in self.metrics.values())
        machine = hardware(config.device) if self.timed else None
        self.cell = cell_of(config, choices, self.weights, self.data, machine)
        self.store = Store(Path(config.paths.results) / "cells" / self.cell.id)
        self.refs = shard(self.dataset.clips, config.shard.index, config.shard.count)

    def compute_missing(self, live: bool) -> int:
        """Number of clips computed. A finished cell does not even build its model."""
        done = self.store.done()
        batches = list(missing_batches(self.refs, done, self.config.runner.batch_size))
        total = sum(map(len, batches))
        if not total:
            return 0
        self.store.note("config.yaml", OmegaConf.to_yaml(OmegaConf.create(self.cell.identity)))
        self.store.note(CLIPS, "\n".join(ref.id for ref in self.dataset.clips) + "\n")
        tracker = build(self.config, "tracker")
        tracker.start(self.cell.id, self.cell.identity)
        name = f"{self.cell.model} x {self.cell.dataset} x {self.cell.explainer}"
        try:
            with Progress(name, total, live) as progress:
                self._compute(batches, tracker, progress)
        except NotApplicable as error:
            if self.store.done():
                raise UserError(f"{error}; earlier clips of this cell could be explained") from error
            self.store.note(NOT_APPLICABLE, str(error))
        finally:
            tracker.finish()
        return total

    def _compute(self, batches: list[list[ClipRef]], tracker: Any, progress: Progress) -> None:
        run = provenance(self.config.device, self.weights, self.data)
        self.store.record_run(run)
        computer = self._computer()
        self._calibrate(computer)
        keep = pictured(self.dataset.clips, self.config.runner.pictures)
        for refs, loaded in self._decoded(batches):
            computed = computer(refs, loaded)
            self.store.commit(computed.rows, [p for p in computed.pictures if p.clip in keep])
            progress.advance(len(refs))
            tracker.log(means(computed))
        self.store.record_run(finished(run, progress.seconds, progress.done))

    def _computer(self) -> BatchScorer:
        device = self.config.device
        full_precision()
        classifier = build(self.config, "model").to(device).eval()
        facts = {"device": device, "seed": self.config.seed, "target": self.config.target}
        return BatchScorer(classifier, self.explainer, self.metrics, **facts, chunk=self.config.runner.chunk)

    def _calibrate(self, computer: BatchScorer) -> None:
        """Metrics are calibrated on the same clips in every shard and every resumed run."""
        for name, metric in self.metrics.items():
            if metric.calibration:
                [(_, loaded)] = self._decoded([spread(self.dataset.clips, metric.calibration)])
                clips = [clip for clip in loaded if isinstance(clip, Clip)]
                if not clips:
                    raise UserError(f"metric.{name} calibrates on {len(loaded)} clips, none of which can be decoded")
                computer.prepare(metric, clips)

    def _decoded(self, batches: list[list[ClipRef]]) -> Iterator[tuple[list[ClipRef], list[Clip | ClipError]]]:
        """Each batch with its clips; the next is decoded while this one is computed, unless that is timed."""
        with DecodePool(self.config.runner.workers, self.config.runner.timeout_s) as pool:
            coming = pool.submit(self.dataset, batches[0])
            for index, refs in enumerate(batches):
                loaded, following = coming.result(), batches[index + 1 : index + 2]
                if following and not self.timed:
                    coming = pool.submit(self.dataset, *following)
                yield refs, loaded
                if following and self.timed:
                    coming = pool.submit(self.dataset, *following)

    def failed_clips(self) -> int:
        rows = self.store.rows()
        mine = rows["clip"].isin([ref.id for ref in self.refs])
        return int(rows[mine & (rows.status == "failed")]["clip"].nunique())


def check_keys(metrics: dict[str, Metric]) -> None:
    """Refuses a run without metrics, and two metrics that would write the same key."""
    if not metrics:
        raise UserError("metric is empty; choose one, such as metric=fep")
    owner: dict[str, str] = {}
    for name, metric in metrics.items():
        for key in metric.keys:
            if key in owner:
                raise UserError(f"metric.{owner[key]} and metric.{name} both give {key!r}; run them in two cells")
            owner[key] = name


def check_classes(config: DictConfig, dataset: VideoDataset) -> None:
    """Refuses a model with another number of outputs than the data set has classes."""
    outputs, classes = config.model.num_classes, len(dataset.classes)
    if outputs != classes:
        raise UserError(
            f"model.num_classes = {outputs}, but dataset.labels = {config.dataset.labels} has {classes} classes; "
            "labels and outputs would not mean the same"
        )


def check_settings(config: DictConfig) -> None:
    """Refuses a wrong value of the run itself, before anything is built."""
    one_of("target", config.target, ("label", "predicted"))
    whole("seed", config.seed, 0)
    whole("runner.batch_size", config.runner.batch_size, 1)
    whole("runner.chunk", config.runner.chunk, 1)
    whole("runner.pictures", config.runner.pictures, 0)
    whole("shard.count", config.shard.count, 1)
    whole("shard.index", config.shard.index, 0, config.shard.count - 1)
    check_device(str(config.device))


def shard(clips: list[ClipRef], index: int, count: int) -> list[ClipRef]:
    """Every count-th clip: the shards of a cell are disjoint and together all of it."""
    return clips[index::count]


def pictured(refs: list[ClipRef], count: int) -> set[str]:
    """Ids of `count` clips, spread over the index and so over the classes."""
    return {ref.id for ref in spread(refs, count)}


def spread(refs: list[ClipRef], count: int) -> list[ClipRef]:
    """`count` clips at equal distances in the index, or all if there are not as many."""
    return [refs[i * len(refs) // count] for i in range(count)] if count < len(refs) else list(refs)


def missing_batches(refs: list[ClipRef], done: set[str], size: int) -> Iterator[list[ClipRef]]:
    """The fixed batches of a cell, less what is done: a resumed run computes a clip in the batch it always had."""
    for start in range(0, len(refs), size):
        batch = [ref for ref in refs[start : start + size] if ref.id not in done]
        if batch:
            yield batch


def means(computed: Computed) -> dict[str, float]:
    """Mean of each metric over one batch, for the tracker, clips weighted as in the tables."""
    ok = computed.rows[(computed.rows.status == "ok") & computed.rows.value.notna()]
    return {metric: float(np.average(rows.value, weights=rows.weight)) for metric, rows in ok.groupby("metric")}
