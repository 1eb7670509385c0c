"""The clips of the gallery: pictures shared between tables are embedded once, and no more than the page may weigh."""

import hashlib
import io
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from vxbench.errors import UserError
from vxbench.figures.drawing.maps import FigureClip
from vxbench.page.data import Gallery
from vxbench.page.embed import data_uri

FRAME_QUALITY = 85  # of WebP; maps are kept exactly, to 1/255


def sheet(frames: np.ndarray) -> np.ndarray:
    """Frames (T, H, W, ...) side by side in rows of `columns(T)`, the rest of the last row 0."""
    count, across = len(frames), columns(len(frames))
    rows = math.ceil(count / across)
    height, width = frames.shape[1:3]
    padded = np.zeros((rows * across, *frames.shape[1:]), frames.dtype)
    padded[:count] = frames
    grid = padded.reshape(rows, across, height, width, *frames.shape[3:])
    return grid.swapaxes(1, 2).reshape(rows * height, across * width, *frames.shape[3:])


def columns(count: int) -> int:
    """Frames side by side: as many as make the sheet about square."""
    return math.ceil(math.sqrt(count))


def frames_image(frames: np.ndarray) -> bytes:
    """WebP of the sheet of frames (T, H, W, 3) uint8."""
    return _webp(sheet(frames), quality=FRAME_QUALITY)


def map_image(saliency: np.ndarray) -> bytes:
    """WebP of the sheet of a map (T, H, W) in [0, 1], grey, 255 for 1; lossless."""
    grey = np.round(np.asarray(saliency, float) * 255).astype(np.uint8)
    return _webp(sheet(grey), lossless=True, quality=50, method=2)


def _webp(pixels: np.ndarray, **options) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", **options)
    return file.getvalue()


def outline(mask: np.ndarray) -> list[int]:
    """The border of a mask (H, W) of bool as line segments on the grid between pixels: [x0, y0, x1, y1, x0, ...]."""
    padded = np.pad(np.asarray(mask, bool), 1)
    across = padded[1:, 1:-1] != padded[:-1, 1:-1]  # (H + 1, W): a step between two pixels above each other
    down = padded[1:-1, 1:] != padded[1:-1, :-1]  # (H, W + 1)
    level = [(x0, y, x1, y) for y, x0, x1 in _runs(across)]
    upright = [(x, y0, x, y1) for x, y0, y1 in _runs(down.T)]
    return [int(number) for segment in level + upright for number in segment]


def _runs(edges: np.ndarray) -> list[tuple[int, int, int]]:
    """(line, start, end) of every run of True along the lines of a matrix."""
    steps = np.diff(np.pad(edges.astype(np.int8), ((0, 0), (1, 1))), axis=1)
    lines, starts = np.nonzero(steps == 1)
    return list(zip(lines, starts, np.nonzero(steps == -1)[1], strict=True))


class Pictures:
    """Images by the digest of their pixels, together at most `budget` bytes as they stand in the page."""

    def __init__(self, budget: int):
        self.images: dict[str, str] = {}
        self.left = budget

    def add(self, clip: FigureClip) -> dict[str, Any] | None:
        """The clip as the page's script takes it, or None where its images do not fit any more.

        Raises:
            UserError: a map has another shape than the frames.
        """
        _check(clip)
        coming: dict[str, str] = {}
        frames = self._image(coming, clip.frames, frames_image)
        maps = {row: self._image(coming, saliency, map_image) for row, saliency in clip.maps.items()}
        weight = sum(map(len, coming.values()))
        if weight > self.left:
            return None
        self.left -= weight
        self.images |= coming
        count, height, width = clip.frames.shape[:3]
        boxes = [] if clip.boxes is None else [outline(mask) for mask in clip.boxes]
        shape = {"count": count, "height": height, "width": width, "columns": columns(count)}
        return {"id": clip.id, "frames": frames, "maps": maps, "boxes": boxes, **shape}

    def _image(self, coming: dict[str, str], pixels: np.ndarray, encode) -> str:
        content = str((pixels.shape, pixels.dtype)).encode() + np.ascontiguousarray(pixels).tobytes()
        name = hashlib.sha256(content).hexdigest()[:16]
        if name not in self.images and name not in coming:
            coming[name] = data_uri(encode(pixels), "image/webp")
        return name


def gather(galleries: Iterable[Gallery], budget: int) -> tuple[dict[tuple[str, str, str], list[dict]], dict, list[str]]:
    """All clips by (table, model, data set), the images they name, and a line a gallery of clips that did not fit."""
    pictures = Pictures(budget)
    shown: dict[tuple[str, str, str], list[dict]] = {}
    left_out = []
    for gallery in galleries:
        found = [pictures.add(clip) for clip in gallery.clips]
        kept = [clip for clip in found if clip]
        shown[gallery.table, gallery.model, gallery.dataset] = kept
        if lost := len(found) - len(kept):
            where = f"{gallery.table}, {gallery.model} on {gallery.dataset}"
            left_out.append(f"gallery of {where}: {lost} of {len(found)} clips, for the size of this page")
    return shown, pictures.images, left_out


def _check(clip: FigureClip) -> None:
    shape = clip.frames.shape[:3]
    for name, array in [*clip.maps.items(), *([] if clip.boxes is None else [("boxes", clip.boxes)])]:
        if array.shape != shape:
            raise UserError(f"clip {clip.id}: {name} is {array.shape}, its frames are {shape}; run that cell again")
