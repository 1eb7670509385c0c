"""Everything without a number, with its reason: cells, clips that failed, values that could not be scored."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from vxbench.report.html.data import PageCell, PageTable


class LostCell(NamedTuple):
    table: str
    cell: str
    status: str
    reason: str


class LostClip(NamedTuple):
    """A clip, or a value of it, lost for one reason in one or more cells. metric: "" where the whole clip failed."""

    dataset: str
    clip: str
    metric: str
    reason: str
    cells: list[str]


def lost_cells(pages: list[PageTable]) -> list[LostCell]:
    """Cells that failed or do not apply, in the order of the tables; failures first."""
    found = [
        LostCell(page.name, cell.result.name, cell.status.replace("_", " "), cell.message)
        for page in pages
        for cell in page.cells
        if cell.status != "complete"
    ]
    return sorted(found, key=lambda lost: lost.status != "failed")


def failed_clips(pages: list[PageTable]) -> list[LostClip]:
    """Clips that could not be computed."""
    return _gathered(pages, lambda cell: cell.result.failures)


def unscored(pages: list[PageTable]) -> list[LostClip]:
    """Values that are NaN on clips that were computed."""
    return _gathered(pages, lambda cell: cell.result.scored[cell.result.scored["value"].isna()])


def _gathered(pages: list[PageTable], lines: Callable) -> list[LostClip]:
    """One entry a clip, metric and reason, however many cells share it; a cell of two tables counts once."""
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for cell in _cells_once(pages):
        rows = lines(cell)
        for clip, metric, reason in zip(rows["clip"], rows["metric"], rows["reason"], strict=True):
            key = (cell.result.dataset, clip, metric, reason or "no reason given")
            found.setdefault(key, []).append(cell.result.name)
    return [LostClip(*key, cells) for key, cells in sorted(found.items())]


def _cells_once(pages: list[PageTable]) -> Iterator[PageCell]:
    seen = set()
    for page in pages:
        for cell in page.cells:
            if not cell.id or cell.id not in seen:
                yield cell
            seen.add(cell.id)
