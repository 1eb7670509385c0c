"""A small table for the page: two clips, a failed clip, a value that is not there, a dash and a cell that failed."""

import numpy as np
import pandas as pd

from vxbench.figures.drawing.maps import FigureClip
from vxbench.page import Gallery, PageCell, PageTable, Report
from vxbench.tables.build import make_table
from vxbench.tables.results import CellResult, RunInfo

NAN = float("nan")
CLIPS = ("clip a", "clip b")
SIZE = (5, 6, 8)  # frames, height, width
COLUMNS = ("clip", "status", "metric", "value", "reason", "degenerate", "curve")
RUN = {
    "run": "1",
    "started": "2026-01-01T00:00:00+00:00",
    "finished": None,
    "command": ["vxbench", "run", "+table=fep_1"],
    "commit": "0123456789abcdef+",
    "versions": {"python": "3.11"},
    "hardware": {"cpu": "a processor", "device": "cpu", "gpu": ""},
    "weights": "w1",
    "data": "d1",
    "seconds": 2.5,
    "clips": 2,
}


def rows(values: dict[str, list[float]], clips=CLIPS, reason="no box in the sampled frames", failed=None):
    """Long form; a NaN has the reason. failed: {clip: reason}."""
    lines = [
        (clip, "ok", metric, value, reason if np.isnan(value) else "", False, [1.0, value / 100, 0.0])
        for metric, column in values.items()
        for clip, value in zip(clips, column, strict=True)
    ]
    lines += [(clip, "failed", "", NAN, why, False, None) for clip, why in (failed or {}).items()]
    return pd.DataFrame(lines, columns=list(COLUMNS))


def cell(row: str, table: pd.DataFrame | None = None, model="r2plus1d", status="complete", message="", id=None):
    said = {"failed": {"error": message}, "not_applicable": {"not_applicable": message}}.get(status, {})
    result = CellResult(model, "ucf101_24", row, rows({}) if table is None else table, **said)
    facts = {"config": f"explainer: {row}", "runs": (RUN,), "clips": CLIPS}
    return PageCell(f"{model}-{row}-1" if id is None else id, result, status, message, **facts)


def page_table(
    clips=CLIPS, reason="undecodable: broken", message="out of luck", added="mine", name="fep_1"
) -> PageTable:
    """F-EP Table 1 in part. added: the key of an explainer the paper does not have."""
    cells = [
        cell("gradients", rows({"dc": [40.0, 60.0], "stc": [10.0, NAN], "deletion": [0.2, 0.4]}, clips)),
        cell("fep", rows({"dc": [9.0], "stc": [80.0]}, clips[:1], failed={clips[1]: reason})),
        cell("step", rows({"dc": [30.0, 40.0], "stc": [20.0, 70.0]}, clips)),
        cell("ep3d", status="failed", message=message, id=""),
        cell("gradcam", status="not_applicable", message="it has no layer"),
        cell("random", rows({"dc": [100.0, 90.0], "stc": [50.0, 50.0]}, clips)),
        cell(added, rows({"dc": [1.0, 2.0], "stc": [5.0, 5.0]}, clips)),
    ]
    profile = RunInfo("mini", "generated clips", comparable=False)
    table = make_table("fep_1", [page_cell.result for page_cell in cells], profile)
    return PageTable(name, table, cells, made="2026-01-01T00:00:00+00:00")


def picture(clip: str, maps=("gradients", "fep")) -> FigureClip:
    """A clip whose frames brighten; each map is 1 in one moving pixel, and the box lies around it."""
    count = SIZE[0]
    frames = np.repeat(np.arange(count, dtype=np.uint8)[:, None, None, None] * 40, 3, axis=3)
    frames = np.broadcast_to(frames, (*SIZE, 3)).copy()
    saliency, boxes = np.zeros(SIZE, np.float32), np.zeros(SIZE, bool)
    for t in range(count):
        saliency[t, 2, t + 1] = 1
        boxes[t, 1:4, t : t + 3] = True
    return FigureClip(clip, "", frames, boxes, dict.fromkeys(maps, saliency))


def report(page: PageTable | None = None, clips=CLIPS, **fields) -> Report:
    page = page or page_table(clips)
    galleries = [Gallery(page.name, "r2plus1d", "ucf101_24", [picture(clip) for clip in clips])]
    return Report([page], galleries, made="2026-01-02", version="0", **fields)
