"""The same rows for several networks or methods, beside each other, as in Figs. 5 to 8 of Uchiyama et al."""

import numpy as np

from vxbench.errors import UserError
from vxbench.report.figures.tiles import Block, Row


def beside(title: str, subtitle: str, parts: dict[str, Block]) -> Block:
    """One block whose columns are those of all parts; the name of a part stands over each of its columns.

    A row has the notes of all parts, and the scale of the first that has one.

    Raises:
        UserError: no part, or parts of other rows than the first's.
    """
    if not parts:
        raise UserError("beside: nothing to draw; give at least one block")
    blocks = list(parts.values())
    names = [row.name for row in blocks[0].rows]
    for name, block in parts.items():
        if [row.name for row in block.rows] != names:
            raise UserError(f"{name}: its rows are not {', '.join(names)}; only the same rows can stand side by side")
    headings = [f"{name}, {heading}" for name, block in parts.items() for heading in block.headings]
    rows = zip(*(block.rows for block in blocks), strict=True)
    return Block(title, subtitle, headings, [_joined(list(row)) for row in rows])


def _joined(rows: list[Row]) -> Row:
    """One row of the pictures of all; where only some have outlines, the others have empty ones."""
    first = rows[0]
    return Row(
        first.name,
        [picture for row in rows for picture in row.pictures],
        "\n".join(dict.fromkeys(row.note for row in rows if row.note)),
        _outlines(rows),
        first.pen,
        first.missing,
        next((row.bar for row in rows if row.bar), None),
    )


def _outlines(rows: list[Row]) -> list[np.ndarray] | None:
    if all(row.outlines is None for row in rows):
        return None
    nothing = np.zeros((1, 1), bool)
    return [mask for row in rows for mask in row.outlines or [nothing] * len(row.pictures)]
