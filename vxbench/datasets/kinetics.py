"""Reads Kinetics-400 and Kinetics-700: clips of ten seconds from YouTube, one class each. No boxes.

Layout below `root`/kinetics400 (or kinetics700):
annotations/{val,test,train}.csv    the official lists: label, youtube_id, time_start, time_end (seconds)
label_map_k400.txt                  class names, one a line, in the order of a network's outputs; or in annotations/
{val,test,train}/<label>/<youtube_id>_<start>_<end>.mp4    start and end with six digits

Copies differ: underscores for the spaces of a label's folder, no such folders, clips named <youtube_id> or
<label>_<youtube_id>, folders of frames. All are found. Many videos are gone from YouTube: no copy is complete.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vxbench.datasets.base import ClipRef, VideoDataset
from vxbench.datasets.lists import Part, as_list, digest_of, distinct, find_all, read_lines
from vxbench.datasets.media import Library
from vxbench.datasets.subset import choose, describe
from vxbench.errors import UserError, did_you_mean
from vxbench.ranges import one_of

SPLITS = {"val": ("val", "validate"), "test": ("test",), "train": ("train",)}  # split -> what its file may be called
LABELS = {"kinetics400": "k400", "kinetics700": "k700"}
PUBLISHED_CLASSES = {"kinetics400": 400, "kinetics700": 700}
CLASS_ORDERS = ("label_map", "train_csv")
VIDEOS = ("{split}", "{split}_256", "videos_{split}", "rawframes_{split}", "videos", "frames16/{split}")
SOURCE = "Kinetics from github.com/cvdfoundation/kinetics-dataset"
_ID = re.compile(r"[\w-]+", re.ASCII)
COLUMNS = ("label", "youtube_id", "time_start", "time_end")


@dataclass(frozen=True)
class Row:
    """A line of an official list. name: the label in words, label: its index; start, end: seconds in the video."""

    name: str
    label: int
    youtube_id: str
    start: int
    end: int

    @property
    def stem(self) -> str:
        return f"{self.youtube_id}_{self.start:06d}_{self.end:06d}"

    @property
    def id(self) -> str:
        return f"{self.name}/{self.stem}"

    def file_names(self) -> list[str]:
        """Names that the clip may have, without ending, the official one first."""
        folders = tuple(dict.fromkeys((self.name, self.name.replace(" ", "_"))))
        stems = (self.stem, self.youtube_id, *(f"{f}_{self.youtube_id}" for f in folders))
        return [f"{folder}/{stem}" for stem in stems for folder in folders]


class Kinetics(VideoDataset):
    """Clips of one split.

    labels: `kinetics400` or `kinetics700`: the data set, its folder below `root`, and the class list.
    split: val, test or train.
    per_class: clips of each class, None for all. draw: `first`, by YouTube id, or `seeded`, by `seed`.
    only_present: false: the draw is among all that the list names, and a drawn clip without a file becomes a failure
    row; true: it is among those with a file, so that copies with other gaps draw other clips.
    class_order: `label_map`: labels index the lines of the label map (alphabetical, as in mmaction2's networks);
    `train_csv`: the classes as train.csv first names them, as in the networks of kenshohara/3D-ResNets-PyTorch, AOSA's.
    videos: where below the data set's folder the clips are, `{split}` filled in; the first folder that has a clip wins.
    view: see VideoDataset.

    Raises:
        UserError: files of the data set are missing (all are named) or have not the published structure.
        OutOfRange: a value outside its range, or fewer than `per_class` clips in a class.
    """

    source = SOURCE

    def __init__(
        self,
        root: str | Path,
        labels: str = "kinetics400",
        split: str = "val",
        per_class: int | None = None,
        draw: str = "first",
        seed: int = 0,
        only_present: bool = False,
        class_order: str = "label_map",
        videos: str | Sequence[str] = VIDEOS,
        **view,
    ):
        super().__init__(**view)
        one_of("labels", labels, LABELS)
        one_of("split", split, SPLITS)
        one_of("class_order", class_order, CLASS_ORDERS)
        root, videos = Path(root), [f"{labels}/{place.replace('{split}', split)}" for place in as_list(videos)]
        listed, named = _files(root, labels, split, class_order, videos)
        self._digest = digest_of([listed, named])
        self.classes = _classes(named, class_order)
        rows, source = read_rows(listed, self.classes), listed.name
        library = Library((root / place for place in videos if (root / place).is_dir()), ".mp4")
        if only_present:
            rows, source = _present(rows, library, source)
        drawn = choose(rows, self.classes, per_class, draw, seed, source)
        self.clips = [ClipRef(row.id, library.find(*row.file_names()), row.label) for row in drawn]
        self.selection = describe(drawn, source, per_class, draw, seed)

    @classmethod
    def asked_for(cls, settings: Mapping[str, Any]) -> int | None:
        """See VideoDataset. Only the list can tell how many videos of a whole split are still on YouTube."""
        if settings["split"] == "train" or settings["per_class"] is None:
            return None
        return PUBLISHED_CLASSES[settings["labels"]] * settings["per_class"]

    def digest(self) -> str:
        """Short sha256 of the list and of what names the classes, for the provenance of results."""
        return self._digest


def read_rows(path: Path, classes: list[str]) -> list[Row]:
    """The clips of an official list; a line that is there twice counts once.

    Raises:
        UserError: a column or a value is missing, a label is not among `classes`, or an id or a time is none.
    """
    number = {name: label for label, name in enumerate(classes)}
    return list(dict.fromkeys(_row(line, number, where) for where, line in _lines(path, COLUMNS)))


def _lines(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Pairs (where it is, for messages; {column: text}) for each line of a list below its header."""
    reader = csv.DictReader(read_lines(path))
    try:
        if lacking := [column for column in columns if column not in (reader.fieldnames or ())]:
            raise UserError(f"{path} has no column {', '.join(lacking)} in its first line; get the official list anew")
        for line in reader:
            where = f"{path} line {reader.line_num}"
            if empty := [column for column in columns if not line[column]]:
                raise UserError(f"{where} has no {', '.join(empty)}; get the official list anew")
            yield where, line
    except csv.Error as error:
        raise UserError(f"{path} line {reader.line_num + 1}: {error}; get the official list anew") from error


def _row(line: dict[str, str], number: dict[str, int], where: str) -> Row:
    name, youtube_id, start, end = (line[column] for column in COLUMNS)
    if name not in number:
        raise UserError(f"{where}: {name!r} is not among the {len(number)} classes{did_you_mean(name, number)}")
    if not (_ID.fullmatch(youtube_id) and start.isdecimal() and end.isdecimal()):
        raise UserError(f"{where}: {youtube_id!r}, {start!r}, {end!r} are not a YouTube id and two times in seconds")
    return Row(name, number[name], youtube_id, int(start), int(end))


def _files(root: Path, labels: str, split: str, class_order: str, videos: list[str]) -> list[Path]:
    """Paths of the split's list and of the file that names the classes."""
    clips = Part(videos, SOURCE, folder=True)
    named = _label_map(labels) if class_order == "label_map" else _list(labels, "train")
    return find_all(labels.replace("kinetics", "Kinetics-"), root, [clips, _list(labels, split), named])[1:]


def _list(labels: str, split: str) -> Part:
    places = [f"{labels}/{place}{name}.csv" for place in ("annotations/", "") for name in SPLITS[split]]
    return Part(places, f"the official list: storage.googleapis.com/deepmind-media/Datasets/{labels}.tar.gz")


def _label_map(labels: str) -> Part:
    name = f"label_map_{LABELS[labels]}.txt"
    places = [f"{labels}/{name}", f"{labels}/annotations/{name}"]
    return Part(places, f"tools/data/kinetics/{name} of github.com/open-mmlab/mmaction2")


def _classes(path: Path, class_order: str) -> list[str]:
    """The names of the classes in the order of their labels."""
    if class_order == "train_csv":
        return list(dict.fromkeys(line["label"] for _, line in _lines(path, ["label"])))
    return list(distinct([line.strip() for line in read_lines(path) if line.strip()], path))


def _present(rows: list[Row], library: Library, source: str) -> tuple[list[Row], str]:
    """The rows whose clip is on disk, and what to call them."""
    present = [row for row in rows if library.find(*row.file_names()).exists()]
    return present, f"{source} that are on disk ({len(present)} of {len(rows)})"
