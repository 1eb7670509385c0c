"""STEP Fig. 3: maps of the methods of Table 3 on a clip of each network."""

from pathlib import Path

from omegaconf import DictConfig

from vxbench.figures.common import facts, foot, iterations, made_of, stem, variant
from vxbench.figures.drawing.maps import maps_print
from vxbench.figures.methods import WORDS, recognised
from vxbench.runner.assemble import Assembled
from vxbench.runner.one_clip import open_clip


def make(config: DictConfig) -> list[Path]:
    """results/figures/step_3.{png,pdf}: a block a network, with the rows that apply to it."""
    clips, lines = [], []
    for panel in config.figure.panels:
        mine = variant(config, f"model={panel.model}", f"dataset={panel.dataset}")
        one = open_clip(Assembled(mine), panel.clip)
        clip, rows = recognised(mine, one, panel.explainers)
        clip.label_name = f"{mine.model.display}: {clip.label_name}"
        clips.append((clip, rows))
        lines.append(f"{made_of(mine, one)}; area of the masks {areas(mine)}")
    methods = iterations(config, [name for panel in config.figure.panels for name in panel.explainers])
    return maps_print(stem(config), clips, foot(config, *lines, *methods, WORDS), facts(config), config.figure.columns)


def areas(config: DictConfig) -> str:
    """Areas of the perturbation methods' masks on this network."""
    return ", ".join(f"{area:g}" for area in config.table.settings.areas[config.model.key])
