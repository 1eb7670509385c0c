"""The clips of the gallery: pictures shared between tables are embedded once, and no more than the page may weigh."""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from vxbench.errors import UserError
from vxbench.report.figures import FigureClip
from vxbench.report.html.data import Gallery
from vxbench.report.html.embed import data_uri
from vxbench.report.html.sprites import columns, frames_image, map_image, outline


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
