"""A small classifier in float64 for the perturbation family, and runs that keep what every iteration saw."""

import torch
from toys import GapFC, clips, seeded

from vxbench.explainers.perturbation.loop import Step

FRAMES, HEIGHT, WIDTH = 8, 16, 20
SMALL = {"step": 4, "sigma": 5, "iterations": 5}  # seeds 8 x 4 x 5, padded masks 8 x 21 x 25
TARGET = torch.tensor([1, 3])


def small_model(dtype=torch.float64):
    return seeded(GapFC()).to(dtype)


def small_clips(count=1, dtype=torch.float64):
    return clips(2, 3, FRAMES, HEIGHT, WIDTH, seed=5, dtype=dtype)[:count]


def generators(count, seed=0):
    return [torch.Generator().manual_seed(seed + i) for i in range(count)]


def record(explainer, model=None, clip=None, target=None, seed=0) -> tuple[torch.Tensor, list[Step]]:
    """The saliency and one Step per iteration (and chunk). By default the small model on its first clip."""
    clip = small_clips() if clip is None else clip
    target = TARGET[: len(clip)] if target is None else target
    steps: list[Step] = []
    explainer.observer = steps.append
    saliency = explainer(
        small_model() if model is None else model, clip, target, generators=generators(len(clip), seed)
    )
    return saliency, steps


def seeds_of(steps: list[Step]) -> torch.Tensor:
    """(iterations, N, T, h, w)."""
    return torch.stack([step.seed for step in steps])
