"""Frames, maps and boxes of a clip as few and small pieces of data."""

import io
import math

import numpy as np

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
