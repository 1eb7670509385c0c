"""Where training gets its frames: from the videos, or from mini scenes drawn without their actors."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from vxbench.datasets.base import ClipRef, VideoDataset
from vxbench.datasets.decode import Pick
from vxbench.datasets.mini.appearance import unpacked
from vxbench.datasets.mini.generate import MANIFEST
from vxbench.datasets.mini.scene import scene
from vxbench.datasets.transform import Spatial, cut_frames
from vxbench.errors import UserError

Reader = Callable[[ClipRef, Pick], np.ndarray]  # (ref, pick) -> (T, H, W, 3) uint8 at the model's size


def videos(dataset: VideoDataset) -> Reader:
    """Reads the frames of a clip as the data set does; `pick(n)` chooses among them."""
    return lambda ref, pick: dataset.read(ref, pick).frames


def backgrounds(spatial: Spatial, root: Path) -> Reader:
    """Draws the mini clip anew without its actors; distractor and moving background stay.

    Raises:
        UserError: root does not hold the mini data set.
    """
    try:
        seed = json.loads((Path(root) / MANIFEST).read_text())["plan"]["seed"]
    except OSError as err:
        raise UserError(f"control=background needs the mini data set; {root} has no {MANIFEST}") from err
    return lambda ref, pick: _cut(without_actors(seed, ref.id, pick), spatial)


def without_actors(seed: int, clip: str, pick: Pick) -> np.ndarray:
    """(T, 240, 320, 3) uint8 of mini clip `<Class>/v_<Class>_g<group>_c<number>` without its actors."""
    name, group, number = clip.split("/")[1].removeprefix("v_").split("_")
    drawn = scene(seed, name, int(group[1:]), int(number[1:]))
    empty = replace(drawn, movers=drawn.movers[:1])  # the distractor is drawn first, the actors over it
    return np.stack([unpacked(empty.frame(t)) for t in pick(len(empty))])


def _cut(frames: np.ndarray, spatial: Spatial) -> np.ndarray:
    return cut_frames(frames, spatial.window(frames.shape[2], frames.shape[1]))
