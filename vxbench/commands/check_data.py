"""`python scripts/check_data.py`: which clips of the data sets are there, can be decoded and are annotated."""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence

from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from vxbench.config import build, compose, options
from vxbench.datasets.base import Clip, ClipRef, VideoDataset
from vxbench.datasets.pool import DecodePool
from vxbench.datasets.subset import counted
from vxbench.errors import ClipError, UserError, did_you_mean, first_line
from vxbench.runner.progress import Progress

CHUNK = 64  # clips held in memory at a time
SHOWN = 5  # clips named for each kind of problem
NAMES = {"no_annotation": "unannotated"}

Problems = dict[str, list[str]]


def main(argv: Sequence[str] | None = None) -> int:
    """0: every clip of every data set is sound; 1: something is missing or broken; 2: the command is wrong."""
    given, words = _parser().parse_known_args(argv)
    try:
        names, overrides = _divided(given.only, words)
        with DecodePool(given.workers, given.timeout) as pool:
            sound = [check(name, pool, _overrides(given, overrides)) for name in names]
    except (UserError, HydraException, OmegaConfBaseException) as error:
        print(f"check_data: {first_line(error)}", file=sys.stderr)
        return 2
    return 0 if all(sound) else 1


def check(name: str, pool: DecodePool, overrides: list[str]) -> bool:
    """Load every clip of a data set and say what was found; whether all of it is sound."""
    config = compose([f"dataset={name}", *overrides])
    try:
        dataset = build(config, "dataset")
    except UserError as error:
        print(f"{name}: not usable: {error}", flush=True)
        return False
    by_kind = problems(name, dataset, pool)
    _report(f"{name} {config.dataset.split}", dataset, by_kind)
    return not by_kind


def problems(name: str, dataset: VideoDataset, pool: DecodePool) -> Problems:
    """What is wrong with each clip that cannot be used, one line a clip, by kind of ClipError."""
    by_kind: Problems = defaultdict(list)
    present = []
    for ref in dataset.clips:
        if ref.path.exists():
            present.append(ref)
        else:
            by_kind["missing"].append(f"{ref.id}: no {ref.path}")
    for ref, error in _failures(name, dataset, pool, present):
        said = error.message if error.message.startswith(ref.id) else f"{ref.id}: {error.message}"
        by_kind[NAMES.get(error.kind, error.kind)].append(said)
    return by_kind


def _failures(
    name: str, dataset: VideoDataset, pool: DecodePool, refs: list[ClipRef]
) -> Iterator[tuple[ClipRef, ClipError]]:
    """Each clip is loaded as a run loads it; the next chunk is on its way while one is looked at."""
    chunks = [refs[start : start + CHUNK] for start in range(0, len(refs), CHUNK)]
    with Progress(name, len(refs), live=True) as progress:
        coming = [pool.submit(dataset, chunk) for chunk in chunks[:1]]
        for index, chunk in enumerate(chunks):
            coming += [pool.submit(dataset, following) for following in chunks[index + 1 : index + 2]]
            loaded = zip(chunk, coming.pop(0).result(), strict=True)
            yield from ((ref, error) for ref, clip in loaded if (error := _failure(clip)))
            progress.advance(len(chunk))


def _failure(clip: Clip | ClipError) -> ClipError | None:
    """What is wrong with a clip that came back."""
    if isinstance(clip, Clip) and clip.annotated is not None and not clip.annotated.any():
        return ClipError("no_annotation", "no box in any of the sampled frames")
    return clip if isinstance(clip, ClipError) else None


def _report(name: str, dataset: VideoDataset, by_kind: Problems) -> None:
    listed = len(dataset.clips)
    sound = listed - sum(map(len, by_kind.values()))
    found = listed - len(by_kind.get("missing", []))
    counts = [f"{counted(listed, 'clip')} listed", f"{found} found", f"{sound} sound"]
    counts += [f"{len(lines)} {kind}" for kind, lines in sorted(by_kind.items())]
    print(f"{name}: {', '.join(counts)}")
    print(f"  {dataset.selection}")
    for kind, lines in sorted(by_kind.items()):
        for line in lines[:SHOWN]:
            print(f"  {kind}: {line}")
        if len(lines) > SHOWN:
            print(f"  {kind}: and {len(lines) - SHOWN} more")
    if "missing" in by_kind:
        print(f"  to get: {dataset.source}")
    sys.stdout.flush()


def _divided(only: Sequence[str] | None, words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Names of data sets, all if none was asked for, and overrides, which may follow the names."""
    names = [word for word in only or options("dataset") if "=" not in word]
    for name in names:
        if name not in options("dataset"):
            raise UserError(f"--only {name} is not a data set{did_you_mean(name, options('dataset'))}")
    if not names:
        raise UserError(f"--only names no data set; there are {', '.join(options('dataset'))}")
    if unknown := [word for word in words if word.startswith("-")]:
        raise UserError(f"{unknown[0]} is not an option; --help lists them")
    return names, [*words, *(word for word in only or () if "=" in word)]


def _overrides(given: argparse.Namespace, overrides: list[str]) -> list[str]:
    """All clips of the split unless only those of the tables are asked for; a cache of decoded clips is not trusted."""
    root = [f"paths.data={_quoted(given.root)}"] if given.root else []
    split = [f"dataset.split={given.split}"] if given.split else []
    every = [] if given.tables else ["dataset.per_class=null"]
    return [f"profile={given.profile}", "dataset.cache=null", *root, *split, *every, *overrides]


def _quoted(text: str) -> str:
    """The text as it is, whatever Hydra's grammar makes of its characters."""
    return QuotedString(text, Quote.single).with_quotes()


def _parser() -> argparse.ArgumentParser:
    formatter = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(
        description="Check that the clips of the data sets are there and can be read. Overrides of Hydra may follow.",
        formatter_class=formatter,
    )
    parser.add_argument("--profile", default="mini", choices=options("profile"), help="which data, at which size")
    parser.add_argument("--root", help="folder that holds ucf101/, epic55/, ...; by default the profile's")
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"some of {', '.join(options('dataset'))}; else all")
    parser.add_argument("--split", help="another split than the tables use")
    parser.add_argument("--tables", action="store_true", help="only the clips that the tables draw")
    parser.add_argument("--workers", type=int, default=2, help="decoding processes")
    parser.add_argument("--timeout", type=float, default=60, help="seconds after which a clip counts as hung")
    return parser
