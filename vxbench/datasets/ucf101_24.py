"""UCF101-24: 24 classes of UCF101 with boxes around the actors (corrected-UCF101-Annots).

Layout below `root`, as published: the videos of UCF101, ucf101_24/annotations/pyannot.pkl and
ucf101_24/splits/testlist01.txt. The mini data set has the same.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vxbench.datasets.annotations import REFERENCE, Tube, boxes_at, load_annotation, tubes_of
from vxbench.datasets.base import ClipRef, VideoDataset
from vxbench.datasets.draw import draw
from vxbench.datasets.media import Library
from vxbench.datasets.transform import Sampled, draw_boxes
from vxbench.errors import ClipError, UserError
from vxbench.ranges import one_of

SPLITS = ("test", "train")
BOXES = ("union", "last")
LABELS = ("ucf101_24",)
VIDEOS = ("ucf101/videos", "ucf101/UCF-101", "ucf101/rawframes")
ANNOTATION = Path("ucf101_24/annotations/pyannot.pkl")
TEST_LIST = Path("ucf101_24/splits/testlist01.txt")
SOURCES = {
    "videos": "UCF101 from www.crcv.ucf.edu/data/UCF101.php, one folder a class",
    ANNOTATION: "pyannot.pkl of github.com/gurkirt/corrected-UCF101-Annots",
    TEST_LIST: "testlist01.txt of github.com/gurkirt/corrected-UCF101-Annots",
}


class UCF101_24(VideoDataset):
    """Clips of one split with the union of their boxes.

    split: `test` is the published list; `train`, for which no list is published, the rest of the annotation.
    per_class: clips of each class, drawn by `seed`; None for all.
    boxes: of a clip with several tubes the `union`, or the `last` alone, as STEP's evaluation code.
    videos: where below `root` the videos or their frames are; the first folder that has a clip wins.
    view: see VideoDataset.

    Raises:
        UserError: files of the data set are missing (all are named) or have not the published structure.
        OutOfRange: a value outside its range, or fewer than `per_class` clips in a class.
    """

    def __init__(
        self,
        root: str | Path,
        labels: str = "ucf101_24",
        split: str = "test",
        per_class: int | None = None,
        seed: int = 0,
        boxes: str = "union",
        videos: Sequence[str] = VIDEOS,
        **view,
    ):
        super().__init__(**view)
        one_of("labels", labels, LABELS)
        one_of("boxes", boxes, BOXES)
        root = Path(root)
        _check_files(root, videos)
        self._digest = _digest(root)
        entries, listed = load_annotation(root / ANNOTATION), read_list(root / TEST_LIST)
        self.classes = sorted({_class_of(clip) for clip in [*entries, *listed]})
        ids = listed if one_of("split", split, SPLITS) == "test" else sorted(set(entries) - set(listed))
        labels, library = {name: i for i, name in enumerate(self.classes)}, Library(root / place for place in videos)
        refs = [ClipRef(id, library.find(id), labels[_class_of(id)]) for id in ids]
        self.clips = draw(refs, self.classes, per_class, seed=seed)
        self.selection = "all clips" if per_class is None else f"{per_class} of each class, drawn by seed {seed}"
        self.tubes = {ref.id: _tubes(entries[ref.id], ref) for ref in self.clips if ref.id in entries}
        if boxes == "last":
            self.tubes = {id: tubes[-1:] for id, tubes in self.tubes.items()}

    def annotate(self, ref: ClipRef, sampled: Sampled) -> dict[str, np.ndarray]:
        """boxes (T, H, W) bool; annotated (T,) bool: frames inside a tube.

        Raises:
            ClipError: `no_annotation` for a clip that the annotation lacks.
        """
        if not self.tubes.get(ref.id):
            raise ClipError("no_annotation", f"{ref.id} has no boxes in {ANNOTATION.name}")
        boxes = [boxes_at(self.tubes[ref.id], t) for t in sampled.indices.tolist()]
        annotated = np.array([len(of_frame) > 0 for of_frame in boxes])
        return {"boxes": draw_boxes(boxes, REFERENCE, sampled.window), "annotated": annotated}

    def digest(self) -> str:
        """Short sha256 of the annotation and the test list, for the provenance of results."""
        return self._digest


def read_list(path: Path) -> list[str]:
    """The clips of a split list as '<Class>/<name>'; extension, label, blank lines and CRLF may be there."""
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return [words[0].removesuffix(".avi") for words in lines if words]


def _class_of(id: str) -> str:
    return id.split("/")[0]


def _tubes(entry: dict, ref: ClipRef) -> list[Tube]:
    tubes = tubes_of(entry, f"{ANNOTATION.name}: {ref.id}")
    if entry.get("label") != ref.label:
        raise UserError(
            f"{ANNOTATION.name}: {ref.id} has label {entry.get('label')}, but its class is number {ref.label}"
            " in alphabetical order; annotation and lists do not belong together"
        )
    return tubes


def _digest(root: Path) -> str:
    content = b"".join((root / part).read_bytes() for part in (ANNOTATION, TEST_LIST))
    return hashlib.sha256(content).hexdigest()[:16]


def _check_files(root: Path, videos: Sequence[str]) -> None:
    """Raise one error that names everything missing, where it is got and where it goes."""
    wanted = {part: SOURCES[part] for part in (ANNOTATION, TEST_LIST)}
    if not any((root / place).is_dir() for place in videos):
        wanted = {videos[0]: SOURCES["videos"], **wanted}
    missing = [f"{root / part} ({source})" for part, source in wanted.items() if not (root / part).exists()]
    if missing:
        made = f"for the generated mini data: vxbench-make-mini --root {root}"
        raise UserError(f"UCF101-24 is not complete, missing: {'; '.join(missing)}; {made}")
