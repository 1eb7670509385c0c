"""Reports runs to experiment trackers, which never fail a run: an error is said once, then the tracker is silent."""

import io
import os
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from vxbench.datasets.processes import kill, lean_executor
from vxbench.errors import first_line
from vxbench.ranges import above, one_of, whole
from vxbench.runner.cell import Cell
from vxbench.runner.store import Store
from vxbench.stop import is_asked

LONGEST = {"id": 128, "group": 128, "tag": 64}  # characters that wandb takes
START_S = 30.0  # for a process to be up and to import wandb
STOPPED_S = 3.0  # for the last words of a run that is stopped
ROWS = 10_000  # that wandb shows of a table
FRAME_MS = 250


class NoTracker:
    """A tracker that keeps nothing: results are in the store anyway. What a tracker of your own is derived from."""

    def start(self, name: str, config: Mapping[str, Any], group: str = "", tags: Sequence[str] = ()) -> bool:
        """Begins the run of that name, or goes on with it; whether anything is kept of it."""
        return False

    def log(self, values: Mapping[str, float]) -> None:
        """Takes one point of the run's curves."""

    def finish(self, rows: pd.DataFrame | None = None, pictures: Sequence[Any] = ()) -> None:
        """Ends the run. rows, pictures: all that the store has of the cell, from which the run's summary is made."""


class WandbTracker(NoTracker):
    """A tracker that keeps one Weights & Biases run per cell: its means so far as curves and, as its summary, its means
    with the number of clips, a table of its clips and a few of its maps.

    The run is named by the cell, so that a cell that is resumed, or was finished before, has the same one.

    mode: `offline` writes below `folder` and needs neither network nor account; `online` uploads, from a process of its
    own, which is given up where the server does not answer for `timeout_s`. videos: clips whose maps are shown.
    """

    def __init__(
        self,
        project: str = "vxbench",
        mode: str = "offline",
        folder: str = "results/wandb",
        timeout_s: float = 60.0,
        videos: int = 4,
    ):
        self.project, self.mode, self.folder = project, one_of("mode", mode, ("offline", "online")), Path(folder)
        self.timeout_s, self.videos = above("timeout_s", timeout_s, 0), whole("videos", videos, 0)
        self.place: Executor | _Here | None = None

    def start(self, name: str, config: Mapping[str, Any], group: str = "", tags: Sequence[str] = ()) -> bool:
        if (said := _said_in_sweep()) and said.exists():
            return False
        self.place = _Here() if self.mode == "offline" else lean_executor(1)
        run = {"project": self.project, "mode": self.mode, "dir": str(self.folder), "name": name, "config": config}
        run |= {"id": _id(name), "group": group[: LONGEST["group"]], "tags": [tag[: LONGEST["tag"]] for tag in tags]}
        self._ask(_begin, run, self.timeout_s, patience=self.timeout_s + START_S)
        return self.place is not None

    def log(self, values: Mapping[str, float]) -> None:
        if self.place is not None:
            self.place.submit(_log, dict(values))

    def finish(self, rows: pd.DataFrame | None = None, pictures: Sequence[Any] = ()) -> None:
        if self.place is None:
            return
        summary = {} if rows is None else Means(rows).values
        clips = None if rows is None else _by_clip(rows)
        videos = [(picture.clip, gif(picture.frames, picture.saliency)) for picture in pictures[: self.videos]]
        self._ask(_end, summary, clips, videos, patience=STOPPED_S if is_asked() else self.timeout_s)
        self._close()

    def _ask(self, action: Callable, *given: Any, patience: float) -> None:
        try:
            reason = self.place.submit(action, *given).result(patience)
        except TimeoutError:
            reason = f"no answer for {patience:g} s"
        except Exception as error:  # the process is gone
            reason = f"{type(error).__name__}: {error}"
        if reason:
            self._close()
            _say(reason, self.mode)

    def _close(self) -> None:
        if isinstance(self.place, Executor):
            kill(self.place)  # wandb would wait for a dead server at the process's end
        self.place = None


Report = Callable[[pd.DataFrame], None]  # takes the rows of a batch


@contextmanager
def reported(tracker: NoTracker, cell: Cell, group: str, store: Store, done: Collection[str]) -> Iterator[Report]:
    """Has a tracker follow a cell; yields what tells it of a batch's rows.

    group: the table or sweep. done: ids of the clips whose rows stay, whose values the curves begin with.
    """
    tags = [cell.model, cell.dataset, cell.explainer, str(cell.identity["protocol"])]
    if not tracker.start(cell.id, cell.identity, group, tags):
        yield lambda rows: None
        return
    rows = store.rows()
    means = Means(rows[rows["clip"].isin(done)])
    try:
        yield lambda rows: tracker.log(means.add(rows).values)
    finally:
        tracker.finish(store.rows(), store.pictures())


