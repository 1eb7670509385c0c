"""The layout of UCF101 and of UCF101-24, whose boxes cover the classes of `motion.TURNS` only."""

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vxbench.datasets.mini import writing
from vxbench.datasets.mini.motion import CLASSES, TURNS
from vxbench.datasets.mini.plan import Plan
from vxbench.datasets.mini.scene import Scene, scene

VIDEOS = Path("ucf101/videos")
LISTS = Path("ucf101/ucfTrainTestlist")
ANNOTATION = Path("ucf101_24/annotations/pyannot.pkl")
TEST_LIST = Path("ucf101_24/splits/testlist01.txt")

TEST_GROUPS = range(1, 8)
TRAIN_GROUPS = range(8, 26)


@dataclass(frozen=True)
class Item:
    """One clip to make: `clip` counts from 1 within class and group."""

    seed: int
    name: str
    group: int
    clip: int

    @property
    def key(self) -> str:
        return f"{self.name}/v_{self.name}_g{self.group:02d}_c{self.clip:02d}"


class Ucf:
    chunk = 8

    def jobs(self, plan: Plan) -> list[Item]:
        test, train = (TEST_GROUPS, plan.test_per_class), (TRAIN_GROUPS, plan.train_per_class)
        return items(plan.seed, *test) + items(plan.seed, *train)

    def write(self, root: Path, item: Item) -> tuple[tuple[Item, dict | None], str]:
        drawn = scene(item.seed, item.name, item.group, item.clip)
        writing.write_xvid(root / VIDEOS / f"{item.key}.avi", drawn.frames())
        entry = annotation(TURNS.index(item.name), drawn) if item.name in TURNS else None
        return (item, entry), digest_of(drawn)

    def finish(self, root: Path, records: list[tuple[Item, dict | None]]) -> None:
        test = sorted(item.key for item, _ in records if item.group in TEST_GROUPS)
        train = sorted(item.key for item, _ in records if item.group in TRAIN_GROUPS)
        _write_lists(root, train, test)
        entries = {item.key: entry for item, entry in records if entry}
        writing.write_lines(root / TEST_LIST, [key for key in test if key in entries])
        _write_annotation(root / ANNOTATION, dict(sorted(entries.items())))


def items(seed: int, groups: range, per_class: int) -> list[Item]:
    """The clips of one split, dealt out to the groups in turn, group by group (they share a background)."""
    places = [(groups[i % len(groups)], i // len(groups) + 1) for i in range(per_class)]
    dealt = [Item(seed, name, *place) for name in CLASSES for place in places]
    return sorted(dealt, key=lambda item: (item.group, item.key))


def digest_of(drawn: Scene) -> str:
    """Of a scene's middle frame and its boxes."""
    return writing.digest_of([drawn.frame(len(drawn) // 2)], [boxes for _, _, boxes in drawn.tubes])


def annotation(label: int, drawn: Scene) -> dict:
    """The entry of one video. Numbers have the smallest type that holds them, arrays are in Fortran order."""
    entries = [
        {
            "label": label,
            "ef": ef,
            "boxes": np.asfortranarray(boxes.astype(np.min_scalar_type(boxes.max()))),
            "sf": sf,
        }
        for sf, ef, boxes in drawn.tubes
    ]
    return {"annotations": entries, "numf": np.min_scalar_type(len(drawn)).type(len(drawn)), "label": label}


def _write_lists(root: Path, train: list[str], test: list[str]) -> None:
    """classInd (from 1), trainlist with that label and testlist without, of clips '<Class>/<name>'."""
    number = {name: i for i, name in enumerate(CLASSES, start=1)}
    writing.write_lines(root / LISTS / "classInd.txt", [f"{i} {name}" for name, i in number.items()])
    labelled = [f"{clip}.avi {number[clip.split('/')[0]]}" for clip in train]
    writing.write_lines(root / LISTS / "trainlist01.txt", labelled)
    writing.write_lines(root / LISTS / "testlist01.txt", [f"{clip}.avi" for clip in test])


def _write_annotation(path: Path, entries: dict[str, dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        pickle.dump(entries, file, protocol=3)
