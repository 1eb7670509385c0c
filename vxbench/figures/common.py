"""Configs of figures: one of the figure itself, and one for each model, data set and explainer that it draws."""

import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from vxbench.config import compose
from vxbench.figures.drawing.maps import FigureClip
from vxbench.files import fitted
from vxbench.runner.one_clip import OneClip
from vxbench.tables.published import display_names, layout


def composed(key: str, overrides: list[str]) -> DictConfig:
    """The config of figure `key`: conf/run.yaml with conf/figure/<key>.yaml, then the overrides.

    Raises:
        HydraException: an override that fits nothing.
    """
    return _compose([f"+figure={key}", *overrides])


def variant(config: DictConfig, *overrides: str) -> DictConfig:
    """A config of `composed` with further overrides, such as explainer=fep; they come last and so win."""
    return _compose([*config.hydra.overrides.task, *overrides])


def _compose(overrides: list[str]) -> DictConfig:
    return compose(overrides, with_hydra=True)


def stem(config: DictConfig) -> Path:
    """Path of the figure without its ending."""
    return Path(config.paths.results) / "figures" / fitted(config.figure.key)


def files_of(config: DictConfig) -> list[Path]:
    """The files that the figure is written to."""
    return [stem(config).with_name(f"{stem(config).name}.{kind}") for kind in ("png", "pdf")]


def facts(config: DictConfig) -> dict[str, str]:
    """What is written into the figure's file, for report.py."""
    return {"profile": config.profile.name, "made": datetime.now(UTC).isoformat(timespec="seconds")}


def foot(config: DictConfig, *lines: str) -> str:
    """Small print below a figure: the profile, then what it was made of, in one line each."""
    profile = config.profile
    return "\n".join([f"profile {profile.name}: {profile.title}; seed {config.seed}", *lines])


def made_of(config: DictConfig, one: OneClip) -> str:
    """Model, data set, clip and explained class of one config."""
    dataset = config.hydra.runtime.choices.dataset
    return (
        f"{config.model.display} on {display_names('datasets').get(dataset, dataset)}, clip {one.id}; "
        f"explained class: {one.target_name} ({config.target})"
    )


def iterations(config: DictConfig, explainers: Sequence[str]) -> list[str]:
    """A line on how many iterations those of the methods have that iterate; none without such a method."""
    nodes = [variant(config, f"explainer={name}").explainer for name in explainers]
    counts = [node.iterations for node in nodes if "iterations" in node]
    return [f"perturbation methods: {span(counts)} iterations"] if counts else []


def span(counts: Collection[int]) -> str:
    """The least to the largest; one number where they are equal."""
    return " to ".join(map(str, sorted({min(counts), max(counts)})))


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
