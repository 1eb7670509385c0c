"""What every metric asks of its inputs."""

import torch
from torch import Generator, Tensor

from vxbench.metrics.base import Batch


def finite(saliency: Tensor) -> Tensor:
    """The maps as they are.

    Raises:
        ValueError: NaN or infinity in a map; such a clip has failed and is never scored.
    """
    if not torch.isfinite(saliency).all():
        raise ValueError("saliency holds NaN or infinity")
    return saliency


def boxed_frames(batch: Batch) -> Tensor:
    """(B, T) bool: frames that carry an annotation and show a part of a box."""
    boxed = batch.boxes.flatten(2).any(dim=2)
    return boxed if batch.annotated is None else boxed & batch.annotated


def generators_of(batch: Batch) -> list[Generator]:
    """One generator a clip: the batch's, or seed 0 for every clip.

    Raises:
        ValueError: not as many generators as clips.
    """
    if batch.generators is None:
        return [Generator().manual_seed(0) for _ in batch.clip]
    if len(batch.generators) != len(batch.clip):
        raise ValueError(f"{len(batch.generators)} generators for {len(batch.clip)} clips")
    return batch.generators
