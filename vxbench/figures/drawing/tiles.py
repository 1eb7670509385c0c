"""Draws pictures in rows and columns: one block a clip, its frames across, one row a method.

Sizes are in inches.
"""

from dataclasses import dataclass, field
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from vxbench.errors import UserError
from vxbench.figures.drawing import style
from vxbench.figures.drawing.style import FAINT, INK, PLAIN

BOX = "#3ddc84"
STRONG, THIN, DARK = (BOX, 1.8), ("white", 0.7), (INK, 0.7)  # pens: on bare frames, over dark maps, over light ones
NOTHING = 0.95  # grey of a tile without a picture
TILE, GAP, LEFT, RIGHT, TITLE, BLOCK_GAP, EDGE, FOOT_LINE = 1.35, 0.04, 1.5, 0.65, 0.66, 0.25, 0.12, 0.14
SPREAD, BOLD = 0.62, 0.75  # width of a letter, in its size; generous
BESIDE = {"ha": "right", "va": "center", **PLAIN}


@dataclass
class Bar:
    """A colour scale beside a row: its colours from bottom to top, and its ticks {height in [0, 1]: word}."""

    colours: Colormap
    ticks: dict[float, str]


@dataclass
class Row:
    """A row of tiles, one picture a column.

    pictures: (H, W, 3), uint8 or float in [0, 1]; None draws an empty tile with the words `missing`. note: lines of
    small print below the name. outlines: one mask (H, W) bool a column whose border is drawn, or None. pen: colour and
    width, in points, of the border.
    """

    name: str
    pictures: list[np.ndarray | None]
    note: str = ""
    outlines: list[np.ndarray] | None = None
    pen: tuple[str, float] = THIN
    missing: str = "no map"
    bar: Bar | None = None


@dataclass
class Block:
    """Rows below each other, of equally many columns. headings: stand over the columns."""

    title: str
    subtitle: str
    headings: list[str]
    rows: list[Row] = field(default_factory=list)


def tiles_figure(blocks: list[Block], foot: str = "") -> Figure:
    """Draws the blocks below each other. foot: lines of small print at the bottom, on what the figure was made of.

    Raises:
        UserError: no block, or a row that has not one picture a column.
    """
    if not blocks:
        raise UserError("nothing to draw; give at least one block of pictures")
    for block in blocks:
        _check(block)
    left = max(LEFT, *(_name_width(row) for block in blocks for row in block.rows))
    width = left + max(map(_width, blocks)) + RIGHT
    lines = wrapped(foot, width - 2 * EDGE)
    below = EDGE + FOOT_LINE * len(lines) + (0.08 if lines else 0)
    height = sum(map(_height, blocks)) + BLOCK_GAP * (len(blocks) - 1) + EDGE + below
    page = _Page(Figure(figsize=(width, height), dpi=style.DPI, facecolor="white"), left)
    top = height - EDGE
    for block in blocks:
        page.block(block, top)
        top -= _height(block) + BLOCK_GAP
    page.text(EDGE, EDGE, "\n".join(lines), size=style.FOOT_SIZE, color=FAINT, va="bottom", linespacing=1.3)
    return page.figure


