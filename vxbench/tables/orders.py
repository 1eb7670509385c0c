"""Finds the orders a paper prints, and what the measured differences say of each."""

from dataclasses import dataclass, field
from itertools import combinations

from vxbench.tables.comparison import Pair
from vxbench.tables.published import Value
from vxbench.tables.table import Column, Table

Two = tuple[str, str]  # rows, the better one first


@dataclass
class Orders:
    """The printed orders of one column by what the measurement says; `missing` could not be compared."""

    confirmed: list[Two] = field(default_factory=list)
    reversed: list[Two] = field(default_factory=list)
    undecided: list[Two] = field(default_factory=list)
    missing: list[Two] = field(default_factory=list)

    @property
    def printed(self) -> int:
        return sum(map(len, (self.confirmed, self.reversed, self.undecided, self.missing)))


def orders(table: Table, index: int) -> Orders:
    """Each two rows of the paper that it prints different, scored numbers for."""
    found = Orders()
    pairs = {frozenset((pair.a, pair.b)): pair for pair in table.pairs if pair.column == index}
    for a, b in combinations(table.of_kind("paper"), 2):
        two = _printed_order(table, index, a.key, b.key)
        if two:
            pair = pairs.get(frozenset(two))
            getattr(found, _verdict(two, pair, table.columns[index])).append(two)
    return found


def verdict(table: Table, pair: Pair) -> str:
    """confirmed, reversed or undecided; "" where the paper prints no order of the two."""
    two = _printed_order(table, pair.column, pair.a, pair.b)
    return _verdict(two, pair, table.columns[pair.column]) if two else ""


def _printed_order(table: Table, index: int, a: str, b: str) -> Two | None:
    first, second = (table.entries[row][index].published for row in (a, b))
    if not (_counts(first) and _counts(second)) or first.value == second.value:
        return None
    return (a, b) if (first.value > second.value) == first.higher_is_better else (b, a)


def _counts(printed: Value | None) -> bool:
    return printed is not None and printed.scored


def _verdict(two: Two, pair: Pair | None, column: Column) -> str:
    if pair is None:
        return "missing"
    ahead = pair.ahead(column.higher_is_better)
    return {"": "undecided", two[0]: "confirmed", two[1]: "reversed"}[ahead]
