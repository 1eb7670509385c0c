"""One clip seen, explained and kept as a cell would do it, for figures and for a user's own video."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from vxbench.config import build
from vxbench.datasets.base import Clip, ClipRef, VideoDataset
from vxbench.datasets.pool import DecodePool
from vxbench.device import full_precision, own_gpu
from vxbench.errors import ClipError, UserError, did_you_mean
from vxbench.explainers.base import Explainer
from vxbench.metrics.faithfulness import Faithfulness
from vxbench.network import probabilities, untouched
from vxbench.runner.batch import BatchScorer
from vxbench.runner.job import check_classes, check_settings
from vxbench.runner.weights import weights_file


@dataclass
class OneClip:
    """A clip and the network that looks at it.

    id: the clip's, as in results; its draws are seeded from it. label: index into `classes`, None where nobody knows.
    frames: (T, H, W, 3) uint8, RGB, as the model sees them before its colours are normalised. boxes: (T, H, W) bool,
    or None. classes: the K class names. classifier: in eval mode, on its device. tensor: (1, 3, T, H, W), normalised.
    target: (1,) int64, the class explained. probabilities: (K,) float32, of the whole clip.
    """

    id: str
    label: int | None
    frames: np.ndarray
    boxes: np.ndarray | None
    classes: list[str]
    classifier: nn.Module
    tensor: Tensor
    target: Tensor
    probabilities: np.ndarray

    @property
    def target_name(self) -> str:
        return self.classes[int(self.target)]

    @property
    def p(self) -> float:
        """Probability of the explained class."""
        return float(self.probabilities[int(self.target)])


def open_clip(config: DictConfig, clip_id: str | None = None) -> OneClip:
    """A clip of the configured data set before the configured model; None: the first, whose picture a cell keeps.

    Raises:
        UserError: a setting or file the user has to mend, or no such clip; the message names ids near it.
        ClipError: the clip cannot be decoded.
    """
    check_settings(config)
    dataset: VideoDataset = build(config, "dataset")
    check_classes(config, dataset)
    ref = find(dataset, clip_id)
    with DecodePool(1, config.runner.timeout_s) as pool:
        [clip] = pool.load(dataset, [ref])
    if isinstance(clip, ClipError):
        raise clip
    return present_to_model(config, ref, clip, dataset.classes)


def find(dataset: VideoDataset, clip_id: str | None) -> ClipRef:
    """The clip of that id among those a table is made of; None: the first."""
    first, clips = dataset.clips[0], {ref.id: ref for ref in dataset.clips}
    if clip_id is None:
        return first
    if clip_id not in clips:
        hint = did_you_mean(clip_id, clips)
        raise UserError(f"clip {clip_id} is not among the {len(clips)} clips of this data set{hint}")
    return clips[clip_id]


def present_to_model(config: DictConfig, ref: ClipRef, clip: Clip, classes: list[str]) -> OneClip:
    """A decoded clip before the configured model. A ref without a label (None) has its predicted class explained.

    Raises:
        UserError: the model's weights cannot be had.
    """
    own_gpu(str(config.device))
    full_precision()
    weights_file(config)  # says in one line what is missing
    classifier = build(config, "model").to(config.device).eval()
    target = config.target if ref.label is not None else "predicted"
    known = ref if ref.label is not None else ClipRef(ref.id, ref.path, 0, ref.span)
    batch = _computer(config, classifier, None, target).batch([known], [clip])
    whole = _probabilities(classifier, batch.clip)
    return OneClip(ref.id, ref.label, clip.frames, clip.boxes, classes, classifier, batch.clip, batch.target, whole)


def explain_clip(config: DictConfig, one: OneClip, explainer: Explainer | None = None) -> np.ndarray:
    """The map of the clip's explained class, (T, H, W) float32 in [0, 1], as a cell computes it.

    explainer: built from the config if not given. A constant map is scaled as in a cell: to zeros.

    Raises:
        NotApplicable: the method has no meaning for this model.
        ClipError: the map holds NaN, or does not fit into memory.
    """
    explainer = build(config, "explainer") if explainer is None else explainer
    ref = ClipRef(one.id, Path(), int(one.target))  # the class explained is settled
    computed = _computer(config, one.classifier, explainer, "label")([ref], [Clip(one.frames, one.boxes)])
    if not computed.pictures:
        kind, _, message = computed.rows.reason.iloc[0].partition(": ")
        raise ClipError(kind, f"{one.id}: {message}")
    return computed.pictures[0].saliency


def kept_tensor(one: OneClip, saliency: np.ndarray) -> Tensor:
    """X_e (1, 3, T, H, W): the clip where the map (T, H, W) is 1, blurred where it is 0 (Lin et al. 2021, eq. 1)."""
    return Faithfulness().explained(one.tensor, torch.as_tensor(saliency, device=one.tensor.device)[None])


def probabilities_of_kept(one: OneClip, saliency: np.ndarray) -> np.ndarray:
    """Probabilities (K,) float32 of the clip that the map keeps, the rest blurred."""
    return _probabilities(one.classifier, kept_tensor(one, saliency))


def kept_frames(one: OneClip, saliency: np.ndarray) -> np.ndarray:
    """The clip that the map keeps, to be looked at: (T, H, W, 3) uint8."""
    facts = one.classifier.input
    colours = kept_tensor(one, saliency)[0].permute(1, 2, 3, 0).cpu().numpy()
    return (colours * np.array(facts.std) + np.array(facts.mean)).round().clip(0, 255).astype(np.uint8)


def _computer(config: DictConfig, classifier: nn.Module, explainer: Explainer | None, target: str) -> BatchScorer:
    facts = {"device": config.device, "seed": config.seed, "target": target, "chunk": config.runner.chunk}
    return BatchScorer(classifier, explainer, {}, **facts)


@torch.no_grad()
def _probabilities(classifier: nn.Module, clip: Tensor) -> np.ndarray:
    with untouched(classifier):
        return probabilities(classifier, clip)[0].cpu().numpy()
