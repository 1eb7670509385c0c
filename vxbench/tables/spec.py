"""Lays out a table that no paper printed, from its config and its cells, and checks what a config asks of any table."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vxbench.errors import UserError, did_you_mean
from vxbench.fact import Fact
from vxbench.ranges import one_of, whole
from vxbench.tables.published import Layout, PaperColumn, display_names
from vxbench.tables.results import CONTROLS, CellResult

SHARES = ("", "percent", "fraction")
OWN = ("title", "columns", "unit", "decimals")  # of a table of one's own; a paper's has what was printed
KNOWN = (*OWN, "also", "display")


@dataclass(frozen=True)
class TableSpec:
    """What a table is given besides its cells, so that it can be made again without config or metrics.

    title: of a table of one's own. columns: its metric keys, all that its cells have where none is given.
    also: keys whose columns stand behind those that a paper printed.
    display: {explainer: name in words} of rows that no paper printed.
    unit: how a table of one's own prints shares, percent or fraction; "": as they are stored. decimals: None: each
    metric's own. facts: {key: Fact} of the cells' metrics, in the order of their columns.
    """

    title: str = ""
    columns: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    display: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""
    decimals: int | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)

    def fact(self, key: str) -> Fact:
        """The fact on record, else the one its class declares, for which torch is imported."""
        if key in self.facts:
            return self.facts[key]
        from vxbench.metrics.facts import fact

        return fact(key)

    def heading(self, key: str) -> str:
        """What the columns of a key are headed with."""
        return self.fact(key).short or key

    def row(self, key: str) -> str:
        """The name of a row that no paper printed."""
        return self.display.get(key, key)


def checked_spec(given: Mapping[str, Any]) -> TableSpec:
    """The TableSpec that the values of a config's `table` make.

    Raises:
        UserError: a value that is none of its kind; the message names its key.
    """
    for name in ("columns", "also"):
        if not isinstance(given.get(name, ()), list | tuple):
            raise UserError(f"table.{name} = {given[name]} is not a list of metric keys, such as [{given[name]}]")
    if not isinstance(given.get("display", {}), Mapping):
        raise UserError(f"table.display = {given['display']} is not a mapping of explainers to their names")
    one_of("table.unit", given.get("unit", ""), SHARES)
    if given.get("decimals") is not None:
        whole("table.decimals", given["decimals"], 0)
    lists = {name: tuple(given.get(name, ())) for name in ("columns", "also")}
    return TableSpec(**{**given, **lists})


def check_fits(key: str, spec: TableSpec, printed: bool) -> None:
    """Raises UserError for what a table of this kind cannot be given. printed: whether a paper printed it."""
    given = [name for name in OWN if getattr(spec, name) not in ("", (), None)]
    if printed and given:
        raise UserError(f"table.{given[0]}: {key} looks as its paper printed it; table.also adds columns")
    if spec.also and not printed:
        raise UserError(f"table.also: no paper printed {key}; name its keys in table.columns, or none for all")


def own_layout(key: str, spec: TableSpec, cells: Sequence[CellResult]) -> Layout:
    """Rows and columns in the order of the cells: a row an explainer, a column a model, data set and metric key.

    A companion has no column of its own unless it is asked for.

    Raises:
        UserError: no cell was computed, or none has a key that `table.columns` names.
    """
    computed = computed_by_place(cells)
    keys = _asked(spec, computed) if spec.columns else _every(spec, computed)
    if not keys:
        raise UserError(f"no cell of the table {key} could be computed; what is said above is why")
    columns = [
        PaperColumn(*place, metric, heading_of(place, computed), spec.heading(metric))
        for place, there in computed.items()
        for metric in keys
        if metric in there or not there
    ]
    rows = {cell.row: spec.row(cell.row) for cell in cells if cell.row not in CONTROLS}
    title = spec.title or key
    return Layout(key, "", "", title, "methods", spec.unit, spec.decimals, rows, tuple(columns), blanks={})


def computed_by_place(cells: Iterable[CellResult]) -> dict[tuple[str, str], set[str]]:
    """{(model, data set): keys its cells have values of}, in the order of the cells."""
    found: dict[tuple[str, str], set[str]] = {}
    for cell in cells:
        found.setdefault((cell.model, cell.dataset), set()).update(cell.scored["metric"])
    return found


def heading_of(place: tuple[str, str], places: Iterable[tuple[str, str]]) -> str:
    """ "TSM on UCF101": of model and data set what is not the same in all places."""
    parts = [
        display_names(kind).get(name, name)
        for kind, name, every in zip(("models", "datasets"), place, zip(*places, strict=True), strict=True)
        if len(set(every)) > 1
    ]
    return " on ".join(parts)


def require_computed(name: str, keys: Iterable[str], computed: set[str]) -> None:
    """Raises UserError for a key of `table.<name>` that no cell has; nothing is asked where no cell ran at all."""
    for key in keys:
        if computed and key not in computed:
            raise UserError(f"table.{name}: no cell of the table has {key!r}{did_you_mean(key, sorted(computed))}")


def _asked(spec: TableSpec, computed: Mapping[tuple[str, str], set[str]]) -> list[str]:
    require_computed("columns", spec.columns, set().union(*computed.values()))
    return list(dict.fromkeys(spec.columns))


def _every(spec: TableSpec, computed: Mapping[tuple[str, str], set[str]]) -> list[str]:
    there = set().union(*computed.values())
    companions = {spec.fact(key).companion for key in there}
    ordered = dict.fromkeys([*spec.facts, *sorted(there)])
    return [key for key in ordered if key in there - companions]
