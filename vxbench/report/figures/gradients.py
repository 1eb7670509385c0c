"""Maps of values of both signs, frame by frame, on one diverging scale, as in Fig. 2 of Lin et al. 2021."""

from pathlib import Path

import matplotlib
import numpy as np

from vxbench.report.figures.maps import FigureClip, block
from vxbench.report.figures.maps import frame_indices as indices
from vxbench.report.figures.save import Facts, save
from vxbench.report.figures.tiles import DARK, Bar, Row, tiles_figure

DIVERGING = "PuOr_r"  # purple below zero, orange above: told apart by everybody


def signed_figure(
    stem: str | Path, clip: FigureClip, maps: dict[str, np.ndarray], foot: str, facts: Facts = None, columns: int = 5
) -> list[Path]:
    """<stem>.png and .pdf: the clip's frames and, a row each, maps {name: (T, H, W)} of any sign.

    All are drawn on one scale, from minus to plus the largest magnitude of any value.
    """
    drawn, shown = block(clip, [], columns), indices(len(clip.frames), columns)
    top = max(float(np.abs(values).max()) for values in maps.values()) or 1.0
    for name, values in maps.items():
        pictures = [matplotlib.colormaps[DIVERGING](0.5 + values[t] / (2 * top))[..., :3] for t in shown]
        boxes = None if clip.boxes is None else [clip.boxes[t] for t in shown]
        drawn.rows.append(Row(name, pictures, clip.notes.get(name, ""), boxes, DARK))
    words = {0: f"{-top:.2g}", 0.5: "0", 1: f"{top:.2g}"}
    drawn.rows[1].bar = Bar(matplotlib.colormaps[DIVERGING], words)
    return save(tiles_figure([drawn], foot), stem, facts)
