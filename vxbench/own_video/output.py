"""Writes the summary and the files of an explained video."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from vxbench.figures.drawing.maps import frame_indices, overlay, scale
from vxbench.figures.drawing.save import save_as
from vxbench.figures.drawing.tiles import Block, Row, tiles_figure
from vxbench.figures.drawing.video import (
    BackProjection,
    InTime,
    Timed,
    Written,
    overlay_frames,
    panels_side_by_side,
    pixel_aspect,
    write_video,
)
from vxbench.files import write_whole
from vxbench.own_video.video import OwnClip, in_order
from vxbench.runner.one_clip import OneClip, kept_frames

FILES = ("overlay.mp4", "kept.mp4", "summary.png", "map.npz", "result.json")
COLUMNS = 8  # frames in the summary
NOTED = 3  # classes under the name of its rows
PACE = 4  # least pictures a second of kept.mp4
TAU = 0.5  # where a map says yes, as in the papers' STC


@dataclass
class Explanation:
    """A clip of the video at `path`, its map (T, H, W) in [0, 1], and what the network makes of it.

    kept, deleted: probabilities (K,) of the clip that the map keeps, and of the clip without that; the rest is blurred.
    title: of model and method. settings: all that decides the map.
    """

    path: Path
    clip: OwnClip
    one: OneClip
    saliency: np.ndarray
    kept: np.ndarray
    deleted: np.ndarray
    title: str
    settings: dict[str, Any]

    @property
    def probabilities(self) -> dict[str, np.ndarray]:
        return {"whole": self.one.probabilities, "kept": self.kept, "deleted": self.deleted}

    @property
    def deleted_frames(self) -> np.ndarray:
        return kept_frames(self.one, 1 - self.saliency)

    @property
    def projection(self) -> BackProjection:
        return BackProjection(self.clip.window, self.clip.size)

    @property
    def expected(self) -> int:
        """Frames of the part that is looked at."""
        return self.clip.span[1] - self.clip.span[0]


def report(done: Explanation, count: int) -> dict[str, Any]:
    """What result.json holds of the clip. count: likeliest classes listed.

    points_lost: 100 max(0, p(X) - p(X')), p of the class explained, X' the kept clip (DC of Lin et al. 2021, if the
    class is the predicted one) or the deleted one. area: mean of the map, and share where it is at least TAU.
    """
    target = int(done.one.target)
    p = {name: float(values[target]) for name, values in done.probabilities.items()}
    return {
        "video": str(done.path),
        "target": {"index": target, "name": done.one.target_name},
        "p": p,
        "points_lost": {name: 100 * max(0.0, p["whole"] - p[name]) for name in ("kept", "deleted")},
        "area": {"mean": float(done.saliency.mean()), "above_tau": float((done.saliency >= TAU).mean())},
        "top": {name: top(values, done.one.classes, count) for name, values in done.probabilities.items()},
        "frames": {"indices": done.clip.indices.tolist(), "seconds": done.clip.times.tolist()},
        "settings": done.settings,
    }


def top(probabilities: np.ndarray, names: list[str], count: int) -> list[dict[str, Any]]:
    """The likeliest classes, most likely first."""
    order = np.argsort(-probabilities, kind="stable")[:count]
    return [{"class": names[i], "index": int(i), "p": float(probabilities[i])} for i in order]


def summary(done: Explanation, result: dict[str, Any]) -> str:
    """For the terminal."""
    columns = [[f"{one['class']} {one['p']:.3f}" for one in entries] for entries in result["top"].values()]
    names = ["whole clip", "what the map keeps", "without what it keeps"]
    wide = 3 + max(len(words) for column in [names, *columns] for words in column)
    table = ["".join(words.ljust(wide) for words in row).rstrip() for row in [names, *zip(*columns, strict=True)]]
    p, lost, area, target = (result[key] for key in ("p", "points_lost", "area", "target"))
    return "\n  ".join(
        [
            f"{done.path.name}: {done.title}; class explained: {target['name']} ({target['index']})",
            *table,
            f"p of {target['name']}: {p['whole']:.3f}, kept {p['kept']:.3f} (falls by {lost['kept']:.1f} points, "
            f"lower is better), deleted {p['deleted']:.3f} (by {lost['deleted']:.1f}, higher is better)",
            f"area kept: {area['mean']:.1%} (mean of the map), {area['above_tau']:.1%} at {TAU} or more",
        ]
    )


def write_all(done: Explanation, folder: Path, result: dict[str, Any]) -> list[str]:
    """Writes FILES, each whole or not at all, in the place of older ones; what there is to remark, one line each."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "map.npz", map_file(done))
    save_as(picture(done, result), [folder / "summary.png"])
    write_video(folder / "kept.mp4", comparison(done, result), pace(done))
    written = write_overlay(done, folder / "overlay.mp4")
    result = result | {"overlay": {"codec": written.codec, "frames": written.frames}}
    write_whole(folder / "result.json", json.dumps(result, indent=1).encode())
    return list(_remarks(done, written))


def _remarks(done: Explanation, written: Written) -> Iterator[str]:
    if written.codec != "libx264":
        yield f"FFmpeg has no libx264 here; the videos are {written.codec}, which browsers may not play"
    if written.frames < done.expected:
        yield f"overlay.mp4 has {written.frames} of {done.expected} frames; no more of the video can be decoded"


def map_file(done: Explanation) -> bytes:
    """map.npz: saliency (T, H, W), and which frames and pixels of the video it is of; see docs/explain.md."""
    content = BytesIO()
    np.savez_compressed(
        content,
        saliency=done.saliency.astype(np.float32),
        indices=done.clip.indices,
        seconds=done.clip.times,
        box=done.projection.box,
        size=np.array(done.clip.size),
        target=int(done.one.target),
        target_name=done.one.target_name,
        settings=json.dumps(done.settings),
    )
    return content.getvalue()


def write_overlay(done: Explanation, path: Path) -> Written:
    """The map over the source's own frames, at their times and of their shape."""
    frames = in_order(done.path, done.clip.timeline, done.clip.span)
    maps = InTime(done.saliency, done.clip.times)
    drawn = overlay_frames(frames, maps, done.projection)
    return write_video(path, drawn, done.clip.timeline.rate, pixel_aspect(done.path))


def comparison(done: Explanation, result: dict[str, Any]) -> Iterator[Timed]:
    """The panels of kept.mp4."""
    panels = [done.one.frames, kept_frames(done.one, done.saliency), done.deleted_frames]
    words = zip(("original", "kept", "deleted"), result["p"].values(), strict=True)
    captions = [f"{word}: {p:.2f} {done.one.target_name}" for word, p in words]
    return panels_side_by_side(panels, captions, np.arange(len(done.one.frames)) / float(pace(done)))


def pace(done: Explanation) -> Fraction:
    """Pictures a second of kept.mp4: those of the video, but at least PACE."""
    return max(Fraction(PACE), len(done.one.frames) * done.clip.timeline.rate / done.expected)


def picture(done: Explanation, result: dict[str, Any]):
    """summary.png: frames, the map over them, what it keeps and what it deletes, as the model sees them."""
    shown = frame_indices(len(done.one.frames), COLUMNS)
    frames = done.one.frames[shown]
    over = [overlay(frame, one) for frame, one in zip(frames, done.saliency[shown], strict=True)]
    area = f"mean {result['area']['mean']:.1%}\n{result['area']['above_tau']:.1%} at {TAU} or more"
    rows = [
        Row("frames", list(frames), _noted(result, "whole")),
        Row("map", over, area, bar=scale()),
        Row("kept", list(kept_frames(done.one, done.saliency)[shown]), _noted(result, "kept")),
        Row("deleted", list(done.deleted_frames[shown]), _noted(result, "deleted")),
    ]
    headings = [f"{seconds:.2f} s" for seconds in done.clip.times[shown]]
    about = f"{done.path.name} · {done.title}"
    return tiles_figure([Block(done.one.target_name, about, headings, rows)])


def _noted(result: dict[str, Any], clip: str) -> str:
    """The likeliest classes of one of the clips, in small print."""
    return "\n".join(f"{entry['class']} {entry['p']:.2f}" for entry in result["top"][clip][:NOTED])
