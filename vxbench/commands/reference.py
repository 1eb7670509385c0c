"""Copies what a clean run made to results/reference/<profile>, with where it comes from."""

from argparse import Namespace
from pathlib import Path

from vxbench.commands.common import Parser, parser, run_command
from vxbench.config import options

ABOUT = """\
Copies all tables and figures of a profile to results/reference/<profile>, with provenance.json: when each table was
made, by which code, of which cells."""


def main(argv: list[str] | None = None) -> int:
    """Runs `vxbench reference`; its exit status."""
    return run_command(lambda: _reference(_page().parse_args(argv)))


def _page() -> Parser:
    page = parser("reference", ABOUT, ("", "--results results/paper --profile paper"))
    page.add_argument("--results", type=Path, default=Path("results"), help="folder of the results")
    page.add_argument("--profile", default="mini", choices=options("profile"), help="whose tables are taken")
    return page


def _reference(given: Namespace) -> None:
    from vxbench.tables.reference import collect

    print("\n".join(f"wrote {path}" for path in collect(given.results, given.profile)))
