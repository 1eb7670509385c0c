"""STEP Fig. 2: EP-3D's mask of the smallest area that keeps the class's probability, for two networks."""

import copy
from pathlib import Path

from omegaconf import DictConfig
from torch import Tensor

from vxbench.config import build
from vxbench.explainers.base import Context
from vxbench.figures.common import clip_of, facts, foot, made_of, stem, variant
from vxbench.figures.drawing.maps import FigureClip, maps_print
from vxbench.metrics.preservation import MinimumPreservationRatio
from vxbench.network import untouched
from vxbench.runner.assemble import Assembled
from vxbench.runner.batch import generator_of
from vxbench.runner.one_clip import OneClip, open_clip

WORDS = (
    "a: smallest share asked of the padded mask for which what is kept reaches the whole clip's p",
    "covers: mean of the mask that was found, over the clip's voxels",
)


def make(config: DictConfig) -> list[Path]:
    """results/figures/step_2.{png,pdf}: a block a network, all of one clip."""
    clips, lines, clip_id = [], [], config.figure.clip
    for model in config.figure.models:
        mine = variant(config, f"model={model}")
        one = open_clip(Assembled(mine), clip_id)
        clip_id = one.id  # the next network's clip is this one
        clips.append((panel(mine, one), [("mask", "EP-3D")]))
        lines.append(made_of(mine, one))
    lines.append(f"EP-3D: {config.metric.min_preservation_ratio.explainer.iterations} iterations an area")
    return maps_print(stem(config), clips, foot(config, *lines, *WORDS), facts(config), config.figure.columns)


def panel(config: DictConfig, one: OneClip) -> FigureClip:
    """The clip with its smallest mask, and beside it the areas and probabilities."""
    area, p, mask = smallest(build(config, "metric.min_preservation_ratio"), one, config.seed)
    said = f"a = {area:g}\ncovers {mask.mean():.2f}\np = {p:.2f}"
    clip = clip_of(one, {"": f"p = {one.p:.2f}", "mask": said})
    clip.label_name = f"{config.model.display}: {clip.label_name}"
    clip.maps["mask"] = mask.cpu().numpy()
    return clip


def smallest(ratio: MinimumPreservationRatio, one: OneClip, seed: int) -> tuple[float, float, Tensor]:
    """The metric's ratio for the clip, p of what the mask of that area keeps, and the mask (T, H, W).

    Areas are tried upwards until one is enough, each with the draws that the metric gives it. Where none is: 1, the
    clip's own p and a mask of ones.
    """
    explainer, context = copy.copy(ratio.explainer), Context([generator_of(seed, one.id)])
    with untouched(one.classifier):
        for area in ratio.grid[:-1]:
            explainer.areas = [area]
            masks, kept = explainer.per_area(one.classifier, one.tensor, one.target, context)
            if kept.item() >= one.p - ratio.slack:
                return area, kept.item(), masks[0, 0]
    return 1.0, one.p, one.tensor.new_ones(one.frames.shape[:3])
