"""results/tables/index.md: every table made in a folder of results, in the papers' order."""

from pathlib import Path

from vxbench.report import Table
from vxbench.report.render.markdown import escape
from vxbench.report.render.text import tau
from vxbench.report.write import replace_file
from vxbench.runner.records import FOLDER, Record, read_records

HEAD = """# Tables

Made by `make reproduce-all`, or one by one by `make reproduce-table1` ... `make reproduce-table7`. Kendall's τ is the
rank correlation of each measured column with the printed one, with its interval, in the order of the columns; a dash
where too few rows rank.

| table | what it shows | profile | cells | cells failed | Kendall's τ | made |
|---|---|---|---|---|---|---|
"""


def write_index(results: Path) -> Path:
    """Writes the page anew from the records in the folder.

    Raises:
        UserError: a record cannot be read.
    """
    path = Path(results) / FOLDER / "index.md"
    lines = [_line(record, record.table()) for record in read_records(results)]
    replace_file(path, (HEAD + "\n".join(lines) + "\n").encode())
    return path


def _line(record: Record, table: Table) -> str:
    failed = sum(outcome.status == "failed" for outcome in record.outcomes)
    taus = ", ".join(tau(column) for column in table.columns if column.compared)
    name = f"{table.layout.paper} {table.layout.printed_as}"
    protocol = "" if record.profile.protocol == "described" else f", {record.profile.protocol}"
    shows = escape(table.layout.title)
    profile = f"{record.profile.name}{protocol}"
    cells = len(record.outcomes)
    return f"| [{name}]({record.name}.md) | {shows} | {profile} | {cells} | {failed or ''} | {taus} | {record.made} |"
