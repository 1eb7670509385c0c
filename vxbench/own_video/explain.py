"""`python scripts/explain.py`: the map of a user's own video, over the video, and what it keeps and deletes."""

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from vxbench.config import build
from vxbench.datasets.base import ClipRef
from vxbench.datasets.pool import DecodePool
from vxbench.device import hardware
from vxbench.errors import ClipError, UserError, did_you_mean, first_line
from vxbench.explainers.base import Explainer
from vxbench.explainers.perturbation.loop import PerturbationExplainer
from vxbench.own_video.output import FILES, Explanation, report, summary, write_all
from vxbench.own_video.video import OwnClip, OwnVideo
from vxbench.ranges import whole
from vxbench.runner.cell import cell_of
from vxbench.runner.job import check_settings
from vxbench.runner.one_clip import explain_clip, present_to_model, probabilities_of_kept
from vxbench.runner.provenance import commit
from vxbench.runner.weights import weights_digest

VIEW = ("frames", "height", "width", "resize", "short_side", "full", "sampling", "interval", "decoder", "gaps")
LINE_SECONDS = 5.0  # between two lines of progress where no terminal listens


def run(config: DictConfig, choices: dict[str, str]) -> Path:
    """Explains the video and writes all files; the folder they are in.

    Raises:
        UserError, ClipError, NotApplicable: one line that says what is wrong.
    """
    weights, names = weights_digest(config), class_names(config)
    label = None if config.target == "predicted" else index_of(str(config.target), names)
    config.target = "predicted" if label is None else "label"
    check_settings(config)
    whole("top", config.top, 1)
    asked = "predicted" if label is None else names[label]
    settings = settings_of(config, choices, weights, asked)
    started = time.monotonic()
    done = explained(config, choices["explainer"], names, label, settings)
    facts = {"model": config.model.key, "explainer": choices["explainer"], "asked": asked}
    facts |= {"seconds": round(time.monotonic() - started, 3), "commit": commit(), "hardware": hardware(config.device)}
    result = report(done, config.top) | facts
    print(summary(done, result), flush=True)
    folder = folder_of(config, choices, settings)
    for remark in write_all(done, folder, result):
        warn(remark)
    print(f"  {folder}{os.sep}: {', '.join(FILES)}")
    return folder


def explained(
    config: DictConfig, name: str, names: list[str], label: int | None, settings: dict[str, Any]
) -> Explanation:
    """The video decoded, explained, and what its map keeps and deletes.

    name: of the explainer. names: of the classes. label: the class explained, None for the predicted one.
    """
    explainer = build(config, "explainer")
    ref = ClipRef(Path(config.video).name, Path(config.video), label)
    clip = loaded(config, ref)
    one = present_to_model(config, ref, clip, names)
    with progress(explainer, name):
        saliency = explain_clip(config, one, explainer)
    title = f"{config.model.display} with the classes of {config.dataset.labels}, {name}"
    return Explanation(
        ref.path,
        clip,
        one,
        saliency,
        probabilities_of_kept(one, saliency),
        probabilities_of_kept(one, 1 - saliency),
        title,
        settings,
    )


def warn(line: str) -> None:
    print(f"explain: {line}", file=sys.stderr)


def class_names(config: DictConfig) -> list[str]:
    """Of the class list that the weights are trained for; where it is absent numbers, and a line that says so.

    Raises:
        UserError: the list has another number of classes than the model.
    """
    outputs = whole("model.num_classes", config.model.num_classes, 1)
    try:
        names = build(config, "dataset").classes
    except UserError as error:
        warn(f"classes have numbers for names: {first_line(error)}")
        return [f"class {index}" for index in range(outputs)]
    if len(names) != outputs:
        raise UserError(
            f"model.num_classes = {outputs}, but {config.dataset.labels} has {len(names)} classes; "
            "give the dataset= that the weights were trained on"
        )
    return names


def index_of(target: str, names: list[str]) -> int:
    """The class of that name, whatever its case, or of that number.

    Raises:
        UserError: there is none; the message has names near it.
    """
    if target.isdecimal() and int(target) < len(names):
        return int(target)
    folded = [name.casefold() for name in names]
    if target.casefold() in folded:
        return folded.index(target.casefold())
    hint = did_you_mean(target, names)
    raise UserError(f"target = {target} is not predicted, nor one of {len(names)} classes or its number{hint}")


def loaded(config: DictConfig, ref: ClipRef) -> OwnClip:
    """The video as the model sees it, decoded in a process of its own.

    Raises:
        ClipError: it cannot be decoded, not in time, or there is too little of it.
    """
    view = {key: config.dataset[key] for key in VIEW if key in config.dataset}
    dataset = OwnVideo(config.start, config.length, config.fps, **view)
    with DecodePool(1, config.runner.timeout_s) as pool:
        [clip] = pool.load(dataset, [ref])
    if isinstance(clip, ClipError):
        raise clip
    count = clip.span[1] - clip.span[0]
    if count < len(clip.frames):
        warn(f"{count} frames for a model of {len(clip.frames)}: it sees some more than once")
    return clip


def settings_of(config: DictConfig, choices: dict[str, str], weights: str, asked: str) -> dict[str, Any]:
    """All that decides the files. asked: a class, or predicted."""
    settings = cell_of(config, choices, weights, data="").identity
    part = {"class": asked, "start": config.start, "length": config.length, "fps": config.fps, "top": config.top}
    return settings | {"video": str(Path(config.video).resolve())} | part


def folder_of(config: DictConfig, choices: dict[str, str], settings: dict[str, Any]) -> Path:
    """The same settings give the same folder."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    stem = Path(config.video).resolve().stem
    name = f"{stem}-{config.model.key}-{choices['explainer']}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return Path(config.paths.results) / "explained" / name


@contextmanager
def progress(explainer: Explainer, name: str) -> Iterator[None]:
    """A line of progress of the methods that iterate."""
    if not isinstance(explainer, PerturbationExplainer):
        yield
        return
    line = _Line(name, explainer.iterations)
    explainer.observer = lambda step: line(step.iteration + 1)
    try:
        yield
    finally:
        explainer.observer = None
        line.close()


class _Line:
    """`fep: iteration 40 of 80, 3 s left`, on one line of a terminal, elsewhere a line now and then."""

    def __init__(self, name: str, total: int):
        self.name, self.total, self.live = name, total, sys.stderr.isatty()
        self.started = self.spoken = time.monotonic()

    def __call__(self, done: int) -> None:
        seconds = time.monotonic()
        if seconds - self.spoken < (0.2 if self.live else LINE_SECONDS):
            return
        self.spoken = seconds
        left = (seconds - self.started) / done * (self.total - done)
        words = f"{self.name}: iteration {done} of {self.total}, {left:.0f} s left"
        print(f"\r{words}\033[K" if self.live else words, end="" if self.live else "\n", file=sys.stderr, flush=True)

    def close(self) -> None:
        if self.live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
