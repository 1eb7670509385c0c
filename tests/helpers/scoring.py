"""A batch of four clips, what turns it into rows, and a metric that remembers what it is given."""

import numpy as np
import torch

from helpers.toys import GapFC, seeded
from vxbench.datasets.base import Clip, ClipRef
from vxbench.explainers import Gradients
from vxbench.metrics.base import Metric, Scores
from vxbench.models.classifier import InputSpec
from vxbench.runner.batch import BatchScorer

REFS = [ClipRef(f"Class/{i}", None, i % 2) for i in range(4)]


class Recorder(Metric):
    """A random number a clip, from its generator; remembers what it was given."""

    keys = ("draw",)

    def __init__(self):
        self.prepared, self.batches = [], []

    def prepare(self, classifier, clips):
        self.prepared.append(clips)

    def __call__(self, classifier, batch, saliency):
        self.batches.append(batch)
        draw = torch.stack([torch.rand((), generator=generator) for generator in batch.generators])
        hot = batch.action.sum(dim=1) if batch.action is not None else torch.ones(len(draw))
        curve = draw[:, None].expand(-1, 3)
        return Scores({"draw": draw}, weights={"draw": hot}, groups={"draw": batch.label}, curves={"draw": curve})


def decoded(seed, action=None):
    frames = np.random.default_rng(seed).integers(0, 256, (4, 12, 10, 3), dtype=np.uint8)
    return Clip(frames, action=action)


def computer(**metrics):
    classifier = seeded(GapFC())
    classifier.input = InputSpec(4, 12, 10, mean=(114, 115, 116), std=(57, 58, 59))
    return BatchScorer(classifier, Gradients(), metrics, "cpu", seed=3, target="label", chunk=8)


def draws(rows):
    return dict(zip(rows["clip"], rows.value, strict=True))
