"""Pictures of maps: frames in the top row, one row a method below, as in Fig. 6 of Lin et al. 2021."""

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.colors import ListedColormap

from vxbench.errors import UserError
from vxbench.report.figures.save import Facts, facts_of, save, save_as
from vxbench.report.figures.tiles import STRONG, Bar, Block, Row, tiles_figure

COLUMNS = 6  # frames side by side
COLOURS = "inferno"  # perceptually uniform; black at 0 keeps the unimportant dark
OPACITY = (0.4, 0.75)  # of the map over the grey frame, where it is 0 and where it is 1
MADE_OF = "made of"  # the fact that holds the digest of what was drawn


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
    """Draw the clips below each other into one PNG. rows: [(row key, name to print)], in this order.

    Every map is drawn on the same scale, 0 to 1. A method without a map of a clip leaves its row empty there. A
    file that is there and was drawn of the same by the same code is left as it is: drawing takes seconds.

    Raises:
        UserError: no clip, or a map or the boxes do not fit the frames, or a map leaves [0, 1].
    """
    if not clips:
        raise UserError("maps_figure: no clip to draw; give at least one")
    path, made_of = Path(path), _digest(clips, rows, columns)
    if made_of != _made_of(path):
        save_as(tiles_figure([block(clip, rows, columns) for clip in clips]), [path], {MADE_OF: made_of})
    return path


def maps_figures(
    folder: str | Path, clips: list[FigureClip], rows: list[tuple[str, str]], columns: int = COLUMNS
) -> list[Path]:
    """One PNG a clip, named after its id, and `maps.png` with all of them where there are several."""
    paths = [maps_figure(Path(folder) / f"{_file_name(clip.id)}.png", [clip], rows, columns) for clip in clips]
    return paths + ([maps_figure(Path(folder) / "maps.png", clips, rows, columns)] if len(clips) > 1 else [])


def maps_print(
    stem: str | Path,
    clips: list[tuple[FigureClip, list[tuple[str, str]]]],
    foot: str,
    facts: Facts = None,
    columns: int = COLUMNS,
) -> list[Path]:
    """<stem>.png and .pdf of clips below each other, each with rows of its own, and a foot. Raises as maps_figure."""
    return save(tiles_figure([block(clip, rows, columns) for clip, rows in clips], foot), stem, facts)


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


def frame_indices(frames: int, columns: int) -> list[int]:
    """At most `columns` frames, evenly spaced, the first and the last among them."""
    return np.unique(np.linspace(0, frames - 1, min(columns, frames)).round().astype(int)).tolist()


def overlay(frame: np.ndarray, saliency: np.ndarray) -> np.ndarray:
    """The map over the grey frame, (H, W, 3) in [0, 1]. frame (H, W, 3) uint8, saliency (H, W) in [0, 1]."""
    opacity = (OPACITY[0] + (OPACITY[1] - OPACITY[0]) * saliency)[..., None]
    return (1 - opacity) * grey(frame)[..., None] + opacity * matplotlib.colormaps[COLOURS](saliency)[..., :3]


def grey(frame: np.ndarray) -> np.ndarray:
    """Brightness (..., H, W) in [0, 1] of frames (..., H, W, 3) uint8, by the weights of BT.601."""
    return frame.astype(float) @ [0.299, 0.587, 0.114] / 255


def _digest(clips: list[FigureClip], rows: list[tuple[str, str]], columns: int) -> str:
    """Of all that `maps_figure` draws, and of our code and the matplotlib that draw it."""
    code = [matplotlib.__version__, *(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))]
    found = hashlib.sha256(repr((rows, columns, code)).encode())
    for clip in clips:
        arrays = {"frames": clip.frames, "boxes": clip.boxes} | {f"map {key}": of for key, of in clip.maps.items()}
        shapes = {name: (array.shape, str(array.dtype)) for name, array in arrays.items() if array is not None}
        found.update(repr((clip.id, clip.label_name, clip.notes, shapes)).encode())
        for name in shapes:
            found.update(np.ascontiguousarray(arrays[name]).data)
    return found.hexdigest()


def scale() -> Bar:
    """The scale of maps as it looks over a mid-grey frame."""
    values = np.linspace(0, 1, 256)
    blended = overlay(np.full((1, 256, 3), 128, np.uint8), values[None])[0]
    return Bar(ListedColormap(blended), {0: "0", 0.5: "0.5", 1: "1"})


def _made_of(path: Path) -> str | None:
    """What the figure at `path` says that it was drawn of; None without a figure."""
    try:
        return facts_of(path.read_bytes()).get(MADE_OF)
    except OSError:
        return None


def _row(clip: FigureClip, key: str, name: str, shown: list[int], boxes: list | None) -> Row:
    there = key in clip.maps
    pictures = [overlay(clip.frames[t], clip.maps[key][t]) if there else None for t in shown]
    return Row(name, pictures, clip.notes.get(key, ""), boxes)


def _check(clip: FigureClip) -> None:
    shape = clip.frames.shape[:3]
    for name, array in [*clip.maps.items(), *([("boxes", clip.boxes)] if clip.boxes is not None else [])]:
        if array.shape != shape:
            raise UserError(f"clip {clip.id}: {name} is {array.shape}, its frames are {shape}; give one value a pixel")
        if not (np.min(array) >= 0 and np.max(array) <= 1):
            raise UserError(f"clip {clip.id}: the map of {name} leaves [0, 1] or holds NaN; normalise it first")


def _file_name(clip_id: str) -> str:
    return re.sub(r"[^\w.-]+", "_", clip_id).strip(".")
