"""Says what tables would compute, how long that takes here, and what is missing for it."""

from argparse import Namespace
from importlib.util import find_spec

from vxbench.commands.common import DONE, FAILED, Parser, add_overrides, parser, run_command, understanding
from vxbench.config import check_choices, options
from vxbench.tables.published import PAPERS, wanted_tables

ABOUT = """\
Says of every cell of a table how many clips and network passes are left, how long they take on this machine, and all
that is missing: data, weights, devices, launchers. Nothing is computed or written."""
EXAMPLES = ("", "--table 1 --paper fep", "+table=my_table", "--table 2 --profile paper paths.data=/data device=cuda")
LAUNCHERS = ("joblib", "submitit", "ray")  # of which each is a package of its own


def main(argv: list[str] | None = None) -> int:
    """Runs `vxbench plan`; its exit status."""
    return run_command(lambda: _plan(_page().parse_intermixed_args(argv)))


def _page() -> Parser:
    page = parser("plan", ABOUT, EXAMPLES)
    page.add_argument("--table", type=int, help="number of the table, 1 to 7; all tables if not given")
    page.add_argument("--paper", choices=PAPERS, help="tables of this paper alone")
    page.add_argument("--profile", default="mini", choices=options("profile"), help="which data, at which size")
    page.add_argument("--no-timing", action="store_true", help="leave the time out")
    add_overrides(page)
    return page


def _plan(given: Namespace) -> int:
    own = [word.partition("=")[2] for word in given.overrides if word.lstrip("+").startswith("table=")]
    given.overrides = [word for word in given.overrides if not word.lstrip("+").startswith("table=")]
    check_choices([f"table={key}" for key in own])
    with understanding():
        keys = own or wanted_tables(given.table, given.paper)
    # A launcher that is not installed is missing, see `lacking`; the rest is planned.
    check_choices([override for override in given.overrides if not override.startswith("hydra/launcher")])
    from vxbench.costs.plan import Planner
    from vxbench.costs.show import distinct, measured, plan, show, show_missing

    planner = Planner()
    plans = {key: plan(key, given.profile, given.overrides, planner) for key in keys}
    cells = distinct(cell for of_table in plans.values() for cell in of_table)
    paces, untimed = ({}, []) if given.no_timing else measured(cells)
    show(plans, cells, paces)
    missing = [*lacking(given.overrides), *(line for cell in cells for line in cell.missing), *untimed]
    show_missing(missing)
    return FAILED if missing else DONE


def lacking(overrides: list[str]) -> list[str]:
    """Launchers that are asked for and not installed."""
    names = [override.partition("=")[2] for override in overrides if override.startswith("hydra/launcher=")]
    needed = [launcher for name in names for launcher in LAUNCHERS if launcher in name]
    return [
        f"hydra/launcher={launcher}: pip install hydra-{launcher}-launcher"
        for launcher in needed
        if find_spec(f"hydra_plugins.hydra_{launcher}_launcher") is None
    ]
