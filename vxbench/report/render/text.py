"""What the renderers share: numbers as text, and the cutting of wide tables into blocks."""

from itertools import groupby

from vxbench.report.table import Column, Entry, Table

BLOCK_COLUMNS = 4  # numbers side by side, companions not counted; a page is no wider


def number(value: float, decimals: int) -> str:
    """Fixed decimals; no minus before a rounded zero."""
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def signed(value: float, decimals: int) -> str:
    """With a sign, a true minus; zero has none."""
    text = f"{value:+.{decimals}f}"
    return number(0, decimals) if float(text) == 0 else text.replace("-", "−")


def interval(entry: Entry, decimals: int) -> str:
    return f"[{number(entry.estimate.low, decimals)}, {number(entry.estimate.high, decimals)}]"


def sample(column: Column, entry: Entry) -> str:
    """(n=23) where an entry rests on another number of clips than most of its column, else nothing."""
    return "" if entry.estimate.n == column.n else f" (n={entry.estimate.n})"


def beside(table: Table, entry: Entry) -> str:
    """The paper's number, measured minus paper, and whether it lies in the interval: "32.9 (−0.8) ✓"."""
    if entry.published is None:
        return entry.blank
    doubt = "†" if "doubt=" in entry.published.note else ""
    text = number(entry.published.value, table.layout.decimals) + doubt
    if entry.difference is not None:
        text += f" ({signed(entry.difference, table.layout.decimals)})"
    return text + {True: " ✓", False: " ✗", None: ""}[entry.inside]


def tau(column: Column) -> str:
    """The rank correlation; it says so where it is over fewer rows than the paper has numbers for."""
    if column.companion:
        return ""
    if column.tau is None:
        return "–"
    some = "" if column.ranked == column.printed else f" ({column.ranked} rows)"
    return number(column.tau, 2).replace("-", "−") + some


def last_lines(table: Table) -> list[tuple[str, list[str]]]:
    """The lines below the rows, [(name, one text a column)]: clips a column rests on, rank correlation."""
    sizes = [str(column.n or "") for column in table.columns]
    return [("clips (n)", sizes), ("Kendall's τ", [tau(column) for column in table.columns])]


def groups(table: Table) -> list[list[int]]:
    """Indices of neighbouring columns under one printed heading."""
    runs = groupby(range(len(table.columns)), key=lambda i: table.columns[i].group)
    return [list(run) for _, run in runs]


def blocks(table: Table) -> list[list[int]]:
    """Column indices cut into tables of at most BLOCK_COLUMNS numbers, groups kept whole."""
    packed: list[list[int]] = [[]]
    for group in groups(table):
        if packed[-1] and _width(table, packed[-1] + group) > BLOCK_COLUMNS:
            packed.append([])
        packed[-1] += group
    return packed


def _width(table: Table, indices: list[int]) -> int:
    return sum(not table.columns[i].companion for i in indices)


def block_title(table: Table, indices: list[int]) -> str:
    """The heading shared by a block's columns, or "" where they have several or none."""
    titles = {table.columns[i].group for i in indices}
    return titles.pop() if len(titles) == 1 else ""


def heading(table: Table, index: int, indices: list[int]) -> str:
    """A column's heading inside a block: its group is said unless it stands over the block."""
    column = table.columns[index]
    return column.heading if block_title(table, indices) == column.group else f"{column.group} {column.heading}"
