"""Reads EPIC-KITCHENS-55: the base of its two tasks, EPIC-Object and EPIC-Action.

Layout below `root`/epic55, as published: annotations/EPIC_*.csv, and the lists of STEP's authors in step_lists/. Pixels
are the official JPEGs, frames_rgb_flow/rgb/train/P01/P01_01/frame_0000000001.jpg, or videos/train/P01/P01_01.MP4. A
folder of JPEGs that has only some of a segment's frames is read with gaps=use.

The class of a segment is its verb or noun as narrated: the words of the authors' lists.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vxbench.datasets.base import ClipRef, VideoDataset
from vxbench.datasets.epic_tables import RATE, Clock, Segment, Video, read_table, read_videos, rows_of
from vxbench.datasets.lists import Part, as_list, digest_of, distinct, find_all
from vxbench.datasets.media import Library
from vxbench.datasets.subset import choose, counted, describe
from vxbench.errors import OutOfRange, UserError
from vxbench.ranges import one_of, whole

SPLITS = ("test", "train")
LISTS = "epic55/step_lists"
VIDEOS = ("epic55/frames_rgb_flow/rgb/train", "epic55/videos/train", "epic55/videos")
PIXELS = "JPEGs or videos of EPIC-KITCHENS-55, unpacked: data.bris.ac.uk, or academictorrents.com"
# At this commit alone: the repository's head has other lists of verbs under nearly the same names.
AUTHORS = (
    "my_epic_annot of github.com/shinkyo0513/Spatio-Temporal-Perturbations-for-Video-Attribution at commit d483bcaf"
)
VIDEO_INFO = "EPIC_video_info.csv"
NAMED = 5  # words, or videos, that a message names at most

Files = Mapping[str, Path]
Videos = Mapping[str, Video]


class EPIC(VideoDataset):
    """Base of both tasks, which define the attributes and the methods that raise NotImplementedError here.

    The test split is the authors' list of segments if it is below root, else our draw: the classes are the words with
    most segments among those with `held_out` segments fit for testing, and `held_out` of each, drawn by `seed`, are the
    test split. The train split is all other segments of the classes, save those that overlap a test clip in time;
    what came before or after it in the same video stays.

    classes, held_out, min_frames, max_frames: settings of our draw; the last two bound a test segment's frames, at 60 a
    second, None for no bound. per_class: clips of each class, drawn by `seed`, None for all; the authors' list is taken
    whole. lists: the folder of the authors' lists below root, None for our draw. videos: folders of JPEGs or videos
    below root; the first that has a video wins. view: see VideoDataset.

    Raises:
        UserError: files are missing (all are named), have not the published structure, or contradict one another.
        OutOfRange: a value outside its range, or too few segments for it.
    """

    name: str  # the task's, in messages
    key: str  # its class list's
    word: str  # the column that names the class: verb or noun
    list_names: tuple[str, str]  # the authors' files: the test segments, the classes
    source = PIXELS

    def __init__(
        self,
        root: str | Path,
        labels: str,
        split: str = "test",
        classes: int = 20,
        held_out: int = 5,
        per_class: int | None = None,
        min_frames: int = 1,
        max_frames: int | None = None,
        seed: int = 0,
        lists: str | None = LISTS,
        videos: str | Sequence[str] = VIDEOS,
        **view,
    ):
        super().__init__(**view)
        one_of("labels", labels, [self.key])
        self.split = one_of("split", split, SPLITS)
        self.number, self.held_out = whole("classes", classes, 2), whole("held_out", held_out, 1)
        self.per_class, self.seed, self.lists = per_class, seed, lists
        self.min_frames = whole("min_frames", min_frames, 1)
        self.max_frames = None if max_frames is None else whole("max_frames", max_frames, min_frames)
        root, videos = Path(root), as_list(videos)
        files = self._located(root, videos)
        self._digest = digest_of(files.values())
        info = read_videos(files[VIDEO_INFO])
        chosen = self._chosen(files, info)
        self._find(chosen, info, Library((root / place for place in videos), ending=""))
        self.keep(chosen, info)

    def needed(self, listed: bool, drawn: bool) -> list[str]:
        """Names of the annotation files that the authors' list, or our draw and the training split, are read with."""
        raise NotImplementedError

    def listed(self, files: Files, info: Videos) -> list[Segment]:
        """The authors' test segments."""
        raise NotImplementedError

    def candidates(self, files: Files, info: Videos) -> list[Segment]:
        """All segments a model may be trained on."""
        raise NotImplementedError

    def for_test(self, segment: Segment, info: Videos) -> Segment | None:
        """The segment that our draw tests for a candidate, None if it is not fit for that."""
        raise NotImplementedError

    def tested(self, segment: Segment) -> Segment:
        """The test clip of a test segment."""
        return segment

    def for_training(self, segment: Segment, info: Videos) -> list[Segment]:
        """The training clips that a candidate gives."""
        return [segment]

    def keep(self, segments: Sequence[Segment], info: Videos) -> None:
        """Keeps what `annotate` needs to know about the clips."""
        raise NotImplementedError

    def fits(self, segment: Segment) -> bool:
        """Whether a segment's length is fit for testing."""
        return self.min_frames <= segment.frames <= (self.max_frames or segment.frames)

    @classmethod
    def asked_for(cls, settings: Mapping[str, Any]) -> int | None:
        """See VideoDataset. The number is that of our draw, as the authors' list is known only where it lies."""
        if settings["split"] == "train":
            return None
        held_out = settings["held_out"]
        return settings["classes"] * min(held_out, settings["per_class"] or held_out)

    def digest(self) -> str:
        """Short sha256 of the annotation and the lists, for the provenance of results."""
        return self._digest

    def _located(self, root: Path, videos: list[str]) -> dict[str, Path]:
        """Paths of all files that are read, by name."""
        lists = self.lists
        listed = lists is not None and any((root / lists / name).exists() for name in self.list_names)
        names = self.needed(listed, drawn=not listed or self.split == "train")
        places = {name: f"epic55/annotations/{name}" for name in (VIDEO_INFO, *names)}
        parts = [Part([place], "github.com/epic-kitchens/annotations") for place in places.values()]
        if listed:
            places |= {name: f"{lists}/{name}" for name in self.list_names}
            parts += [Part([places[name]], AUTHORS) for name in self.list_names]
        found = find_all(self.name, root, [Part(videos, PIXELS, folder=True), *parts])
        return dict(zip(places, found[1:], strict=True))

    def _chosen(self, files: Files, info: Videos) -> list[Segment]:
        """The segments of the split. Sets classes and selection."""
        published, training = self.list_names[0] in files, self.split == "train"
        pool = _known(self.candidates(files, info), info) if training or not published else []
        segments, said = self._published(files, info) if published else self._held_out(pool, info)
        if training:
            segments, left = self._trained(pool, segments, info)
            said = f"the segments apart from {said}; {left}"
        else:
            segments = [self.tested(segment) for segment in segments]
        per_class = self.per_class if training or not published else None
        chosen = choose(segments, self.classes, per_class, seed=self.seed, source=said)
        self.selection = describe(chosen, said, per_class, seed=self.seed)
        return chosen

    def _trained(self, pool: list[Segment], tested: list[Segment], info: Videos) -> tuple[list[Segment], str]:
        """The training clips of a pool, and how many of it are left out."""
        known = _labelled(pool, self.classes)
        clips = [clip for segment in known for clip in self.for_training(segment, info)]
        apart = _apart(clips, tested)
        left = f"left out: {len(pool) - len(known)} of other {self.word}s, {len(clips) - len(apart)} that share frames"
        return apart, left

    def _published(self, files: Files, info: Videos) -> tuple[list[Segment], str]:
        """The authors' test segments, and what to call them. Sets classes."""
        segments, classes = self.list_names
        self.classes = read_classes(files[classes], self.word)
        listed = _agreeing(_known(self.listed(files, info), info), self.classes, files[segments], files[classes])
        return listed, f"{segments}, the list of STEP's authors"

    def _held_out(self, pool: list[Segment], info: Videos) -> tuple[list[Segment], str]:
        """The test segments of our draw, and what to call them. Sets classes."""
        fit = [segment for candidate in pool if (segment := self.for_test(candidate, info))]
        self.classes = self._ranked(pool, fit)
        drawn = choose(_labelled(fit, self.classes), self.classes, self.held_out, seed=self.seed)
        return drawn, f"our own test split, {self.held_out} a class by seed {self.seed} (STEP's authors' is not there)"

    def _ranked(self, pool: list[Segment], fit: list[Segment]) -> list[str]:
        """The words with most segments in the pool, of those with enough fit for testing."""
        enough = {word for word, count in Counter(s.word for s in fit).items() if count >= self.held_out}
        if len(enough) < self.number:
            few = f"only {counted(len(enough), self.word)} with held_out = {self.held_out} segments fit for testing"
            raise OutOfRange(f"classes = {self.number}, but {few}{self._unlisted()}")
        counts = Counter(segment.word for segment in pool if segment.word in enough)
        return sorted(enough, key=lambda word: (-counts[word], word))[: self.number]

    def _unlisted(self) -> str:
        """Error text on the authors' list, which would spare our own draw; "" if it was not asked for."""
        if self.lists is None:
            return ""
        return f"; the list of STEP's authors, {self.lists}/{self.list_names[0]}, is not there: {AUTHORS}"

    def _find(self, segments: list[Segment], info: Videos, library: Library) -> None:
        """Sets the clips, and the clock of each."""
        paths = {video: library.find(f"{video.split('_')[0]}/{video}") for video in {s.video for s in segments}}
        paces = {video: Clock(1 if path.is_dir() else RATE / info[video].fps) for video, path in paths.items()}
        self.clocks = {segment.id: paces[segment.video] for segment in segments}
        spans = {s.id: self.clocks[s.id].span(s.start, s.stop) for s in segments}
        self.clips = [ClipRef(s.id, paths[s.video], s.label, spans[s.id]) for s in segments]


