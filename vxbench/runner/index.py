"""index.md beside the tables: what there is, a line a table."""

from pathlib import Path

from vxbench.report.published import layout
from vxbench.report.render.markdown import escape
from vxbench.report.write import replace_file
from vxbench.runner.records import Record

HEAD = """# Tables

Made by `make reproduce-all`, or one by one by `make reproduce-table1` ... `make reproduce-table7`. Kendall's τ is the
rank correlation of each measured column with the printed one, with its interval, in the order of the columns; a dash
where too few rows rank.

| table | what it shows | profile | cells | cells failed | Kendall's τ | made |
|---|---|---|---|---|---|---|
"""


def write_index(folder: Path, records: list[Record]) -> Path:
    """Writes <folder>/index.md of these tables, in this order; no table is made for it."""
    path = Path(folder) / "index.md"
    lines = [_line(record) for record in records]
    replace_file(path, (HEAD + "\n".join(lines) + "\n").encode())
    return path


def _line(record: Record) -> str:
    failed, paper = sum(outcome.status == "failed" for outcome in record.outcomes), layout(record.key)
    name, shows = f"{paper.paper} {paper.printed_as}", escape(paper.title)
    profile = ", ".join([record.profile.name, *record.variants])
    cells, taus = len(record.outcomes), ", ".join(record.taus)
    return f"| [{name}]({record.name}.md) | {shows} | {profile} | {cells} | {failed or ''} | {taus} | {record.made} |"