class Means:
    """Means over clips, as tables have them: of a metric's groups, of which each is the weighted mean of its clips."""

    def __init__(self, rows: pd.DataFrame | None = None):
        self._sums: dict[str, dict[int, np.ndarray]] = {}  # {metric: {group: [weights, weighted values, clips]}}
        if rows is not None:
            self.add(rows)

    def add(self, rows: pd.DataFrame) -> "Means":
        """Takes further rows, of other clips; itself."""
        scored = rows[(rows.status == "ok") & rows.value.notna()]
        for (metric, group), of in scored.groupby(["metric", "group"]):
            found = np.array([of.weight.sum(), (of.weight * of.value).sum(), len(of)])
            groups = self._sums.setdefault(metric, {})
            groups[group] = groups.get(group, 0.0) + found
        return self

    @property
    def values(self) -> dict[str, float]:
        """{metric: its mean, `<metric>/n`: clips that have a value}."""
        found: dict[str, float] = {}
        for metric, groups in self._sums.items():
            found[metric] = float(np.mean([value / weight for weight, value, _ in groups.values() if weight > 0]))
            found[f"{metric}/n"] = int(sum(clips for *_, clips in groups.values()))
        return found


def gif(frames: np.ndarray, saliency: np.ndarray) -> bytes:
    """A clip beside itself tinted red by its map. frames (T, H, W, 3) uint8, saliency (T, H, W) in [0, 1]."""
    share = saliency[..., None].astype(np.float32) / 2
    tinted = (frames * (1 - share) + np.array([255, 0, 0]) * share).astype(np.uint8)
    first, *others = (Image.fromarray(frame) for frame in np.concatenate([frames, tinted], axis=2))
    content = io.BytesIO()
    first.save(content, "GIF", save_all=True, append_images=others, duration=FRAME_MS, loop=0)
    return content.getvalue()


def _by_clip(rows: pd.DataFrame) -> tuple[list[str], list[list[Any]]]:
    """Columns and lines of a table with a line a clip: what became of it and its value of each metric."""
    facts = rows.groupby("clip", sort=True)[["label", "target", "status", "degenerate", "reason"]].first()
    scored = rows[rows.status == "ok"].pivot_table("value", "clip", "metric", "first", dropna=False)
    table = facts.join(scored).reset_index().head(ROWS)
    return list(table.columns), table.astype(object).where(table.notna(), None).values.tolist()


def _id(name: str) -> str:
    """The end of the cell's name, where its digest is, without what wandb refuses."""
    return "".join("-" if sign in "/\\#?%:" else sign for sign in name)[-LONGEST["id"] :]


# Giving up, once a sweep


def _said_in_sweep() -> Path | None:
    """The file that tells the other cells of a sweep, in whatever process, that the tracker is given up."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return None
    return Path(HydraConfig.get().sweep.dir) / "tracker_given_up.txt"


def _say(reason: str, mode: str) -> None:
    try:
        if said := _said_in_sweep():
            said.parent.mkdir(parents=True, exist_ok=True)
            with open(said, "x", encoding="utf-8") as file:
                file.write(reason)
    except FileExistsError:  # another cell has said it
        return
    hint = "; tracker.mode=offline keeps it for `wandb sync`" if mode == "online" else ""
    if not is_asked():
        print(f"note: tracker wandb: {reason}; the run goes on without it{hint}", file=sys.stderr, flush=True)


# What is done where wandb is: in a process of its own, or here


class _Here:
    """Stands for an executor where nothing has to be waited for."""

    def submit(self, action: Callable, *given: Any) -> Future:
        future: Future = Future()
        future.set_result(action(*given))
        return future


_run: Any = None  # wandb's, of this process


def _safely(action: Callable[[], object]) -> str:
    """What went wrong, in one line; "" if nothing did."""
    try:
        action()
        return ""
    except Exception as error:
        return f"{type(error).__name__}: {first_line(error).partition('. ')[0]}"  # advice on wandb's settings follows


def _begin(run: dict[str, Any], timeout_s: float) -> str:
    def begin() -> None:
        global _run
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        Path(run["dir"]).mkdir(parents=True, exist_ok=True)
        silent = {"console": "off", "silent": True, "init_timeout": timeout_s, "login_timeout": int(timeout_s) or 1}
        resumes = {"resume": "allow"} if run["mode"] == "online" else {}
        _run = wandb.init(**run, **resumes, settings=wandb.Settings(**silent), reinit="finish_previous")

    return _safely(begin)


def _log(values: dict[str, float]) -> str:
    return _safely(lambda: _run.log(values))


def _end(
    summary: dict[str, float], clips: tuple[list[str], list[list[Any]]] | None, videos: list[tuple[str, bytes]]
) -> str:
    def end() -> None:
        import wandb

        shown = {"maps": [wandb.Video(io.BytesIO(film), caption=clip, format="gif") for clip, film in videos]}
        if clips is not None:
            columns, lines = clips
            _run.log({"clips": wandb.Table(columns=columns, data=lines)} | (shown if videos else {}))
        _run.summary.update(summary)
        _run.finish()

    return _safely(end)
