"""A measured table as data: rows and columns as printed, each number beside the paper's.

build.py makes it from cells; render/ writes it down and computes nothing.
"""

from dataclasses import dataclass, field

from vxbench.tables.comparison import Pair, RankCorrelation
from vxbench.tables.published import Layout, Value
from vxbench.tables.results import RunInfo
from vxbench.tables.statistics import Estimate

# What stands in the place of a number.
STATES = {"not_applicable": "–", "failed": "failed", "not_run": "not run", "no_value": "no value"}


@dataclass(frozen=True)
class Column:
    """A column of numbers. higher_is_better is None for a companion, which has no direction.

    title: the heading, unique within its group; label: unique within the table. ratio_to: the row whose multiples
    the numbers are, or "". n: how many clips most of its entries rest on. rank: correlation with the paper over
    `ranked` of the `printed` rows that have a number, or None.
    """

    model: str
    dataset: str
    metric: str
    group: str
    title: str
    label: str
    higher_is_better: bool | None
    ratio_to: str = ""
    n: int = 0
    rank: RankCorrelation | None = None
    ranked: int = 0
    printed: int = 0

    @property
    def stored(self) -> str:
        """The metric of the cells it is made of; that of ratios reads "seconds/aosa_s8"."""
        return self.metric.partition("/")[0]

    @property
    def companion(self) -> bool:
        return self.higher_is_better is None

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
        return not (self.companion or self.ratio_to)


@dataclass(frozen=True)
class Row:
    """kind: `paper`, `added` (an explainer the paper does not have) or `control`."""

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

    @property
    def key(self) -> str:
        return self.layout.key

    @property
    def title(self) -> str:
        """Which table, made by which profile and protocol, and plainly where it may not be compared with the paper."""
        profile = self.profile
        protocol = "" if profile.protocol == "described" else f", protocol {profile.protocol}"
        warning = "" if profile.comparable else ", not comparable with the paper"
        name = f"{self.layout.paper} {self.layout.printed_as}, profile {profile.name}{protocol}"
        return f"{name}{warning}: {profile.title_line}"

    @property
    def subtitle(self) -> str:
        """What the paper's own table shows."""
        return f"The paper's table: {self.layout.title}"

    def of_kind(self, *kinds: str) -> list[Row]:
        return [row for row in self.rows if row.kind in kinds]
