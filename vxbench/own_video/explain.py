"""Explains a video of the user's own: decodes it, explains its class and writes what the map keeps and deletes."""

import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from vxbench.datasets.base import ClipRef
from vxbench.device import hardware
from vxbench.errors import UserError, did_you_mean, first_line
from vxbench.explainers.base import Explainer
from vxbench.explainers.perturbation.loop import PerturbationExplainer
from vxbench.files import check_writable, fitted
from vxbench.own_video.output import FILES, Explanation, report, summary, write_all
from vxbench.own_video.video import OwnClip, OwnVideo
from vxbench.ranges import local, whole
from vxbench.runner.assemble import Assembled
from vxbench.runner.one_clip import decode, explain_clip, present_to_model, probabilities_of_kept
from vxbench.runner.progress import Progress
from vxbench.runner.provenance import commit

VIEW = ("frames", "height", "width", "resize", "short_side", "full", "sampling", "interval", "decoder", "gaps")
LINE_SECONDS = 5.0  # between two lines of progress where no terminal listens


@dataclass(frozen=True)
class Request:
    """What is asked about which part of which video; see conf/explain.yaml.

    start, length: seconds. fps: frames a second of a folder of frames. target: a class name, its index or predicted.
    top: classes listed. view: which frames are sampled, and how they are resized, as `OwnVideo` takes it.
    """

    video: Path
    start: float | None
    length: float | None
    fps: float | None
    target: str
    top: int
    view: dict[str, Any]

    @property
    def identity(self) -> dict[str, Any]:
        """What of it decides the files, the class explained aside."""
        part = {"start": self.start, "length": self.length, "fps": self.fps, "top": self.top}
        return {"video": str(self.video.resolve())} | part


def read_request(config: DictConfig, choices: dict[str, str]) -> tuple[Request, Assembled]:
    """What a composed conf/explain.yaml asks for, and the parts it is answered with."""
    view = {key: config.dataset[key] for key in VIEW if key in config.dataset}
    asked = (config.start, config.length, config.fps, str(config.target), whole("top", config.top, 1))
    run = config.copy()
    run.target = "predicted" if config.target == "predicted" else "label"
    return Request(local("video", config.video), *asked, view), Assembled(run, choices)


def run(request: Request, parts: Assembled) -> Path:
    """Explains the video and writes all files; the folder they are in.

    Raises:
        UserError, ClipError, NotApplicable: one line that says what is wrong.
    """
    weights, names = parts.weights, class_names(parts)
    label = None if request.target == "predicted" else index_of(request.target, names)
    device, explainer = parts.usable_device, parts.choices["explainer"]
    asked = "predicted" if label is None else names[label]
    settings = parts.cell_with(weights, data="").identity | {"class": asked} | request.identity
    folder = folder_of(request, parts, settings)
    check_writable("paths.results", *(folder / name for name in FILES))
    started = time.monotonic()
    done = explained(request, parts, names, label, settings)
    facts = {"model": parts.model, "explainer": explainer, "asked": asked}
    facts |= {"seconds": round(time.monotonic() - started, 3), "commit": commit(), "hardware": hardware(device)}
    result = report(done, request.top) | facts
    print(summary(done, result), flush=True)
    for remark in write_all(done, folder, result):
        warn(remark)
    print(f"  {folder}{os.sep}: {', '.join(FILES)}")
    return folder


def explained(
    request: Request, parts: Assembled, names: list[str], label: int | None, settings: dict[str, Any]
) -> Explanation:
    """The video decoded, explained, and what its map keeps and deletes.

    names: of the classes. label: the class explained, None for the predicted one.
    """
    explainer, name = parts.explainer, parts.choices["explainer"]
    clip = loaded(request, parts.settings.timeout_s)
    one = present_to_model(parts, request.video.name, clip, names, label)
    with progress(explainer, name):
        saliency = explain_clip(one, explainer)
    kept, deleted = (probabilities_of_kept(one, shown) for shown in (saliency, 1 - saliency))
    title = f"{parts.display} with the classes of {parts.labels}, {name}"
    return Explanation(request.video, clip, one, saliency, kept, deleted, title, settings)


def warn(line: str) -> None:
    """Says a remark on stderr."""
    print(f"note: {line}", file=sys.stderr)


def class_names(parts: Assembled) -> list[str]:
    """Names of the classes that the weights are trained for; numbers where their list is absent, which is said.

    Raises:
        UserError: the list has another number of classes than the model.
    """
    outputs = whole("model.num_classes", parts.outputs, 1)
    try:
        names = parts.dataset.classes
    except UserError as error:
        warn(f"classes have numbers for names: {first_line(error)}")
        return [f"class {index}" for index in range(outputs)]
    if len(names) != outputs:
        raise UserError(
            f"model.num_classes = {outputs}, but {parts.labels} has {len(names)} classes; "
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


def loaded(request: Request, timeout_s: float) -> OwnClip:
    """The video as the model sees it, decoded in a process of its own.

    Raises:
        ClipError: it cannot be decoded, not in time, or there is too little of it.
    """
    dataset = OwnVideo(request.start, request.length, request.fps, **request.view)
    clip = decode(dataset, ClipRef(request.video.name, request.video, None), timeout_s)
    count = clip.span[1] - clip.span[0]
    if count < len(clip.frames):
        warn(f"{count} frames for a model of {len(clip.frames)}: it sees some more than once")
    return clip


def folder_of(request: Request, parts: Assembled, settings: dict[str, Any]) -> Path:
    """Folder of the files; the same settings give the same one."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    ending = f"-{parts.model}-{parts.choices['explainer']}-{digest}"
    return parts.settings.results / "explained" / fitted(request.video.resolve().stem, ending)


@contextmanager
def progress(explainer: Explainer, name: str) -> Iterator[None]:
    """Shows the progress of the methods that iterate."""
    if not isinstance(explainer, PerturbationExplainer):
        yield
        return
    parts = -(-len(explainer.areas) // explainer.chunk)  # masks that are not optimised together come one after another
    with Progress(name, parts * explainer.iterations, live=True, unit="iterations", every_s=LINE_SECONDS) as line:
        explainer.observer = lambda step: line.advance(1)
        try:
            yield
        finally:
            explainer.observer = None
