"""UCF101-24: 24 classes of UCF101 with boxes around the actors (corrected-UCF101-Annots).

Layout below `root`, as published: ucf101/videos/<Class>/<name>.avi, ucf101_24/annotations/pyannot.pkl and
ucf101_24/splits/testlist01.txt. The mini data set has the same.
"""

import hashlib
from collections import defaultdict
from pathlib import Path

import numpy as np

from vxbench.datasets.annotations import REFERENCE, Tube, boxes_at, load_annotation, tubes_of
from vxbench.datasets.base import Clip, ClipRef, VideoDataset
from vxbench.datasets.decode import DECODER_NAMES, read_frames
from vxbench.datasets.sampling import SAMPLERS, sampler
from vxbench.datasets.transform import Spatial, cut_frames, draw_boxes
from vxbench.errors import ClipError, OutOfRange, UserError
from vxbench.ranges import one_of, whole

SPLITS = ("test", "train")
BOXES = ("union", "last")
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
    per_class: clips of each class, drawn by `seed`; None for all. The draw ranks clips by a hash of seed and
        id, so it is the same everywhere.
    frames, height, width, resize, short_side, sampling: see `sampling` and `transform`.
    boxes: of a clip with several tubes the `union`, or the `last` alone, as STEP's evaluation code.
    videos, extension: where below `root` the videos are and how their names end.

    Raises:
        UserError: files of the data set are missing (all are named) or have not the published structure.
        OutOfRange: a value outside its range, or fewer than `per_class` clips in a class.
    """

    def __init__(
        self,
        root: str | Path,
        frames: int,
        height: int,
        width: int,
        split: str = "test",
        per_class: int | None = None,
        seed: int = 0,
        resize: str = "squash",
        short_side: int | None = None,
        sampling: str = "centre",
        decoder: str = "auto",
        videos: str = "ucf101/videos",
        extension: str = ".avi",
        boxes: str = "union",
    ):
        one_of("boxes", boxes, BOXES)
        self.sampling, self.frames = one_of("sampling", sampling, SAMPLERS), whole("frames", frames, 1)
        self.spatial = Spatial(height, width, resize, short_side)
        self.decoder = one_of("decoder", decoder, DECODER_NAMES)
        root = Path(root)
        _check_files(root, Path(videos))
        self._digest = _digest(root)
        entries, listed = load_annotation(root / ANNOTATION), read_list(root / TEST_LIST)
        self.classes = sorted({_class_of(clip) for clip in [*entries, *listed]})
        ids = listed if one_of("split", split, SPLITS) == "test" else sorted(set(entries) - set(listed))
        ids = sorted(ids if per_class is None else draw(ids, whole("per_class", per_class, 1), seed))
        labels = {name: i for i, name in enumerate(self.classes)}
        self.clips = [ClipRef(id, root / videos / f"{id}{extension}", labels[_class_of(id)]) for id in ids]
        self.tubes = {ref.id: _tubes(entries[ref.id], ref) for ref in self.clips if ref.id in entries}
        if boxes == "last":
            self.tubes = {id: tubes[-1:] for id, tubes in self.tubes.items()}

    def load(self, ref: ClipRef) -> Clip:
        """Frames (T, H, W, 3) uint8, boxes (T, H, W) bool, annotated (T,) bool: frames inside a tube.

        Raises:
            ClipError: `missing`, `undecodable`, or `no_annotation` for a clip that the annotation lacks.
        """
        if not self.tubes.get(ref.id):
            raise ClipError("no_annotation", f"{ref.id} has no boxes in {ANNOTATION.name}")
        frames, indices = read_frames(ref.path, sampler(self.sampling, self.frames), self.decoder)
        boxes = [boxes_at(self.tubes[ref.id], t) for t in indices.tolist()]
        window = self.spatial.window(frames.shape[2], frames.shape[1])
        annotated = np.array([len(of_frame) > 0 for of_frame in boxes])
        return Clip(cut_frames(frames, window), draw_boxes(boxes, REFERENCE, window), annotated)

    def digest(self) -> str:
        """Short sha256 of the annotation and the test list, for the provenance of results."""
        return self._digest


def read_list(path: Path) -> list[str]:
    """The clips of a split list as '<Class>/<name>'; extension, label, blank lines and CRLF may be there."""
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return [words[0].removesuffix(".avi") for words in lines if words]


def draw(ids: list[str], per_class: int, seed: int) -> list[str]:
    """`per_class` ids of each class: those with the smallest hash of (seed, id)."""
    by_class = defaultdict(list)
    for id in ids:
        by_class[_class_of(id)].append(id)
    for name, members in by_class.items():
        if len(members) < per_class:
            raise OutOfRange(f"per_class = {per_class}, but {name} has only {len(members)} clips in this split")
    ranked = (sorted(members, key=lambda id: _rank(seed, id)) for members in by_class.values())
    return [id for members in ranked for id in members[:per_class]]


def _rank(seed: int, id: str) -> str:
    return hashlib.sha256(f"{seed}/{id}".encode()).hexdigest()


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


def _check_files(root: Path, videos: Path) -> None:
    """Raise one error that names everything missing, where it is got and where it goes."""
    wanted = {videos: SOURCES["videos"], ANNOTATION: SOURCES[ANNOTATION], TEST_LIST: SOURCES[TEST_LIST]}
    missing = [f"{root / part} ({source})" for part, source in wanted.items() if not (root / part).exists()]
    if missing:
        made = f"for the generated mini data: vxbench-make-mini --root {root}"
        raise UserError(f"UCF101-24 is not complete, missing: {'; '.join(missing)}; {made}")
