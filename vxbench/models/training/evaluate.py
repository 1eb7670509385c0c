"""Accuracy of a classifier on clips."""

import torch
from torch.utils.data import DataLoader

from vxbench.errors import ClipError
from vxbench.metrics.accuracy import RANKS, too_few, within_top
from vxbench.models.classifier import Classifier
from vxbench.models.preprocess import to_clip
from vxbench.models.training.clips import TestClips, collate


@torch.no_grad()
def accuracy(
    classifier: Classifier, clips: TestClips, batch_size: int = 16, workers: int = 0
) -> dict[str, float | None]:
    """{top1, top5}: shares of clips whose label has the largest logit, or one of the five largest.

    None where the classes are so few that it says nothing. workers: processes that decode ahead. The classifier is left
    in eval mode.

    Raises:
        ClipError: a clip cannot be read.
    """
    classifier.eval()
    device = next(classifier.parameters()).device
    right = dict.fromkeys(RANKS, 0)
    for batch in DataLoader(clips, batch_size, num_workers=workers, collate_fn=collate):
        if isinstance(batch, ClipError):
            raise batch
        clip = to_clip(batch["frames"], classifier.input.mean, classifier.input.std, device)
        output, labels = classifier(clip), batch["labels"].to(device)
        for k in RANKS:
            right[k] += int(within_top(output, labels, k).sum())
    classes = output.shape[1]
    return {f"top{k}": None if too_few(classes, k) else count / len(clips) for k, count in right.items()}
