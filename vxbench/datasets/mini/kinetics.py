"""The layout of Kinetics-400 and -700."""

from dataclasses import dataclass
from pathlib import Path

from vxbench.datasets.mini import writing
from vxbench.datasets.mini.exact import draw, stream
from vxbench.datasets.mini.kinetics_scene import CLASSES, PLACES, scene
from vxbench.datasets.mini.plan import Plan

COLUMNS = ("label", "youtube_id", "time_start", "time_end", "split")
SPLIT_NAMES = {"train": "train", "val": "validate"}
LABEL_MAPS = {"kinetics400": "label_map_k400.txt", "kinetics700": "label_map_k700.txt"}
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
DASHED = 5  # one id of so many begins with "-", as one of 64 does on YouTube
LAST = "zz"  # ids of absent clips begin with it: who takes the first clips by id meets none


@dataclass(frozen=True)
class Item:
    """One clip to make, the `number`th of its class and split. An absent one has a row in the csv and no video."""

    seed: int
    data_set: str
    label: str
    split: str
    number: int
    absent: bool = False

    def row(self) -> tuple[str, str, int, int, str]:
        random = stream(self.seed, "id", self.data_set, self.label, self.split, self.number)
        id = "".join(ALPHABET[draw(random, 0, len(ALPHABET) - 1)] for _ in range(11))
        start = draw(random, 0, 290)
        return self.label, self._start_of_id + id[len(self._start_of_id) :], start, start + 10, SPLIT_NAMES[self.split]

    @property
    def _start_of_id(self) -> str:
        if self.absent:
            return LAST
        return "" if self.number % DASHED else "-"

    @property
    def path(self) -> Path:
        label, id, start, end, _ = self.row()
        return Path(self.data_set, self.split, label, f"{id}_{start:06d}_{end:06d}.mp4")


class Kinetics:
    chunk = 8

    def __init__(self, name: str):
        self.name = name

    def jobs(self, plan: Plan) -> list[Item]:
        return self._items(plan, "val", plan.test_per_class) + self._items(plan, "train", plan.train_per_class)

    def _items(self, plan: Plan, split: str, per_class: int) -> list[Item]:
        """By background, which the clips of a place share; behind them the rows without a clip."""
        labels = list(CLASSES[self.name])
        there = [Item(plan.seed, self.name, label, split, i) for i in range(per_class) for label in labels]
        lost = labels[::2] if split == "val" else []
        absent = [Item(plan.seed, self.name, label, split, per_class, absent=True) for label in lost]
        return sorted(there, key=lambda item: item.number % PLACES[split]) + absent

    def write(self, root: Path, item: Item) -> tuple[Item, str]:
        if item.absent:
            return item, ""
        drawn = scene(item.seed, item.data_set, item.label, item.split, item.number)
        writing.write_h264(root / item.path, drawn.frames(), drawn.fps, "superfast")
        return item, writing.digest_of([drawn.frame(len(drawn) // 2)])

    def finish(self, root: Path, records: list[Item]) -> None:
        for split in SPLIT_NAMES:
            rows = sorted((item.row() for item in records if item.split == split), key=lambda row: row[1])
            writing.write_csv(root / self.name / "annotations" / f"{split}.csv", COLUMNS, rows)
        writing.write_lines(root / self.name / LABEL_MAPS[self.name], sorted(CLASSES[self.name]))
