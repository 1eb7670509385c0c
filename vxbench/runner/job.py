"""Computes one cell: what its store lacks, batch by batch."""

import time
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial

from omegaconf import OmegaConf

from vxbench.datasets.base import Clip, ClipRef
from vxbench.datasets.pool import DecodePool
from vxbench.device import is_device_lost, own_gpu
from vxbench.errors import ClipError, NotApplicable, UserError, first_line
from vxbench.files import check_writable, clear_leftovers
from vxbench.runner.afresh import check_device_kept, go_on
from vxbench.runner.assemble import Assembled
from vxbench.runner.batch import BatchScorer, DeviceLost
from vxbench.runner.clip_files import record_files, say_replaced
from vxbench.runner.outcome import Outcome
from vxbench.runner.progress import Progress
from vxbench.runner.provenance import finished, provenance
from vxbench.runner.store import CONFIG, NOT_APPLICABLE
from vxbench.runner.tracker import Report, reported
from vxbench.stop import check_stopped


def run_cell(parts: Assembled, live: bool = False) -> Outcome:
    """Computes what the cell lacks and commits it batch by batch; computes nothing if nothing is missing.

    live: whether a progress bar may be drawn.

    Raises:
        UserError: a setting or a file the user has to mend.
    """
    with suppress(DeviceLost):
        check_device_kept()
        own_gpu(parts.usable_device)  # before anything can be put on another
    job = Job(parts.check())
    job.begin()
    outcome = job.outcome()
    if not parts.store.read_note(NOT_APPLICABLE):
        started = time.monotonic()
        outcome.computed = _compute(job, live)
        outcome.seconds = time.monotonic() - started
    parts.store.finish()
    return job.concluded(outcome)


def _compute(job: "Job", live: bool) -> int:
    """Number of clips computed, or tried, in new processes where the device is lost to this one."""
    missing = sum(map(len, job.missing_batches()))
    try:
        check_device_kept()
        job.compute_missing(live)
    except DeviceLost as lost:
        if job.settings.force:  # a new process could not tell which rows are new
            raise UserError(f"the device is lost ({lost.message}): not all of the cell is new; run it again") from lost
        go_on(partial(compute_here, job.parts), job.store, job.refs, lost)
    return missing


def compute_here(parts: Assembled, apart: frozenset[str], without: frozenset[str]) -> DeviceLost | None:
    """Computes what a cell lacks in this process, which is new; what ended it early. See `go_on`."""
    own_gpu(parts.usable_device)
    job = Job(parts.check(), apart, without)
    job.begin()
    try:
        job.compute_missing(live=False)
    except DeviceLost as lost:
        return lost
    return None


