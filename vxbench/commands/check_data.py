"""Checks which clips of the data sets are there, can be decoded and are annotated."""

import hashlib
import sys
from argparse import Namespace
from collections import defaultdict
from collections.abc import Iterator, Sequence

from vxbench.commands.common import (
    DONE,
    FAILED,
    Parser,
    add_overrides,
    is_override,
    override,
    parser,
    run_command,
    understanding,
)
from vxbench.config import check_choices, compose, options
from vxbench.datasets.base import Clip, ClipRef, VideoDataset
from vxbench.datasets.media import content_digest
from vxbench.datasets.pool import DecodePool
from vxbench.datasets.subset import counted
from vxbench.errors import ClipError, NotUnderstood, OutOfRange, UserError, did_you_mean
from vxbench.runner.data import open_dataset
from vxbench.runner.progress import Progress
from vxbench.words import quoted

CHUNK = 64  # clips held in memory at a time
SHOWN = 5  # clips named for each kind of problem
NAMES = {"no_annotation": "unannotated"}

ABOUT = """\
Loads every clip of the data sets as a run would, and counts those that are missing, undecodable or unannotated, with
the first few of each and where the missing is got."""
EXAMPLES = ("", "--profile paper --root /data", "--only kinetics400 --tables --workers 8")

Problems = dict[str, list[str]]


def main(argv: list[str] | None = None) -> int:
    """Runs `vxbench check-data`; its exit status."""
    return run_command(lambda: _check_all(_page().parse_intermixed_args(argv)))


def _page() -> Parser:
    page = parser("check-data", ABOUT, EXAMPLES)
    page.add_argument("--profile", default="mini", choices=options("profile"), help="which data, at which size")
    page.add_argument("--root", help="folder that holds ucf101/, epic55/, ...; by default the profile's")
    page.add_argument("--only", nargs="+", metavar="NAME", help=f"some of {', '.join(options('dataset'))}; else all")
    page.add_argument("--split", help="another split than the tables use")
    page.add_argument("--tables", action="store_true", help="only the clips that the tables draw")
    page.add_argument("--digest", action="store_true", help="print a digest of the content of the clips' files")
    page.add_argument("--workers", type=int, default=2, help="decoding processes")
    page.add_argument("--timeout", type=float, default=60, help="seconds after which a clip counts as hung")
    add_overrides(page)
    return page


def _check_all(given: Namespace) -> int:
    names = _names(given.only)
    overrides = _overrides(given)
    check_choices(overrides)
    with understanding(OutOfRange), DecodePool(given.workers, given.timeout) as pool:
        sound = [check(name, pool, overrides, given.digest) for name in names]
    return DONE if all(sound) else FAILED


def check(name: str, pool: DecodePool, overrides: list[str], digest: bool = False) -> bool:
    """Load every clip of a data set and say what was found; whether all of it is sound.

    digest: whether one of the content of the clips' files is said too.
    """
    config = compose([f"dataset={name}", *overrides])
    try:
        dataset = open_dataset(config)
    except UserError as error:
        print(f"{name}: not usable: {error}", flush=True)
        return False
    by_kind = problems(name, dataset, pool)
    _report(f"{name} {config.dataset.split}", dataset, by_kind)
    if digest:
        print(f"  digest: {_digest(dataset.clips)}", flush=True)
    return not by_kind


def _digest(refs: Sequence[ClipRef]) -> str:
    """Tells the clips and the bytes of their files from any others: the same on every machine that has the same."""
    files = {ref.id: _content(ref) for ref in refs}
    text = "\n".join(f"{clip} {files[clip]}" for clip in sorted(files) if files[clip])
    return f"{hashlib.sha256(text.encode()).hexdigest()[:16]} of {counted(len(text.splitlines()), 'clip')}"


def _content(ref: ClipRef) -> str:
    try:
        return content_digest(ref.path, ref.span)
    except (OSError, ClipError):  # which is counted above
        return ""


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


def _names(only: Sequence[str] | None) -> list[str]:
    """The data sets asked for, all if none was. Overrides may follow the names."""
    known = options("dataset")
    names = [word for word in only or known if not is_override(word)]
    for name in names:
        if name not in known:
            raise NotUnderstood(f"--only {name} is not a data set{did_you_mean(name, known)}")
    if not names:
        raise NotUnderstood(f"--only names no data set; there are {', '.join(known)}")
    return names


def _overrides(given: Namespace) -> list[str]:
    """All clips of the split unless only those of the tables are asked for; a cache of decoded clips is not trusted."""
    root = [f"paths.data={quoted(given.root)}"] if given.root else []
    split = [f"dataset.split={given.split}"] if given.split else []
    every = [] if given.tables else ["dataset.per_class=null"]
    words = [*given.overrides, *map(override, filter(is_override, given.only or ()))]
    return [f"profile={given.profile}", "dataset.cache=null", *root, *split, *every, *words]
