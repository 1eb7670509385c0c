"""F-EP Fig. 2: the gradient that EP descends along, and what F-EP's modulation makes of it."""

from pathlib import Path

import numpy as np
import torch
from omegaconf import DictConfig
from torch import Tensor

from vxbench.errors import UserError
from vxbench.explainers.perturbation.frequency import BandFilter
from vxbench.explainers.perturbation.methods import FEP, FEPOnSTEP
from vxbench.figures.common import clip_of, facts, foot, made_of, stem
from vxbench.figures.drawing.maps import signed_figure
from vxbench.ranges import within
from vxbench.runner.assemble import Assembled
from vxbench.runner.one_clip import OneClip, explain_clip, open_clip


class Watched:
    """A band filter that remembers what it was last given and what it made of it."""

    def __init__(self, band: BandFilter):
        self.band = band
        self.raw: Tensor | None = None
        self.modulated: Tensor | None = None

    def __call__(self, field: Tensor) -> Tensor:
        self.raw, self.modulated = field.detach(), self.band(field).detach()
        return self.modulated


def make(config: DictConfig) -> list[Path]:
    """results/figures/fep_2.{png,pdf}: frames, g and g~ of the same iteration, on one scale."""
    explainer, one = in_seed(config), open_clip(Assembled(config), config.figure.clip)
    done = round(within("figure.after", config.figure.after, 0, 1) * explainer.iterations)
    raw, modulated = gradients(config, one, done)
    line = (
        f"gradient in F-EP's seed after {done} of {explainer.iterations} iterations, each seed drawn over the pixels "
        f"nearest to it; r_l = {config.explainer.r_l:g}, r_h = {config.explainer.r_h:g}"
    )
    maps = {"EP: g": raw, "F-EP: modulated g": modulated}
    small = foot(config, made_of(config, one), line)
    return signed_figure(stem(config), clip_of(one, {}), maps, small, facts(config))


def in_seed(config: DictConfig) -> FEP | FEPOnSTEP:
    """The explainer. Raises UserError for one that modulates no gradient, or not the seed's."""
    explainer = Assembled(config).explainer
    if getattr(explainer, "tensor", None) != "seed":
        raise UserError("fep_2 shows the gradient in the seed: use explainer=fep or fep_on_step, explainer.tensor=seed")
    return explainer


def gradients(config: DictConfig, one: OneClip, done: int) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the objective in F-EP's seed after `done` iterations, and the same modulated, on the frame's pixels.

    Each (T, H, W). Raises as `in_seed`.
    """
    explainer = in_seed(config)
    explainer.band = watched = Watched(explainer.band)
    explainer.iterations = done + 1
    explain_clip(one, explainer)
    step = explainer.mask_generator(*one.frames.shape[1:3]).rows.step
    raw, modulated = (on_frame(field[0], one.frames.shape[1:3], step) for field in (watched.raw, watched.modulated))
    return raw, modulated


def on_frame(seed: Tensor, size: tuple[int, int], step: int) -> np.ndarray:
    """Each pixel takes the value of the seed nearest to it: (T, h, w) -> (T, H, W). Seed i lies at pixel step * i."""
    down, across = (
        (torch.arange(pixels) / step).round().long().clamp(max=seeds - 1)
        for pixels, seeds in zip(size, seed.shape[1:], strict=True)
    )
    return seed.cpu()[:, down][:, :, across].numpy()
