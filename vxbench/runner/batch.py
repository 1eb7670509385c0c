"""Turns a batch of decoded clips into rows and pictures: explained, normalised, scored."""

import hashlib
import warnings
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from vxbench.datasets.base import Clip, ClipRef
from vxbench.device import is_device_lost, is_out_of_memory
from vxbench.errors import ClipError, NotApplicable, UserError, first_line
from vxbench.explainers.base import Explainer
from vxbench.explainers.normalise import normalise
from vxbench.metrics.base import Batch, Metric, Scores
from vxbench.models.classifier import to_clip
from vxbench.network import in_chunks
from vxbench.runner.first_batch import look_at
from vxbench.runner.store import Picture, failure, frame
from vxbench.stop import check_stopped

NAN_MAP = "the map holds NaN or infinity"


@dataclass
class Computed:
    """rows as the store keeps them; pictures of every clip that has a map."""

    rows: pd.DataFrame
    pictures: list[Picture] = field(default_factory=list)


class DeviceLost(Exception):
    """The device answers no more, to nothing that this process asks.

    clips: ids of those that were in work. message: what was said of it, one line.
    """

    def __init__(self, clips: list[str], message: str):
        super().__init__(clips, message)
        self.clips, self.message = clips, message


@dataclass
class BatchScorer:
    """All that is needed to turn decoded clips into rows.

    target: label | predicted. chunk: clips in the network at once when their class is predicted. trusted: whether the
    cell has rows, so that its network was looked at and its explainer works on some clip.
    """

    classifier: nn.Module
    explainer: Explainer
    metrics: dict[str, Metric]
    device: str
    seed: int
    target: str
    chunk: int
    trusted: bool = False

    def __post_init__(self):
        self._looked = self.trusted
        self._error: Exception | None = None  # the last that a single clip raised, as long as none could be scored

    def __call__(self, refs: list[ClipRef], loaded: list[Clip | ClipError]) -> Computed:
        """The clips' rows and pictures; a clip that fails is a row that says why.

        Raises:
            UserError: something to be mended before any clip can be scored. NotApplicable: the method has no meaning
                for this network. DeviceLost: the device answers no more. Whatever every clip of the first batch of a
                cell raises, each alone, as it is then no matter of the clips.
        """
        rows, refs_ok, clips = [], [], []
        for ref, clip in zip(refs, loaded, strict=True):
            if isinstance(clip, ClipError):
                rows.append(failure(ref.id, ref.label, clip.kind, clip.message))
            else:
                refs_ok.append(ref)
                clips.append(clip)
        maps = {}
        if clips:
            scored, maps = self._tried(refs_ok, clips)
            if self._error and len(clips) > 1:
                raise self._error
            rows += scored
        by_id = {ref.id: clip for ref, clip in zip(refs_ok, clips, strict=True)}
        return Computed(frame(rows), [Picture(i, m, by_id[i].frames, by_id[i].boxes) for i, m in maps.items()])

    def _tried(self, refs: list[ClipRef], clips: list[Clip]) -> tuple[list[dict], dict]:
        """Rows and maps of the clips. A batch that fails is tried again in parts, and a clip that fails is its row.

        Out of memory means half the batch at a time, any other error clip by clip.

        Raises:
            UserError, NotApplicable: what no other batch would mend. DeviceLost: what this process cannot mend.
        """
        try:
            done = self._score(refs, clips)
            self.trusted, self._error = True, None
            return done
        except (UserError, NotApplicable):
            raise
        except Exception as error:
            check_stopped()
            if is_device_lost(error):
                raise DeviceLost([ref.id for ref in refs], first_line(error)) from error
            kind, told = kind_of(error), told_of(error)
            if len(refs) == 1 and kind == "error" and not self.trusted:
                self._error = error  # later ones are let go, with the memory that they hold
        if len(refs) == 1:
            return [failure(refs[0].id, refs[0].label, kind, told)], {}
        if kind == "out_of_memory" and self.device.startswith("cuda"):
            torch.cuda.empty_cache()
        size = -(-len(refs) // 2) if kind == "out_of_memory" else 1
        parts = [self._tried(refs[i : i + size], clips[i : i + size]) for i in range(0, len(refs), size)]
        return [row for rows, _ in parts for row in rows], {i: m for _, maps in parts for i, m in maps.items()}

    def _score(self, refs: list[ClipRef], clips: list[Clip]) -> tuple[list[dict], dict]:
        batch, draws = self.batch(refs, clips), self._generators(refs)
        maps = explain_batch(self.classifier, self.explainer, batch.clip, batch.target, draws, batch.boxes)
        rows = [
            failure(ref.id, ref.label, "nan_map", NAN_MAP)
            for ref, good in zip(refs, maps.finite, strict=True)
            if not good
        ]
        if not maps.finite.any():
            return rows, {}
        keep = maps.finite.nonzero()[:, 0]
        refs, batch = [refs[i] for i in keep], batch.mapped(lambda tensor: tensor[keep.to(tensor.device)])
        rows += self._rows(refs, batch, maps.saliency, maps.degenerate.tolist())
        return rows, {ref.id: one for ref, one in zip(refs, maps.saliency.cpu().numpy(), strict=True)}

    def _look(self, clip: Tensor) -> None:
        self._looked = self._looked or look_at(self.classifier, clip, self.chunk)

    def prepare(self, metric: Metric, clips: list[Clip]) -> None:
        """Gives a metric the clips it calibrates on."""
        clip = present(self.classifier, clips, self.device)
        self._look(clip)
        metric.prepare(self.classifier, clip)

    @torch.no_grad()
    def batch(self, refs: list[ClipRef], clips: list[Clip]) -> Batch:
        """The clips as metrics take them, with the class explained."""
        clip = present(self.classifier, clips, self.device)
        self._look(clip)
        label = torch.tensor([ref.label for ref in refs], device=self.device)
        predicted = in_chunks(self.classifier, self.chunk, clip).argmax(dim=1)
        annotation = {name: self._stack(clips, name) for name in ("boxes", "annotated", "action")}
        return Batch(clip, label if self.target == "label" else predicted, label, predicted=predicted, **annotation)

    def _stack(self, clips: list[Clip], name: str) -> Tensor | None:
        """None if no clip has it. A clip that lacks it among others that do not has none of it on any frame."""
        arrays = [getattr(clip, name) for clip in clips]
        there = [array for array in arrays if array is not None]
        if not there:
            return None
        nothing = np.zeros_like(there[0])
        stacked = np.stack([nothing if array is None else array for array in arrays])
        return torch.as_tensor(stacked).to(self.device)

    def _generators(self, refs: list[ClipRef]) -> list[torch.Generator]:
        return [generator_of(self.seed, ref.id) for ref in refs]

    def _rows(self, refs: list[ClipRef], batch: Batch, saliency: Tensor, degenerate: list[bool]) -> list[dict]:
        """One row a clip and metric.

        Every metric gets generators of its own, as fresh as the explainer's were: none feels which others run, and
        one that runs the explainer again repeats its map.
        """
        classes = zip(batch.target.tolist(), batch.predicted.tolist(), strict=True)
        shared = [
            {"clip": ref.id, "label": ref.label, "target": target, "predicted": predicted, "status": "ok"}
            | {"degenerate": flat}
            for ref, (target, predicted), flat in zip(refs, classes, degenerate, strict=True)
        ]
        rows = []
        for metric in self.metrics.values():
            scores = metric(self.classifier, replace(batch, generators=self._generators(refs)), saliency)
            check_scores(scores, metric, len(refs))
            for key in scores:
                rows += [common | own for common, own in zip(shared, columns_of(scores, key), strict=True)]
        return rows


@dataclass
class Maps:
    """Maps of a batch. finite: (B,) bool, on the CPU. Of the clips whose map is finite, in their order: saliency
    (F, T, H, W) in [0, 1], degenerate (F,) bool: the map was constant."""

    finite: Tensor
    saliency: Tensor
    degenerate: Tensor


def explain_batch(
    classifier: nn.Module,
    explainer: Explainer,
    clip: Tensor,
    target: Tensor,
    generators: list[torch.Generator],
    boxes: Tensor | None = None,
) -> Maps:
    """Explains the class `target` (B,) of each clip (B, 3, T, H, W) and scales the maps as the explainer says.

    Raises:
        NotApplicable: the method has no meaning for this classifier.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("once")
        saliency = explainer(classifier, clip, target, generators=generators, boxes=boxes)
    finite = torch.isfinite(saliency).flatten(1).all(dim=1)
    kept = saliency[finite]
    scaled, degenerate = normalise(kept, explainer.normaliser) if len(kept) else (kept, finite[:0])
    return Maps(finite.cpu(), scaled, degenerate)


def present(classifier: nn.Module, clips: list[Clip], device: str) -> Tensor:
    """Decoded clips as the classifier takes them, (B, 3, T, H, W) on the device."""
    facts = classifier.input
    return to_clip(np.stack([clip.frames for clip in clips]), facts.mean, facts.std, device)


def generator_of(seed: int, clip_id: str) -> torch.Generator:
    """A CPU generator seeded from (seed, clip id): a clip draws the same numbers in any batch, shard or position."""
    digest = hashlib.sha256(f"{seed}\n{clip_id}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def kind_of(error: Exception) -> str:
    """The word for a clip that failed with this error, one of ClipError.KINDS."""
    return error.kind if isinstance(error, ClipError) else "out_of_memory" if is_out_of_memory(error) else "error"


def told_of(error: Exception) -> str:
    """What is said of a clip that failed with this error, one line."""
    if is_out_of_memory(error):
        return first_line(error) if str(error) else "one clip does not fit; lower runner.chunk"
    if isinstance(error, ClipError):
        return error.message
    return ": ".join([type(error).__name__, *([first_line(error)] if str(error) else [])])


def check_scores(scores: Scores, metric: Metric, clips: int) -> None:
    """Raises UserError for what a metric must not give: anything but a number a clip for each of its keys."""
    name = type(metric).__name__
    if not isinstance(scores, Scores):
        raise UserError(f"{name} gave {type(scores).__name__}; a metric gives Scores({{key: (B,) tensor}})")
    for key, values in scores.items():
        if key not in metric.keys:
            raise UserError(f"{name} gave {key!r}, which is none of its keys {', '.join(metric.keys)}")
        if tuple(values.shape) != (clips,):
            raise UserError(f"{name} gave {key} of shape {tuple(values.shape)}; it must be (B,) = ({clips},)")


def columns_of(scores: Scores, key: str) -> list[dict]:
    """What the store keeps of one key of a metric, clip by clip."""
    values = scores[key].double().tolist()
    weights = scores.weights[key].double().tolist() if key in scores.weights else [1.0] * len(values)
    groups = scores.groups[key].tolist() if key in scores.groups else [0] * len(values)
    curves = scores.curves[key].double().tolist() if key in scores.curves else [None] * len(values)
    reasons = scores.reasons.get(key, {})
    return [
        {"metric": key, "value": v, "reason": reasons.get(i, ""), "weight": w, "group": g, "curve": c}
        for i, (v, w, g, c) in enumerate(zip(values, weights, groups, curves, strict=True))
    ]
