"""Models as conf/ describes them."""

import pytest
import torch

from helpers.configs import composed
from vxbench.config import build
from vxbench.models import Classifier

RANDOM = ("model.checkpoint=null", "model.num_classes=5")


def mini(*overrides: str) -> Classifier:
    """The mini size with random weights and 5 classes."""
    return build(composed("profile=mini", *RANDOM, *overrides), "model")


def unallocated(monkeypatch: pytest.MonkeyPatch, *overrides: str) -> Classifier:
    """The paper's size with 5 classes, on the device `meta`: shapes without numbers, so nothing to initialise."""
    from mmengine.model import BaseModule

    monkeypatch.setattr(BaseModule, "init_weights", lambda module: None)
    with torch.device("meta"):
        return build(composed("profile=paper", *RANDOM, *overrides), "model")


def blank(classifier: Classifier, count: int = 1) -> torch.Tensor:
    """Clips of the size the classifier is for, on its device."""
    spec = classifier.input
    device = next(classifier.parameters()).device
    return torch.zeros(count, 3, spec.frames, spec.height, spec.width, device=device)


def noise(classifier: Classifier, count: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.randn(blank(classifier, count).shape, generator=torch.Generator().manual_seed(seed))


def outputs_of(classifier: Classifier, layer: str, clip: torch.Tensor) -> torch.Tensor:
    """What the layer gives for the clip."""
    seen = []
    handle = classifier.get_submodule(layer).register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        classifier(clip)
    handle.remove()
    return seen[0]
