"""Copies what a clean run made to results/reference/<profile>, with where it comes from."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vxbench.config import options
from vxbench.errors import UserError
from vxbench.files import check_writable, write_whole
from vxbench.runner.store import NOT_APPLICABLE
from vxbench.tables.make import write_index
from vxbench.tables.published import tables
from vxbench.tables.record import FOLDER, TableRun, read_records

TABLES = ("{name}.md", "{name}.csv", "{name}_pairs.csv")
FROM_RUN = ("commit", "versions", "hardware", "weights", "data")


def collect(results: Path, profile: str) -> list[Path]:
    """Copies all tables and the papers' figures of a profile, and writes their index and provenance.json.

    Tables of another protocol, with selected r_l and r_h or with columns or a name of one's own stay out.

    Raises:
        UserError: a table or a figure has not been made; the message names all that lack.
    """
    records = [record for record in read_records(results) if record.profile.name == profile and _as_printed(record)]
    wanted = [results / "figures" / f"{key}.png" for key in options("figure")]
    lacking = [key for key in tables() if key not in {record.key for record in records}]
    lacking += [path.stem for path in wanted if not path.exists()]
    if lacking:
        raise UserError(f"{results} lacks {', '.join(lacking)}; make reproduce-all sweep-fep figures makes them")
    target = results / "reference" / profile
    names = {pattern.format(name=record.name) for record in records for pattern in TABLES}
    sources = [results / FOLDER / name for name in sorted(names)]
    note = target / "provenance.json"
    check_writable("--results", *(target / path.parent.name / path.name for path in (*sources, *wanted)), note)
    copied = [_copy(path, target / path.parent.name) for path in (*sources, *wanted) if path.exists()]
    content = {record.key: provenance_of(record) for record in records}
    write_whole(note, (json.dumps(content, indent=1) + "\n").encode())
    return [*copied, write_index(target / FOLDER, records), note]


def _as_printed(record: TableRun) -> bool:
    """Whether it is a paper's table as the paper describes it, and no more."""
    return record.key in tables() and record.name == record.key and not record.spec.also


def provenance_of(record: TableRun) -> dict[str, Any]:
    """When a table was made, of which cells, by which code and on what.

    seconds_of_finished_runs: summed over the runs of its cells, side by side or not, also where another table has the
    cell too. unfinished_runs: those that were cut off, whose time is not known. Runs of methods that do not apply to
    the network, which end before the first clip, are neither, and give no other fact.
    """
    stores = [record.store(outcome) for outcome in record.outcomes if outcome.cell]
    stores = [store for store in stores if not store.read_note(NOT_APPLICABLE)]
    runs = [run for store in stores for run in store.runs()]
    facts = {name: _distinct(run[name] for run in runs) for name in FROM_RUN}
    cells = sorted(outcome.cell for outcome in record.outcomes if outcome.cell)
    seconds = [run["seconds"] for run in runs if run["seconds"] is not None]
    time = {"seconds_of_finished_runs": round(sum(seconds), 1), "unfinished_runs": len(runs) - len(seconds)}
    return {"made": record.made, **time, **facts, "cells": cells}


def _distinct(values: Iterable[Any]) -> list[Any]:
    return list({json.dumps(value, sort_keys=True): value for value in values}.values())


def _copy(source: Path, folder: Path) -> Path:
    write_whole(folder / source.name, source.read_bytes())
    return folder / source.name
