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

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from vxbench.datasets.base import ClipRef
from vxbench.datasets.own_video import OwnClip, OwnVideo
from vxbench.datasets.pool import DecodePool
from vxbench.errors import ClipError, NotApplicable, UserError
from vxbench.explainers.base import Explainer
from vxbench.explainers.perturbation.loop import PerturbationExplainer
from vxbench.hints import did_you_mean
from vxbench.ranges import whole
from vxbench.runner.cell import cell_of
from vxbench.runner.config import build, check_choices, conf_dir, first_line, options
from vxbench.runner.explained import FILES, Explained, report, summary, write_all
from vxbench.runner.job import check_settings
from vxbench.runner.one_clip import explain, kept, seen
from vxbench.runner.provenance import commit, hardware
from vxbench.runner.weights import weights_digest

VIEW = ("frames", "height", "width", "resize", "short_side", "full", "sampling", "interval", "decoder", "gaps")
LINE_SECONDS = 5.0  # between two lines of progress where no terminal listens
USAGE = (
    "python scripts/explain.py video=my.mp4 [model=tsm] [explainer=fep] [key=value ...], keys as in conf/explain.yaml"
)


def main(argv: list[str] | None = None) -> int:
    """Exit status 0: done; 1: it cannot be explained, one line says why; 2: the command could not be understood."""
    words = sys.argv[1:] if argv is None else argv
    if {"-h", "--help"} & set(words):
        print(USAGE)
        return 0
    try:
        config, choices = composed(words)
    except (UserError, HydraException, OmegaConfBaseException) as error:
        return _refused(error, 2)
    try:
        run(config, choices)
    except (UserError, ClipError, NotApplicable, OSError, HydraException, OmegaConfBaseException) as error:
        return _refused(error, 1)
    except KeyboardInterrupt:
        return _refused("stopped", 1)
    return 0


def _refused(why: Exception | str, status: int) -> int:
    warn(why if isinstance(why, str) else first_line(why))
    return status


def composed(words: list[str]) -> tuple[DictConfig, dict[str, str]]:
    """The config, and the group options chosen. Without `dataset=` the model is one of the classes it has weights for.

    Raises:
        UserError: no video, or an option that does not exist. HydraException: other words that make no config.
    """
    words = [_quoted(word) for word in words]
    check_choices(words)
    if not any(word.startswith("video=") for word in words):
        raise UserError(f"no video; {USAGE}")
    config = _compose(words)
    known = [labels for labels in config.weights if labels in options("dataset")]
    given = any(word.startswith("dataset=") for word in words)
    if known and not given and config.dataset.labels not in known:
        config = _compose([*words, f"dataset={known[0]}"])
    choices = dict(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
    return config, choices


def _compose(words: list[str]) -> DictConfig:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("explain", words, return_hydra_config=True)


def _quoted(word: str) -> str:
    """Names of files and classes as they are, whatever Hydra's grammar makes of their characters."""
    key, _, value = word.partition("=")
    return f"{key}={QuotedString(value, Quote.single).with_quotes()}" if key in ("video", "target") else word


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
) -> Explained:
    """The video decoded, explained, and what its map keeps and deletes.

    name: of the explainer. names: of the classes. label: the class explained, None for the predicted one.
    """
    explainer = build(config, "explainer")
    ref = ClipRef(Path(config.video).name, Path(config.video), label)
    clip = loaded(config, ref)
    one = seen(config, ref, clip, names)
    with progress(explainer, name):
        saliency = explain(config, one, explainer)
    title = f"{config.model.display} with the classes of {config.dataset.labels}, {name}"
    return Explained(ref.path, clip, one, saliency, kept(one, saliency), kept(one, 1 - saliency), title, settings)


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
    hint = did_you_mean(target, names) or f"; they are {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}"
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
