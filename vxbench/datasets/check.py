"""`python scripts/check_data.py`: which clips of the data sets under a folder are there and can be read."""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from vxbench.datasets.base import ClipRef, VideoDataset
from vxbench.datasets.pool import DecodePool
from vxbench.datasets.ucf101_24 import SPLITS, UCF101_24
from vxbench.errors import ClipError, UserError

CHUNK = 64  # clips held in memory at a time
SHOWN = 5  # clips named for each kind of problem


def _ucf101_24(root: Path) -> Iterator[tuple[str, VideoDataset]]:
    for split in SPLITS:
        yield f"ucf101_24 {split}", UCF101_24(root, frames=8, height=32, width=32, split=split)


DATASETS = {"ucf101_24": _ucf101_24}  # folder below the root -> its splits, by name


def main(argv: Sequence[str] | None = None) -> int:
    """0 if every listed clip can be read, 1 if some cannot, 2 if no data set can be opened."""
    options = _parser().parse_args(argv)
    try:
        present = [splits for name, splits in DATASETS.items() if (options.root / name).is_dir()]
        found = [split for splits in present for split in splits(options.root)]
        if not found:
            raise UserError(f"no data set below {options.root}: none of the folders {', '.join(DATASETS)} is there")
        with DecodePool(options.workers, options.timeout) as pool:
            sound = [_report(name, dataset, problems(dataset, pool)) for name, dataset in found]
    except UserError as error:
        print(f"check_data: {error}", file=sys.stderr)
        return 2
    return 0 if all(sound) else 1


def problems(dataset: VideoDataset, pool: DecodePool) -> dict[str, list[str]]:
    """What is wrong with each clip that cannot be loaded, one line a clip, by kind of ClipError."""
    by_kind = defaultdict(list)
    present = []
    for ref in dataset.clips:
        if ref.path.is_file():
            present.append(ref)
        else:
            by_kind["missing"].append(str(ref.path))
    for error in _failures(dataset, pool, present):
        by_kind[error.kind].append(error.message)
    return by_kind


def _failures(dataset: VideoDataset, pool: DecodePool, refs: list[ClipRef]) -> Iterator[ClipError]:
    for start in range(0, len(refs), CHUNK):
        loaded = pool.load(dataset, refs[start : start + CHUNK])
        yield from (clip for clip in loaded if isinstance(clip, ClipError))


def _report(name: str, dataset: VideoDataset, by_kind: dict[str, list[str]]) -> bool:
    """Print what was found in one split; whether all of it is sound."""
    counts = [f"{len(lines)} {kind}" for kind, lines in by_kind.items()]
    sound = len(dataset.clips) - sum(len(lines) for lines in by_kind.values())
    print(f"{name}: {', '.join([f'{len(dataset.clips)} clips listed', f'{sound} sound', *counts])}")
    for kind, lines in by_kind.items():
        for line in lines[:SHOWN]:
            print(f"  {kind}: {line}")
        if len(lines) > SHOWN:
            print(f"  {kind}: and {len(lines) - SHOWN} more")
    return not by_kind


def _parser() -> argparse.ArgumentParser:
    formatter = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(description="Check the data sets below a folder.", formatter_class=formatter)
    parser.add_argument("--root", type=Path, default=Path("data/mini"), help="folder that holds ucf101/ and ucf101_24/")
    parser.add_argument("--workers", type=int, default=2, help="decoding processes")
    parser.add_argument("--timeout", type=float, default=60, help="seconds after which a clip counts as hung")
    return parser
