"""Draws maps of several methods on a clip of each data set, one network beside the other."""

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from vxbench.errors import NotApplicable
from vxbench.figures.common import clip_of, display, facts, foot, iterations, made_of, stem, variant, verdict
from vxbench.figures.drawing.maps import FigureClip, block, side_by_side
from vxbench.figures.drawing.save import save
from vxbench.figures.drawing.tiles import Block, tiles_figure
from vxbench.runner.assemble import Assembled
from vxbench.runner.one_clip import OneClip, explain_clip, open_clip, probabilities_of_kept
from vxbench.tables.published import display_names


def make(config: DictConfig) -> list[Path]:
    """results/figures/<key>.{png,pdf}: a block a data set of `figure.clips`, a group of columns a model."""
    blocks, lines = [], []
    for dataset, clip_id in config.figure.clips.items():
        drawn, said = block_of(config, dataset, clip_id)
        blocks.append(drawn)
        lines += said
    small = foot(config, *lines, *iterations(config, config.figure.explainers))
    return save(tiles_figure(blocks, small), stem(config), facts(config))


def block_of(config: DictConfig, dataset: str, clip_id: str | None) -> tuple[Block, list[str]]:
    """The clip's maps by all methods and models, and lines for the foot. clip_id: None for the first."""
    parts, lines, wanted = {}, [], config.figure
    given = wanted.get("names") or {}
    rows = [(name, given.get(name, display(config, name))) for name in wanted.explainers]
    for model in wanted.models:
        mine = variant(config, f"model={model}", f"dataset={dataset}")
        one = open_clip(Assembled(mine), clip_id)
        clip_id = one.id  # the next model's clip is this one
        clip, absent = maps_of(mine, one, wanted.explainers)
        parts[mine.model.display] = block(clip, rows, wanted.columns)
        lines.append(made_of(mine, one))
        lines += [
            f"–: {dict(rows)[name]} does not apply to {mine.model.display}: {why}" for name, why in absent.items()
        ]
    for row in (row for part in parts.values() for row in part.rows):
        row.missing = "–"
    name = display_names("datasets").get(dataset, dataset)
    return side_by_side(f"{name}: {clip.label_name}", clip_id, parts), lines


def maps_of(config: DictConfig, one: OneClip, explainers: Sequence[str]) -> tuple[FigureClip, dict[str, str]]:
    """The clip with its maps, and for every method that does not apply to the model the reason."""
    clip, absent = clip_of(one, {}), {}
    for name in explainers:
        try:
            clip.maps[name] = explain_clip(one, Assembled(variant(config, f"explainer={name}")).explainer)
        except NotApplicable as error:
            absent[name] = str(error)
    return clip, absent


WORDS = "below each method: the class recognised when only what its map keeps is shown, the rest blurred"


def recognised(config: DictConfig, one: OneClip, explainers: Sequence[str]) -> tuple[FigureClip, list[tuple[str, str]]]:
    """The clip with the map of every method and, as notes, the class recognised and its probability; and the rows.

    A method that does not apply to the model has no map, and its note says so.
    """
    clip, absent = maps_of(config, one, explainers)
    clip.notes[""] = verdict(one, one.probabilities)
    clip.notes |= {name: verdict(one, probabilities_of_kept(one, saliency)) for name, saliency in clip.maps.items()}
    clip.notes |= dict.fromkeys(absent, "does not apply")
    return clip, [(name, display(config, name)) for name in explainers]
