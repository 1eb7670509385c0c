"""TODO."""

import argparse
import sys
from importlib.util import find_spec

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from vxbench.config import check_choices, options
from vxbench.costs.plan import CellPlan, Planner
from vxbench.costs.show import PLUGINS, _missing, distinct, measured, plan, show
from vxbench.errors import UserError, first_line
from vxbench.tables.published import PAPERS, tables, wanted_tables


def main(argv: list[str] | None = None) -> int:
    """0: all that the tables need is there; 1: something is missing; 2: the command is wrong."""
    given, overrides = _parser().parse_known_args(argv)
    try:
        plans = _plans(given, overrides)
        cells = distinct(cell for of_table in plans.values() for cell in of_table)
        paces, untimed = ({}, []) if given.no_timing else measured(cells)
    except (UserError, HydraException, OmegaConfBaseException, OSError) as error:
        print(f"plan: {first_line(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("plan: stopped", file=sys.stderr)
        return 2
    missing = list(dict.fromkeys([*lacking(overrides), *(line for cell in cells for line in cell.missing), *untimed]))
    show(plans, cells, paces)
    print("\n".join(_missing(missing)))
    return 1 if missing else 0


def _plans(given: argparse.Namespace, overrides: list[str]) -> dict[str, list[CellPlan]]:
    if unknown := [override for override in overrides if override.startswith("-")]:
        raise UserError(f"{unknown[0]} is not an option; --help lists them")
    check_choices([override for override in overrides if not override.startswith("hydra/launcher")])  # see `lacking`
    planner = Planner()
    return {key: plan(key, given.profile, overrides, planner) for key in _keys(given.table, given.paper)}


def lacking(overrides: list[str]) -> list[str]:
    """Launchers that are asked for and not installed."""
    names = [override.partition("=")[2] for override in overrides if override.startswith("hydra/launcher=")]
    needed = [plugin for name in names for plugin in PLUGINS if plugin in name]
    return [
        f"hydra/launcher={plugin}: pip install hydra-{plugin}-launcher"
        for plugin in needed
        if find_spec(f"hydra_plugins.hydra_{plugin}_launcher") is None
    ]


def _keys(number: int | None, paper: str | None) -> list[str]:
    """The tables asked for; all that there are without a number."""
    if number is not None:
        return wanted_tables(number, paper)
    return [key for key in tables() if key in options("table") and (paper is None or key.startswith(f"{paper}_"))]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Plan tables: nothing is computed or written. Overrides may follow.")
    parser.add_argument("--table", type=int, help="number of the table, 1 to 7; all tables if not given")
    parser.add_argument("--paper", choices=PAPERS, help="tables of this paper alone")
    parser.add_argument("--profile", default="mini", choices=options("profile"), help="which data, at which size")
    parser.add_argument("--no-timing", action="store_true", help="leave the time out")
    return parser
