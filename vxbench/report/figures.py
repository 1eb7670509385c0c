"""Pictures of maps: frames in the top row, one row a method below, as in Fig. 6 of Lin et al. 2021."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from vxbench.errors import UserError

COLUMNS = 6  # frames side by side
COLOURS = "inferno"  # perceptually uniform; black at 0 keeps the unimportant dark
OPACITY = (0.4, 0.75)  # of the map over the grey frame, where it is 0 and where it is 1
BOX = "#3ddc84"
INK, FAINT = "#222222", "#777777"
DPI = 120
PLAIN = {"va": "top", "parse_math": False}  # a $ in a name is a $
BESIDE = {"ha": "right", "va": "center", "parse_math": False}
# Inches.
TILE, GAP, LEFT, RIGHT, TITLE, BLOCK_GAP, EDGE = 1.35, 0.04, 1.5, 0.65, 0.66, 0.25, 0.12


@dataclass
class FigureClip:
    """One clip and its maps.

    frames: (T, H, W, 3) uint8, RGB. boxes: (T, H, W) bool, or None. maps: {row key: (T, H, W) in [0, 1]}.
    notes: {row key: a few words printed under the method's name}, for example "p = 0.85".
    """

    id: str
    label_name: str
    frames: np.ndarray
    boxes: np.ndarray | None
    maps: dict[str, np.ndarray]
    notes: dict[str, str] = field(default_factory=dict)


def maps_figure(path: str | Path, clips: list[FigureClip], rows: list[tuple[str, str]], columns: int = COLUMNS) -> Path:
    """Draw the clips below each other into one PNG. rows: [(row key, name to print)], in this order.

    Every map is drawn on the same scale, 0 to 1. A method without a map of a clip leaves its row empty there.

    Raises:
        UserError: no clip, or a map or the boxes do not fit the frames, or a map leaves [0, 1].
    """
    if not clips:
        raise UserError("maps_figure: no clip to draw; give at least one")
    for clip in clips:
        _check(clip)
    shown = [frame_indices(len(clip.frames), columns) for clip in clips]
    tall = [TILE * clip.frames.shape[1] / clip.frames.shape[2] for clip in clips]
    heights = [TITLE + (1 + len(rows)) * (tile + GAP) for tile in tall]
    width = LEFT + max(map(len, shown)) * (TILE + GAP) + RIGHT
    height = sum(heights) + BLOCK_GAP * (len(clips) - 1) + 2 * EDGE
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    top = height - EDGE
    for clip, indices, tile, block in zip(clips, shown, tall, heights, strict=True):
        _block(figure, clip, indices, rows, top, tile)
        top -= block + BLOCK_GAP
    return _save(figure, Path(path))


def maps_figures(
    folder: str | Path, clips: list[FigureClip], rows: list[tuple[str, str]], columns: int = COLUMNS
) -> list[Path]:
    """One PNG a clip, named after its id, and `maps.png` with all of them where there are several."""
    paths = [maps_figure(Path(folder) / f"{_file_name(clip.id)}.png", [clip], rows, columns) for clip in clips]
    return paths + ([maps_figure(Path(folder) / "maps.png", clips, rows, columns)] if len(clips) > 1 else [])


def frame_indices(frames: int, columns: int) -> list[int]:
    """At most `columns` frames, evenly spaced, the first and the last among them."""
    return np.unique(np.linspace(0, frames - 1, min(columns, frames)).round().astype(int)).tolist()


def overlay(frame: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """The map over the grey frame, (H, W, 3) in [0, 1]. frame (H, W, 3) uint8, saliency (H, W) in [0, 1]."""
    grey = (frame.astype(float) @ [0.299, 0.587, 0.114] / 255)[..., None]
    opacity = (OPACITY[0] + (OPACITY[1] - OPACITY[0]) * saliency)[..., None]
    return (1 - opacity) * grey + opacity * matplotlib.colormaps[COLOURS](saliency)[..., :3]


def _check(clip: FigureClip) -> None:
    shape = clip.frames.shape[:3]
    for name, array in [*clip.maps.items(), *([("boxes", clip.boxes)] if clip.boxes is not None else [])]:
        if array.shape != shape:
            raise UserError(f"clip {clip.id}: {name} is {array.shape}, its frames are {shape}; give one value a pixel")
        if not (np.min(array) >= 0 and np.max(array) <= 1):
            raise UserError(f"clip {clip.id}: the map of {name} leaves [0, 1] or holds NaN; normalise it first")


def _block(figure: Figure, clip: FigureClip, indices: list[int], rows: list, top: float, tile: float) -> None:
    """Title, frames and one row a method; `top` is the block's upper edge in inches from below."""
    width, height = figure.get_size_inches()
    x = LEFT / width
    figure.text(x, (top - 0.06) / height, clip.label_name, size=12, weight="bold", color=INK, **PLAIN)
    figure.text(x, (top - 0.27) / height, clip.id, size=8, color=FAINT, **PLAIN)
    names = [("", "frames"), *rows]
    for number, (key, name) in enumerate(names):
        bottom = top - TITLE - (number + 1) * (tile + GAP)
        _name(figure, name, clip.notes.get(key, ""), bottom + tile / 2)
        for place, t in enumerate(indices):
            left = LEFT + place * (TILE + GAP)
            axes = figure.add_axes((left / width, bottom / height, TILE / width, tile / height))
            _tile(axes, clip, key, t)
            if number == 0:
                axes.set_title(f"t = {t}", size=8, color=FAINT, pad=3)
    if rows:
        _colour_bar(figure, LEFT + len(indices) * (TILE + GAP), top - TITLE - 2 * (tile + GAP), tile)


def _name(figure: Figure, name: str, note: str, y: float) -> None:
    width, height = figure.get_size_inches()
    x = (LEFT - 0.1) / width
    shift = 0.09 if note else 0
    figure.text(x, (y + shift) / height, name, size=9.5, color=INK, **BESIDE)
    figure.text(x, (y - shift) / height, note, size=8, color=FAINT, **BESIDE)


def _tile(axes: Axes, clip: FigureClip, key: str, t: int) -> None:
    axes.set_axis_off()
    if key and key not in clip.maps:
        axes.imshow(np.full((1, 1, 3), 0.95), aspect="auto")
        axes.text(0.5, 0.5, "no map", size=8, color=FAINT, ha="center", va="center", transform=axes.transAxes)
        return
    picture = overlay(clip.frames[t], clip.maps[key][t]) if key else clip.frames[t]
    axes.imshow(picture, interpolation="nearest", aspect="auto")
    if clip.boxes is not None and clip.boxes[t].any():
        _outline(axes, clip.boxes[t], **({"colors": "white", "linewidths": 0.7} if key else {}))


def _outline(axes: Axes, mask: np.ndarray, colors: str = BOX, linewidths: float = 1.8) -> None:
    """The border of a mask (H, W); the rim of zeros closes it where it touches the frame's edge."""
    height, width = mask.shape
    x, y = np.arange(-1, width + 1), np.arange(-1, height + 1)
    axes.contour(x, y, np.pad(mask.astype(float), 1), levels=[0.5], colors=colors, linewidths=linewidths)
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)


def _colour_bar(figure: Figure, left: float, bottom: float, tile: float) -> None:
    """The scale as it looks over a mid-grey frame."""
    width, height = figure.get_size_inches()
    values = np.linspace(0, 1, 256)
    blended = overlay(np.full((1, 256, 3), 128, np.uint8), values[None])[0]
    axes = figure.add_axes(((left + 0.08) / width, bottom / height, 0.11 / width, tile / height))
    bar = figure.colorbar(ScalarMappable(cmap=ListedColormap(blended)), cax=axes, ticks=[0, 0.5, 1])
    bar.ax.tick_params(labelsize=8, color=FAINT, labelcolor=INK, length=2)
    bar.outline.set_visible(False)


def _file_name(clip_id: str) -> str:
    return re.sub(r"[^\w.-]+", "_", clip_id).strip(".")


def _save(figure: Figure, path: Path) -> Path:
    """A reader sees the old picture or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.png")
    try:
        figure.savefig(temporary, metadata={"Software": None})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
