"""A Table written to files, each whole or not at all."""

from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from vxbench.errors import UserError
from vxbench.figures.table_maps import draw_maps
from vxbench.files import write_whole
from vxbench.runner.outcome import Outcome
from vxbench.tables.build import make_table
from vxbench.tables.published import layout
from vxbench.tables.record import FOLDER, TableRun, new_record, read_records, write_record
from vxbench.tables.render import latex, long_csv, markdown
from vxbench.tables.render.long_csv import render_pairs
from vxbench.tables.render.markdown import escape
from vxbench.tables.render.terminal import print_table
from vxbench.tables.render.text import tau
from vxbench.tables.settings import incomplete, profile_of
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
        paths.append(folder / f"{name or table.key}{ending}")
        write_whole(paths[-1], render(table).encode())
    return paths


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
    failed, paper = sum(outcome.status == "failed" for outcome in record.outcomes), layout(record.key)
    name, shows = f"{paper.paper} {paper.printed_as}", escape(paper.title)
    profile = ", ".join([record.profile.name, *record.variants])
    cells, taus = len(record.outcomes), ", ".join(record.taus)
    return f"| [{name}]({record.name}.md) | {shows} | {profile} | {cells} | {failed or ''} | {taus} | {record.made} |"


def make_and_show(config: DictConfig, outcomes: list[Outcome]) -> list[Path]:
    """Writes results/tables/<name>.{json,md,csv,tex} and the pictures of maps in results/figures, prints the table.

    Returns the files written.

    Raises:
        UserError: no outcome is there, or they do not make a table.
    """
    if not outcomes:
        raise UserError(
            "no combination of the command belongs to the table (table.only says which do); nothing is made"
        )
    results, rows = Path(config.paths.results), dict(config.table.get("rows") or {})
    profile, selected = profile_of(config, outcomes), "selected" in config.table
    record = new_record(config.table.key, profile, outcomes, results, rows, selected)
    cells = record.cells()
    profile = replace(profile, settings=[*incomplete(record, cells), *profile.settings])
    table = make_table(record.key, cells, profile)
    taus = [tau(column) for column in table.columns if column.compared]
    record = replace(record, profile=profile, taus=taus)
    paths = [write_record(record), *write_table(table, results / FOLDER, record.name)]
    print_table(table)
    paths += [*draw_maps(record), write_index(results / FOLDER, read_records(results))]
    print("\n".join(f"wrote {path}" for path in paths))
    return paths
