"""In words: which differences are real, which printed orders hold, what either assignment of two rows would say."""

from vxbench.report.orders import Orders, orders
from vxbench.report.published import Value
from vxbench.report.render.text import counted, interval, number, span
from vxbench.report.significance import least_p
from vxbench.report.statistics import LEVEL
from vxbench.report.table import Column, Entry, Table

NAMED = 3  # reversed orders named in a line before it says how many more


def real_differences(table: Table) -> list[str]:
    """One line a column: its rows from the best on, numbered, and which of them are really ahead of which."""
    lines = []
    for index, column in enumerate(table.columns):
        ahead = _ahead(table, index)
        if ahead:
            lines.append(f"{column.name}: {_ranked(table, ahead)}. {_who_leads(ahead) or _nobody(table, index)}")
    return lines


def _ahead(table: Table, index: int) -> dict[str, set[str]]:
    """{row: the rows it is really ahead of} of the rows compared in a column, the best mean first."""
    better = table.columns[index].higher_is_better
    pairs = [pair for pair in table.pairs if pair.column == index]
    means = {row: table.entries[row][index].estimate.mean for pair in pairs for row in (pair.a, pair.b)}
    found = {row: set() for row in sorted(means, key=means.get, reverse=bool(better))}
    for pair in pairs:
        leader = pair.ahead(better)
        if leader:
            found[leader].add(pair.b if leader == pair.a else pair.a)
    return found


def _ranked(table: Table, ahead: dict[str, set[str]]) -> str:
    names = {row.key: row.display for row in table.rows}
    return ", ".join(f"{place} {names[row]}" for place, row in enumerate(ahead, 1))


def _who_leads(ahead: dict[str, set[str]]) -> str:
    """ "Ahead: 1 of 3–8; 2, 3 of 6–8.", or "" where no row leads another."""
    places = {row: place for place, row in enumerate(ahead, 1)}
    leaders: dict[str, list[int]] = {}
    for row, behind in ahead.items():
        if behind:
            leaders.setdefault(span(sorted(places[other] for other in behind)), []).append(places[row])
    if not leaders:
        return ""
    return "Ahead: " + "; ".join(f"{span(rows)} of {behind}" for behind, rows in leaders.items()) + "."


def _nobody(table: Table, index: int) -> str:
    """Why no row leads: nothing to see, or too few clips to see it, whatever their values."""
    pairs = [pair for pair in table.pairs if pair.column == index]
    clips = max(pair.difference.n for pair in pairs)
    if least_p(clips) * len(pairs) < 1 - LEVEL:
        return "None is ahead of another."
    return f"No telling: {counted(clips, 'clip')} cannot decide {counted(len(pairs), 'pair')}."


def printed_orders(table: Table) -> list[str]:
    """One line a column, and one for all of them: how many orders the paper prints and what became of them."""
    if not table.pairs:
        return []
    found = {index: orders(table, index) for index, column in enumerate(table.columns) if column.compared}
    found = {index: those for index, those in found.items() if those.printed}
    lines = [f"{table.columns[index].name}: {_counts([those], _named(table, those))}" for index, those in found.items()]
    return lines if len(lines) < 2 else [*lines, f"All columns: {_counts(list(found.values()))}"]


def _named(table: Table, those: Orders) -> str:
    """Which orders are reversed, in brackets."""
    names = {row.key: row.display for row in table.rows}
    named = [f"{names[a]} before {names[b]}" for a, b in those.reversed[:NAMED]]
    more = [f"{len(those.reversed) - NAMED} more"] if len(those.reversed) > NAMED else []
    return f" ({', '.join(named + more)})" if named else ""


def _counts(found: list[Orders], named: str = "") -> str:
    count = {name: sum(len(getattr(those, name)) for those in found) for name in vars(found[0])}
    missing = f", {count['missing']} not measured" if count["missing"] else ""
    return (
        f"{sum(count.values())} printed; {count['confirmed']} confirmed, {count['reversed']} reversed{named}, "
        f"{count['undecided']} undecided{missing}"
    )


def either_assignment(table: Table) -> list[str]:
    """Two rows whose names the paper's text lost, each beside both printed numbers."""
    names = {row.key: row.display for row in table.rows}
    lines = []
    for index, column in enumerate(table.columns):
        for row, other in zip(table.layout.either, reversed(table.layout.either), strict=True):
            own, exchanged = table.entries[row][index], table.entries[other][index]
            if own.measured and own.published:
                beside = _both(table, column, own, own.published, exchanged.published)
                lines.append(f"{column.name}, {names[row]}: {beside}")
    return lines


def _both(table: Table, column: Column, own: Entry, assigned: Value, exchanged: Value) -> str:
    decimals = table.layout.decimals
    measured = f"{number(own.estimate.mean, decimals)} {interval(own, decimals)}"
    printed = (number(value.value, decimals) for value in (assigned, exchanged))
    return "{}; printed {} as assigned, {} if exchanged".format(measured, *printed)
