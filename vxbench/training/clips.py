"""The clips of training (random moments, augmented) and of testing, as (frames, label), and batches of them."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vxbench.datasets.base import ClipRef, VideoDataset
from vxbench.datasets.decode import Pick
from vxbench.datasets.mini.actors import unpacked
from vxbench.datasets.mini.generate import MANIFEST
from vxbench.datasets.mini.ucf import scene
from vxbench.datasets.view import Sampler, Spatial, cut_frames
from vxbench.errors import ClipError, UserError
from vxbench.ranges import one_of
from vxbench.training.augment import Augmentation, random_pick

Reader = Callable[[ClipRef, Pick], np.ndarray]  # (ref, pick) -> (T, H, W, 3) uint8 at the model's size


def videos(dataset: VideoDataset) -> Reader:
    """Reads the frames of a clip as the data set does; `pick(n)` chooses among them."""
    return lambda ref, pick: dataset.read(ref, pick).frames


def backgrounds(spatial: Spatial, root: Path) -> Reader:
    """Draws the mini clip anew without its actors; distractor and moving background stay.

    Raises:
        UserError: root does not hold the mini data set.
    """
    try:
        seed = json.loads((Path(root) / MANIFEST).read_text())["plan"]["seed"]
    except OSError as err:
        raise UserError(f"control=background needs the mini data set; {root} has no {MANIFEST}") from err
    return lambda ref, pick: _cut(without_actors(seed, ref.id, pick), spatial)


def without_actors(seed: int, clip: str, pick: Pick) -> np.ndarray:
    """(T, 240, 320, 3) uint8 of mini clip `<Class>/v_<Class>_g<group>_c<number>` without its actors."""
    name, group, number = clip.split("/")[1].removeprefix("v_").split("_")
    drawn = scene(seed, name, int(group[1:]), int(number[1:]))
    empty = replace(drawn, movers=drawn.movers[:1])  # the distractor is drawn first, the actors over it
    return np.stack([unpacked(empty.frame(t)) for t in pick(len(empty))])


def _cut(frames: np.ndarray, spatial: Spatial) -> np.ndarray:
    return cut_frames(frames, spatial.window(frames.shape[2], frames.shape[1]))


RULES = ("refuse", "leave_out")
NAMED = 5  # clips


@dataclass(frozen=True)
class Unreadable:
    """A clip that cannot be read, in place of its frames: an exception would not cross from a worker whole."""

    id: str
    error: ClipError


class SkippedClips:
    """What becomes of clips that cannot be read. rule: `refuse` ends the run at the first; `leave_out` notes them.

    Raises:
        OutOfRange: another rule.
    """

    def __init__(self, rule: str = "refuse"):
        self.rule = one_of("unreadable", rule, RULES)
        self.ids: list[str] = []

    def sift(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """frames and labels of a batch as `collate` makes it.

        Raises:
            ClipError: a clip cannot be read and the rule is `refuse`.
        """
        for clip in batch["unreadable"]:
            if self.rule == "refuse":
                raise clip.error
            if clip.id not in self.ids:
                self.ids.append(clip.id)
                print(f"left out: {clip.id}: {clip.error.message}", flush=True)
        return {key: torch.from_numpy(batch[key]) for key in ("frames", "labels")}

    def record(self) -> dict[str, Any]:
        """Number and first names of the clips that were left out."""
        return {"clips": len(self.ids), "first": sorted(self.ids)[:NAMED]}


@contextmanager
def failing_workers() -> Iterator[None]:
    """A worker of torch's DataLoader that is killed or gives nothing in time is one line.

    Raises:
        UserError: that line.
    """
    try:
        yield
    except RuntimeError as error:
        said = str(error).partition("\n")[0]
        if not said.startswith("DataLoader "):
            raise
        raise UserError(
            f"decoding ended: {said.split('. ')[0]}; see timeout_s and the free memory; resume=true goes on"
        ) from error


ORDERS = 4  # of the frames of each shuffled test clip, to steady the accuracy near chance
TRIES = 10  # clips that may stand in for one that cannot be read

Sample = tuple[np.ndarray, int] | Unreadable


class TrainingClips(Dataset):
    """Every clip at random moments, augmented anew each time.

    Draws come from torch's global generator; each worker has one of its own, so they depend on the number of workers.
    in_memory: each video is decoded once and all its frames are kept, resized. stand_in: for a clip that cannot be read
    the next one of the list is shown, at its own random moments; or, if that one cannot be read, the next but one ...
    """

    def __init__(
        self,
        refs: list[ClipRef],
        read: Reader,
        sampler: Sampler,
        augment: Augmentation,
        control: str | None = None,
        in_memory: bool = False,
        stand_in: bool = False,
    ):
        self.refs, self.sampler, self.augment, self.control = refs, sampler, augment, control
        self.tries = 1 + TRIES * stand_in
        self.read = _remembering(read) if in_memory else read

    def __len__(self) -> int:
        return len(self.refs)

    def __getitem__(self, index: int) -> Sample:
        return self.__getitems__([index])[-1]

    def __getitems__(self, indices: list[int]) -> list[Sample]:
        """What torch's DataLoader calls: a sample for each index, before it those that it stands in for."""
        return [sample for index in indices for sample in self._tried(index)]

    def _tried(self, index: int) -> Iterator[Sample]:
        random = np.random.default_rng(int(torch.randint(2**31, ())))
        for other in range(index, index + self.tries):
            sample = self._sample(other % len(self), random)
            yield sample
            if not isinstance(sample, Unreadable):
                return

    def _sample(self, index: int, random: np.random.Generator) -> Sample:
        try:
            clip = self.read(self.refs[index], random_pick(self.sampler, random))
        except ClipError as error:
            return Unreadable(self.refs[index].id, error)
        clip = random.permutation(clip) if self.control == "shuffled" else clip
        clip = stilled(clip) if self.control == "still" else clip
        return self.augment(clip, random), self.refs[index].label


