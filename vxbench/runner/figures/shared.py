"""What the figures of one or two clips share: the file's name, the foot, the clip as drawings take it."""

import re
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from vxbench.report.figures import FigureClip
from vxbench.report.published import display_names, layout
from vxbench.runner.one_clip import OneClip


def stem(config: DictConfig) -> Path:
    """Of the figure's files, to which .png and .pdf are added."""
    return Path(config.paths.results) / "figures" / config.figure.key


def foot(config: DictConfig, *facts: str) -> str:
    """Small print below a figure: the profile, then what it was made of, in one line each."""
    profile = config.profile
    return "\n".join([f"profile {profile.name}: {profile.title}; seed {config.seed}", *facts])


def made_of(config: DictConfig, one: OneClip) -> str:
    """Model, data set, clip and explained class of one config, and the iterations if its method has any."""
    dataset = config.hydra.runtime.choices.dataset
    iterations = f"; {config.explainer.iterations} iterations" if "iterations" in config.explainer else ""
    return (
        f"{config.model.display} on {display_names('datasets').get(dataset, dataset)}, clip {one.id}; "
        f"explained class: {one.target_name} ({config.target}){iterations}"
    )


def clip_of(one: OneClip, notes: dict[str, str]) -> FigureClip:
    """The clip as drawings take it, without maps."""
    title = one.target_name if one.label is None else one.classes[one.label]
    return FigureClip(one.id, title, one.frames, one.boxes, {}, notes)


def verdict(one: OneClip, probabilities: np.ndarray) -> str:
    """The class recognised and its probability; (K,)."""
    best = int(probabilities.argmax())
    return f"{one.classes[best]}\np = {probabilities[best]:.2f}"


def display(config: DictConfig, explainer: str) -> str:
    """The method's printed name in the figure's table, without the authors' "ours"."""
    name = layout(config.table.key).rows.get(explainer, explainer)
    return re.sub(r"^Ours \((.+)\)$|^(.+) \(ours\)$", lambda found: found[1] or found[2], name)
