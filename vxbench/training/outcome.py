"""Measures the accuracy of a classifier on clips, and writes its weights with their record."""

import json
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from vxbench.errors import UserError
from vxbench.files import write_whole
from vxbench.metrics.accuracy import RANKS, too_few, within_top
from vxbench.models.checkpoints import digest
from vxbench.models.classifier import Classifier, to_clip
from vxbench.training.clips import SkippedClips, TestClips, batches


@torch.no_grad()
def accuracy(
    classifier: Classifier,
    clips: TestClips,
    batch_size: int = 16,
    workers: int = 0,
    timeout_s: float = 0,
    left_out: SkippedClips | None = None,
) -> dict[str, float | None]:
    """{top1, top5}: shares of clips whose label has the largest logit, or one of the five largest.

    None where the classes are so few that it says nothing. workers: processes that decode ahead, each batch within
    timeout_s. left_out: takes the clips that cannot be read; None refuses them. The classifier is left in eval mode.

    Raises:
        ClipError: a clip cannot be read.
        UserError: none can.
    """
    left_out = left_out or SkippedClips()
    classifier.eval()
    device = next(classifier.parameters()).device
    seen, right = 0, dict.fromkeys(RANKS, 0)
    for batch in map(left_out.sift, batches(clips, batch_size, workers, timeout_s)):
        if not len(batch["labels"]):
            continue
        clip = to_clip(batch["frames"], classifier.input.mean, classifier.input.std, device)
        output, labels = classifier(clip), batch["labels"].to(device)
        for k in RANKS:
            right[k] += int(within_top(output, labels, k).sum())
        seen += len(labels)
    if not seen:
        raise UserError(f"none of the {len(clips)} test clips can be read")
    classes = output.shape[1]
    return {f"top{k}": None if too_few(classes, k) else count / seen for k, count in right.items()}


PACKAGES = ("torch", "mmengine", "mmaction2", "numpy")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide what training gives."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def export(classifier: Classifier, path: Path, record: dict[str, Any]) -> None:
    """Writes the recognizer's weights as safetensors, and beside them the record, with the weights' digest, as JSON.

    The record is written last: where there is one, the weights are whole.

    Raises:
        OSError: a file cannot be written.
    """
    from safetensors.torch import save_file

    weights = classifier.recognizer.state_dict()
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in weights.items()}
    write_whole(path, lambda temporary: save_file(tensors, temporary))
    record = {"weights": path.name, "digest": digest(path), **record}
    write_whole(path.with_suffix(".json"), (json.dumps(record, indent=1, allow_nan=False) + "\n").encode())
