"""Keeps what a table was made of in results/tables/<name>.json, from which it is made again without computing."""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vxbench.errors import UserError
from vxbench.fact import Fact
from vxbench.files import fitted, write_whole
from vxbench.runner.outcome import Outcome
from vxbench.runner.parts import Damaged, content_of
from vxbench.runner.store import Store, frame
from vxbench.tables.build import make_table
from vxbench.tables.published import tables
from vxbench.tables.results import CellResult, RunInfo
from vxbench.tables.spec import TableSpec
from vxbench.tables.table import Table

FOLDER = "tables"


@dataclass(frozen=True)
class TableRun:
    """One table run.

    key: the table's. name: of its files, see `record_name`. rows: {row of the table: explainer of another name that is
    the same}. made: time in UTC, ISO 8601. results: the folder of the results. taus: Kendall's tau of each column that
    is compared with the paper, as text, when the table was made. spec: what its config and metrics said of it.
    """

    key: str
    name: str
    profile: RunInfo
    outcomes: list[Outcome]
    results: Path
    rows: dict[str, str] = field(default_factory=dict)
    made: str = ""
    taus: list[str] = field(default_factory=list)
    spec: TableSpec = field(default_factory=TableSpec)

    def cells(self) -> list[CellResult]:
        """Every cell as the report takes it, its row that of the paper's table."""
        return [self._cell(outcome) for outcome in self.outcomes]

    def table(self, cells: list[CellResult] | None = None) -> Table:
        """The table made again. cells: the record's, where they were read before."""
        return make_table(self.key, self.cells() if cells is None else cells, self.profile, self.spec)

    @property
    def variants(self) -> list[str]:
        """What its name adds to the table's key."""
        return self.name.removeprefix(self.key).split("_")[1:]

    def store(self, outcome: Outcome) -> Store:
        return Store(self.results / "cells" / outcome.cell)

    def row(self, outcome: Outcome) -> str:
        """The row of the table that the outcome's explainer is."""
        return next((row for row, explainer in self.rows.items() if explainer == outcome.explainer), outcome.explainer)

    def _cell(self, outcome: Outcome) -> CellResult:
        rows = self.store(outcome).rows() if outcome.cell else frame([])
        return CellResult(
            outcome.model,
            outcome.dataset,
            self.row(outcome),
            rows,
            not_applicable=outcome.message if outcome.status == "not_applicable" else "",
            error=outcome.message if outcome.status == "failed" else "",
        )


def record_name(key: str, protocol: str, selected: bool = False) -> str:
    """Name of a table's files: its key, the protocol if it is not `described`, and `selected` if r_l and r_h were."""
    variants = ["" if protocol == "described" else protocol, "selected" if selected else ""]
    return "_".join(filter(None, [key, *variants]))


def new_record(
    key: str,
    profile: RunInfo,
    outcomes: list[Outcome],
    results: Path,
    rows: dict[str, str],
    selected: bool = False,
) -> TableRun:
    """The record of a table run that has just ended. selected: see `record_name`."""
    made = datetime.now(UTC).isoformat(timespec="seconds")
    return TableRun(key, record_name(key, profile.protocol, selected), profile, outcomes, Path(results), rows, made)


def write_record(record: TableRun) -> Path:
    """Writes results/tables/<name>.json whole; cells are named, not copied."""
    content = {
        "key": record.key,
        "name": record.name,
        "made": record.made,
        "taus": record.taus,
        "rows": record.rows,
        "spec": asdict(record.spec),
        "profile": asdict(record.profile),
        "outcomes": [asdict(outcome) for outcome in record.outcomes],
    }
    path = record.results / FOLDER / fitted(record.name, ".json")
    write_whole(path, (json.dumps(content, indent=1) + "\n").encode())
    return path


def read_record(path: Path) -> TableRun:
    """The record in one file.

    Raises:
        UserError: it cannot be read as one; the message names the file.
    """
    try:
        content = json.loads(content_of(Path(path)))
        profile = RunInfo(**content["profile"])
        outcomes = [Outcome(**outcome) for outcome in content["outcomes"]]
        plain = {name: content[name] for name in ("key", "name", "rows", "made", "taus")}
        spec = _spec(content["spec"])
        return TableRun(**plain, profile=profile, outcomes=outcomes, results=Path(path).parent.parent, spec=spec)
    except (Damaged, OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not the record of a table ({error}); make the table again") from error


def _spec(content: dict[str, Any]) -> TableSpec:
    lists = {name: tuple(content[name]) for name in ("columns", "also")}
    facts = {key: Fact(**known) for key, known in content["facts"].items()}
    return TableSpec(**{**content, **lists, "facts": facts})


def read_records(results: Path) -> list[TableRun]:
    """Every table made in this folder of results, in the papers' order.

    Raises:
        UserError: a file is not the record of a table.
    """
    return _in_order(read_record(path) for path in _paths(results))


def readable_records(results: Path) -> list[TableRun]:
    """The same without the records that cannot be read, as those of another version; each is said."""
    found = []
    for path in _paths(results):
        try:
            found.append(read_record(path))
        except UserError as error:
            print(f"note: {error}", file=sys.stderr)
    return _in_order(found)


def _paths(results: Path) -> list[Path]:
    return sorted((Path(results) / FOLDER).glob("*.json"))


def _in_order(records: Iterable[TableRun]) -> list[TableRun]:
    order = {key: place for place, key in enumerate(tables())}
    return sorted(records, key=lambda record: (order.get(record.key, len(order)), record.name))
