"""F-EP Fig. 3: a clip, what EP keeps of it and what F-EP keeps, with the probability of its class."""

from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from vxbench.figures.common import clip_of, display, facts, foot, iterations, made_of, stem, variant
from vxbench.figures.drawing.maps import kept_figure
from vxbench.runner.assemble import Assembled
from vxbench.runner.one_clip import explain_clip, kept_frames, open_clip, probabilities_of_kept


def make(config: DictConfig) -> list[Path]:
    """results/figures/fep_3.{png,pdf}."""
    one = open_clip(Assembled(config), config.figure.clip)
    printed = config.figure.printed
    notes, frames = {"": _note(one.p, printed.frames)}, {}
    for name in config.figure.explainers:
        saliency = explain_clip(one, Assembled(variant(config, f"explainer={name}")).explainer)
        row = display(config, name)
        frames[row] = kept_frames(one, saliency)
        notes[row] = _note(_p(probabilities_of_kept(one, saliency), one.target), printed.get(name))
    methods = iterations(config, config.figure.explainers)
    small = foot(config, made_of(config, one), *methods, f"p: of that class. printed: {printed.clip}.")
    return kept_figure(stem(config), clip_of(one, notes), frames, small, facts(config))


def _p(probabilities: np.ndarray, target) -> float:
    return float(probabilities[int(target)])


def _note(p: float, printed: float | None) -> str:
    return f"p = {p:.2f}" + ("" if printed is None else f"\nprinted {printed:.2f}")
