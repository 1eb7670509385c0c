"""Generates the mini data and says what was made."""

import json
import time
from argparse import Namespace
from pathlib import Path

from vxbench.commands.common import Parser, parser, run_command, understanding
from vxbench.datasets.mini.generate import MANIFEST, generate
from vxbench.datasets.mini.plan import DATA_SETS
from vxbench.errors import OutOfRange

ABOUT = """\
Generates the mini data: small videos with exact annotation, in the layouts and formats of the real data sets. The same
options give the same files; where these are complete, nothing is done."""
EXAMPLES = ("", "--root data/tiny --only ucf101 --train-per-class 2 --test-per-class 1")


def main(argv: list[str] | None = None) -> int:
    """Runs `vxbench make-mini`; its exit status."""
    return run_command(lambda: _make(_page().parse_args(argv)))


def _page() -> Parser:
    page = parser("make-mini", ABOUT, EXAMPLES)
    page.add_argument("--root", type=Path, default=Path("data/mini"), help="folder to make")
    page.add_argument("--seed", type=int, default=0, help="seed of everything drawn by lot")
    page.add_argument("--train-per-class", type=int, default=60, help="training clips of each class (verb, noun)")
    page.add_argument("--test-per-class", type=int, default=10, help="test clips of each class (verb, noun)")
    page.add_argument("--only", nargs="+", metavar="NAME", default=DATA_SETS, help="data sets to make")
    page.add_argument("--processes", type=int, default=2, help="processes that render and encode")
    return page


def _make(given: Namespace) -> None:
    began = time.perf_counter()
    with understanding(OutOfRange):
        made = generate(**vars(given))
    _report(given.root, made, time.perf_counter() - began)


def _report(root: Path, made: bool, seconds: float) -> None:
    manifest = json.loads((root / MANIFEST).read_text())
    plan = manifest["plan"]
    print(f"{root}: " + (f"made in {seconds:.1f} s" if made else "complete already, nothing to do"))
    print(f"{plan['train_per_class']} training and {plan['test_per_class']} test clips of each class")
    for name, digest in manifest["digests"].items():
        sizes = [size for path, size in manifest["bytes"].items() if path.startswith(name)]
        print(f"{name}: {sum(sizes) / 1e6:.0f} MB, digest {digest[:12]}")
    print(f"seed {plan['seed']}, version {plan['version']}")
