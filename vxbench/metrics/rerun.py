"""Running an explainer again inside a metric, on the draws that the clips' own generators were seeded for."""

import torch
from torch import Tensor, nn

from vxbench.explainers.base import Explainer
from vxbench.metrics.base import Batch
from vxbench.metrics.inputs import generators_of


def fresh_generators(batch: Batch) -> list[torch.Generator]:
    """One generator a clip, as the batch's own were when they were seeded; seed 0 without any.

    They draw the same whatever was drawn before, and leave the batch's own generators alone.
    """
    return [torch.Generator().manual_seed(generator.initial_seed()) for generator in generators_of(batch)]


def explain(explainer: Explainer, classifier: nn.Module, batch: Batch) -> Tensor:
    """The explainer's map of each clip, not normalised, (B, T, H, W)."""
    return explainer(classifier, batch.clip, batch.target, generators=fresh_generators(batch), boxes=batch.boxes)


def alone(batch: Batch, index: int) -> Batch:
    """One clip of the batch, with what an explainer may look at, as a batch of 1."""
    row = slice(index, index + 1)
    boxes = None if batch.boxes is None else batch.boxes[row]
    generators = None if batch.generators is None else batch.generators[row]
    return Batch(batch.clip[row], batch.target[row], batch.label[row], boxes=boxes, generators=generators)
