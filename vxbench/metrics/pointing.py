"""Plays pointing games: does the maximum of the map fall on what is annotated, in space or in time?"""

from typing import ClassVar

import torch
from torch import Generator, Tensor, nn

from vxbench.explainers.base import Passes
from vxbench.fact import Fact
from vxbench.metrics.base import Batch, Metric, Scores, boxed_frames, finite, generators_of
from vxbench.metrics.consistency import NO_BOX_IN_CLIP, NO_BOXES
from vxbench.ranges import one_of, within

# Distance of a pixel that lies (v, u) away from the point: squared for the circle, so that whole pixels stay exact.
SHAPES = {"circle": lambda v, u: v**2 + u**2, "square": lambda v, u: torch.maximum(v.abs(), u.abs())}
AVERAGES = ("pooled", "clip", "class")
UNANNOTATED = ("skip", "miss")
TIES = ("first", "random")
CONSTANT = ("miss", "skip")
ONLY_CONSTANT = "the map is constant on every frame that counts"

FRAME_SCORES = {
    "sum": lambda saliency: saliency.sum(dim=(2, 3), dtype=torch.float64),
    "max": lambda saliency: saliency.amax(dim=(2, 3)),
}
TRUTHS = ("action", "stp_inverted")
NO_ACTION = "no action segment"
NOTHING_TO_HIT = "no sampled frame lies in the segment to be hit"
FLAT = "every frame has the same score"
ROUNDING = 1e-12  # of a sum over a frame in float64


