"""What the runner asks of a data set: an index of clips, and one clip decoded on demand."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vxbench.datasets.cache import cached
from vxbench.datasets.decode import DECODER_NAMES, Pick
from vxbench.datasets.media import GAPS, read_media
from vxbench.datasets.view import Sampled, Sampler, Spatial, cut_frames
from vxbench.ranges import one_of


@dataclass(frozen=True)
class ClipRef:
    """A clip in the index: nothing of it is decoded yet.

    id: unique and stable, "<Class>/<video name>". path: a video, or a folder of its frames; where neither is there, the
    place a video was expected. label: index into the data set's `classes`. span: the 0-based frames start <= t < stop
    of the video that the clip is sampled from, None for all.
    """

    id: str
    path: Path
    label: int
    span: tuple[int, int] | None = None


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
    """Base of all data sets. Small enough to be pickled into a decoding process.

    A data set fills `classes`, `clips`, `selection` (one line that says which clips these are, for the foot of a table)
    and overrides `annotate` and `digest`.

    frames, sampling, interval: see `sampling`. height, width, resize, short_side, full: see `transform`.
    decoder: see `decode`. gaps: what to do with a folder of frames that lacks some, see `media`.
    cache: a folder that keeps the sampled and resized frames of each clip, or None; see `cache`.

    Raises:
        OutOfRange: a value outside its range.
    """

    classes: list[str]
    clips: list[ClipRef]
    selection: str
    source: str  # where its videos are got, in a few words

    def __init__(
        self,
        frames: int,
        height: int,
        width: int,
        resize: str = "squash",
        short_side: int | None = None,
        sampling: str = "centre",
        interval: int = 1,
        decoder: str = "auto",
        gaps: str = "refuse",
        cache: str | Path | None = None,
        full: Sequence[int] | None = None,
    ):
        self.pick = Sampler(sampling, frames, interval)
        self.spatial = Spatial(height, width, resize, short_side, full)
        self.decoder = one_of("decoder", decoder, DECODER_NAMES)
        self.gaps = one_of("gaps", gaps, GAPS)
        self.cache = None if cache is None else Path(cache)

    def load(self, ref: ClipRef) -> Clip:
        """Decode and annotate one clip.

        Raises:
            ClipError: the clip is missing, undecodable or not annotated.
        """
        sampled = cached(self.cache, ref.path, self.view(ref), lambda: self.read(ref, self.pick), ref.span)
        return Clip(sampled.frames, **self.annotate(ref, sampled))

    def read(self, ref: ClipRef, pick: Pick) -> Sampled:
        """The frames that `pick(number of frames in the span) -> indices` asks for, at the model's size.

        Raises:
            ClipError: `missing` or `undecodable`.
        """
        frames, indices = read_media(ref.path, pick, self.decoder, ref.span, self.gaps)
        window = self.spatial.window(frames.shape[2], frames.shape[1])
        return Sampled(cut_frames(frames, window), indices, window)

    def view(self, ref: ClipRef) -> tuple:
        """All that decides which frames of its video a clip has and how they look: what a cached copy is found by."""
        return (ref.span, self.pick, self.spatial, self.decoder, self.gaps)

    def annotate(self, ref: ClipRef, sampled: Sampled) -> dict[str, np.ndarray]:
        """boxes, annotated and action of a clip, as `Clip` has them; those the data set knows.

        Raises:
            ClipError: `no_annotation`.
        """
        return {}

    def digest(self) -> str:
        """Short hash of annotation and split lists: in a result's provenance, the data it was made from."""
        raise NotImplementedError
