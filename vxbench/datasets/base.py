"""What the runner asks of a data set: an index of clips, and one clip decoded on demand."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class ClipRef:
    """A clip in the index: nothing of it is decoded yet.

    id: unique and stable, "<Class>/<video name>". label: index into the data set's `classes`.
    """

    id: str
    path: Path
    label: int


@dataclass
class Clip:
    """A clip as the model will see it, before its colours are normalised.

    frames: (T, H, W, 3) uint8, RGB. boxes: (T, H, W) bool, union of the boxes, or None.
    annotated: (T,) bool, frames that carry an annotation, or None.
    action: (T,) bool, frames inside the action's segment, or None.
    """

    frames: np.ndarray
    boxes: np.ndarray | None = None
    annotated: np.ndarray | None = None
    action: np.ndarray | None = None


class VideoDataset:
    """Base of all data sets. Small enough to be pickled into a decoding process."""

    classes: list[str]
    clips: list[ClipRef]

    def load(self, ref: ClipRef) -> Clip:
        """Decode and annotate one clip.

        Raises:
            ClipError: the clip is missing, undecodable or not annotated.
        """
        raise NotImplementedError

    def digest(self) -> str:
        """Short hash of annotation and split lists: in a result's provenance, the data it was made from."""
        raise NotImplementedError
