"""Turns numbers into text and cuts wide tables into blocks, for all renderers."""

from itertools import groupby

from vxbench.tables.published import Value
from vxbench.tables.table import Column, Entry, Table

BLOCK_COLUMNS = 3  # numbers side by side, companions not counted; a page is no wider


def number(value: float, decimals: int) -> str:
    """Fixed decimals, a true minus; none before a rounded zero."""
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def signed(value: float, decimals: int) -> str:
    """With a sign, a true minus; zero has none."""
    text = f"{value:+.{decimals}f}"
    return number(0, decimals) if float(text) == 0 else text.replace("-", "−")


def interval(entry: Entry, decimals: int) -> str:
    return f"[{number(entry.estimate.low, decimals)}, {number(entry.estimate.high, decimals)}]"


def counted(many: int, noun: str) -> str:
    """ "1 clip", "3 clips", "0 clips"."""
    return f"{many} {noun}" if many == 1 else f"{many} {noun}s"


def span(places: list[int]) -> str:
    """Ascending whole numbers, runs of three or more drawn together: [1, 2, 4, 5, 6] is "1, 2, 4–6"."""
    runs: list[list[int]] = []
    for place in places:
        if not runs or place != runs[-1][-1] + 1:
            runs.append([])
        runs[-1].append(place)
    texts = (f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)
    return ", ".join(texts)


def sample(column: Column, entry: Entry) -> str:
    """(n=23) where an entry rests on another number of clips than most of its column, else nothing."""
    return "" if entry.estimate.n == column.n else f" (n={entry.estimate.n})"


def beside(column: Column, entry: Entry) -> str:
    """The paper's number, measured minus paper, and whether it lies in the interval: "32.9 (−0.8) ✓".

    † behind a number in doubt, ‡ behind one that is not scored.
    """
    if entry.published is None:
        return entry.blank
    text = number(entry.published.value, column.decimals) + doubt(entry.published)
    if entry.difference is not None:
        text += f" ({signed(entry.difference, column.decimals)})"
    return text + {True: " ✓", False: " ✗", None: ""}[entry.inside]


def doubt(value: Value) -> str:
    """The sign of a printed number that is in doubt."""
    if not value.doubts:
        return ""
    return "†" if value.scored else "‡"


def tau(column: Column) -> str:
    """The rank correlation with the paper and its interval: "0.71 [0.43, 0.90]"; a dash where there is none."""
    if not (column.compared and column.printed):
        return ""
    if column.rank is None:
        return "–"
    low, high = (number(end, 2) for end in (column.rank.low, column.rank.high))
    return f"{number(column.rank.tau, 2)} [{low}, {high}]"


def last_lines(table: Table) -> list[tuple[str, list[str]]]:
    """The lines below the rows, [(name, one text a column)]: clips a column rests on, rank correlation.

    How many rows it is over is said where that is not all the paper has numbers for.
    """
    lines = [("clips (n)", [str(column.n or "") for column in table.columns])]
    if table.layout.printed:
        lines.append(("Kendall's τ", [tau(column) for column in table.columns]))
    if any(column.rank and column.ranked < column.numbers for column in table.columns):
        lines.append(("over rows", [f"{c.ranked} of {c.numbers}" if c.rank else "" for c in table.columns]))
    return lines


def groups(table: Table) -> list[list[int]]:
    """Indices of neighbouring columns under one printed heading."""
    runs = groupby(range(len(table.columns)), key=lambda i: table.columns[i].group)
    return [list(run) for _, run in runs]


def blocks(table: Table) -> list[list[int]]:
    """Column indices cut into tables of at most BLOCK_COLUMNS numbers; wider groups are cut between models."""
    packed: list[list[int]] = [[]]
    for group in groups(table):
        whole = _width(table, group) <= BLOCK_COLUMNS
        by_model = [list(run) for _, run in groupby(group, key=lambda i: table.columns[i].model)]
        for piece in [group] if whole else by_model:
            if packed[-1] and _width(table, packed[-1] + piece) > BLOCK_COLUMNS:
                packed.append([])
            packed[-1] += piece
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
    return column.heading if block_title(table, indices) == column.group else column.name
