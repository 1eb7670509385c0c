"""Makes a table of a run's outcomes and writes its files and the index, each whole or not at all."""

from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from omegaconf import DictConfig

from vxbench.config import key_of
from vxbench.errors import UserError
from vxbench.files import fitted, write_whole
from vxbench.runner.outcome import Outcome
from vxbench.tables.published import layout, tables
from vxbench.tables.record import FOLDER, TableRun, new_record, readable_records, record_name, write_record
from vxbench.tables.render import latex, long_csv, markdown
from vxbench.tables.render.long_csv import render_pairs
from vxbench.tables.render.markdown import escape
from vxbench.tables.render.terminal import print_table
from vxbench.tables.render.text import tau
from vxbench.tables.results import CellResult
from vxbench.tables.settings import incomplete, metrics_of, profile_of, spec_of, with_facts
from vxbench.tables.table import Table

FORMATS = {".md": markdown.render, ".csv": long_csv.render, "_pairs.csv": render_pairs, ".tex": latex.render}


def write_table(table: Table, folder: str | Path, name: str = "") -> list[Path]:
    """Write <name>.md, .csv, _pairs.csv and .tex into the folder, made if need be; the paths written.

    name: the table's key where it is not given.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for ending, render in FORMATS.items():
        paths.append(folder / fitted(name or table.key, ending))
        write_whole(paths[-1], render(table).encode())
    return paths


def files_of(config: DictConfig) -> list[Path]:
    """The files that `make_and_show` will write."""
    folder = Path(config.paths.results) / FOLDER
    name = record_name(key_of(config, "table"), config.protocol.name, "selected" in config.table)
    return [*(folder / fitted(name, ending) for ending in (*FORMATS, ".json")), folder / "index.md"]


HEAD = """# Tables

Made by `make reproduce-all`, or one by one by `make reproduce-table1` ... `make reproduce-table7`. Kendall's τ is the
rank correlation of each measured column with the printed one, with its interval, in the order of the columns; a dash
where too few rows rank.

| table | what it shows | profile | cells | cells failed | Kendall's τ | made |
|---|---|---|---|---|---|---|
"""


def write_index(folder: Path, records: list[TableRun]) -> Path:
    """Writes <folder>/index.md of these tables, in this order; no table is made for it."""
    path = Path(folder) / "index.md"
    lines = [_line(record) for record in records]
    write_whole(path, (HEAD + "\n".join(lines) + "\n").encode())
    return path


def _line(record: TableRun) -> str:
    failed = sum(outcome.status == "failed" for outcome in record.outcomes)
    name, shows = _named(record)
    profile = escape(", ".join([record.profile.name, *record.variants]))
    place = quote(fitted(record.name, ".md"))
    cells, taus = len(record.outcomes), ", ".join(record.taus)
    return f"| [{name}]({place}) | {shows} | {profile} | {cells} | {failed or ''} | {taus} | {record.made} |"


def _named(record: TableRun) -> tuple[str, str]:
    """Its name, and what the paper's table shows or the user's own title."""
    if record.key not in tables():
        return escape(record.key), escape(record.spec.title)
    paper = layout(record.key)
    return paper.name, escape(paper.title)


def make_and_show(config: DictConfig, outcomes: list[Outcome]) -> tuple[TableRun, list[Path]]:
    """Writes results/tables/<name>.{json,md,csv,tex} and the index, and prints the table.

    Returns the record of the table and the files written.

    Raises:
        UserError: no outcome is there, or they do not make a table.
    """
    if not outcomes:
        raise UserError(
            "no combination of the command belongs to the table (table.only says which do); nothing is made"
        )
    results = Path(config.paths.results)
    record, cells = _new_run(config, outcomes, results)
    table = record.table(cells)
    taus = [tau(column) for column in table.columns if column.compared and column.printed]
    record = replace(record, taus=taus)
    paths = [write_record(record), *write_table(table, results / FOLDER, record.name)]
    print_table(table)
    return record, [*paths, write_index(results / FOLDER, readable_records(results))]


def _new_run(config: DictConfig, outcomes: list[Outcome], results: Path) -> tuple[TableRun, list[CellResult]]:
    """The record of the run with all that config, cells and metrics say of it, and its cells."""
    spec, rows = spec_of(config), dict(config.table.get("rows") or {})
    metrics = metrics_of(config, outcomes, results)
    profile = profile_of(config, outcomes, metrics)
    record = new_record(key_of(config, "table"), profile, outcomes, results, rows, "selected" in config.table)
    cells = record.cells()
    profile = replace(profile, settings=[*incomplete(record, cells), *profile.settings])
    return replace(record, profile=profile, spec=with_facts(record.key, spec, metrics, cells)), cells
