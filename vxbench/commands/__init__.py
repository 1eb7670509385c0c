"""Finds the command that `vxbench <command>` names, one module of this package each, and runs it."""

import sys
from collections.abc import Sequence
from importlib import import_module

from vxbench import __version__
from vxbench.commands.common import NOT_UNDERSTOOD, STATUSES, refuse, run_command
from vxbench.errors import did_you_mean

COMMANDS = {
    "Results": {
        "reproduce": "tables of the papers, beside the published numbers",
        "run": "one cell, a sweep (-m) or a table (+table=fep_1)",
        "figure": "figures of the papers",
        "report": "one page of all tables, curves, maps and values that were made",
        "reference": "the tables and figures of a clean run, copied to results/reference",
        "select-fep": "F-EP's r_l and r_h, chosen on training clips",
    },
    "A video of your own": {
        "explain": "what a network sees in it",
    },
    "Before a run": {
        "plan": "what tables would compute, how long that takes here, and what is missing",
        "check-data": "which clips of the data sets are there and can be read",
        "checkpoints": "which weights are there; fetches the others on demand",
        "make-mini": "generates the mini data",
        "benchmark": "times explainers, networks and loading",
    },
    "Models and documents": {
        "train": "trains a network",
        "docs": "writes docs/choices.md",
    },
}
NAMES = [name for group in COMMANDS.values() for name in group]


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status of the command that the first word names; without one, prints the list of commands."""
    name, *words = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if name in ("-h", "--help", "--version"):
        return run_command(lambda: print(f"vxbench {__version__}" if name == "--version" else _page()))
    if name not in NAMES:
        return refuse(f"vxbench has no command {name}{did_you_mean(name, NAMES)}", NOT_UNDERSTOOD)
    return run_command(lambda: import_module(f"vxbench.commands.{name.replace('-', '_')}").main(words))


def _page() -> str:
    groups = "\n\n".join(f"{title}\n{_lines(group)}" for title, group in COMMANDS.items())
    usage = "usage: vxbench <command> [options] [key=value ...]\n       vxbench --version"
    return f"{usage}\n\n{groups}\n\n`vxbench <command> --help` says more of each.\n\n{STATUSES}"


def _lines(group: dict[str, str]) -> str:
    return "\n".join(f"  {name:<12} {about}" for name, about in group.items())
