"""Generates the mini data set: small, seeded, in the layout and the formats of UCF101 and UCF101-24."""

import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from vxbench.datasets.mini import writing
from vxbench.datasets.mini.appearance import unpacked
from vxbench.datasets.mini.motion import CLASSES
from vxbench.datasets.mini.scene import scene
from vxbench.datasets.processes import lean_executor
from vxbench.errors import UserError
from vxbench.ranges import whole

VERSION = 2  # of what is drawn; data of another version are made anew
TEST_GROUPS = range(1, 8)
TRAIN_GROUPS = range(8, 26)
MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Plan:
    """What decides the data set down to the last pixel."""

    seed: int = 0
    train_per_class: int = 60
    test_per_class: int = 10
    version: int = VERSION

    def __post_init__(self):
        whole("seed", self.seed, 0)
        whole("train_per_class", self.train_per_class, 1)
        whole("test_per_class", self.test_per_class, 1)


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


def generate(
    root: str | Path, seed: int = 0, train_per_class: int = 60, test_per_class: int = 10, processes: int = 2
) -> bool:
    """Make the data set under `root`, unless exactly this one is there complete. Whether anything was made.

    It is written beside `root` and renamed, so that `root` is never half a data set.

    Raises:
        UserError: `root` holds files that this generator did not write.
        OutOfRange: a number of clips or processes below its minimum.
    """
    root, plan = Path(root), Plan(seed, train_per_class, test_per_class)
    whole("processes", processes, 1)
    if is_complete(root, plan):
        return False
    _refuse_foreign(root)
    beside = root.parent / f".{root.name}.{os.getpid()}.new"
    try:
        _write_all(beside, plan, processes)
        _swap(beside, root)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return True


def is_complete(root: Path, plan: Plan) -> bool:
    """Whether `root` holds the data set of `plan` with every file at its full size."""
    try:
        manifest = json.loads((root / MANIFEST).read_text())
        same = manifest["plan"] == asdict(plan)
        return same and all((root / name).stat().st_size == size for name, size in manifest["bytes"].items())
    except (OSError, ValueError, KeyError, TypeError):
        return False


def items(plan: Plan, groups: range, per_class: int) -> list[Item]:
    """The clips of one split, dealt out to the groups in turn, group by group (they share a background)."""
    places = [(groups[i % len(groups)], i // len(groups) + 1) for i in range(per_class)]
    dealt = [Item(plan.seed, name, *place) for name in CLASSES for place in places]
    return sorted(dealt, key=lambda item: (item.group, item.key))


def _write_all(root: Path, plan: Plan, processes: int) -> None:
    test = items(plan, TEST_GROUPS, plan.test_per_class)
    train = items(plan, TRAIN_GROUPS, plan.train_per_class)
    for name in CLASSES:
        (root / writing.VIDEOS / name).mkdir(parents=True)
    with lean_executor(processes) as pool:
        made = list(pool.map(_write_clip, [root] * len(test + train), test + train, chunksize=8))
    entries = {item.key: entry for item, (entry, _) in zip(test + train, made, strict=True)}
    writing.write_annotation(root / writing.ANNOTATION, dict(sorted(entries.items())))
    writing.write_lists(root, CLASSES, sorted(i.key for i in train), sorted(i.key for i in test))
    digest = hashlib.sha256("".join(digest for _, digest in made).encode()).hexdigest()
    _write_manifest(root, plan, digest)


def _write_clip(root: Path, item: Item) -> tuple[dict, str]:
    """Write one video; its annotation and a digest of its middle frame and boxes before encoding."""
    drawn = scene(item.seed, item.name, item.group, item.clip)
    writing.write_video(root / writing.VIDEOS / f"{item.key}.avi", drawn.frames())
    return writing.annotation(CLASSES.index(item.name), len(drawn), drawn.tubes), digest_of(drawn)


def digest_of(drawn) -> str:
    """sha256 over a scene's middle frame (RGB) and its boxes: equal on every machine."""
    middle = unpacked(drawn.frame(len(drawn) // 2))
    boxes = [boxes.astype("<i4").tobytes() for _, _, boxes in drawn.tubes]
    return hashlib.sha256(middle.tobytes() + b"".join(boxes)).hexdigest()


def _write_manifest(root: Path, plan: Plan, digest: str) -> None:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    sizes = {path.relative_to(root).as_posix(): path.stat().st_size for path in files}
    content = {"made_by": "vxbench mini data set", "plan": asdict(plan), "digest": digest, "bytes": sizes}
    (root / MANIFEST).write_text(json.dumps(content, indent=1) + "\n")


def _refuse_foreign(root: Path) -> None:
    ours = root.is_dir() and ((root / MANIFEST).exists() or not any(root.iterdir()))
    if root.exists() and not ours:
        raise UserError(f"{root} is in use and has no {MANIFEST} of the mini data; give another --root or remove it")


def _swap(new: Path, root: Path) -> None:
    """Put `new` in the place of `root`."""
    old = new.with_suffix(".old")
    if root.exists():
        root.rename(old)
    new.rename(root)
    shutil.rmtree(old, ignore_errors=True)
