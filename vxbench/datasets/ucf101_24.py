"""Reads UCF101-24: 24 classes of UCF101 with boxes around the actors (corrected-UCF101-Annots).

Layout below `root`, as published: the videos of UCF101, ucf101_24/annotations/pyannot.pkl and
ucf101_24/splits/testlist01.txt. The mini data set has the same.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vxbench.datasets.annotations import Tube, boxes_at, load_annotation, tubes_of
from vxbench.datasets.base import ClipRef, VideoDataset
from vxbench.datasets.lists import Part, as_list, digest_of, find_all
from vxbench.datasets.media import Library
from vxbench.datasets.subset import choose, describe
from vxbench.datasets.ucf101 import (
    CLASS_INDEX,
    SOURCE,
    VIDEOS,
    class_of,
    list_part,
    read_classes,
    read_list,
    videos_part,
)
from vxbench.datasets.view import Sampled, draw_boxes
from vxbench.errors import ClipError, UserError
from vxbench.ranges import one_of

SPLITS = ("test", "train")
BOXES = ("union", "last")
LABELS = ("ucf101_24", "ucf101")
ANNOTATION = Path("ucf101_24/annotations/pyannot.pkl")
TEST_LIST = Path("ucf101_24/splits/testlist01.txt")
ANNOTATION_SOURCE = "of github.com/gurkirt/corrected-UCF101-Annots"
CLIPS_OF = {"test": "the published test list", "train": "the annotation without the test list"}
REFERENCE = (320, 240)  # width, height of the frames that boxes are measured in


class UCF101_24(VideoDataset):
    """Clips of one split with the union of their boxes.

    labels: what labels index: `ucf101_24`, the 24 classes in alphabetical order, or `ucf101`, all 101 of classInd.txt,
    for networks trained on UCF101 (as in AOSA's Table IV).
    split: `test` is the published list; `train`, for which no list is published, the rest of the annotation.
    per_class: clips of each class, drawn by `seed`; None for all.
    boxes: where a clip has several tubes, their `union`, or the `last` alone, as in STEP's evaluation code.
    videos: where below `root` the videos or their frames are; the first folder that has a clip wins.
    view: see VideoDataset.

    Raises:
        UserError: files of the data set are missing (all are named) or have not the published structure.
        OutOfRange: a value outside its range, or fewer than `per_class` clips in a class.
    """

    source = SOURCE
    published_classes = 24
    published_clips = 910

    def __init__(
        self,
        root: str | Path,
        labels: str = "ucf101_24",
        split: str = "test",
        per_class: int | None = None,
        seed: int = 0,
        boxes: str = "union",
        videos: str | Sequence[str] = VIDEOS,
        **view,
    ):
        super().__init__(**view)
        root, videos = Path(root), as_list(videos)
        one_of("labels", labels, LABELS)
        one_of("boxes", boxes, BOXES)
        one_of("split", split, SPLITS)
        annotation, test_list, *index = _files(root, videos, labels)
        self._digest = digest_of([annotation, test_list, *index])
        entries, listed = load_annotation(annotation), read_list(test_list)
        actions = sorted({class_of(clip) for clip in [*entries, *listed]})
        self.classes = read_classes(index[0]) if index else actions
        label = _labels(actions, self.classes)
        library = Library(root / place for place in videos)
        ids = listed if split == "test" else sorted(set(entries) - set(listed))
        refs = [ClipRef(id, library.find(id), label[class_of(id)]) for id in ids]
        self.clips = choose(refs, self.classes, per_class, seed=seed, source=CLIPS_OF[split])
        self.selection = _selection(self.clips, split, per_class, seed)
        self.tubes = {ref.id: _tubes(entries[ref.id], ref.id, actions) for ref in self.clips if ref.id in entries}
        if boxes == "last":
            self.tubes = {id: tubes[-1:] for id, tubes in self.tubes.items()}

    def annotate(self, ref: ClipRef, sampled: Sampled) -> dict[str, np.ndarray]:
        """The fields boxes (T, H, W) bool and annotated (T,) bool: frames inside a tube.

        Raises:
            ClipError: `no_annotation` for a clip that the annotation lacks.
        """
        if not self.tubes.get(ref.id):
            raise ClipError("no_annotation", f"{ref.id} has no boxes in {ANNOTATION.name}")
        boxes = [boxes_at(self.tubes[ref.id], t) for t in sampled.indices.tolist()]
        annotated = np.array([len(of_frame) > 0 for of_frame in boxes])
        return {"boxes": draw_boxes(boxes, REFERENCE, sampled.window), "annotated": annotated}

    def digest(self) -> str:
        """Short sha256 of the annotation and the lists, for the provenance of results."""
        return self._digest


def _files(root: Path, videos: Sequence[str], labels: str) -> list[Path]:
    """Paths of the annotation, the test list and, where labels index it, classInd."""
    annotated = [Part([path], f"{path.name} {ANNOTATION_SOURCE}") for path in (ANNOTATION, TEST_LIST)]
    index = [list_part(CLASS_INDEX)] if labels == "ucf101" else []
    return find_all("UCF101-24", root, [videos_part(videos), *annotated, *index])[1:]


def _labels(actions: list[str], classes: list[str]) -> dict[str, int]:
    """The labels of the annotated classes, by name."""
    if unknown := [name for name in actions if name not in classes]:
        raise UserError(f"{CLASS_INDEX} lacks {', '.join(unknown)} of UCF101-24; get the published file anew")
    return {name: classes.index(name) for name in actions}


def _selection(drawn: list[ClipRef], split: str, per_class: int | None, seed: int) -> str:
    said = describe(drawn, CLIPS_OF[split], per_class, seed=seed)
    return said if per_class is None or split == "train" else f"{said} (the papers' own draw is unpublished)"


def _tubes(entry: dict, id: str, actions: list[str]) -> list[Tube]:
    """The tubes of a clip, whose entry must give its class by its number among the annotated ones."""
    tubes = tubes_of(entry, f"{ANNOTATION.name}: {id}")
    number, label = actions.index(class_of(id)), entry.get("label")
    if not isinstance(label, int) or label != number:
        raise UserError(
            f"{ANNOTATION.name}: {id} has label {label!r:.40}, but its class is number {number}"
            " in alphabetical order; annotation and lists do not belong together"
        )
    return tubes
