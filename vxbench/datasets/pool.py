"""Decodes in other processes, so that a clip that crashes or hangs a decoder costs only itself."""

import hashlib
import pickle
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures import TimeoutError as NotInTime
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from pathlib import Path

from vxbench.datasets.base import Clip, ClipRef, VideoDataset
from vxbench.datasets.processes import kill, lean_executor
from vxbench.errors import ClipError, UserError
from vxbench.files import scratch
from vxbench.ranges import above, whole

START_SECONDS = 120  # a helper process that is not up by then will not come up


class DecodePool:
    """Loads clips in `workers` processes that never import torch. Use it in a `with` statement, or call `close`.

    When a process dies, or nothing comes back for `timeout_s` seconds, every clip not yet back is tried again
    alone in a process of its own, so that the guilty one is known and the others are saved.
    """

    def __init__(self, workers: int = 2, timeout_s: float = 60):
        self.workers, self.timeout_s = whole("workers", workers, 1), above("timeout_s", timeout_s, 0)
        self._shared: ProcessPoolExecutor | None = None
        self._single: ProcessPoolExecutor | None = None
        self._packed = scratch()

    def load(self, dataset: VideoDataset, refs: Sequence[ClipRef]) -> list[Clip | ClipError]:
        """The results of dataset.load, in the order of refs; a ClipError stands for a clip that failed."""
        return self.submit(dataset, refs).result()

    def submit(self, dataset: VideoDataset, refs: Sequence[ClipRef]) -> "Loading":
        """Starts loading the clips; `.result()` waits for them."""
        return Loading(self, self._pack(dataset), list(refs))

    def _pack(self, dataset: VideoDataset) -> Path:
        """Writes the data set to a file, which each process reads once; a task would carry megabytes of annotation."""
        content = _packed(dataset)
        path = Path(self._packed.name, hashlib.sha256(content).hexdigest())
        if not path.exists():
            path.write_bytes(content)
        return path

    def start(self, packed: Path, ref: ClipRef) -> Future:
        """Queues one clip in the shared processes, which are started anew if they have died."""
        if self._shared is None:
            self._shared = lean_executor(self.workers)
        try:
            return self._shared.submit(_load, packed, ref)
        except BrokenProcessPool:
            self.discard()
            return self.start(packed, ref)

    def discard(self) -> None:
        """Ends the shared processes; what they had not finished fails with BrokenProcessPool."""
        if self._shared is not None:
            kill(self._shared)
            self._shared = None

    def alone(self, packed: Path, ref: ClipRef) -> Clip | ClipError:
        """Loads one clip in a process of its own."""
        if self._single is None:
            self._single = lean_executor(1)
            self._single.submit(_ready).result(START_SECONDS)
        try:
            return self._single.submit(_load, packed, ref).result(self.timeout_s)
        except BrokenProcessPool:
            self._discard_single()
            return ClipError("undecodable", f"{ref.id}: the decoder crashed")
        except NotInTime:
            self._discard_single()
            return ClipError("timeout", f"{ref.id}: not decoded within {self.timeout_s:g} s")

    def _discard_single(self) -> None:
        if self._single is not None:
            kill(self._single)
            self._single = None

    def close(self) -> None:
        self.discard()
        self._discard_single()
        self._packed.cleanup()

    def __enter__(self) -> "DecodePool":
        return self

    def __exit__(self, *exception) -> None:
        self.close()


class Loading:
    """Clips that are being loaded, as DecodePool.submit returns them."""

    def __init__(self, pool: DecodePool, packed: Path, refs: list[ClipRef]):
        self.pool, self.packed, self.refs = pool, packed, refs
        self.futures = [pool.start(packed, ref) for ref in refs]

    def result(self) -> list[Clip | ClipError]:
        """The clips in the order asked for, each a Clip or the ClipError that stands for it."""
        self._wait()
        return [self._outcome(future, ref) for future, ref in zip(self.futures, self.refs, strict=True)]

    def _wait(self) -> None:
        """Waits for all clips; ends the processes if none comes back within the pool's timeout, as one then hangs."""
        waiting = set(self.futures)
        while waiting:
            back, waiting = wait(waiting, self.pool.timeout_s, return_when=FIRST_COMPLETED)
            if not back:
                self.pool.discard()

    def _outcome(self, future: Future, ref: ClipRef) -> Clip | ClipError:
        lost = future.cancelled() or isinstance(future.exception(), BrokenProcessPool)
        return self.pool.alone(self.packed, ref) if lost else future.result()


def _packed(dataset: VideoDataset) -> bytes:
    if type(dataset).__module__ == "__main__":
        name = type(dataset).__name__
        raise UserError(f"data set class {name} is defined in the main script; move it to a module of its own")
    return pickle.dumps(dataset)


@lru_cache(maxsize=4)
def _unpacked(packed: Path) -> VideoDataset:
    return pickle.loads(packed.read_bytes())


def _load(packed: Path, ref: ClipRef) -> Clip | ClipError:
    """Loads one clip; runs in the helper process."""
    try:
        return _unpacked(packed).load(ref)
    except ClipError as error:
        return error
    except Exception as error:  # one clip's trouble must not end the run; its row says what happened
        return ClipError("error", f"{ref.id}: {type(error).__name__}: {error}")


def _ready() -> None:
    """Does nothing: its result shows that the process is up."""
