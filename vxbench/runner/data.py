"""Opens the data set that a config describes: the generated one at the mini size, a real one at the papers'."""

from numbers import Integral
from typing import Any

from omegaconf import DictConfig

from vxbench.config import build
from vxbench.datasets import mini
from vxbench.datasets.base import VideoDataset
from vxbench.errors import Missing, UserError
from vxbench.ranges import local


def open_dataset(config: DictConfig, **changes: Any) -> VideoDataset:
    """The data set, with these settings in place of the config's.

    Raises:
        UserError: it is not there or not sound, or the generated data lie where the papers' size wants the real ones.
    """
    root, generated = local("dataset.root", config.dataset.root), config.scale.name == "mini"
    if not generated and mini.is_below(root):
        raise UserError(
            f"{root} holds the generated mini data, which profile={config.profile.name} is not for; "
            "say where the real data are: paths.data=<folder> or VXBENCH_DATA"
        )
    try:
        return _labelled(build(config, "dataset", **changes))
    except Missing as error:
        if not generated:
            raise
        raise Missing(str(error), [f"for the generated mini data: vxbench make-mini --root {root}"]) from error


def _labelled(dataset: VideoDataset) -> VideoDataset:
    """Returns the data set, once every clip is known to have one of its classes.

    Raises:
        UserError: one has not; on a GPU, such a label would end the process.
    """
    classes = len(dataset.classes)
    for ref in dataset.clips:
        if not isinstance(ref.label, Integral) or not 0 <= ref.label < classes:
            raise UserError(
                f"{type(dataset).__name__}: clip {ref.id} has label {ref.label}, which is no index of its {classes} "
                f"classes, from 0 to {classes - 1}"
            )
    return dataset