class SpatialPointingGame(Metric):
    """S-PT (Li et al. 2021, tables 3 and 4): the share of frames whose maximum lies on a box, or near one.

    s_pt: hits / frames that count, a fraction in [0, 1]. A hit: some box pixel lies within `radius` of the maximum.
    constant_frames: how many of the frames in question have no maximum, because the map is the same all over them.
    shape: `circle` (Euclidean distance) or `square` (the box grown by the radius on every side).
    radius, radius_224: pixels of the model's input; the second is for inputs 224 wide.
    strict: a pixel at exactly the radius is too far.
    average: a rate over all frames of the data set (`pooled`), a mean of the clips' rates (`clip`), or a mean of
        the classes' rates (`class`, pooled within each). The value is the same; weights and groups differ.
    unannotated: frames without a box do not count (`skip`) or are misses (`miss`).
    swap_xy: row and column of the maximum change places.
    ties: of equal maxima the first in raster order, or one drawn at random.
    constant: a frame on which the map is the same everywhere counts, pointing where `ties` says: at (0, 0), a `miss`
        unless a box is there too; or it does not count (`skip`).

    Options other than the defaults: shinkyo0513/Spatio-Temporal-Perturbations-for-Video-Attribution (shape, average,
    unannotated, swap_xy, 15 pixels at 224), TorchRay (strict).
    """

    keys = ("s_pt", "constant_frames")
    facts: ClassVar = {
        "s_pt": Fact(
            "Spatial pointing game hit rate",
            short="S-PT",
            unit="fraction",
            low=0,
            high=1,
            higher_is_better=True,
            needs="boxes",
            pools="frames",
            note="S-PT {:.2f}",
        ),
        "constant_frames": Fact("frames on which the map is constant", unit="frames", decimals=1, low=0, needs="boxes"),
    }

    def __init__(
        self,
        shape: str = "circle",
        radius: float = 7,
        radius_224: float = 7,
        strict: bool = False,
        average: str = "pooled",
        unannotated: str = "skip",
        swap_xy: bool = False,
        ties: str = "first",
        constant: str = "miss",
    ):
        self.shape = one_of("shape", shape, SHAPES)
        self.radius = within("radius", radius, 0, float("inf"))
        self.radius_224 = within("radius_224", radius_224, 0, float("inf"))
        self.strict = one_of("strict", strict, (False, True))
        self.average = one_of("average", average, AVERAGES)
        self.unannotated = one_of("unannotated", unannotated, UNANNOTATED)
        self.swap_xy = one_of("swap_xy", swap_xy, (False, True))
        self.ties = one_of("ties", ties, TIES)
        self.constant = one_of("constant", constant, CONSTANT)

    def __call__(self, classifier: nn.Module, batch: Batch, saliency: Tensor) -> Scores:
        """Each key (B,); s_pt is NaN where no frame counts."""
        point = maxima(finite(saliency), generators_of(batch) if self.ties == "random" else None)
        if batch.boxes is None:
            unknown = torch.full(saliency.shape[:1], torch.nan, device=saliency.device)
            reasons = dict.fromkeys(range(len(saliency)), NO_BOXES)
            return Scores(dict.fromkeys(self.keys, unknown), dict.fromkeys(self.keys, reasons))
        boxed = boxed_frames(batch)
        hit = self._near(point, batch.boxes) & boxed
        wanted = boxed if self.unannotated == "skip" else torch.ones_like(boxed)
        constant = wanted & (saliency.amax(dim=(2, 3)) == saliency.amin(dim=(2, 3)))
        counted = wanted & ~constant if self.constant == "skip" else wanted
        return self._scores(hit, counted, constant, batch.label)

    def passes(self, shape: tuple[int, int, int]) -> Passes:
        return Passes()

    def _near(self, point: Tensor, boxes: Tensor) -> Tensor:
        """Whether any box pixel lies within the radius of its frame's point: (B, T)."""
        height, width = boxes.shape[-2:]
        v, u = (point % width, point // width) if self.swap_xy else (point // width, point % width)
        rows = torch.arange(height, device=boxes.device)[:, None] - v[..., None, None]
        columns = torch.arange(width, device=boxes.device) - u[..., None, None]
        distance = SHAPES[self.shape](rows, columns)  # (B, T, H, W)
        radius = self.radius_224 if width == 224 else self.radius
        limit = radius**2 if self.shape == "circle" else radius
        within_reach = distance < limit if self.strict else distance <= limit
        return (within_reach & boxes).flatten(2).any(dim=2)

    def _scores(self, hit: Tensor, counted: Tensor, constant: Tensor, label: Tensor) -> Scores:
        hits, frames = (hit & counted).sum(dim=1).float(), counted.sum(dim=1).float()
        nothing = frames == 0
        reasons = {
            i: ONLY_CONSTANT if constant[i].any() else NO_BOX_IN_CLIP for i in nothing.nonzero().flatten().tolist()
        }
        rate = (hits / frames).masked_fill(nothing, torch.nan)
        return Scores(
            {"s_pt": rate, "constant_frames": constant.sum(dim=1).float()},
            {"s_pt": reasons} if reasons else None,
            weights=None if self.average == "clip" else {"s_pt": frames},
            groups={"s_pt": label} if self.average == "class" else None,
        )


def maxima(saliency: Tensor, generators: list[Generator] | None) -> Tensor:
    """Raster index of every frame's maximum, (B, T): the first of equals, or one drawn by the clip's generator."""
    flat = saliency.flatten(2)
    if generators is None:
        return flat.argmax(dim=2)
    drawn = torch.stack([torch.rand(flat.shape[1:], generator=generator) for generator in generators])
    return drawn.to(flat.device).masked_fill(flat < flat.amax(dim=2, keepdim=True), -1).argmax(dim=2)


class TemporalPointingGame(Metric):
    """T-PT (Li et al. 2021, table 5): 1 where the frame with the highest score lies in the action, else 0.

    t_pt: a fraction once averaged over clips; chance is the action's share of the frames, about .5.
    frame_score: a frame's saliency summed (`sum`) or its largest voxel (`max`); of equal frames the first.
    gt: the frames inside the action's segment, or all others (`stp_inverted`), which is what the loader of
        shinkyo0513/Spatio-Temporal-Perturbations-for-Video-Attribution marks.
    """

    keys = ("t_pt",)
    facts: ClassVar = {
        "t_pt": Fact(
            "Temporal pointing game hit rate",
            short="T-PT",
            unit="fraction",
            low=0,
            high=1,
            higher_is_better=True,
            needs="segment",
            note="T-PT {:.0f}",
        )
    }

    def __init__(self, frame_score: str = "sum", gt: str = "action"):
        self.frame_score = one_of("frame_score", frame_score, FRAME_SCORES)
        self.gt = one_of("gt", gt, TRUTHS)

    def __call__(self, classifier: nn.Module, batch: Batch, saliency: Tensor) -> Scores:
        """(B,), NaN where no segment is known, none of its frames was sampled or all frames score the same."""
        score = FRAME_SCORES[self.frame_score](finite(saliency))
        top, low = score.amax(dim=1, keepdim=True), score.amin(dim=1, keepdim=True)
        frame = score.argmax(dim=1, keepdim=True)
        if batch.action is None:
            reasons = dict.fromkeys(range(len(score)), NO_ACTION)
            return Scores({"t_pt": torch.full_like(score[:, 0], torch.nan).float()}, {"t_pt": reasons})
        truth = batch.action if self.gt == "action" else ~batch.action
        flat = (top - low <= ROUNDING * top.abs())[:, 0]
        empty = ~truth.any(dim=1)
        reasons = dict.fromkeys(flat.nonzero().flatten().tolist(), FLAT)
        reasons |= dict.fromkeys(empty.nonzero().flatten().tolist(), NOTHING_TO_HIT)
        hit = truth.gather(1, frame)[:, 0].float().masked_fill(flat | empty, torch.nan)
        return Scores({"t_pt": hit}, {"t_pt": reasons} if reasons else None)

    def passes(self, shape: tuple[int, int, int]) -> Passes:
        return Passes()
