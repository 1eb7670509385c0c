"""`python scripts/plan.py --table 1`: what tables would compute, how long that takes here, and what is missing."""

import argparse
import sys
from collections.abc import Iterable
from importlib.util import find_spec

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from vxbench.benchmark.clock import machine
from vxbench.errors import UserError
from vxbench.report.published import tables
from vxbench.runner.config import check_choices, first_line, options
from vxbench.runner.pace import Pace, measure
from vxbench.runner.planned import Planned, Planner, device_there
from vxbench.runner.preflight import jobs
from vxbench.runner.reproduce import PAPERS, wanted_tables

WIDTH = 100
PLUGINS = ("joblib", "submitit", "ray")
NOTES = """\
~ about: the data set is not on this machine, so its clips are what the profile asks for
? not known here
forward, backward: passes of one clip through the network and back that are left, at most
time: cell after cell, as timed here on random clips: building the network and decoding the first
  clips, passes through the network, iterations of the perturbation methods, metrics that run no
  method. What other methods do beside the network, the rest of the decoding and the start of the
  program come on top
n/a: done, as the method turned out not to be applicable to the network"""


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


def _plans(given: argparse.Namespace, overrides: list[str]) -> dict[str, list[Planned]]:
    if unknown := [override for override in overrides if override.startswith("-")]:
        raise UserError(f"{unknown[0]} is not an option; --help lists them")
    check_choices([override for override in overrides if not override.startswith("hydra/launcher")])  # see `lacking`
    planner = Planner()
    return {key: plan(key, given.profile, overrides, planner) for key in _keys(given.table, given.paper)}


def plan(key: str, profile: str, overrides: list[str], planner: Planner) -> list[Planned]:
    """Every cell of a table, in the order in which they would be computed."""
    _say(f"{key}: looking at its cells")
    asked = [override for override in overrides if not override.startswith(("hydra/launcher", "hydra.launcher"))]
    return [planner(config) for _, config in jobs(key, profile, asked)]


def distinct(cells: Iterable[Planned]) -> list[Planned]:
    """Each cell once, also where tables share it."""
    return list({cell.key or id(cell): cell for cell in cells}.values())


def measured(cells: list[Planned]) -> tuple[dict[str, Pace], list[str]]:
    """The pace of every network that has something to do, and why there is none for others."""
    paces, problems, of_network = {}, [], {}
    for cell in cells:
        if cell.network and device_there(cell.config.device):
            of_network.setdefault(cell.network, []).append(cell)
    for network, [cell, *more] in of_network.items():
        _say(f"timing {cell.model} on {cell.config.device}")
        things = {key: thing for other in (cell, *more) for key, thing in other.things.items()}
        videos = next((other.videos for other in (cell, *more) if other.videos), None)
        try:
            paces[network] = measure(cell.config, things, videos)
        except (UserError, RuntimeError) as error:
            problems.append(f"{cell.model} cannot be timed: {first_line(error)}")
    return paces, problems


def lacking(overrides: list[str]) -> list[str]:
    """Launchers that are asked for and not installed."""
    names = [override.partition("=")[2] for override in overrides if override.startswith("hydra/launcher=")]
    needed = [plugin for name in names for plugin in PLUGINS if plugin in name]
    return [
        f"hydra/launcher={plugin}: pip install hydra-{plugin}-launcher"
        for plugin in needed
        if find_spec(f"hydra_plugins.hydra_{plugin}_launcher") is None
    ]


def show(plans: dict[str, list[Planned]], cells: list[Planned], paces: dict[str, Pace]) -> None:
    """A table for each table of a paper, and what all of them come to, cells that they share once."""
    console = Console(width=WIDTH, highlight=False)
    for key, of_table in plans.items():
        console.print(_table(key, of_table, paces))
    print(NOTES)
    shared = sum(map(len, plans.values())) - len(cells)
    also = f", {shared} of them in several tables and counted once" if shared else ""
    print(f"\n{', '.join(plans)}: {len(cells)} cells{also}")
    print("\n".join(_summary(cells, paces)))


