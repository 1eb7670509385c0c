"""A small network with batch norms, and runs of the sanity check that keep every network explained."""

import copy
import math

import numpy as np
import torch
from torch import nn

from helpers.toys import clips, seeded
from vxbench.explainers import Gradients
from vxbench.explainers.base import Explainer
from vxbench.explainers.normalise import normalise
from vxbench.metrics.base import Batch
from vxbench.metrics.sanity import SanityCheck

STAGES = {"fc": ["fc"], "layer2": ["layer2"], "layer1": ["layer1"]}
NAMES = ["original", "fc", "layer2", "layer1"]
SHAPE = (3, 4, 14, 18)
FIELD = SHAPE[1:]
BATCH_NORMS = {"layer1": ["layer1.1"], "layer2": ["layer2.1", "layer2.3"]}
ALL_BATCH_NORMS = ["layer1.1", "layer2.1", "layer2.3"]


class Net(nn.Module):
    """Three batch norms in two layers, in-place ReLUs, dropout."""

    def __init__(self):
        super().__init__()
        self.layer1 = nn.Sequential(nn.Conv3d(3, 6, 3, stride=(1, 2, 2), padding=1), nn.BatchNorm3d(6), nn.ReLU(True))
        self.layer2 = nn.Sequential(
            nn.Conv3d(6, 8, 3, stride=(2, 1, 1), padding=1),
            nn.BatchNorm3d(8),
            nn.ReLU(True),
            nn.BatchNorm3d(8, momentum=0.3),
        )
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(8, 4)

    def forward(self, clip):
        return self.fc(self.dropout(self.layer2(self.layer1(clip)).mean(dim=(2, 3, 4))))


def make_model():
    """With running statistics of its own."""
    model = seeded(Net()).double()
    generator = torch.Generator().manual_seed(9)
    for name in ALL_BATCH_NORMS:
        norm = model.get_submodule(name)
        norm.running_mean.normal_(0, 0.3, generator=generator)
        norm.running_var.uniform_(0.5, 2, generator=generator)
        norm.num_batches_tracked.fill_(77)
    return model


def make_batch(count=3):
    target = torch.arange(count) % 4
    generators = [torch.Generator().manual_seed(100 + i) for i in range(count)]
    clip = clips(count, *SHAPE, seed=5, dtype=torch.float64)
    return Batch(clip, target, target, generators=generators)


def map_of(explainer, model, batch):
    """The map as the runner has it. Uses up the batch's generators, as a run may."""
    saliency = explainer(model, batch.clip, batch.target, generators=batch.generators)
    return normalise(saliency, explainer.normaliser)[0]


def scores_of(explainer, model, batch, calibration=None, stages=STAGES, **settings):
    metric = SanityCheck(explainer, stages, **{"bn": "keep"} | settings)
    if calibration is not None:
        metric.prepare(model, calibration)
    return metric(model, batch, map_of(explainer, model, batch))


class Witness(Explainer):
    """Gradients that keep a copy of every network they explain."""

    def __init__(self):
        super().__init__()
        self.networks, self.targets = [], []

    def explain(self, classifier, clip, target, context):
        self.networks.append(copy.deepcopy(classifier))
        self.targets.append(target.clone())
        return Gradients().explain(classifier, clip, target, context)


def networks_of(model, calibration=None, stages=STAGES, **settings) -> dict[str, dict[str, torch.Tensor]]:
    """{stage: the state of the network explained}."""
    metric, batch = SanityCheck(witness := Witness(), stages, **settings), make_batch()
    if calibration is not None:
        metric.prepare(model, calibration)
    metric(model, batch, batch.clip[:, 0])
    return {stage: network.state_dict() for stage, network in zip(["original", *stages], witness.networks, strict=True)}


def changed(before, after) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


def weights_of(*layers):
    """Names of the weights and biases in Net's layers."""
    return {name for name, _ in Net().named_parameters() if name.split(".")[0] in layers}


def plain_ssim(a, b):
    """Wang et al. 2004, window by window, with plain sums. a, b: (H, W) float64."""
    h, w = (min(11, size if size % 2 else size - 1) for size in a.shape)
    g = [[math.exp(-((y - h // 2) ** 2 + (x - w // 2) ** 2) / (2 * 1.5**2)) for x in range(w)] for y in range(h)]
    g = np.array(g) / np.sum(g)
    values = []
    for y in range(a.shape[0] - h + 1):
        for x in range(a.shape[1] - w + 1):
            p, q = a[y : y + h, x : x + w], b[y : y + h, x : x + w]
            mu_p, mu_q = (g * p).sum(), (g * q).sum()
            var_p, var_q = (g * (p - mu_p) ** 2).sum(), (g * (q - mu_q) ** 2).sum()
            both = (g * (p - mu_p) * (q - mu_q)).sum()
            c1, c2 = 0.01**2, 0.03**2
            values.append((2 * mu_p * mu_q + c1) * (2 * both + c2) / ((mu_p**2 + mu_q**2 + c1) * (var_p + var_q + c2)))
    return np.mean(values)
