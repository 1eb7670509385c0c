"""F-EP Fig. 6: maps of five methods on one clip, and what is recognised when only what a map keeps is shown."""

from pathlib import Path

from omegaconf import DictConfig

from vxbench.figures.common import facts, foot, iterations, made_of, stem
from vxbench.figures.drawing.maps import maps_print
from vxbench.figures.methods import WORDS, recognised
from vxbench.runner.assemble import Assembled
from vxbench.runner.one_clip import open_clip


def make(config: DictConfig) -> list[Path]:
    """results/figures/fep_6.{png,pdf}."""
    one = open_clip(Assembled(config), config.figure.clip)
    clip = recognised(config, one, config.figure.explainers)
    small = foot(config, made_of(config, one), *iterations(config, config.figure.explainers), WORDS)
    return maps_print(stem(config), [clip], small, facts(config), config.figure.columns)
