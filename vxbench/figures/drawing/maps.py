"""Draws maps over the frames of clips: frames in the top row, one row a method below (Fig. 6 of Lin et al. 2021)."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.colors import ListedColormap

from vxbench.errors import UserError
from vxbench.figures.drawing.save import Facts, facts_of, save, save_as
from vxbench.figures.drawing.tiles import DARK, STRONG, Bar, Block, Row, tiles_figure

COLUMNS = 6  # frames side by side
COLOURS = "inferno"  # perceptually uniform; black at 0 keeps the unimportant dark
DIVERGING = "PuOr_r"  # purple below zero, orange above: told apart by everybody
OPACITY = (0.4, 0.75)  # of the map over the grey frame, where it is 0 and where it is 1
MADE_OF = "made of"  # the fact that holds the digest of what was drawn
DRAWING_VERSION = 1  # raise it when the same maps are drawn otherwise: figures are then drawn anew


@dataclass
class FigureClip:
    """One clip and its maps.

    frames: (T, H, W, 3) uint8, RGB. boxes: (T, H, W) bool, or None. maps: {row key: (T, H, W) in [0, 1]}.
    notes: {row key: a few words printed under the method's name, for example "p = 0.85"}; "" is the frames' key.
    """

    id: str
    label_name: str
    frames: np.ndarray
    boxes: np.ndarray | None
    maps: dict[str, np.ndarray]
    notes: dict[str, str] = field(default_factory=dict)


def maps_figure(path: str | Path, clips: list[FigureClip], rows: list[tuple[str, str]], columns: int = COLUMNS) -> Path:
    """Draws the clips below each other into one PNG. rows: [(row key, name to print)], in this order.

    Every map is drawn on the same scale, 0 to 1. A method without a map of a clip leaves its row empty there. A file
    that is there and was drawn of the same in the same version is left as it is: drawing takes seconds.

    Raises:
        UserError: no clip, or a map or the boxes do not fit the frames, or a map leaves [0, 1].
    """
    if not clips:
        raise UserError("maps_figure: no clip to draw; give at least one")
    path, made_of = Path(path), _digest(clips, rows, columns)
    if made_of != _made_of(path):
        save_as(tiles_figure([block(clip, rows, columns) for clip in clips]), [path], {MADE_OF: made_of})
    return path


def maps_print(
    stem: str | Path,
    clips: list[tuple[FigureClip, list[tuple[str, str]]]],
    foot: str,
    facts: Facts = None,
    columns: int = COLUMNS,
) -> list[Path]:
    """Writes <stem>.png and .pdf of clips below each other, each with rows of its own, and a foot; returns them.

    Raises:
        UserError: see `block`.
    """
    return save(tiles_figure([block(clip, rows, columns) for clip, rows in clips], foot), stem, facts)


def kept_figure(
    stem: str | Path, clip: FigureClip, kept: dict[str, np.ndarray], foot: str, facts: Facts = None, columns: int = 5
) -> list[Path]:
    """Writes <stem>.png and .pdf of a clip's frames and, a row each, kept clips {name: (T, H, W, 3) uint8}.

    The clip's notes stand beside the rows, that of "" beside the frames. Returns the files.
    """
    drawn, shown = block(clip, [], columns), frame_indices(len(clip.frames), columns)
    boxes = drawn.rows[0].outlines
    for name, frames in kept.items():
        drawn.rows.append(Row(name, [frames[t] for t in shown], clip.notes.get(name, ""), boxes, STRONG))
    return save(tiles_figure([drawn], foot), stem, facts)


def signed_figure(
    stem: str | Path, clip: FigureClip, maps: dict[str, np.ndarray], foot: str, facts: Facts = None, columns: int = 5
) -> list[Path]:
    """Writes <stem>.png and .pdf of a clip's frames and, a row each, maps {name: (T, H, W)} of any sign.

    All are drawn on one scale, from minus to plus the largest magnitude of any value. Returns the files.
    """
    drawn, shown = block(clip, [], columns), frame_indices(len(clip.frames), columns)
    top = max(float(np.abs(values).max()) for values in maps.values()) or 1.0
    for name, values in maps.items():
        pictures = [matplotlib.colormaps[DIVERGING](0.5 + values[t] / (2 * top))[..., :3] for t in shown]
        boxes = None if clip.boxes is None else [clip.boxes[t] for t in shown]
        drawn.rows.append(Row(name, pictures, clip.notes.get(name, ""), boxes, DARK))
    words = {0: f"{-top:.2g}", 0.5: "0", 1: f"{top:.2g}"}
    drawn.rows[1].bar = Bar(matplotlib.colormaps[DIVERGING], words)
    return save(tiles_figure([drawn], foot), stem, facts)


def block(clip: FigureClip, rows: list[tuple[str, str]], columns: int = COLUMNS) -> Block:
    """The clip's frames and maps as rows of tiles, at most `columns` of its frames.

    Raises:
        UserError: a map or the boxes do not fit the frames, or a map leaves [0, 1].
    """
    _check(clip)
    shown = frame_indices(len(clip.frames), columns)
    boxes = None if clip.boxes is None else [clip.boxes[t] for t in shown]
    frames = Row("frames", [clip.frames[t] for t in shown], clip.notes.get("", ""), boxes, STRONG)
    drawn = [_row(clip, key, name, shown, boxes) for key, name in rows]
    if drawn:
        drawn[0].bar = scale()
    return Block(clip.label_name, clip.id, [f"t = {t}" for t in shown], [frames, *drawn])


def side_by_side(title: str, subtitle: str, parts: dict[str, Block]) -> Block:
    """Joins parts to one block with the columns of all; the name of a part stands over each of its columns.

    A row has the notes of all parts, and the scale of the first that has one.

    Raises:
        UserError: no part, or parts of other rows than the first's.
    """
    if not parts:
        raise UserError("side_by_side: nothing to draw; give at least one block")
    blocks = list(parts.values())
    names = [row.name for row in blocks[0].rows]
    for name, block in parts.items():
        if [row.name for row in block.rows] != names:
            raise UserError(f"{name}: its rows are not {', '.join(names)}; only the same rows can stand side by side")
    headings = [f"{name}, {heading}" for name, block in parts.items() for heading in block.headings]
    rows = zip(*(block.rows for block in blocks), strict=True)
    return Block(title, subtitle, headings, [_joined(list(row)) for row in rows])


def frame_indices(frames: int, columns: int) -> list[int]:
    """Indices of at most `columns` frames, evenly spaced, the first and the last among them."""
    return np.unique(np.linspace(0, frames - 1, min(columns, frames)).round().astype(int)).tolist()


def overlay(frame: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """The map (H, W) in [0, 1] laid over the grey frame (H, W, 3) uint8, as (H, W, 3) in [0, 1]."""
    opacity = (OPACITY[0] + (OPACITY[1] - OPACITY[0]) * saliency)[..., None]
    return (1 - opacity) * grey(frame)[..., None] + opacity * matplotlib.colormaps[COLOURS](saliency)[..., :3]


def grey(frame: np.ndarray) -> np.ndarray:
    """Brightness (..., H, W) in [0, 1] of frames (..., H, W, 3) uint8, by the weights of BT.601."""
    return frame.astype(float) @ [0.299, 0.587, 0.114] / 255


def scale() -> Bar:
    """The scale of maps as it looks over a mid-grey frame."""
    values = np.linspace(0, 1, 256)
    blended = overlay(np.full((1, 256, 3), 128, np.uint8), values[None])[0]
    return Bar(ListedColormap(blended), {0: "0", 0.5: "0.5", 1: "1"})


def _row(clip: FigureClip, key: str, name: str, shown: list[int], boxes: list | None) -> Row:
    there = key in clip.maps
    pictures = [overlay(clip.frames[t], clip.maps[key][t]) if there else None for t in shown]
    return Row(name, pictures, clip.notes.get(key, ""), boxes)


def _joined(rows: list[Row]) -> Row:
    """Joins rows to one with the pictures of all; where only some have outlines, the others have empty ones."""
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


def _check(clip: FigureClip) -> None:
    shape = clip.frames.shape[:3]
    for name, array in [*clip.maps.items(), *([("boxes", clip.boxes)] if clip.boxes is not None else [])]:
        if array.shape != shape:
            raise UserError(f"clip {clip.id}: {name} is {array.shape}, its frames are {shape}; give one value a pixel")
        if not (np.min(array) >= 0 and np.max(array) <= 1):
            raise UserError(f"clip {clip.id}: the map of {name} leaves [0, 1] or holds NaN; normalise it first")


def _digest(clips: list[FigureClip], rows: list[tuple[str, str]], columns: int) -> str:
    """The digest of all that `maps_figure` draws, and of the versions that draw it."""
    found = hashlib.sha256(repr((rows, columns, DRAWING_VERSION, matplotlib.__version__)).encode())
    for clip in clips:
        arrays = {"frames": clip.frames, "boxes": clip.boxes} | {f"map {key}": of for key, of in clip.maps.items()}
        shapes = {name: (array.shape, str(array.dtype)) for name, array in arrays.items() if array is not None}
        found.update(repr((clip.id, clip.label_name, clip.notes, shapes)).encode())
        for name in shapes:
            found.update(np.ascontiguousarray(arrays[name]).data)
    return found.hexdigest()


def _made_of(path: Path) -> str | None:
    """The digest of what the figure at `path` was drawn of; None without a figure."""
    try:
        return facts_of(path.read_bytes()).get(MADE_OF)
    except OSError:
        return None
