"""Collects what the runs left in a folder of results, for its page; computes nothing anew."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from omegaconf import OmegaConf

from vxbench.config import conf_dir, options
from vxbench.errors import UserError
from vxbench.figures.drawing.maps import FigureClip
from vxbench.figures.drawing.save import facts_of
from vxbench.files import check_writable
from vxbench.page import FigureFile, Gallery, PageCell, PageTable, Report, write_report
from vxbench.page.page import PAGE
from vxbench.ranges import whole
from vxbench.runner.outcome import Outcome
from vxbench.runner.parts import sound
from vxbench.runner.store import CONFIG, Picture, Store
from vxbench.tables.record import TableRun, readable_records
from vxbench.tables.results import CellResult

FOLDER = "report"
CLIPS_SHOWN = 2


def make_report(results: Path, clips: int = CLIPS_SHOWN) -> Path:
    """Writes <results>/report/index.html of every table made there. clips: shown a model and data set of a table.

    Raises:
        UserError: no table that can be read. A damaged file is left out, which is said.
    """
    whole("clips", clips, 0)
    records = readable_records(results)
    if not records:
        raise UserError(f"{results}: no table was made here; make one, such as make reproduce-table1 PAPER=fep")
    check_writable("--results", Path(results) / FOLDER / PAGE)
    return write_report(report_of(records, results, clips), Path(results) / FOLDER)


def report_of(records: list[TableRun], results: Path, clips: int) -> Report:
    """The plain data of the page; pictures are read when the page comes to them."""
    return Report(
        tables=[page_table(record) for record in records],
        galleries=(gallery for record in records for gallery in galleries(record, clips)),
        figures=figures(results, {record.profile.name for record in records}),
        left_out=[line for record in records for line in beyond(record, clips)],
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        version=version("vxbench"),
    )


def page_table(record: TableRun) -> PageTable:
    """A table with its cells and all that their stores say of them. Their rows are read once."""
    results = record.cells()
    cells = [_page_cell(record, outcome, result) for outcome, result in zip(record.outcomes, results, strict=True)]
    return PageTable(record.name, record.table(results), cells, record.made)


def _page_cell(record: TableRun, outcome: Outcome, result: CellResult) -> PageCell:
    facts = {"status": outcome.status, "message": outcome.message}
    if not outcome.cell:
        return PageCell("", result, **facts)
    store = record.store(outcome)
    known = {"clips": tuple(store.draw() or ()), "config": store.read_note(CONFIG), "runs": tuple(store.runs())}
    return PageCell(outcome.cell, result, **facts, **known)


def galleries(record: TableRun, clips: int) -> Iterator[Gallery]:
    """The first clips of every model and data set whose cells kept pictures."""
    for (model, dataset), stores in _stores(record).items():
        kept = {row: store.pictures() for row, store in stores.items()}
        names = sorted({picture.clip for pictures in kept.values() for picture in pictures})[:clips]
        if names:
            yield Gallery(record.name, model, dataset, [_figure_clip(name, kept) for name in names])


def beyond(record: TableRun, clips: int) -> list[str]:
    """A line for each model and data set that kept pictures of more clips than are shown."""
    lines = []
    for (model, dataset), stores in _stores(record).items():
        kept = len({path.name for store in stores.values() for path in store.folder.glob("pictures/*.npz")})
        if kept > clips:
            more = f"{kept - clips} of {kept} clips; --clips {kept} shows them"
            lines.append(f"gallery of {record.name}, {model} on {dataset}: {more}")
    return lines


def _stores(record: TableRun) -> dict[tuple[str, str], dict[str, Store]]:
    """Stores of its rows, by model and data set."""
    found: dict[tuple[str, str], dict[str, Store]] = {}
    for outcome in record.outcomes:
        if outcome.cell:
            place = found.setdefault((outcome.model, outcome.dataset), {})
            place[record.row(outcome)] = record.store(outcome)
    return found


def _figure_clip(clip: str, kept: dict[str, list[Picture]]) -> FigureClip:
    mine = {row: picture for row, pictures in kept.items() for picture in pictures if picture.clip == clip}
    first = next(iter(mine.values()))
    maps = {row: picture.saliency for row, picture in mine.items()}
    return FigureClip(clip, "", first.frames, first.boxes, maps)


def figures(results: Path, profiles: set[str]) -> list[FigureFile]:
    """The papers' figures that were made, each captioned. profiles: of the tables beside them."""
    paths = {key: Path(results) / "figures" / f"{key}.png" for key in options("figure")}
    found = [sound(path, partial(_figure, key, profiles), None) for key, path in paths.items()]
    return [figure for figure in found if figure]


def _figure(key: str, profiles: set[str], png: bytes) -> FigureFile:
    return FigureFile(key, f"{caption(key)} {origin(facts_of(png), profiles)}", png)


def origin(facts: dict[str, str], profiles: set[str]) -> str:
    """A sentence on the profile of a figure, and when it was made, as its file says."""
    if "profile" not in facts:
        return "Its file does not say of which profile it is."
    own = facts["profile"]
    other = "" if own in profiles else f", unlike the tables on this page ({', '.join(sorted(profiles))})"
    made = f"; made {facts['made']}" if "made" in facts else ""
    return f"Profile {own}{other}{made}."


def caption(key: str) -> str:
    """The caption that conf/figure/<key>.yaml gives to a figure; its key where there is none."""
    return OmegaConf.load(conf_dir() / "figure" / f"{key}.yaml").figure.get("caption", key)
