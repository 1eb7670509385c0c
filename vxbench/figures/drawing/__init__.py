"""Drawings: arrays in, files out. Nothing here knows a configuration or a network.

`tiles` draws pictures in rows and columns, `maps` maps over frames with it; `curves` draws lines. `save` writes a
figure as PNG and PDF, `style` holds the colours and sizes they share.
"""

from vxbench.figures.drawing.maps import FigureClip, frame_indices, maps_figure, maps_figures, overlay
from vxbench.figures.drawing.save import save
from vxbench.figures.drawing.style import DPI

__all__ = ["DPI", "FigureClip", "frame_indices", "maps_figure", "maps_figures", "overlay", "save"]
