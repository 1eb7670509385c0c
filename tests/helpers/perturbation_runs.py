"""A small classifier in float64 for the perturbation family, and runs that keep what every iteration saw."""

import torch

from helpers.toys import GapFC, clips, seeded
from vxbench.explainers.perturbation.loop import Iteration
from vxbench.explainers.perturbation.mask import MaskGenerator
from vxbench.explainers.perturbation.pyramid import Pyramid
from vxbench.explainers.perturbation.regularisers import AreaTerm
from vxbench.network import class_score

EXACT = {"rtol": 0, "atol": 1e-12}  # float64, the same arithmetic in another order
FRAMES, HEIGHT, WIDTH = 8, 16, 20
SMALL = {"step": 4, "sigma": 5, "iterations": 5}  # seeds 8 x 4 x 5, padded masks 8 x 21 x 25
TARGET = torch.tensor([1, 3])


def small_model(dtype=torch.float64):
    return seeded(GapFC()).to(dtype)


def small_clips(count=1, dtype=torch.float64):
    return clips(2, 3, FRAMES, HEIGHT, WIDTH, seed=5, dtype=dtype)[:count]


def small_generator():
    return MaskGenerator(HEIGHT, WIDTH, SMALL["step"], SMALL["sigma"])


def first_seed():
    """(1, T, h, w) of ones, as every run begins."""
    return torch.ones(1, FRAMES, *small_generator().seed_shape, dtype=torch.float64)


def energy(padded) -> tuple[torch.Tensor, torch.Tensor]:
    """-100 log p of the clip that a padded mask (1, T, H', W') keeps, and 300 times its area term at .1."""
    perturbed = Pyramid(small_clips()).apply(small_generator().crop(padded))
    kept = class_score(small_model(), perturbed, TARGET[:1], "prob")
    area = AreaTerm()(padded, torch.tensor([0.1], dtype=torch.float64), generators(1))
    return -100 * kept.log().sum(), 300 * area.sum()


def generators(count, seed=0):
    return [torch.Generator().manual_seed(seed + i) for i in range(count)]


def record(explainer, model=None, clip=None, target=None, seed=0) -> tuple[torch.Tensor, list[Iteration]]:
    """The saliency and one Iteration per iteration (and chunk). By default the small model on its first clip."""
    clip = small_clips() if clip is None else clip
    target = TARGET[: len(clip)] if target is None else target
    steps: list[Iteration] = []
    explainer.observer = steps.append
    saliency = explainer(
        small_model() if model is None else model, clip, target, generators=generators(len(clip), seed)
    )
    return saliency, steps


def seeds_of(steps: list[Iteration]) -> torch.Tensor:
    """(iterations, N, T, h, w)."""
    return torch.stack([step.seed for step in steps])
