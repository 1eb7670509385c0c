"""Prints a table on the terminal, through rich: as many columns side by side as fit, the rest below."""

from itertools import chain

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table as RichTable
from rich.text import Text

from vxbench.errors import printable
from vxbench.tables.render.text import beside, groups, interval, last_lines, number, sample
from vxbench.tables.table import STATES, Row, Table

MARKS = {"": (" ", ""), "best": ("*", "bold green"), "second": ("°", "underline cyan")}
STATE_STYLES = {"failed": "red", "not_run": "yellow", "no_value": "yellow", "not_applicable": "dim"}
GAP = 3  # blanks between two columns
SHOWN_LINES = 12  # of a section below the table; the files have all of them


def print_table(table: Table, console: Console | None = None) -> None:
    """Print title, numbers and notes. Best and second best carry a sign as well as a colour (* and °)."""
    console = console or Console()
    console.print(_plain(table.title, style="bold" if table.profile.comparable else "bold yellow"))
    if table.subtitle:
        console.print(_plain(table.subtitle))
    tall = max(_widths(table, group, tall=False) for group in groups(table)) > console.width
    for indices in _fitting(table, console.width, tall):
        console.print()
        console.print(_grid(table, indices, tall))
    of = "the paper's rows" if table.layout.printed else "the rows"
    console.print(Text(f"* best, ° second best of {of}", style="dim"))
    for title, lines in table.notes:
        _section(console, title, lines)


def _plain(text: str, style: str = "") -> Text:
    """A text with nothing in it that rich or the terminal would obey."""
    return Text(printable(text), style=style)


def _section(console: Console, title: str, lines: list[str]) -> None:
    console.print(_plain(f"\n{title}", style="bold"))
    shown = lines if len(lines) <= SHOWN_LINES + 1 else lines[:SHOWN_LINES]
    for line in shown:
        console.print(Padding(_plain(line), (0, 0, 0, 2), expand=False))
    if len(shown) < len(lines):
        console.print(Text(f"  ... and {len(lines) - len(shown)} more, all of them in the .md file", style="dim"))


def _fitting(table: Table, width: int, tall: bool) -> list[list[int]]:
    """Column indices cut so that each part fits; groups stay whole where one fits by itself."""
    parts: list[list[int]] = [[]]
    for group in groups(table):
        whole = _widths(table, group, tall) <= width
        for piece in [group] if whole else [[i] for i in group]:
            if parts[-1] and _widths(table, parts[-1] + piece, tall) > width:
                parts.append([])
            parts[-1] += piece
    return parts


def _widths(table: Table, indices: list[int], tall: bool) -> int:
    """How many character cells a part takes, measured on the grid itself."""
    grid = _grid(table, indices, tall)
    return Console(width=10_000).measure(grid).maximum


def _grid(table: Table, indices: list[int], tall: bool) -> RichTable:
    grid = RichTable(box=SIMPLE_HEAD, padding=(0, GAP - 1, 0, 0), pad_edge=False, show_edge=False)
    grid.add_column("Method" if table.layout.rows_are == "methods" else "Model", no_wrap=True)
    for i in indices:
        column = table.columns[i]
        title = "\n".join(filter(None, [column.group, column.heading]))
        title += "\npaper" if tall and column.printed else ""
        grid.add_column(_plain(title), justify="right", no_wrap=True)
        if column.printed and not tall:
            grid.add_column("paper", justify="right", no_wrap=True, style="dim", vertical="bottom")
    for rows in (table.main, table.of_kind("added"), table.of_kind("control")):
        for row in rows:
            grid.add_row(_plain(row.display), *_cells(table, row, indices, tall))
        if rows:
            grid.add_section()
    for name, texts in last_lines(table):
        paired = ([texts[i]] if tall or not table.columns[i].printed else [texts[i], ""] for i in indices)
        grid.add_row(name, *chain.from_iterable(paired))
    return grid


def _cells(table: Table, row: Row, indices: list[int], tall: bool) -> list[Text]:
    """Per column the measured number and the paper's: beside it, or below it where the terminal is narrow."""
    texts = []
    for i in indices:
        column = table.columns[i]
        own, paper = _measured(table, row, i), Text(beside(column, table.entries[row.key][i]))
        if not column.printed:
            texts.append(own)
        elif tall:
            texts.append(Text("\n").join([own, Text(paper.plain, style="dim")]) if paper else own)
        else:
            texts += [own, paper]
    return texts


def _measured(table: Table, row: Row, index: int) -> Text:
    entry, column = table.entries[row.key][index], table.columns[index]
    if not entry.measured:
        return Text(STATES[entry.state], style=STATE_STYLES[entry.state])
    sign, style = MARKS[entry.mark]
    text = Text().append(number(entry.estimate.mean, column.decimals), style=style).append(sign)
    return text.append(interval(entry, column.decimals) + sample(column, entry))
