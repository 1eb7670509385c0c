"""Defines the contract of all data sets: an index of clips, and one clip decoded on demand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vxbench.datasets.cache import cached
from vxbench.datasets.decode import DECODER_NAMES, Pick
from vxbench.datasets.media import GAPS, read_media
from vxbench.datasets.view import Fitting, Sampled, Sampler, Spatial
from vxbench.errors import ClipError
from vxbench.ranges import one_of


@dataclass(frozen=True)
class ClipRef:
    """A clip in the index, of which nothing is decoded yet.

    id: unique and stable, "<Class>/<video name>". path: a video, or a folder of its frames; where neither is there, the
    place a video was expected. label: index into the data set's `classes`, None where nobody knows it. span: the
    0-based frames start <= t < stop of the video that the clip is sampled from, None for all.
    """

    id: str
    path: Path
    label: int | None
    span: tuple[int, int] | None = None


@dataclass
class Clip:
    """A decoded clip as the model will see it, before its colours are normalised.

    frames: (T, H, W, 3) uint8, RGB. boxes: (T, H, W) bool, union of the boxes, or None.
    annotated: (T,) bool, frames that carry an annotation, or None.
    action: (T,) bool, frames inside the action's segment, or None.
    """

    frames: np.ndarray
    boxes: np.ndarray | None = None
    annotated: np.ndarray | None = None
    action: np.ndarray | None = None


class VideoDataset:
    """Base of all data sets; an object is small enough to be pickled into a decoding process.

    A data set fills `classes`, `clips`, `selection` (one line that says which clips these are, for the foot of a table)
    and overrides `annotate` and `digest`.

    frames, sampling, interval: see `view.Sampler`. height, width, resize, short_side, full: see `view.Spatial`.
    decoder: `auto`, `decord` or `pyav`, see `decode`. gaps: whether a folder that lacks frames is refused, see `media`.
    cache: a folder that keeps the sampled and resized frames of each clip, or None; see `cache`.

    Raises:
        OutOfRange: a value outside its range.
    """

    classes: list[str]
    clips: list[ClipRef]
    selection: str = ""
    source: str = ""  # where its videos are got, in a few words
    published_classes: ClassVar[int | None] = None  # that have clips in the published test split
    published_clips: ClassVar[int | None] = None  # of that split, its first fold

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
        """Decodes and annotates one clip.

        Raises:
            ClipError: the clip is missing, undecodable, too short or not annotated.
        """
        sampled = cached(self.cache, ref.path, self.view(ref), lambda: self.read(ref, self.pick), ref.span)
        distinct, least = len(set(sampled.indices.tolist())), self.least_distinct(ref)
        if distinct < least:
            few = f"{ref.path}: too few frames for sampling={self.pick.name}, which repeats {distinct} of them"
            raise ClipError("undecodable", f"{few}; a clip of {self.pick.frames} has {least} different ones at least")
        return Clip(sampled.frames, **self.annotate(ref, sampled))

    def read(self, ref: ClipRef, pick: Pick) -> Sampled:
        """The frames that `pick(number of frames in the span) -> indices` asks for, at the model's size.

        Raises:
            ClipError: `missing` or `undecodable`.
        """
        fit = Fitting(self.spatial)
        frames, indices = read_media(ref.path, pick, self.decoder, ref.span, self.gaps, fit)
        return Sampled(frames, indices, fit.window)

    def least_distinct(self, ref: ClipRef) -> int:
        """Distinct frames that a clip must have: half of those the model takes, as a still shows no motion."""
        return -(-self.pick.frames // 2)

    def view(self, ref: ClipRef) -> tuple:
        """All that decides which frames of its video a clip has and how they look; a cached copy is found by it."""
        return (ref.span, self.pick, self.spatial, self.decoder, self.gaps)

    def annotate(self, ref: ClipRef, sampled: Sampled) -> dict[str, np.ndarray]:
        """The fields boxes, annotated and action of `Clip` that the data set knows for a clip.

        Raises:
            ClipError: `no_annotation`.
        """
        return {}

    @classmethod
    def asked_for(cls, settings: Mapping[str, Any]) -> int | None:
        """Test clips that these settings ask for of the published data, told without its files; None if only they tell.

        settings: the data set's node of the configuration.
        """
        if settings.get("fold", 1) != 1 or settings.get("split") == "train":
            return None
        if settings.get("per_class") is None:
            return cls.published_clips
        return cls.published_classes and cls.published_classes * settings["per_class"]

    def digest(self) -> str:
        """Short hash of annotation and split lists, which tells in a result's provenance what data it was made from."""
        raise NotImplementedError(f"{type(self).__name__} defines no digest()")
