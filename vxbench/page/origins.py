"""Lists everything without a number, with its reason: cells, clips that failed, values that could not be scored."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vxbench.page.data import PageCell, PageTable
from vxbench.tables.published import display_names


class LostCell(NamedTuple):
    table: str
    cell: str
    status: str
    reason: str


class LostClip(NamedTuple):
    """A clip, or a value of it, lost for one reason in one or more cells. metric: "" where the whole clip failed."""

    dataset: str
    clip: str
    metric: str
    reason: str
    cells: list[str]


def lost_cells(pages: list[PageTable]) -> list[LostCell]:
    """Cells that failed or do not apply, in the order of the tables; failures first."""
    found = [
        LostCell(page.name, cell.result.name, cell.status.replace("_", " "), cell.message)
        for page in pages
        for cell in page.cells
        if cell.status != "complete"
    ]
    return sorted(found, key=lambda lost: lost.status != "failed")


def failed_clips(pages: list[PageTable]) -> list[LostClip]:
    """Clips that could not be computed."""
    return _gathered(pages, lambda cell: cell.result.failures)


def unscored(pages: list[PageTable]) -> list[LostClip]:
    """Values that are NaN on clips that were computed."""
    return _gathered(pages, lambda cell: cell.result.scored[cell.result.scored["value"].isna()])


def _gathered(pages: list[PageTable], lines: Callable) -> list[LostClip]:
    """One entry a clip, metric and reason, however many cells share it; a cell of two tables counts once."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for cell in _cells_once(pages):
        rows = lines(cell)
        for clip, metric, reason in zip(rows["clip"], rows["metric"], rows["reason"], strict=True):
            key = (cell.result.dataset, clip, metric, reason or "no reason given")
            found.setdefault(key, []).append(cell.result.name)
    return [LostClip(*key, cells) for key, cells in sorted(found.items())]


def _cells_once(pages: list[PageTable]) -> Iterator[PageCell]:
    seen = set()
    for page in pages:
        for cell in page.cells:
            if not cell.id or cell.id not in seen:
                yield cell
            seen.add(cell.id)


@dataclass
class CellOrigin:
    """clip_list, environments: names of entries of `Origins`. seconds: wall time of all its runs."""

    id: str
    model: str
    dataset: str
    row: str
    status: str
    tables: list[str]
    clip_list: str
    clips: int
    computed: int
    seconds: float
    weights: str
    data: str
    commits: list[str]
    environments: list[str]
    runs: list[str]
    config: str


@dataclass
class Origins:
    """environments: {name: {what: value}}, the hardware before the versions. clip_lists: {name: (data set, ids)}."""

    cells: list[CellOrigin] = field(default_factory=list)
    environments: dict[str, dict[str, str]] = field(default_factory=dict)
    clip_lists: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)


def origins(pages: list[PageTable]) -> Origins:
    """All cells that came into the store, in the order of the tables."""
    found = Origins()
    names: dict[str, str] = {}
    by_id: dict[str, CellOrigin] = {}
    for page in pages:
        for cell in page.cells:
            if not cell.id:
                continue
            if cell.id not in by_id:
                by_id[cell.id] = _origin(found, names, cell)
            by_id[cell.id].tables.append(page.name)
    found.cells = list(by_id.values())
    return found


def _origin(found: Origins, names: dict[str, str], cell: PageCell) -> CellOrigin:
    result, runs = cell.result, cell.runs
    return CellOrigin(
        id=cell.id,
        model=display_names("models").get(result.model, result.model),
        dataset=display_names("datasets").get(result.dataset, result.dataset),
        row=result.row,
        status=cell.status.replace("_", " "),
        tables=[],
        clip_list=_named(found.clip_lists, names, "list", (result.dataset, cell.clips)) if cell.clips else "",
        clips=len(cell.clips),
        computed=len(set(result.scored["clip"])),
        seconds=sum(run.get("seconds") or 0 for run in runs),
        weights=_last(runs, "weights"),
        data=_last(runs, "data"),
        commits=list(dict.fromkeys(str(run.get("commit") or "") for run in runs)),
        environments=list(dict.fromkeys(_named(found.environments, names, "machine", _machine(run)) for run in runs)),
        runs=[_run_line(run) for run in runs],
        config=cell.config,
    )


def _named(store: dict, names: dict[str, str], kind: str, value: Any) -> str:
    """The name under which equal values are kept once."""
    content = kind + json.dumps(value, sort_keys=True)
    if content not in names:
        names[content] = f"{kind} {len(store) + 1}"
        store[names[content]] = value
    return names[content]


def _machine(run: dict[str, Any]) -> dict[str, str]:
    facts = {**run.get("hardware", {}), **run.get("versions", {})}
    return {str(name): str(value) for name, value in facts.items() if value not in ("", None)}


def machine_line(facts: dict[str, str]) -> str:
    """What ran it, in a few words."""
    return ", ".join(dict.fromkeys(facts[name] for name in ("cpu", "gpu", "device") if name in facts))


def _run_line(run: dict[str, Any]) -> str:
    """When, how many clips, how long, by what command; a run that was killed has no end."""
    end = run.get("finished") or "an end that it did not reach"
    seconds = "" if run.get("seconds") is None else f" in {run['seconds']} s"
    command = " ".join(map(str, run.get("command", [])))
    return f"{run.get('started', '?')} to {end}: {run.get('clips', 0)} clips{seconds}; {command}"


def _last(runs: tuple[dict[str, Any], ...], name: str) -> str:
    return str(runs[-1].get(name) or "") if runs else ""
