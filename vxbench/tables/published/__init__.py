"""Reads the papers' own tables: every printed number and the layout it was printed in.

`published.csv` holds one line per printed number, exactly as printed; `tables.yaml` the rows, columns and
blanks of each table in printed order; `doubts.yaml` which numbers are in doubt, and which of them a measurement is
not scored against. Nothing here is corrected, even where a printed number looks wrong.
A table is named `<paper>_<number>`: fep_1 (arXiv 2111.01215), step_4 (2005.00375), aosa_7 (2207.12859).
"""

import csv
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from vxbench.errors import UserError

Key = tuple[str, str, str, str]  # row, model, dataset, metric


class Value(NamedTuple):
    """A printed number in the table's unit, its direction, and the notes on it (`r_l=0.5;doubt=D6`).

    doubts: codes of the doubts about it. scored: whether a measurement is held against it.
    """

    value: float
    higher_is_better: bool
    note: str
    doubts: tuple[str, ...] = ()
    scored: bool = True


class Blank(NamedTuple):
    """A cell the paper prints without a number, e.g. as a dash, and why."""

    printed: str
    reason: str


@dataclass(frozen=True)
class PaperColumn:
    """A printed column. `group` is the heading over it; model is "" where the rows are the models."""

    model: str
    dataset: str
    metric: str
    group: str
    display: str


@dataclass(frozen=True)
class Layout:
    """How a table was printed: rows {key: printed name} and columns in printed order, the number format.

    paper, printed_as: "" for a table of one's own, which no paper printed. decimals: None: those of each metric.
    ratios_to: the row whose multiples are compared with the paper's, "" where the numbers themselves are.
    either: two rows of which the paper's text does not say which is which, or none.
    """

    key: str
    paper: str
    printed_as: str
    title: str
    rows_are: str
    unit: str
    decimals: int | None
    rows: dict[str, str]
    columns: tuple[PaperColumn, ...]
    blanks: dict[Key, Blank]
    ratios_to: str = ""
    either: tuple[str, ...] = ()

    @property
    def printed(self) -> bool:
        """Whether a paper printed it."""
        return bool(self.paper)

    @property
    def name(self) -> str:
        """ "F-EP Table 1", or the title of a table of one's own."""
        return f"{self.paper} {self.printed_as}" if self.printed else self.title


def tables() -> list[str]:
    """Names of all published tables, in the papers' order."""
    return list(_layouts())


def layout(key: str) -> Layout:
    """The layout of one table.

    Raises:
        UserError: no paper has a table of this name.
    """
    if key not in _layouts():
        near = get_close_matches(key, _layouts(), n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(_layouts())}"
        raise UserError(f"table = {key!r} is not a published table; {hint}")
    return _layouts()[key]


def published(key: str) -> dict[Key, Value]:
    """{(row, model, dataset, metric): Value}: the printed numbers of a table, in its unit; none of one's own."""
    return dict(_values().get(key, {}))


def doubts(key: str) -> list[str]:
    """What is doubtful about the numbers of one table, as "D6: ..." lines in plain words."""
    return [f"{code}: {doubt['text']}" for code, doubt in _doubts().items() if key in doubt["tables"]]


def display_names(kind: str) -> dict[str, str]:
    """{key: name in words} of the `models` or `datasets`."""
    return {entry[kind.removesuffix("s")]: entry["display"] for entry in _structure()[kind]}


@cache
def _structure() -> dict:
    import yaml

    return yaml.safe_load(_text("tables.yaml"))


@cache
def _doubts() -> dict:
    import yaml

    return yaml.safe_load(_text("doubts.yaml"))


@cache
def _layouts() -> dict[str, Layout]:
    papers = {entry["paper"]: entry["short"] for entry in _structure()["papers"]}
    read = (_layout(entry, papers) for entry in _structure()["tables"])
    return {table.key: table for table in read}


def _layout(entry: dict, papers: dict[str, str]) -> Layout:
    key = f"{entry['paper']}_{entry['table']}"
    about = [doubt for doubt in _doubts().values() if key in doubt["tables"]]
    return Layout(
        key=key,
        paper=papers[entry["paper"]],
        rows={row["key"]: row["display"] for row in entry["rows"]},
        columns=tuple(PaperColumn(**column) for column in entry["columns"]),
        blanks={_key(blank): Blank(blank["printed"], blank["reason"]) for blank in entry["blanks"]},
        ratios_to=next((doubt["ratios_to"] for doubt in about if "ratios_to" in doubt), ""),
        either=next((tuple(doubt["either"]) for doubt in about if "either" in doubt), ()),
        **{name: entry[name] for name in ("printed_as", "title", "rows_are", "unit", "decimals")},
    )


@cache
def _values() -> dict[str, dict[Key, Value]]:
    values: dict[str, dict[Key, Value]] = {}
    for line in csv.DictReader(_text("published.csv").splitlines()):
        table, key = f"{line['paper']}_{line['table']}", _key(line)
        better = line["higher_is_better"] == "true"
        value = Value(float(line["value"]), better, line["note"], *_marked(table, key))
        values.setdefault(table, {})[key] = value
    return values


def _marked(table: str, key: Key) -> tuple[tuple[str, ...], bool]:
    """The codes of the doubts about one number, and whether it is scored."""
    place = {"table": table} | dict(zip(("row", "model", "dataset", "metric"), key, strict=True))
    marks = [(code, mark) for code, doubt in _doubts().items() for mark in doubt.get("marks", ())]
    here = [(code, mark) for code, mark in marks if {**place, **_where(mark)} == place]
    return tuple(code for code, _ in here), all(mark.get("scored", True) for _, mark in here)


def _where(mark: dict) -> dict:
    return {name: value for name, value in mark.items() if name != "scored"}


def _key(entry: dict) -> Key:
    return entry["row"], entry["model"], entry["dataset"], entry["metric"]


def _text(name: str) -> str:
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


PAPERS = ("fep", "step", "aosa")


def wanted_tables(number: int | None, paper: str | None) -> list[str]:
    """Keys of the tables of that number, of one paper or all; number None: of every number.

    Raises:
        UserError: no paper has such a table; the message names those there are.
    """
    if paper is not None and paper not in PAPERS:
        raise UserError(f"paper {paper} is unknown; known: {', '.join(PAPERS)}")
    papers = [paper] if paper else PAPERS
    found = [key for key in tables() if key.split("_")[0] in papers and number in (None, int(key.split("_")[1]))]
    if not found:
        raise UserError(f"{paper or 'no paper'} has no table {number}; there are {', '.join(tables())}")
    return found
