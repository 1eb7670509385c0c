"""Shows what tables would compute, how long that takes here, and what is missing."""

import sys
from collections.abc import Iterable

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vxbench.costs.pace import Timing, measure
from vxbench.costs.plan import CellPlan, Planner
from vxbench.device import machine
from vxbench.errors import UserError, first_line, printable
from vxbench.runner.multirun import cells

WIDTH = 100
NOTES = """\
~ about: the data set is not on this machine, so its clips are what the profile asks for
? not known here
forward, backward: passes of one clip through the network and back that are left, at most
time: cell after cell, as timed here on random clips: building the network and decoding the first
  clips, passes through the network, iterations of the perturbation methods, metrics that run no
  method. What other methods do beside the network, the rest of the decoding and the start of the
  program come on top
n/a: done, as the method turned out not to be applicable to the network"""


def plan(key: str, profile: str, overrides: list[str], planner: Planner) -> list[CellPlan]:
    """Every cell of a table, in the order in which they would be computed."""
    _say(f"{key}: looking at its cells")
    asked = [override for override in overrides if not override.startswith(("hydra/launcher", "hydra.launcher"))]
    return [planner(config) for config in cells(f"+table={key}", [f"profile={profile}", *asked])]


def distinct(cells: Iterable[CellPlan]) -> list[CellPlan]:
    """Each cell once, also where tables share it."""
    return list({cell.key or id(cell): cell for cell in cells}.values())


def measured(cells: list[CellPlan]) -> tuple[dict[str, Timing], list[str]]:
    """The pace of every network that has something to do, and why there is none for others."""
    paces, problems, of_network = {}, [], {}
    for cell in cells:
        if cell.network and cell.assembled.get("usable_device"):
            of_network.setdefault(cell.network, []).append(cell)
    for network, [cell, *more] in of_network.items():
        _say(f"timing {cell.names[0]} on {cell.device}")
        things = {key: thing for other in (cell, *more) for key, thing in other.things.items()}
        videos = next((other.videos for other in (cell, *more) if other.videos), None)
        try:
            paces[network] = measure(cell.assembled, things, videos)
        except (UserError, RuntimeError) as error:
            problems.append(f"{cell.names[0]} cannot be timed: {first_line(error)}")
    return paces, problems


def show(plans: dict[str, list[CellPlan]], cells: list[CellPlan], paces: dict[str, Timing]) -> None:
    """A table for each table of a paper, and what all of them come to, cells that they share once."""
    console = Console(width=WIDTH, highlight=False)
    for key, of_table in plans.items():
        console.print(_table(key, of_table, paces))
    print(NOTES)
    shared = sum(map(len, plans.values())) - len(cells)
    also = f", {shared} of them in several tables and counted once" if shared else ""
    print(f"\n{', '.join(plans)}: {len(cells)} cells{also}")
    print("\n".join(_summary(cells, paces)))


def _table(key: str, cells: list[CellPlan], paces: dict[str, Timing]) -> Table:
    several = len({cell.names[-1] for cell in cells}) > 1
    table = Table(title=_plain(key), title_justify="left", box=SIMPLE, padding=0, show_edge=False, show_footer=True)
    total = _row(cells, paces)
    for name in ("model", "data set", "explainer", "metric")[: 4 if several else 3]:
        table.add_column(name, "all" if name == "model" else "", overflow="fold")
    for name, footer in zip(("clips", "done", "forward", "backward", "time"), total, strict=True):
        table.add_column(name, footer, justify="right", no_wrap=True)
    for cell in cells:
        table.add_row(*map(_plain, cell.names[: 4 if several else 3]), *_row([cell], paces))
    return table


def _row(cells: list[CellPlan], paces: dict[str, Timing]) -> list[str]:
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


def _summary(cells: list[CellPlan], paces: dict[str, Timing]) -> list[str]:
    clips, done, forward, backward, _ = _row(cells, paces)
    there = {cell.device: bool(cell.assembled.get("usable_device")) for cell in cells}
    where = ", ".join(machine(device) if there[device] else f"{device}, which is not here" for device in sorted(there))
    return [
        f"  clips    {clips}, of which {done} are done",
        f"  calls    {forward} forward and {backward} backward are left",
        f"  time     {_time(_seconds(cells, paces))} on {where}{_beginning(cells, paces)}",
        f"  disk     about {sum(cell.bytes for cell in cells) / 1e6:,.0f} MB of results are left to be written",
    ]


def _beginning(cells: list[CellPlan], paces: dict[str, Timing]) -> str:
    """How much of the time is spent before anything is computed."""
    starts = [paces[cell.network].start for cell in cells if cell.network in paces]
    return f", of which {_time(sum(starts))} to begin {len(starts)} cells" if starts else ""


def show_missing(lines: Iterable[str]) -> None:
    """Lists what is missing, each of the lines once."""
    parts = [f"- {line}".replace("\n  ", "\n    ").replace("; ", "\n    ") for line in dict.fromkeys(lines)]
    head = f"Missing on this machine ({len(parts)}):" if parts else "Nothing is missing on this machine."
    print("\n".join(["", head, *parts]))


def _seconds(cells: list[CellPlan], paces: dict[str, Timing]) -> float | None:
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


def _plain(name: str) -> Text:
    """A name with nothing in it that rich or the terminal would obey."""
    return Text(printable(name))


def _say(line: str) -> None:
    """Tells a user who waits at a terminal."""
    if sys.stderr.isatty():
        print(line, file=sys.stderr, flush=True)
