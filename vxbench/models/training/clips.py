"""The clips of training (random moments, augmented) and of testing, as (frames, label), and batches of them.

A clip that cannot be read is given out as its ClipError: an exception would not cross from a decoding process whole.
"""

from functools import lru_cache

import numpy as np
import torch
from torch.utils.data import Dataset

from vxbench.datasets.base import ClipRef
from vxbench.datasets.decode import Pick
from vxbench.datasets.sampling import Sampler
from vxbench.errors import ClipError
from vxbench.models.training.augment import Augmentation, random_pick
from vxbench.models.training.readers import Reader

ORDERS = 4  # of the frames of each shuffled test clip, to steady the accuracy near chance

Sample = tuple[np.ndarray, int] | ClipError


class TrainingClips(Dataset):
    """Every clip at random moments, augmented anew each time.

    Draws come from torch's global generator. in_memory: each video is decoded once and all its frames are kept,
    resized.
    """

    def __init__(
        self,
        refs: list[ClipRef],
        read: Reader,
        sampler: Sampler,
        augment: Augmentation,
        control: str | None = None,
        in_memory: bool = False,
    ):
        self.refs, self.sampler, self.augment, self.control = refs, sampler, augment, control
        self.read = _remembering(read) if in_memory else read

    def __len__(self) -> int:
        return len(self.refs)

    def __getitem__(self, index: int) -> Sample:
        random = np.random.default_rng(int(torch.randint(2**31, ())))
        try:
            clip = self.read(self.refs[index], random_pick(self.sampler, random))
        except ClipError as error:
            return error
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
            return error
        if self.control == "shuffled":
            clip = clip[self._order(index, len(clip))]
        return (stilled(clip) if self.control == "still" else clip), ref.label

    def _order(self, index: int, frames: int) -> np.ndarray:
        if not self._random_orders:
            random = np.random.default_rng(0)
            self._random_orders = [random.permutation(frames) for _ in range(len(self))]
        return self._random_orders[index]


def collate(samples: list[Sample]) -> dict[str, torch.Tensor] | ClipError:
    """frames (B, T, H, W, 3) uint8 and labels (B,) int64; the first ClipError instead, if there is one."""
    for sample in samples:
        if isinstance(sample, ClipError):
            return sample
    frames = np.stack([clip for clip, _ in samples])
    return {"frames": torch.from_numpy(frames), "labels": torch.tensor([label for _, label in samples])}


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
