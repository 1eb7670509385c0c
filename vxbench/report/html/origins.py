"""Where the numbers come from: every cell once, and the machines, versions and clip lists that cells share."""

import json
from dataclasses import dataclass, field
from typing import Any

from vxbench.report.html.data import PageCell, PageTable
from vxbench.report.published import display_names


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
