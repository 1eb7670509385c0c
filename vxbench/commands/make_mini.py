"""`python scripts/make_mini.py`: makes the mini data and says what it made."""

import argparse
import json
import sys
import time
from pathlib import Path

from vxbench.datasets.mini.generate import MANIFEST, generate
from vxbench.datasets.mini.plan import DATA_SETS
from vxbench.errors import UserError


def parser() -> argparse.ArgumentParser:
    formatter = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(description="Generate the mini data.", formatter_class=formatter)
    parser.add_argument("--root", type=Path, default=Path("data/mini"), help="folder to make")
    parser.add_argument("--seed", type=int, default=0, help="seed of everything drawn by lot")
    parser.add_argument("--train-per-class", type=int, default=60, help="training clips of each class (verb, noun)")
    parser.add_argument("--test-per-class", type=int, default=10, help="test clips of each class (verb, noun)")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=DATA_SETS, help="data sets to make")
    parser.add_argument("--processes", type=int, default=2, help="processes that render and encode")
    return parser


def main(argv: list[str] | None = None) -> int:
    options = vars(parser().parse_args(argv))
    began = time.perf_counter()
    try:
        made = generate(**options)
    except (UserError, OSError) as error:
        print(f"make_mini: {error}", file=sys.stderr)
        return 2
    _report(options["root"], made, time.perf_counter() - began)
    return 0


def _report(root: Path, made: bool, seconds: float) -> None:
    manifest = json.loads((root / MANIFEST).read_text())
    plan = manifest["plan"]
    print(f"{root}: " + (f"made in {seconds:.1f} s" if made else "complete already, nothing to do"))
    print(f"{plan['train_per_class']} training and {plan['test_per_class']} test clips of each class")
    for name, digest in manifest["digests"].items():
        sizes = [size for path, size in manifest["bytes"].items() if path.startswith(name)]
        print(f"{name}: {sum(sizes) / 1e6:.0f} MB, digest {digest[:12]}")
    print(f"seed {plan['seed']}, version {plan['version']}")
