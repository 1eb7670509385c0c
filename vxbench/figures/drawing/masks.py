"""Draws a mask of AOSA and the motion that it follows, as in Fig. 4 of Uchiyama et al."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from vxbench.figures.drawing.maps import FigureClip, block, frame_indices
from vxbench.figures.drawing.save import Facts, save
from vxbench.figures.drawing.style import COLOURS
from vxbench.figures.drawing.tiles import Row, tiles_figure

OWN, JOINED = COLOURS[1], COLOURS[6]  # the mask's own anchor, and the others
LONGEST = 0.9  # an arrow's length, as a share of the distance between arrows


@dataclass(frozen=True)
class Arrows:
    """Places of n points, and their moves to the next frame, in pixels.

    x, y: (T - 1, n). dx, dy: (T - 1, n), NaN where a point is gone. own: index of the point that the mask belongs to.
    apart: pixels between two points.
    """

    x: np.ndarray
    y: np.ndarray
    dx: np.ndarray
    dy: np.ndarray
    own: int
    apart: float

    @property
    def factor(self) -> float:
        """The factor, at least 1, by which arrows are drawn longer, so that the longest is nearly `apart` long."""
        longest = np.nanmax(np.hypot(self.dx, self.dy), initial=0)
        return max(1.0, round(LONGEST * self.apart / longest, 1)) if longest > 0 else 1.0


def masks_figure(
    stem: str | Path,
    clip: FigureClip,
    arrows: Arrows,
    squares: np.ndarray,
    fill: tuple[float, float, float],
    foot: str = "",
    facts: Facts = None,
    columns: int = 6,
) -> list[Path]:
    """Writes <stem>.png and .pdf: frames, the motion, what the first square hides, and what all hide together.

    squares: (1 + K, T, 4), rows [top, bottom) and columns [left, right) of the mask's own square and of the K joined to
    it; nothing where a range is empty. fill: colour of what is hidden, 0-255.
    """
    shown = frame_indices(len(clip.frames), columns)
    drawn = block(clip, [], columns)
    drawn.rows += [
        Row("optical flow", [faded(clip.frames[t]) for t in shown], f"drawn {arrows.factor:g} x as long"),
        Row("one mask", [hidden(clip.frames[t], squares[:1, t], fill) for t in shown]),
        Row("joined masks", [hidden(clip.frames[t], squares[:, t], fill) for t in shown], f"K = {len(squares) - 1}"),
    ]
    figure = tiles_figure([drawn], foot)
    _, flow, one, joined = (figure.axes[start : start + len(shown)] for start in range(0, 4 * len(shown), len(shown)))
    for place, t in enumerate(shown):
        _arrows(flow[place], arrows, t)
        _squares(one[place], squares[:1, t])
        _squares(joined[place], squares[:, t])
    return save(figure, stem, facts)


def faded(frame: np.ndarray) -> np.ndarray:
    """The frame (H, W, 3) uint8 half way to white, so that arrows stand out, as float in [0, 1]."""
    return 0.5 + frame / 510


def hidden(frame: np.ndarray, squares: np.ndarray, fill: tuple[float, float, float]) -> np.ndarray:
    """The frame (H, W, 3) uint8 with every square (R, 4) filled."""
    picture = frame.copy()
    for top, bottom, left, right in squares:
        picture[top:bottom, left:right] = np.round(fill)
    return picture


def _arrows(axes: Axes, arrows: Arrows, t: int) -> None:
    """Draws the arrows of a frame's points; the last frame has none."""
    if t >= len(arrows.x):
        return
    colour = np.full(arrows.x.shape[1], JOINED, object)
    colour[arrows.own] = OWN
    there = ~np.isnan(arrows.dx[t])
    parts = [array[t, there] for array in (arrows.x, arrows.y, arrows.dx, arrows.dy)]
    look = {"angles": "xy", "scale_units": "xy", "scale": 1 / arrows.factor, "width": 0.012, "minlength": 0.5}
    axes.quiver(*parts, color=colour[there], edgecolor="black", linewidth=0.3, zorder=3, **look)


def _squares(axes: Axes, squares: np.ndarray) -> None:
    """Draws the borders of squares, the mask's own above the others."""
    for number, (top, bottom, left, right) in enumerate(squares):
        if bottom > top and right > left:
            look = {"fill": False, "linewidth": 1.6, "zorder": 4 if number == 0 else 3}
            corner = (left - 0.5, top - 0.5)  # pixels are drawn around their centres
            colour = OWN if number == 0 else JOINED
            axes.add_patch(Rectangle(corner, right - left, bottom - top, edgecolor=colour, **look))
