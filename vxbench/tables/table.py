"""Holds a measured table as data: rows and columns as printed, each number beside the paper's.

build.py makes it from cells; render/ writes it down and computes nothing.
"""

from dataclasses import dataclass, field

from vxbench.tables.comparison import Pair, RankCorrelation
from vxbench.tables.published import Layout, Value
from vxbench.tables.results import RunInfo
from vxbench.tables.spec import TableSpec
from vxbench.tables.statistics import Estimate

# What stands in the place of a number.
STATES = {"not_applicable": "–", "failed": "failed", "not_run": "not run", "no_value": "no value"}


@dataclass(frozen=True)
class Column:
    """A column of numbers. higher_is_better is None where it has no direction.

    title: the heading, unique within its group; label: unique within the table. unit, decimals: of the numbers shown;
    multiples have the unit `ratio`. printed: whether a paper printed such a column, whose numbers then stand beside.
    companion: it is read with the column on its left. ratio_to: the row whose multiples the numbers are, or "".
    n: how many clips most of its entries rest on. rank: correlation with the paper, or None, over `ranked` of the
    `numbers` rows that have a number there.
    """

    model: str
    dataset: str
    metric: str
    group: str
    title: str
    label: str
    higher_is_better: bool | None
    unit: str
    decimals: int
    printed: bool = True
    companion: bool = False
    ratio_to: str = ""
    n: int = 0
    rank: RankCorrelation | None = None
    ranked: int = 0
    numbers: int = 0

    @property
    def stored(self) -> str:
        """The metric of the cells it is made of; that of ratios reads "seconds/aosa_s8"."""
        return self.metric.partition("/")[0]

    @property
    def heading(self) -> str:
        return self.title + self._arrow

    @property
    def name(self) -> str:
        """The heading where its group is not said."""
        return self.label + self._arrow

    @property
    def _arrow(self) -> str:
        return {True: " ↑", False: " ↓", None: ""}[self.higher_is_better]

    @property
    def compared(self) -> bool:
        """Whether its rows are ranked and told apart; a column of ratios repeats the one it is made of."""
        return self.higher_is_better is not None and not self.ratio_to


@dataclass(frozen=True)
class Row:
    """kind: `paper`, `own` (of a table of one's own), `added` (an explainer the paper does not have) or `control`."""

    key: str
    display: str
    kind: str


@dataclass(frozen=True)
class Entry:
    """One number of the table and all that is said about it, in the table's unit.

    state: `measured`, `no_value` (no clip could be scored), `not_applicable`, `failed` or `not_run`.
    published: the paper's number; blank: what the paper prints instead of one. inside: whether the paper's
    number lies in the interval, None where the two are not comparable or the number is not scored. mark: "",
    `best` or `second`.
    """

    state: str
    estimate: Estimate | None = None
    failed: int = 0
    degenerate: int = 0
    reason: str = ""
    published: Value | None = None
    blank: str = ""
    inside: bool | None = None
    mark: str = ""

    @property
    def measured(self) -> bool:
        return self.state == "measured"

    @property
    def difference(self) -> float | None:
        """Measured minus published."""
        return self.estimate.mean - self.published.value if self.measured and self.published else None


@dataclass
class Table:
    """entries[row key][i] belongs to columns[i].

    pairs: each two rows of each column, compared. notes: [(heading, lines)], printed below in this order.
    """

    layout: Layout
    profile: RunInfo
    rows: list[Row]
    columns: list[Column]
    entries: dict[str, list[Entry]]
    pairs: list[Pair] = field(default_factory=list)
    notes: list[tuple[str, list[str]]] = field(default_factory=list)
    spec: TableSpec = field(default_factory=TableSpec)

    @property
    def key(self) -> str:
        return self.layout.key

    @property
    def title(self) -> str:
        """Names the table, its profile and protocol, and says plainly where it may not be compared with the paper."""
        profile = self.profile
        protocol = "" if profile.protocol == "described" else f", protocol {profile.protocol}"
        warning = "" if profile.comparable or not self.layout.printed else ", not comparable with the paper"
        return f"{self.layout.name}, profile {profile.name}{protocol}{warning}: {profile.title_line}"

    @property
    def subtitle(self) -> str:
        """What the paper's own table shows; "" without one."""
        return f"The paper's table: {self.layout.title}" if self.layout.printed else ""

    @property
    def main(self) -> list[Row]:
        """The rows that the table is about, among which the best is marked."""
        return self.of_kind("paper", "own")

    def of_kind(self, *kinds: str) -> list[Row]:
        return [row for row in self.rows if row.kind in kinds]
