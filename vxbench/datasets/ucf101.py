"""Reads UCF101: 13320 videos of 101 classes, with the official splits. No boxes.

Layout below `root`, as published: the videos in ucf101/ (see VIDEOS) and ucf101/ucfTrainTestlist/{classInd,trainlist0N,
testlist0N}.txt, N = fold. The mini data set has the same.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vxbench.datasets.base import ClipRef, VideoDataset
from vxbench.datasets.lists import Part, as_list, digest_of, distinct, find_all, read_lines
from vxbench.datasets.media import Library, frame_numbers
from vxbench.datasets.pool import DecodePool
from vxbench.datasets.streams import read_header
from vxbench.datasets.subset import choose, describe
from vxbench.errors import ClipError, UserError
from vxbench.ranges import one_of, whole

SPLITS = ("test", "train")
LABELS = ("ucf101",)
WINDOWS = ("first", "all")
VIDEOS = ("ucf101/videos", "ucf101/UCF-101", "ucf101/rawframes", "ucf101/jpg")
LISTS = Path("ucf101/ucfTrainTestlist")
CLASS_INDEX = LISTS / "classInd.txt"
SOURCE = "UCF101 from www.crcv.ucf.edu/data/UCF101.php, one folder a class"
LISTS_SOURCE = "of UCF101TrainTestSplits-RecognitionTask.zip from www.crcv.ucf.edu/data/UCF101.php"


def videos_part(videos: Sequence[str]) -> Part:
    """The videos as a part of the data set, in any of these folders."""
    return Part(videos, SOURCE, folder=True)


def list_part(path: Path) -> Part:
    """An official list as a part of the data set."""
    return Part([path], f"{path.name} {LISTS_SOURCE}")


def read_list(path: Path) -> list[str]:
    """The clips of a split list as '<Class>/<name>'; extension, label, blank lines and CRLF may be there.

    Raises:
        UserError: it is no text, or a clip is there twice.
    """
    return list(read_labelled(path))


def read_labelled(path: Path) -> dict[str, str | None]:
    """The clips '<Class>/<name>' of a split list, each with the number behind it, None where there is none.

    Raises:
        UserError: it is no text, or a clip is there twice.
    """
    lines = [words for line in read_lines(path) if (words := line.split())]
    clips = distinct([words[0].removesuffix(".avi") for words in lines], path)
    return {clip: words[1] if len(words) > 1 else None for clip, words in zip(clips, lines, strict=True)}


def read_classes(path: Path) -> list[str]:
    """The classes of classInd.txt in its order: number 1 first.

    Raises:
        UserError: the numbers are not 1, 2, 3, ..., or a class is there twice.
    """
    lines = [line.split() for line in read_lines(path) if line.strip()]
    for number, words in enumerate(lines, start=1):
        if len(words) != 2 or words[0] != str(number):
            raise UserError(f"{path}: line {number} is {' '.join(words)!r}, not '{number} <Class>'; get it anew")
    return distinct([name for _, name in lines], path)


def class_of(id: str) -> str:
    """The class of a clip '<Class>/<name>'."""
    return id.split("/")[0]


class UCF101(VideoDataset):
    """Clips of one official split.

    fold: 1, 2 or 3, the official partition. split: `test` or `train` of it.
    per_class: videos of each class, drawn by `seed`; None for all.
    windows: `first`: each video is one clip, sampled as `sampling` says. `all`: each video is cut into windows of
    `frames` frames `interval` apart, one after the other, and each window is a clip "<Class>/<name>#<k>", k from 0; the
    last may be shorter, which sampling=window starts over (SlidingWindow and LoopPadding of
    kenshohara/3D-ResNets-PyTorch, whose loader AOSA's release uses). `all` opens every video once, in
    processes that decode, to learn its length; one that cannot be opened keeps its window 0, which fails when loaded.
    videos: where below `root` the videos or their frames are; the first folder that has a clip wins.
    view: see VideoDataset.

    Raises:
        UserError: files of the data set are missing (all are named) or have not the published structure.
        OutOfRange: a value outside its range, or fewer than `per_class` videos in a class.
    """

    source = SOURCE
    published_classes = 101
    published_clips = 3783

    def __init__(
        self,
        root: str | Path,
        labels: str = "ucf101",
        split: str = "test",
        fold: int = 1,
        per_class: int | None = None,
        seed: int = 0,
        windows: str = "first",
        videos: str | Sequence[str] = VIDEOS,
        **view,
    ):
        super().__init__(**view)
        root, videos = Path(root), as_list(videos)
        one_of("labels", labels, LABELS)
        one_of("windows", windows, WINDOWS)
        name = f"{one_of('split', split, SPLITS)}list{whole('fold', fold, 1, 3):02d}.txt"
        parts = [videos_part(videos), list_part(CLASS_INDEX), list_part(LISTS / name)]
        _, index, listed = find_all("UCF101", root, parts)
        self._digest = digest_of([index, listed])
        self.classes = read_classes(index)
        library = Library(root / place for place in videos)
        refs = [ClipRef(id, library.find(id), label) for id, label in _labelled(listed, self.classes).items()]
        self.clips = choose(refs, self.classes, per_class, seed=seed, source=name)
        self.selection = describe(self.clips, name, per_class, seed=seed)
        if windows == "all":
            self._cut()

    def digest(self) -> str:
        """Short sha256 of classInd and the list of the split, for the provenance of results."""
        return self._digest

    def least_distinct(self, ref: ClipRef) -> int:
        """See VideoDataset. The last of a video's windows starts over however short it is."""
        return 1 if ref.span and ref.span[0] else super().least_distinct(ref)

    def _cut(self) -> None:
        """Replaces every clip, a whole video, by its windows."""
        length = self.pick.frames * self.pick.interval
        with DecodePool() as pool:
            counts = pool.load(FrameCounts(), self.clips)
        pairs = zip(self.clips, counts, strict=True)
        self.clips = [window for ref, count in pairs for window in _windows(ref, count, length)]
        self.selection += f", cut into {len(self.clips)} windows of {length} frames"


def _labelled(listed: Path, classes: list[str]) -> dict[str, int]:
    """The label of each clip, by its class; the number that a list may give beside it must say the same."""
    number = {name: i for i, name in enumerate(classes, start=1)}
    clips = read_labelled(listed)
    for id, given in clips.items():
        expected = number.get(class_of(id))
        if expected is None or given not in (None, str(expected)):
            known = "does not have its class" if expected is None else f"says {expected}"
            raise UserError(
                f"{listed}: {id} has label {given}, but {CLASS_INDEX.name} {known}; they do not belong together"
            )
    return {id: number[class_of(id)] - 1 for id in clips}


class FrameCounts:
    """Loads, in the place of a data set, a clip's number of frames: a video's packets, a folder's last number."""

    def load(self, ref: ClipRef) -> int:
        """Raises:
        ClipError: `missing` or `undecodable`; or whatever PyAV raises on damaged files.
        """
        if ref.path.is_dir():
            return max(frame_numbers(ref.path), default=-1) + 1
        return read_header(ref.path).packets


def _windows(ref: ClipRef, count: int | ClipError, length: int) -> list[ClipRef]:
    """The windows of `length` frames that a clip, a whole video of `count` frames, is cut into.

    One that could not be counted has a window that fails when it is loaded, which says what is wrong.
    """
    starts = range(0, 1 if isinstance(count, ClipError) else max(count, 1), length)
    return [replace(ref, id=f"{ref.id}#{k}", span=(start, start + length)) for k, start in enumerate(starts)]
