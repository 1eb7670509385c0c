"""Presents one clip to a network, explains it and shows what the map keeps, as a cell would: for figures and videos."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from vxbench.datasets.base import Clip, ClipRef, VideoDataset
from vxbench.datasets.pool import DecodePool
from vxbench.device import is_out_of_memory
from vxbench.errors import ClipError, UserError, did_you_mean
from vxbench.explainers.base import Explainer
from vxbench.metrics.faithfulness import Faithfulness
from vxbench.network import probabilities, untouched
from vxbench.runner.assemble import Assembled
from vxbench.runner.batch import NAN_MAP, explain_batch, generator_of, present, told_of
from vxbench.runner.first_batch import look_at


@dataclass
class OneClip:
    """A clip and the network that looks at it.

    id: the clip's, as in results; its draws are seeded from it. label: index into `classes`, None where nobody knows.
    frames: (T, H, W, 3) uint8, RGB, as the model sees them before its colours are normalised. boxes: (T, H, W) bool,
    or None. classes: the K class names. classifier: in eval mode, on its device. tensor: (1, 3, T, H, W), normalised.
    target: (1,) int64, the class explained. probabilities: (K,) float32, of the whole clip. seed: of its draws.
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
    seed: int = 0

    @property
    def target_name(self) -> str:
        return self.classes[int(self.target)]

    @property
    def p(self) -> float:
        """Probability of the explained class."""
        return float(self.probabilities[int(self.target)])


def open_clip(parts: Assembled, clip_id: str | None = None) -> OneClip:
    """A clip of the cell's data set before its model; None: the first, whose picture a cell keeps.

    Raises:
        UserError: a setting or file the user has to mend, or no such clip; the message names ids near it.
        ClipError: the clip cannot be decoded.
    """
    parts.usable_device, parts.weights, parts.matching_classes  # noqa: B018  refused before the clip is decoded
    ref = find(parts.dataset, clip_id)
    clip = decode(parts.dataset, ref, parts.settings.timeout_s)
    return present_to_model(parts, ref.id, clip, parts.dataset.classes, ref.label)


def find(dataset: VideoDataset, clip_id: str | None) -> ClipRef:
    """The clip of that id among those a table is made of; None: the first."""
    first, clips = dataset.clips[0], {ref.id: ref for ref in dataset.clips}
    if clip_id is None:
        return first
    if clip_id not in clips:
        hint = did_you_mean(clip_id, clips)
        raise UserError(f"clip {clip_id} is not among the {len(clips)} clips of this data set{hint}")
    return clips[clip_id]


def decode(dataset: VideoDataset, ref: ClipRef, timeout_s: float) -> Clip:
    """One clip, decoded in a process of its own.

    Raises:
        ClipError: it cannot be decoded, or not in time.
    """
    with DecodePool(1, timeout_s) as pool:
        [clip] = pool.load(dataset, [ref])
    if isinstance(clip, ClipError):
        raise clip
    return clip


def present_to_model(
    parts: Assembled, clip_id: str, clip: Clip, classes: list[str], label: int | None = None
) -> OneClip:
    """A decoded clip before the cell's model, which is looked at first, as a cell's is.

    label: index into `classes`, None where nobody knows; the class explained is then the predicted one.

    Raises:
        UserError: the model's weights cannot be had, or it is refused by `look_at`.
    """
    settings, classifier = parts.settings, parts.classifier()
    tensor = present(classifier, [clip], settings.device)
    look_at(classifier, tensor, settings.chunk)
    whole = _probabilities(classifier, tensor)
    if label is None or settings.target == "predicted":
        with torch.no_grad():
            target = classifier(tensor).argmax(dim=1)
    else:
        target = torch.tensor([label], device=tensor.device)
    return OneClip(clip_id, label, clip.frames, clip.boxes, classes, classifier, tensor, target, whole, settings.seed)


def explain_clip(one: OneClip, explainer: Explainer) -> np.ndarray:
    """The map of the clip's explained class, (T, H, W) float32 in [0, 1], as a cell computes it.

    A constant map is scaled as in a cell: to zeros.

    Raises:
        NotApplicable: the method has no meaning for this model.
        ClipError: the map holds NaN, or does not fit into memory.
    """
    boxes = None if one.boxes is None else torch.as_tensor(one.boxes, device=one.tensor.device)[None]
    generators = [generator_of(one.seed, one.id)]
    try:
        maps = explain_batch(one.classifier, explainer, one.tensor, one.target, generators, boxes)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise ClipError("out_of_memory", f"{one.id}: {told_of(error)}") from error
    if not maps.finite.all():
        raise ClipError("nan_map", f"{one.id}: {NAN_MAP}")
    return maps.saliency[0].cpu().numpy()


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


@torch.no_grad()
def _probabilities(classifier: nn.Module, clip: Tensor) -> np.ndarray:
    with untouched(classifier):
        return probabilities(classifier, clip)[0].cpu().numpy()