class Job:
    """The clips of a cell, or of one shard of it, and what is done with them.

    apart: ids of clips that are computed one by one. without: ids of clips that are left out.
    """

    def __init__(self, parts: Assembled, apart: frozenset[str] = frozenset(), without: frozenset[str] = frozenset()):
        self.parts, self.settings = parts, parts.settings
        self.store = parts.store
        self.refs = shard(parts.dataset.clips, self.settings.shard, self.settings.shards)
        self.apart, self.without = apart, without

    def outcome(self) -> Outcome:
        """The outcome of a cell of which nothing is computed yet."""
        cell = self.parts.cell
        outcome = Outcome(cell.model, cell.dataset, cell.explainer, cell.id, clips=len(self.refs))
        outcome.selection = self.parts.dataset.selection
        outcome.network, outcome.weights = self.parts.display, self.parts.weights
        outcome.outputs = self.parts.outputs
        return outcome

    def begin(self) -> None:
        """Sets aside what is damaged of the cell, and puts on record what it is and which clips it has."""
        clear_leftovers(self.store.folder, below=True)
        self.store.begin()
        self.store.note(CONFIG, OmegaConf.to_yaml(OmegaConf.create(self.parts.cell.identity)))
        self.store.record_draw(ref.id for ref in self.parts.dataset.clips)
        if self.settings.force:
            (self.store.folder / NOT_APPLICABLE).unlink(missing_ok=True)

    def concluded(self, outcome: Outcome) -> Outcome:
        """The outcome with what the store says of the cell."""
        if reason := self.store.read_note(NOT_APPLICABLE):
            outcome.status, outcome.message = "not_applicable", reason
        rows = self.store.rows()
        clips = rows[rows["clip"].isin([ref.id for ref in self.refs])].drop_duplicates("clip")
        seen = clips[(clips.predicted >= 0) & (clips.label >= 0)]
        outcome.failed_clips = int((clips.status == "failed").sum())
        outcome.seen, outcome.right = len(seen), int((seen.predicted == seen.label).sum())
        say_replaced(self.store, self.refs, outcome.dataset)
        return outcome

    @property
    def done(self) -> set[str]:
        """Ids of the clips that need no further work."""
        return set() if self.settings.force else self.store.done()

    def missing_batches(self) -> list[list[ClipRef]]:
        """The fixed batches of the cell, less what is done; then those of one clip."""
        settled = self.done | self.without
        rest = missing_batches(self.refs, settled | self.apart, self.settings.batch_size)
        return [*rest, *([ref] for ref in self.refs if ref.id in self.apart - settled)]

    def compute_missing(self, live: bool) -> int:
        """Number of clips computed. A finished cell does not even build its model; a tracker has its means again."""
        batches, cell = self.missing_batches(), self.parts.cell
        total = sum(map(len, batches))
        with reported(self.parts.build("tracker"), cell, self.parts.group, self.store, self.done) as report:
            if total:
                self._compute_batches(batches, report, live)
        return total

    def _compute_batches(self, batches: list[list[ClipRef]], report: Report, live: bool) -> None:
        """Computes them, or notes that the method does not apply to the model."""
        cell = self.parts.cell
        check_writable("paths.results", self.store.folder / "any", self.store.folder / "pictures" / "any")
        record_files(self.store, (ref for batch in batches for ref in batch))
        try:
            total = sum(map(len, batches))
            with Progress(f"{cell.model} x {cell.dataset} x {cell.explainer}", total, live) as progress:
                self._compute(batches, report, progress)
        except RuntimeError as error:
            if not is_device_lost(error):
                raise
            raise DeviceLost([], first_line(error)) from error
        except NotApplicable as error:
            if self.store.done():
                raise UserError(f"{error}; earlier clips of this cell could be explained") from error
            self.store.note(NOT_APPLICABLE, str(error))

    def _compute(self, batches: list[list[ClipRef]], report: Report, progress: Progress) -> None:
        parts, settings = self.parts, self.settings
        scorer = BatchScorer(
            parts.classifier(), parts.explainer, parts.metrics,
            device=settings.device, seed=settings.seed, target=settings.target, chunk=settings.chunk,
            trusted=bool(self.done),
        )  # fmt: skip
        run = provenance(settings.device, parts.weights, parts.dataset.digest())
        self.store.record_run(run)
        self._calibrate(scorer)
        keep = pictured(parts.dataset.clips, settings.pictures)
        with closing(self._decoded(batches)) as decoded:
            for refs, loaded in decoded:
                check_stopped()
                computed = scorer(refs, loaded)
                kept = [p for p in computed.pictures if p.clip in keep or self.store.lacks_picture(p.clip)]
                self.store.commit(computed.rows, kept)
                progress.advance(len(refs))
                report(computed.rows)
        self.store.record_run(finished(run, progress.seconds, progress.done))

    def _calibrate(self, scorer: BatchScorer) -> None:
        """Metrics are calibrated on the same clips in every shard and every resumed run."""
        for name, metric in self.parts.metrics.items():
            if metric.calibration:
                clips = self.calibration_clips(metric.calibration)
                if not clips:
                    raise UserError(f"metric.{name} calibrates on {metric.calibration} clips; none can be decoded")
                scorer.prepare(metric, clips)

    def calibration_clips(self, count: int) -> list[Clip]:
        """Those of `count` clips, spread over the data set, that can be decoded."""
        [(_, loaded)] = self._decoded([spread(self.parts.dataset.clips, count)])
        return [clip for clip in loaded if isinstance(clip, Clip)]

    def _decoded(self, batches: list[list[ClipRef]]) -> Iterator[tuple[list[ClipRef], list[Clip | ClipError]]]:
        """Each batch with its clips; the next is decoded while this one is computed, unless that is timed."""
        dataset, timed = self.parts.dataset, self.parts.timed
        with DecodePool(self.settings.workers, self.settings.timeout_s) as pool:
            coming = pool.submit(dataset, batches[0])
            for index, refs in enumerate(batches):
                loaded, following = coming.result(), batches[index + 1 : index + 2]
                if following and not timed:
                    coming = pool.submit(dataset, *following)
                yield refs, loaded
                if following and timed:
                    coming = pool.submit(dataset, *following)


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
