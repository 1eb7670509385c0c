"""Maps of several methods on a clip, and what the network recognises when only what a map keeps is shown."""

from collections.abc import Sequence

from omegaconf import DictConfig

from vxbench.report.figures import FigureClip
from vxbench.runner.figures.methods import maps_of
from vxbench.runner.figures.shared import display, verdict
from vxbench.runner.one_clip import OneClip, kept

WORDS = "below each method: the class recognised when only what its map keeps is shown, the rest blurred"


def recognised(config: DictConfig, one: OneClip, explainers: Sequence[str]) -> tuple[FigureClip, list[tuple[str, str]]]:
    """The clip with the map of every method and, as notes, the class recognised and its probability; and the rows.

    A method that does not apply to the model has no map, and its note says so.
    """
    clip, absent = maps_of(config, one, explainers)
    clip.notes[""] = verdict(one, one.probabilities)
    clip.notes |= {name: verdict(one, kept(one, saliency)) for name, saliency in clip.maps.items()}
    clip.notes |= dict.fromkeys(absent, "does not apply")
    return clip, [(name, display(config, name)) for name in explainers]
