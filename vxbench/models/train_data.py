"""The clips of training (random moments, shifted, recoloured) and of testing, as (frames, label)."""

from functools import lru_cache, partial

import numpy as np
import torch
from torch.utils.data import Dataset

from vxbench.datasets.base import ClipRef
from vxbench.datasets.decode import Pick
from vxbench.models.train_readers import Reader

SHIFT = 6  # pixels of 64, at most, to each side
ORDERS = 4  # of the frames of each shuffled test clip, to steady the accuracy near chance
GAIN, OFFSET = (0.8, 1.2), (-20, 20)  # of each colour channel, and of all of them, in units of 0-255


class TrainingClips(Dataset):
    """A random moment of each of T equal segments of every clip, shifted and recoloured anew each time.

    No flips, in space or in time: in the mini data set they would make another class of a clip. Draws come
    from torch's global generator. in_memory: each video is decoded once and all its frames are kept, resized.
    """

    def __init__(self, refs: list[ClipRef], read: Reader, frames: int, control: str | None, in_memory: bool):
        self.refs, self.frames, self.control = refs, frames, control
        self.read = _remembering(read) if in_memory else read

    def __len__(self) -> int:
        return len(self.refs)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        random = np.random.default_rng(int(torch.randint(2**31, ())))
        clip = self.read(self.refs[index], partial(random_moments, frames=self.frames, random=random))
        clip = random.permutation(clip) if self.control == "shuffled" else clip
        clip = stilled(clip) if self.control == "still" else clip
        return recoloured(shifted(clip, random), random), self.refs[index].label


class TestClips(Dataset):
    """The clips as a benchmark sees them, all in memory: clips (N, T, H, W, 3) uint8, labels N.

    control: `shuffled` gives each clip in ORDERS random orders of its frames, the same in every run; `still` its first
    frame alone, repeated.
    """

    __test__ = False  # no test case, for all its name

    def __init__(self, refs: list[ClipRef], read: Reader, pick: Pick, control: str | None = None):
        clips, labels = [read(ref, pick) for ref in refs], [ref.label for ref in refs]
        if control == "shuffled":
            clips, labels = _orders(clips), labels * ORDERS
        if control == "still":
            clips = [stilled(clip) for clip in clips]
        self.clips, self.labels = np.stack(clips), labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return self.clips[index], self.labels[index]


def collate(samples: list[tuple[np.ndarray, int]], is_2d: bool) -> dict[str, list]:
    """What mmaction2's data preprocessor takes: bytes, (T, 3, H, W) a clip if 2D, else (1, 3, T, H, W)."""
    from mmaction.structures import ActionDataSample

    order = (lambda clip: clip.transpose(0, 3, 1, 2)) if is_2d else (lambda clip: clip.transpose(3, 0, 1, 2)[None])
    inputs = [torch.from_numpy(np.ascontiguousarray(order(clip))) for clip, _ in samples]
    return {
        "inputs": inputs,
        "data_samples": [ActionDataSample().set_gt_label(label) for _, label in samples],
    }


def random_moments(n: int, frames: int, random: np.random.Generator) -> np.ndarray:
    """One frame of each of `frames` equal segments of a video of n frames, ascending."""
    return np.minimum(((np.arange(frames) + random.random(frames)) * n / frames).astype(int), n - 1)


def stilled(clip: np.ndarray) -> np.ndarray:
    """The first frame in place of every frame: it is the one that says most of where a motion starts."""
    return np.broadcast_to(clip[:1], clip.shape)


def shifted(clip: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """All frames moved alike by up to SHIFT pixels; the border's pixels fill the gap."""
    dy, dx = random.integers(0, 2 * SHIFT + 1, 2)
    height, width = clip.shape[1:3]
    padded = np.pad(clip, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="edge")
    return padded[:, dy : dy + height, dx : dx + width]


def recoloured(clip: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A gain for each channel and one offset for all, the same in every frame."""
    gain, offset = random.uniform(*GAIN, size=3), random.uniform(*OFFSET)
    return (clip * gain.astype(np.float32) + np.float32(offset)).clip(0, 255).astype(np.uint8)


def _orders(clips: list[np.ndarray]) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.permutation(clip) for _ in range(ORDERS) for clip in clips]


def _remembering(read: Reader) -> Reader:
    """read, which decodes each clip at most once."""
    whole = lru_cache(maxsize=None)(lambda ref: read(ref, np.arange))

    def recall(ref: ClipRef, pick) -> np.ndarray:
        frames = whole(ref)
        return frames[pick(len(frames))]

    return recall
