"""Builds networks with random weights and clips of noise, on which time does not depend."""

import torch
from torch import Tensor, nn

from vxbench.config import compose
from vxbench.runner.assemble import Assembled

CLASSES = 400


def assembled(model: str, device: str, *overrides: str) -> Assembled:
    """A cell of a model at its paper's size, with random weights."""
    config = compose([f"model={model}", "profile=paper", f"device={device}", *overrides], with_hydra=True)
    return Assembled(config).with_random_weights(CLASSES)


def network(parts: Assembled) -> nn.Module:
    return parts.classifier().requires_grad_(False)


def random_clips(parts: Assembled, batch: int) -> tuple[Tensor, Tensor]:
    """clip (B, 3, T, H, W) of noise, target (B,)."""
    clip = torch.randn(batch, 3, *parts.shape, device=parts.device)
    return clip, torch.zeros(batch, dtype=torch.long, device=parts.device)


def forward_and_gradient(classifier: nn.Module, clip: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs (B, K), and the gradient of each clip's target output with respect to the clip."""
    x = clip.clone().requires_grad_()
    with torch.enable_grad():
        outputs = classifier(x)
        (gradient,) = torch.autograd.grad(outputs.gather(1, target[:, None]).sum(), x)
    return outputs.detach(), gradient
