"""Accuracy of a classifier on clips."""

import torch

from vxbench.errors import UserError
from vxbench.metrics.accuracy import RANKS, too_few, within_top
from vxbench.models.classifier import Classifier
from vxbench.models.preprocess import to_clip
from vxbench.models.training.clips import TestClips, batches
from vxbench.models.training.unreadable import LeftOut


@torch.no_grad()
def accuracy(
    classifier: Classifier,
    clips: TestClips,
    batch_size: int = 16,
    workers: int = 0,
    timeout_s: float = 0,
    left_out: LeftOut | None = None,
) -> dict[str, float | None]:
    """{top1, top5}: shares of clips whose label has the largest logit, or one of the five largest.

    None where the classes are so few that it says nothing. workers: processes that decode ahead, each batch within
    timeout_s. left_out: takes the clips that cannot be read; None refuses them. The classifier is left in eval mode.

    Raises:
        ClipError: a clip cannot be read.
        UserError: none can.
    """
    left_out = left_out or LeftOut()
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
