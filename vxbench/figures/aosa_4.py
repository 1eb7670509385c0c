"""AOSA Fig. 4: the optical flow of a clip, a mask that follows it and the masks that move alike joined to it."""

from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from vxbench.errors import UserError
from vxbench.explainers.occlusion import AOSA
from vxbench.explainers.occlusion.holes import Holes
from vxbench.explainers.occlusion.motion import Tracks, eight_bit
from vxbench.figures.common import clip_of, facts, foot, made_of, stem
from vxbench.figures.drawing.masks import Arrows, masks_figure
from vxbench.ranges import whole
from vxbench.runner.assemble import Assembled
from vxbench.runner.one_clip import open_clip


def make(config: DictConfig) -> list[Path]:
    """results/figures/aosa_4.{png,pdf}.

    Raises:
        UserError: an explainer other than AOSA, or an anchor that does not exist.
    """
    cell, wanted = Assembled(config), config.figure
    explainer = cell.explainer
    if not isinstance(explainer, AOSA):
        raise UserError("aosa_4 shows masks that follow the motion; use explainer=aosa")
    one = open_clip(cell, wanted.clip)
    frames = eight_bit(one.tensor, explainer.mean, explainer.std, explainer.frames)[0].cpu().numpy()
    tracks, holes = explainer.tracks_of(frames), explainer.tubes_of(frames)
    anchor = farthest(tracks) if wanted.anchor is None else wanted.anchor
    whole("figure.anchor", anchor, 0, len(holes) - 1)
    arrows = arrows_of(tracks, anchor, explainer.stride, whole("figure.arrows", wanted.arrows, 1))
    words = (
        f"anchor {anchor} of {len(holes)}, every {explainer.stride} pixels; squares of {explainer.hole} pixels, "
        "the anchor's own in orange; hidden pixels take the mean colour, as the network sees them"
    )
    small = foot(config, made_of(config, one), words)
    fill, squares = tuple(one.classifier.input.mean), squares_of(holes, anchor)
    return masks_figure(stem(config), clip_of(one, {}), arrows, squares, fill, small, facts(config), wanted.columns)


def farthest(tracks: Tracks) -> int:
    """The anchor of the longest way while it is alive, the first among equals."""
    way = np.hypot(tracks.displacement[:, 0], tracks.displacement[:, 1]) * tracks.alive[:-1]
    return int(way.sum(axis=0).argmax())


def arrows_of(tracks: Tracks, anchor: int, stride: int, every: int) -> Arrows:
    """The flow at every `every`-th anchor down and across, and at `anchor`, as long as each is alive."""
    down, across = (np.unique(array[0], return_inverse=True)[1] for array in (tracks.y, tracks.x))
    chosen = (down % every == 0) & (across % every == 0)
    chosen[anchor] = True
    numbers = np.nonzero(chosen)[0]
    x, y = (array[:-1, numbers].astype(float) for array in (tracks.x, tracks.y))
    dx, dy = np.moveaxis(np.where(tracks.alive[:-1, None], tracks.displacement, np.nan)[..., numbers], 1, 0)
    return Arrows(x, y, dx, dy, int(np.searchsorted(numbers, anchor)), stride * every)


def squares_of(holes: Holes, number: int) -> np.ndarray:
    """(1 + K, T, 4): first and last row, first and last column of the squares of one mask, its own square first."""
    ranges = [array[number].cpu().numpy() for array in (holes.rows, holes.columns)]
    return np.concatenate(ranges, axis=-1).astype(int)
