"""Holds what the report is made of, as its caller gives it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from vxbench.figures.drawing.maps import FigureClip
from vxbench.tables.results import CellResult
from vxbench.tables.table import Table


@dataclass(frozen=True)
class PageCell:
    """A cell as a table run left it.

    id: its name in the store, "" where it never came to one. status: complete | not_applicable | failed | left_out,
    with its message. clips: ids of all clips it is made of, computed or not. config: what its id is a hash of, as YAML.
    runs: the records of its provenance, each with the keys of `vxbench.runner.provenance.provenance`.
    """

    id: str
    result: CellResult
    status: str = "complete"
    message: str = ""
    clips: tuple[str, ...] = ()
    config: str = ""
    runs: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class PageTable:
    """A table with the cells it was made of. name: unique on the page, as fep_1 or step_3_released."""

    name: str
    table: Table
    cells: list[PageCell]
    made: str = ""


@dataclass(frozen=True)
class Gallery:
    """Clips of one model and data set of a table. The maps of each clip are keyed by row."""

    table: str
    model: str
    dataset: str
    clips: list[FigureClip]


@dataclass(frozen=True)
class FigureFile:
    """A picture made before. png: the file's bytes."""

    key: str
    caption: str
    png: bytes


@dataclass
class Report:
    """galleries may be lazy: they are gone through once. left_out: lines on what the caller did not give."""

    tables: list[PageTable]
    galleries: Iterable[Gallery] = ()
    figures: list[FigureFile] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    made: str = ""
    version: str = ""