def read_classes(path: Path, word: str) -> list[str]:
    """The words of the authors' list of classes, in the order of their labels.

    Raises:
        UserError: the labels are not 0, 1, 2, ..., or a word is there twice.
    """
    columns = {f"{word}_label": int, word: str}
    rows = sorted(rows_of(read_table(path, columns), columns))
    if [label for label, _ in rows] != list(range(len(rows))):
        raise UserError(f"{path}: the labels are not 0 to {len(rows) - 1}; get it anew: {AUTHORS}")
    return list(distinct([name for _, name in rows], path))


def _known(segments: list[Segment], info: Videos) -> list[Segment]:
    """The segments, cut where their videos end: a table may have one run on by the rounding of the length.

    Raises:
        UserError: a video is not in the table of videos, or a segment starts after its end.
    """
    if unknown := sorted({segment.video for segment in segments} - set(info)):
        raise UserError(f"{VIDEO_INFO} lacks {', '.join(unknown[:NAMED])}; get the published file anew")
    for segment in segments:
        if max(segment.start, segment.action[0]) >= info[segment.video].frames:
            raise UserError(f"segment {segment.uid} starts after the end of {segment.video}; get the annotation anew")
    return [segment.until(info[segment.video].frames) for segment in segments]


def _agreeing(segments: list[Segment], classes: list[str], listed: Path, named: Path) -> list[Segment]:
    """Returns the segments of a list, once all are known to have the words and labels of the list of classes.

    Raises:
        UserError: some have not, as in lists of two releases.
    """
    known = set(enumerate(classes))
    if strange := [segment for segment in segments if (segment.label, segment.word) not in known]:
        words = ", ".join(sorted({f"{segment.word} {segment.label}" for segment in strange})[:NAMED])
        raise UserError(
            f"{listed}: {len(strange)} of {counted(len(segments), 'segment')} have words or labels that {named.name} "
            f"has not, such as {words}; the two are of different releases, get both from {AUTHORS}"
        )
    return segments


def _labelled(segments: Iterable[Segment], classes: list[str]) -> list[Segment]:
    """The segments of these classes, with their labels."""
    number = {word: label for label, word in enumerate(classes)}
    return [replace(segment, label=number[segment.word]) for segment in segments if segment.word in number]


def _apart(segments: list[Segment], others: list[Segment]) -> list[Segment]:
    """The segments that share no frame with any of the others, nor with their actions."""
    taken = defaultdict(list)
    for other in others:
        taken[other.video] += [(other.start, other.stop), other.action]
    return [s for s in segments if not any(s.start < stop and start < s.stop for start, stop in taken[s.video])]
