"""Full-size networks with random weights: time does not depend on them."""

import torch
from omegaconf import DictConfig
from torch import Tensor, nn

from vxbench.config import build, compose

CLASSES = 400


def composed(model: str, *overrides: str) -> DictConfig:
    """The configuration of a model at its paper's size."""
    random = ["model.checkpoint=null", f"model.num_classes={CLASSES}"]
    return compose([f"model={model}", "profile=paper", *random, *overrides])


def network(config: DictConfig, device: str) -> nn.Module:
    return build(config, "model").to(device).eval().requires_grad_(False)


def random_clips(config: DictConfig, batch: int, device: str) -> tuple[Tensor, Tensor]:
    """clip (B, 3, T, H, W) of noise, target (B,)."""
    size = config.model.input
    clip = torch.randn(batch, 3, size.frames, size.height, size.width, device=device)
    return clip, torch.zeros(batch, dtype=torch.long, device=device)


def forward_and_gradient(classifier: nn.Module, clip: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs (B, K), and the gradient of each clip's target output with respect to the clip."""
    x = clip.clone().requires_grad_()
    with torch.enable_grad():
        outputs = classifier(x)
        (gradient,) = torch.autograd.grad(outputs.gather(1, target[:, None]).sum(), x)
    return outputs.detach(), gradient
