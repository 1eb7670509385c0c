"""A clip and what masks keep of it, frame by frame, as in Fig. 3 of Lin et al. 2021."""

from pathlib import Path

import numpy as np

from vxbench.report.figures.maps import FigureClip, block, frame_indices
from vxbench.report.figures.save import Facts, save
from vxbench.report.figures.tiles import STRONG, Row, tiles_figure


def kept_figure(
    stem: str | Path, clip: FigureClip, kept: dict[str, np.ndarray], foot: str, facts: Facts = None, columns: int = 5
) -> list[Path]:
    """<stem>.png and .pdf: the clip's frames and, a row each, kept clips {name: (T, H, W, 3) uint8}.

    The clip's notes stand beside the rows, "" for the frames.
    """
    drawn, shown = block(clip, [], columns), frame_indices(len(clip.frames), columns)
    boxes = drawn.rows[0].outlines
    for name, frames in kept.items():
        drawn.rows.append(Row(name, [frames[t] for t in shown], clip.notes.get(name, ""), boxes, STRONG))
    return save(tiles_figure([drawn], foot), stem, facts)
