"""Writes a table as markdown for GitHub, its columns aligned so that it reads well raw too."""

import re

from vxbench.errors import printable
from vxbench.tables.render.text import beside, block_title, blocks, heading, interval, last_lines, number, sample
from vxbench.tables.table import STATES, Row, Table

MARKS = {"": "{}", "best": "**{}**", "second": "<ins>{}</ins>"}  # GitHub drops <u>


def render(table: Table) -> str:
    """The whole page: title, one table a block of columns, notes."""
    parts = [f"# {escape(table.title)}", *([escape(table.subtitle)] if table.subtitle else [])]
    for indices in blocks(table):
        title = block_title(table, indices)
        parts += [f"### {escape(title)}"] if title else []
        parts.append(_block(table, indices))
    for title, lines in table.notes:
        parts.append("\n".join([f"**{escape(title)}**", "", *(f"- {escape(line)}" for line in lines)]))
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Text that markdown leaves alone: one line, no table bars, no accidental markup."""
    text = re.sub(r"([\\|*<`])", r"\\\1", printable(" ".join(str(text).split())))
    text = re.sub(r"^([#>+-]|\d+[.)])(?= )", r"\\\1", text)  # a heading, a quote or a list in a list
    text = re.sub(r"(?<!\w)_|_(?!\w)", r"\_", text)  # inside a word an underscore is no markup
    return text.replace("](", "]\\(").replace("]:", "]\\:")  # a link, or what makes one of every such name


def _block(table: Table, indices: list[int]) -> str:
    head = ["Method" if table.layout.rows_are == "methods" else "Model"]
    for i in indices:
        head += _pair(table, i, escape(heading(table, i, indices)), "paper")
    lines = [[escape(row.display), *_cells(table, row, indices)] for row in table.main]
    for kind, title in (("added", "*not in the paper*"), ("control", "*controls*")):
        rows = table.of_kind(kind)
        lines += [[title] + [""] * (len(head) - 1)] if rows else []
        lines += [[escape(row.display), *_cells(table, row, indices)] for row in rows]
    for name, texts in last_lines(table):
        lines.append([f"*{name}*", *(cell for i in indices for cell in _pair(table, i, _kept(texts[i]), ""))])
    return _aligned(head, lines)


def _pair(table: Table, index: int, own: str, paper: str) -> list[str]:
    """A column that no paper printed has none of the paper's beside it."""
    return [own, paper] if table.columns[index].printed else [own]


def _cells(table: Table, row: Row, indices: list[int]) -> list[str]:
    texts = []
    for i in indices:
        entry, column = table.entries[row.key][i], table.columns[i]
        own = STATES.get(entry.state, "")
        if entry.measured:
            mean = MARKS[entry.mark].format(number(entry.estimate.mean, column.decimals))
            own = f"{mean} {_kept(interval(entry, column.decimals))}{sample(column, entry)}"
        texts += _pair(table, i, own, _kept(beside(column, entry)))
    return texts


def _kept(text: str) -> str:
    """An interval, and a difference with its sign, that a narrow page does not break: no-break spaces."""
    return text.replace(", ", ",\u00a0").replace(") ", ")\u00a0")


def _aligned(head: list[str], lines: list[list[str]]) -> str:
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    ruler = ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]]

    def text(line: list[str]) -> str:
        first, *rest = line
        padded = [first.ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(rest, widths[1:], strict=True))]
        return f"| {' | '.join(padded)} |"

    return "\n".join(map(text, [head, ruler, *lines]))
