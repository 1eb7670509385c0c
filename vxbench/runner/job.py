"""One job: one cell, from a composed config to rows in the store."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from vxbench.datasets.base import Clip, ClipRef, VideoDataset
from vxbench.datasets.pool import DecodePool
from vxbench.errors import ClipError, NotApplicable, UserError
from vxbench.models import digest, locate
from vxbench.ranges import one_of, whole
from vxbench.runner.cell import cell_of
from vxbench.runner.compute import Computed, Computer
from vxbench.runner.config import build
from vxbench.runner.outcome import Outcome
from vxbench.runner.progress import Progress
from vxbench.runner.provenance import provenance
from vxbench.runner.store import Store

NOT_APPLICABLE = "not_applicable.txt"


def run_cell(config: DictConfig, choices: dict[str, str], live: bool = False) -> Outcome:
    """Computes what the cell lacks and commits it batch by batch; computes nothing if nothing is missing.

    choices: the group options chosen. live: whether a progress bar may be drawn.

    Raises:
        UserError: a setting or a file the user has to mend.
    """
    check_settings(config)
    job = Job(config, choices)
    outcome = Outcome(job.cell.model, job.cell.dataset, job.cell.explainer, job.cell.id, clips=len(job.refs))
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
        self.metrics = {name: build(config, f"metric.{name}") for name in config.metric}
        self.dataset: VideoDataset = build(config, "dataset")
        self.weights, self.data = weights_digest(config.model), self.dataset.digest()
        self.cell = cell_of(config, choices, self.weights, self.data)
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
        tracker = build(self.config, "tracker")
        tracker.start(self.cell.id, self.cell.identity)
        name = f"{self.cell.model} x {self.cell.dataset} x {self.cell.explainer}"
        try:
            with Progress(name, total, live) as progress:
                self._compute(batches, tracker, progress)
        except NotApplicable as error:
            self.store.note(NOT_APPLICABLE, str(error))
        finally:
            tracker.finish()
        return total

    def _compute(self, batches: list[list[ClipRef]], tracker: Any, progress: Progress) -> None:
        computer = self._computer()
        self._calibrate(computer)
        keep = pictured(self.refs, self.config.runner.pictures)
        for refs, loaded in self._decoded(batches):
            computed = computer(refs, loaded)
            self.store.commit(computed.rows, [p for p in computed.pictures if p.clip in keep])
            progress.advance(len(refs))
            tracker.log(means(computed))
        record = provenance(self.config.device, self.weights, self.data, progress.seconds, progress.done)
        self.store.append_run(record)

    def _computer(self) -> Computer:
        device = self.config.device
        full_precision()
        classifier = build(self.config, "model").to(device).eval()
        return Computer(classifier, self.explainer, self.metrics, device, self.config.seed, self.config.target)

    def _calibrate(self, computer: Computer) -> None:
        """Metrics are calibrated on the same clips in every shard and every resumed run."""
        wanted = max(metric.calibration for metric in self.metrics.values())
        clips = self.dataset.clips
        chosen = [clips[i * len(clips) // wanted] for i in range(wanted)] if wanted < len(clips) else clips
        if wanted:
            [(_, loaded)] = self._decoded([chosen])
            computer.prepare([clip for clip in loaded if isinstance(clip, Clip)])

    def _decoded(self, batches: list[list[ClipRef]]) -> Iterator[tuple[list[ClipRef], list[Clip | ClipError]]]:
        """Each batch with its clips; the next batch is decoded while this one is computed."""
        with DecodePool(self.config.runner.workers, self.config.runner.timeout_s) as pool:
            coming = pool.submit(self.dataset, batches[0])
            for index, refs in enumerate(batches):
                loaded = coming.result()
                if index + 1 < len(batches):
                    coming = pool.submit(self.dataset, batches[index + 1])
                yield refs, loaded

    def failed_clips(self) -> int:
        rows = self.store.rows()
        mine = rows["clip"].isin([ref.id for ref in self.refs])
        return int(rows[mine & (rows.status == "failed")]["clip"].nunique())


def check_settings(config: DictConfig) -> None:
    """Refuses a wrong value of the run itself, before anything is built."""
    one_of("target", config.target, ("label", "predicted"))
    whole("seed", config.seed, 0)
    whole("runner.batch_size", config.runner.batch_size, 1)
    whole("runner.chunk", config.runner.chunk, 1)
    whole("runner.pictures", config.runner.pictures, 0)
    whole("shard.count", config.shard.count, 1)
    whole("shard.index", config.shard.index, 0, config.shard.count - 1)
    if str(config.device).startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"device = {config.device} but this machine has no usable GPU; use device=cpu")


def full_precision() -> None:
    """float32 means float32: cuDNN would otherwise round the inputs of convolutions to TF32 on a GPU that has it."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False


def weights_digest(model: DictConfig) -> str:
    """Digest of the checkpoint, or which random weights are used.

    Raises:
        UserError: the checkpoint does not exist.
    """
    if model.checkpoint is None:
        return f"random-{model.seed}"
    path = locate(model.checkpoint)
    if not path.is_file():
        raise UserError(
            f"model.checkpoint = {path} does not exist; put it there, or model.checkpoint=null for random weights"
        )
    return digest(path)


def shard(clips: list[ClipRef], index: int, count: int) -> list[ClipRef]:
    """Every count-th clip: the shards of a cell are disjoint and together all of it."""
    return clips[index::count]


def pictured(refs: list[ClipRef], count: int) -> set[str]:
    """Ids of `count` clips, spread over the index and so over the classes."""
    return {refs[index * len(refs) // count].id for index in range(count)}


def missing_batches(refs: list[ClipRef], done: set[str], size: int) -> Iterator[list[ClipRef]]:
    """The fixed batches of a cell, less what is done: a resumed run computes a clip in the batch it always had."""
    for start in range(0, len(refs), size):
        batch = [ref for ref in refs[start : start + size] if ref.id not in done]
        if batch:
            yield batch


def means(computed: Computed) -> dict[str, float]:
    """Mean of each metric over one batch, for the tracker."""
    ok = computed.rows[computed.rows.status == "ok"]
    return ok.groupby("metric").value.mean().to_dict()