@dataclass
class _Page:
    """A figure whose places are inches from its lower left corner. left: where the first column begins."""

    figure: Figure
    left: float

    def text(self, x: float, y: float, words: str, **look) -> None:
        width, height = self.figure.get_size_inches()
        self.figure.text(x / width, y / height, words, **PLAIN | look)

    def axes(self, x: float, y: float, wide: float, tall: float) -> Axes:
        width, height = self.figure.get_size_inches()
        return self.figure.add_axes((x / width, y / height, wide / width, tall / height))

    def block(self, block: Block, top: float) -> None:
        """Draws a block whose upper edge is at `top`."""
        self.text(self.left, top - 0.06, block.title, size=style.TITLE_SIZE, weight="bold", color=INK, va="top")
        self.text(self.left, top - 0.27, block.subtitle, size=style.SMALL_SIZE, color=FAINT, va="top")
        tall = _tile_height(block)
        for column, heading in enumerate(block.headings):
            x = self.left + column * (TILE + GAP) + TILE / 2
            self.text(x, top - TITLE, heading, size=style.SMALL_SIZE, color=FAINT, ha="center", va="bottom")
        for number, row in enumerate(block.rows, 1):
            self.row(row, top - TITLE - number * (tall + GAP), tall, len(block.headings))

    def row(self, row: Row, bottom: float, tall: float, columns: int) -> None:
        self._name(row, bottom + tall / 2)
        for column in range(columns):
            axes = self.axes(self.left + column * (TILE + GAP), bottom, TILE, tall)
            draw_tile(axes, row, column)
        if row.bar:
            self._bar(row.bar, self.left + columns * (TILE + GAP), bottom, tall)

    def _name(self, row: Row, middle: float) -> None:
        lines = row.note.count("\n") + 1 if row.note else 0
        x, up = self.left - 0.1, 0.08 * lines
        self.text(x, middle + up, row.name, size=style.NAME_SIZE, color=INK, **BESIDE)
        self.text(x, middle - 0.1, row.note, size=style.SMALL_SIZE, color=FAINT, **BESIDE, multialignment="right")

    def _bar(self, bar: Bar, left: float, bottom: float, tall: float) -> None:
        axes = self.axes(left + 0.08, bottom, 0.11, tall)
        drawn = self.figure.colorbar(ScalarMappable(cmap=bar.colours), cax=axes, ticks=list(bar.ticks))
        drawn.ax.set_yticklabels(bar.ticks.values(), **PLAIN)
        drawn.ax.tick_params(labelsize=style.SMALL_SIZE, color=FAINT, labelcolor=INK, length=2)
        drawn.outline.set_visible(False)


def draw_tile(axes: Axes, row: Row, column: int) -> None:
    """Draws one picture of a row with its outline, or the words that stand for it."""
    axes.set_axis_off()
    picture = row.pictures[column]
    if picture is None:
        axes.imshow(np.full((1, 1, 3), NOTHING), aspect="auto")
        look = {"size": style.SMALL_SIZE, "color": FAINT, "ha": "center", "va": "center", **PLAIN}
        axes.text(0.5, 0.5, row.missing, transform=axes.transAxes, **look)
        return
    axes.imshow(picture, interpolation="nearest", aspect="auto")
    if row.outlines is not None and row.outlines[column].any():
        outline(axes, row.outlines[column], *row.pen)


def outline(axes: Axes, mask: np.ndarray, colour: str, width: float) -> None:
    """Draws the border of a mask (H, W); a rim of zeros closes it where it touches the frame's edge."""
    rows, columns = mask.shape
    x, y = np.arange(-1, columns + 1), np.arange(-1, rows + 1)
    axes.contour(x, y, np.pad(mask.astype(float), 1), levels=[0.5], colors=colour, linewidths=width)
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)


def _check(block: Block) -> None:
    for row in block.rows:
        if len(row.pictures) != len(block.headings):
            raise UserError(f"{row.name}: {len(row.pictures)} pictures for {len(block.headings)} columns")


def _width(block: Block) -> float:
    """Width of a block: that of its columns, or of the words above them."""
    above = max(len(block.title) * BOLD * style.TITLE_SIZE, len(block.subtitle) * SPREAD * style.SMALL_SIZE)
    return max(len(block.headings) * (TILE + GAP), above / 72)


def _height(block: Block) -> float:
    return TITLE + len(block.rows) * (_tile_height(block) + GAP)


def _tile_height(block: Block) -> float:
    """Height of a block's tiles, which the shape of the first picture decides; all are equally wide."""
    shapes = [picture.shape for row in block.rows for picture in row.pictures if picture is not None]
    return TILE * shapes[0][0] / shapes[0][1] if shapes else TILE


def _name_width(row: Row) -> float:
    notes = max(map(len, row.note.splitlines()), default=0)
    points = SPREAD * max(len(row.name) * style.NAME_SIZE, notes * style.SMALL_SIZE)
    return points / 72 + 0.25


def wrapped(words: str, width: float) -> list[str]:
    """The words broken into lines of small print that fit into the width, in inches."""
    letters = int(width * 72 / (SPREAD * style.FOOT_SIZE))
    return [part for text in words.splitlines() for part in wrap(text, max(letters, 20))]
