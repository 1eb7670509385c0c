"""Writes one page of every table, curve, map and value in a folder of results."""

from argparse import Namespace
from pathlib import Path

from vxbench.commands.common import Parser, parser, run_command, understanding
from vxbench.errors import OutOfRange

ABOUT = """\
Writes <results>/report/index.html, which needs no server and no network: every table, curve, map and value of a folder
of results, with what failed and where each number comes from. Nothing is computed anew."""
EXAMPLES = ("", "--results results/smoke", "--clips 6")


def main(argv: list[str] | None = None) -> int:
    """Runs `vxbench report`; its exit status."""
    return run_command(lambda: _report(_page().parse_args(argv)))


def _page() -> Parser:
    page = parser("report", ABOUT, EXAMPLES)
    page.add_argument("--results", type=Path, default=Path("results"), help="folder that the runs wrote")
    page.add_argument("--clips", type=int, default=2, help="clips in the gallery, for each model and data set")
    return page


def _report(given: Namespace) -> None:
    from vxbench.page.collect import make_report

    with understanding(OutOfRange):
        path = make_report(given.results, given.clips)
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