def _table(key: str, cells: list[Planned], paces: dict[str, Pace]) -> Table:
    several = len({cell.metric for cell in cells}) > 1
    table = Table(title=key, title_justify="left", box=SIMPLE, padding=0, show_edge=False, show_footer=True)
    total = _row(cells, paces)
    names = ["model", "data set", "explainer", *(["metric"] if several else [])]
    for name in names:
        table.add_column(name, "all" if name == "model" else "", overflow="fold")
    for name, footer in zip(("clips", "done", "forward", "backward", "time"), total, strict=True):
        table.add_column(name, footer, justify="right", no_wrap=True)
    for cell in cells:
        who = [cell.model, cell.dataset, cell.explainer, *([cell.metric] if several else [])]
        table.add_row(*who, *_row([cell], paces))
    return table


def _row(cells: list[Planned], paces: dict[str, Pace]) -> list[str]:
    """Clips, done, forward and backward passes and time of these cells together."""
    about = any(cell.about for cell in cells)
    passes = [cell.passes for cell in cells]
    return [
        _number([cell.clips for cell in cells], about),
        "n/a" if all(cell.not_applicable for cell in cells) else _number([cell.done for cell in cells]),
        _number([p and p.forward for p in passes], about),
        _number([p and p.backward for p in passes], about),
        _time(_seconds(cells, paces)),
    ]


def _summary(cells: list[Planned], paces: dict[str, Pace]) -> list[str]:
    clips, done, forward, backward, _ = _row(cells, paces)
    devices = sorted({cell.config.device for cell in cells})
    where = ", ".join(machine(device) if device_there(device) else f"{device}, which is not here" for device in devices)
    return [
        f"  clips    {clips}, of which {done} are done",
        f"  calls    {forward} forward and {backward} backward are left",
        f"  time     {_time(_seconds(cells, paces))} on {where}{_beginning(cells, paces)}",
        f"  disk     about {sum(cell.bytes for cell in cells) / 1e6:,.0f} MB of results are left to be written",
    ]


def _beginning(cells: list[Planned], paces: dict[str, Pace]) -> str:
    """How much of the time is spent before anything is computed."""
    starts = [paces[cell.network].start for cell in cells if cell.network in paces]
    return f", of which {_time(sum(starts))} to begin {len(starts)} cells" if starts else ""


def _missing(lines: list[str]) -> list[str]:
    if not lines:
        return ["", "Nothing is missing on this machine."]
    parts = (line.replace("; ", "\n    ") for line in lines)
    return ["", f"Missing on this machine ({len(lines)}):", *(f"- {part}" for part in parts)]


def _seconds(cells: list[Planned], paces: dict[str, Pace]) -> float | None:
    """None where a pace or a number of passes is not known."""
    seconds = []
    for cell in cells:
        if cell.passes is None or (cell.network and cell.network not in paces):
            return None
        seconds.append(paces[cell.network].seconds(cell.passes, cell.parts) if cell.network else 0)
    return sum(seconds)


def _number(values: list[float | None], about: bool = False) -> str:
    """Their sum; "?" if one of them is not known."""
    if None in values:
        return "?"
    return f"{'~' if about and sum(values) else ''}{sum(values):,.0f}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    size, unit = next(((s, u) for s, u in ((3600, "h"), (60, "min")) if seconds >= s), (1, "s"))
    return f"{seconds / size:,.1f} {unit}"


def _keys(number: int | None, paper: str | None) -> list[str]:
    """The tables asked for; all that there are without a number."""
    if number is not None:
        return wanted_tables(number, paper)
    return [key for key in tables() if key in options("table") and (paper is None or key.startswith(f"{paper}_"))]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Plan tables: nothing is computed or written. Overrides may follow.")
    parser.add_argument("--table", type=int, help="number of the table, 1 to 7; all tables if not given")
    parser.add_argument("--paper", choices=PAPERS, help="tables of this paper alone")
    parser.add_argument("--profile", default="mini", choices=options("profile"), help="which data, at which size")
    parser.add_argument("--no-timing", action="store_true", help="leave the time out")
    return parser