class TestClips(Dataset):
    """The clips as a benchmark sees them.

    control: `shuffled` gives each clip in ORDERS random orders of its frames, the same in every run; `still` its first
    frame alone, repeated. in_memory: each clip is read once and kept.
    """

    __test__ = False  # no test case, for all its name

    def __init__(
        self, refs: list[ClipRef], read: Reader, pick: Pick, control: str | None = None, in_memory: bool = False
    ):
        self.refs, self.control = refs, control
        self._read = lambda ref: read(ref, pick)
        if in_memory:
            self._read = lru_cache(maxsize=None)(self._read)
        self._random_orders: list[np.ndarray] = []

    def __len__(self) -> int:
        return len(self.refs) * (ORDERS if self.control == "shuffled" else 1)

    def __getitem__(self, index: int) -> Sample:
        if index >= len(self):
            raise IndexError(index)
        ref = self.refs[index % len(self.refs)]
        try:
            clip = self._read(ref)
        except ClipError as error:
            return Unreadable(ref.id, error)
        if self.control == "shuffled":
            clip = clip[self._order(index, len(clip))]
        return (stilled(clip) if self.control == "still" else clip), ref.label

    def _order(self, index: int, frames: int) -> np.ndarray:
        if not self._random_orders:
            random = np.random.default_rng(0)
            self._random_orders = [random.permutation(frames) for _ in range(len(self))]
        return self._random_orders[index]


def batches(clips: Dataset, batch_size: int, workers: int = 0, timeout_s: float = 0, **options) -> DataLoader:
    """Batches as `collate` makes them. timeout_s: for a batch of the workers, 0 for no limit."""
    waiting = {"num_workers": workers, "timeout": timeout_s if workers else 0}
    return DataLoader(clips, batch_size, collate_fn=collate, **waiting, **options)


def collate(samples: list[Sample]) -> dict[str, np.ndarray | list[Unreadable]]:
    """frames (B, T, H, W, 3) uint8 and labels (B,) int64 of those that could be read, and the others: unreadable.

    Arrays, as a worker sends them through a pipe: tensors would go through /dev/shm, which containers keep small.
    """
    unreadable = [sample for sample in samples if isinstance(sample, Unreadable)]
    there = [sample for sample in samples if not isinstance(sample, Unreadable)]
    frames = np.stack([clip for clip, _ in there]) if there else np.empty(0, np.uint8)
    return {"frames": frames, "labels": np.array([label for _, label in there], np.int64), "unreadable": unreadable}


def stilled(clip: np.ndarray) -> np.ndarray:
    """The first frame in place of every frame: it is the one that says most of where a motion starts."""
    return np.broadcast_to(clip[:1], clip.shape)


def _remembering(read: Reader) -> Reader:
    """read, which decodes each clip at most once."""
    whole = lru_cache(maxsize=None)(lambda ref: read(ref, np.arange))

    def recall(ref: ClipRef, pick: Pick) -> np.ndarray:
        frames = whole(ref)
        return frames[pick(len(frames))]

    return recall
