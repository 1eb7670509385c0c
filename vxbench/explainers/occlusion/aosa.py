"""Computes AOSA, occlusion with holes that follow the motion, and its first-order approximation.

Source: Uchiyama et al., Visual Explanation for Video Recognition; uchiyama33/AOSA.
"""

import re
from collections.abc import Sequence
from numbers import Real

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad

from vxbench.errors import OutOfRange, UserError
from vxbench.explainers.base import Context, Passes
from vxbench.explainers.occlusion.base import Occlusion
from vxbench.explainers.occlusion.holes import Holes, join, sum_hidden
from vxbench.explainers.occlusion.motion import (
    FRAMES,
    GRAY,
    LETTERBOX,
    TIES,
    Tracks,
    anchors_of,
    eight_bit,
    farneback,
    field_of,
    follow,
    gray_frames,
    neighbours_of,
    similarities,
    steps_between,
    tubes,
)
from vxbench.network import score_and_gradient
from vxbench.ranges import one_of, whole

COOC = {"flow": lambda tracks: tracks.displacement, "position": steps_between}
SIGNS = ("drops", "eq8_literal")
ADJUST = ("off", "simple")
ROUNDING = 1e-9  # share of the largest estimate: equal estimates are no outliers of one another


class AOSA(Occlusion):
    """Adaptive occlusion sensitivity analysis (section III).

    Every mask hides a tube around an anchor that moves with the optical flow, and the tubes of the `k` anchors
    that move most alike (k = 0: AOSA-single).

    mean, std: the model's own normaliser, one value a channel in units of 0-255: the flow needs 8-bit frames.
    stride, hole: pixels between anchors, and side of the holes.
    cooc: likeness of the raw `flow` at the anchors, or of their `position` differences (eq. 1 as printed).
    ties, gray, letterbox, frames: options of neighbours_of, gray_frames, field_of, eight_bit.

    Raises:
        UserError: no mean and std; no anchor fits into the frames.
    """

    def __init__(
        self,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        stride: int = 8,
        hole: int = 16,
        k: int = 3,
        aggregate: str = "released",
        cooc: str = "flow",
        ties: str = "index",
        gray: str = "bgr_on_rgb",
        letterbox: str = "scaled",
        frames: str = "truncated",
        chunk: int = 64,
    ):
        super().__init__(aggregate, chunk)
        self.mean, self.std = normaliser(mean, std)
        self.stride = whole("stride", stride, 1)
        self.hole = whole("hole", hole, 1)
        self.k = whole("k", k, 0)
        self.cooc = one_of("cooc", cooc, COOC)
        self.ties = one_of("ties", ties, TIES)
        self.gray = one_of("gray", gray, GRAY)
        self.letterbox = one_of("letterbox", or_off(letterbox), LETTERBOX)
        self.frames = one_of("frames", frames, FRAMES)

    def masks(self, clip: Tensor, context: Context) -> Holes:
        frames = eight_bit(clip, self.mean, self.std, self.frames).cpu().numpy()
        return join([self.tubes_of(one, clip.device) for one in frames])

    def passes(self, shape: tuple[int, int, int]) -> Passes:
        """One pass a mask and one for the whole clip; fewer where the clip has black bars, which hold no anchors."""
        _, height, width = shape
        y, _ = anchors_of(height, width, self.stride, (0, height - 1))
        return Passes(forward=len(y) + 1)

    def tubes_of(self, frames: np.ndarray, device="cpu") -> Holes:
        """The masks of one clip, (T, H, W, 3) uint8."""
        tracks = self.tracks_of(frames)
        precision = np.float32 if self.ties == "released" else np.float64
        near = neighbours_of(similarities(COOC[self.cooc](tracks), precision), self.k, self.ties)
        return tubes(tracks, near, self.hole, frames.shape[1:3], device)

    def tracks_of(self, frames: np.ndarray) -> Tracks:
        """The anchors of one clip along its optical flow."""
        field = field_of(frames, self.letterbox)
        y, x = anchors_of(*frames.shape[1:3], self.stride, field.start)
        return follow(farneback(gray_frames(frames, self.gray)), y, x, field)


class AOSAApprox(AOSA):
    """First-order AOSA (section III-D): one forward and one backward pass a clip.

    With J = d p_y / dX at X and e_i = J * (1 - Omega_i) * (v - X), elementwise,
    f_i = f_0 + D_i and D_i = sum e_i (eq. 4, 7), or with `relu` D_i = -sum max(-e_i, 0): only elements that lower
    the score count.

    cond: v is the mean colour around each pixel, mu; else v = 0.
    mu: box<n>, mean of the n x n window per frame and channel, zeros beyond the border; surround<n> (odd n): the
        same without the pixel itself.
    sign: eq8_literal takes D_i = -sum max(e_i, 0), as eq. 8 is printed.
    adjust: simple takes estimates outside the Tukey fences (1.5 interquartile ranges) from the gradient at
        the clip hidden by the most extreme of their masks (uchiyama33/AOSA), at two more passes each way at most.
    options: those of AOSA.
    """

    def __init__(
        self,
        cond: bool = True,
        mu: str = "box4",
        relu: bool = True,
        sign: str = "drops",
        adjust: str = "off",
        **options,
    ):
        super().__init__(**options)
        self.cond, self.relu = one_of("cond", cond, (True, False)), one_of("relu", relu, (True, False))
        self.mu = mu
        _parsed(mu)
        self.sign = one_of("sign", sign, SIGNS)
        self.adjust = one_of("adjust", or_off(adjust), ADJUST)

    def scores(self, classifier, clip, target, masks):
        whole, gradient = scores_and_gradients(classifier, clip, target, self.chunk)
        fill = surroundings(clip, self.mu) if self.cond else torch.zeros_like(clip)
        change = sum_hidden(self.effect(gradient, fill - clip), masks)
        if self.adjust == "simple":
            change = self.adjusted(classifier, clip, target, masks, whole, fill, change)
        return whole.double()[masks.owner] + change, whole

    def passes(self, shape: tuple[int, int, int]) -> Passes:
        return Passes(1, 1) * (3 if self.adjust == "simple" else 1)

    def effect(self, gradient: Tensor, step: Tensor) -> Tensor:
        """The first-order effect on the score of hiding each voxel, (B, T, H, W) float64.

        gradient: at the clip, (B, 3, T, H, W). step: the colour put in minus the clip's, in the same shape.
        """
        effect = gradient.double() * step.double()
        if self.relu:
            effect = -effect.neg().relu() if self.sign == "drops" else -effect.relu()
        return effect.sum(dim=1)

    def adjusted(self, classifier, clip, target, masks: Holes, whole, fill, change: Tensor) -> Tensor:
        """The changes (N,) with their outliers estimated anew, from the clip hidden by the most extreme one's mask."""
        groups = [group for b in range(len(clip)) for group in outliers(change, (masks.owner == b).nonzero()[:, 0])]
        change = change.clone()
        for start in range(0, len(groups), self.chunk):
            part = groups[start : start + self.chunk]
            extreme = masks[torch.stack([worst for worst, _ in part])]
            of = extreme.owner
            hidden = clip[of] * extreme.visible(clip.dtype)
            score, gradient = scores_and_gradients(classifier, hidden, target[of], self.chunk)
            effect = self.effect(gradient, fill[of] - hidden)
            for j, (_, members) in enumerate(part):
                alone = Holes(masks.rows[members], masks.columns[members], 0 * members, masks.height, masks.width)
                change[members] = score[j].double() - whole[of[j]].double() + sum_hidden(effect[j : j + 1], alone)
        return change


def normaliser(mean: Sequence[float] | None, std: Sequence[float] | None) -> tuple[list[float], list[float]]:
    """Returns mean and std as lists, once they are known to be three values each, in units of 0-255.

    Raises:
        UserError: they are something else, such as values in units of 0-1, which would make all frames black.
    """
    for values in (mean, std):
        numbers = isinstance(values, Sequence) and all(isinstance(value, Real) for value in values)
        if not numbers or len(values) != 3:
            raise UserError(f"mean = {mean}, std = {std}: AOSA needs the model's own, three values of 0-255 each")
    if min(std) <= 0 or (max(mean) <= 1 and max(std) <= 1):
        raise UserError(f"mean = {list(mean)}, std = {list(std)} are not in units of 0-255, or no std at all")
    return list(mean), list(std)


def or_off(value: str | bool) -> str | bool:
    """The value, or "off" for false: YAML reads a bare `off` so."""
    return "off" if value is False else value


def scores_and_gradients(classifier: nn.Module, clip: Tensor, target: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    """The scores p_y (B,) and their gradients at the clip (B, 3, T, H, W), by one pass each way a chunk."""
    parts = zip(clip.split(chunk), target.split(chunk), strict=True)
    scores, gradients = zip(*(score_and_gradient(classifier, x, y, "prob") for x, y in parts), strict=True)
    return torch.cat(scores), torch.cat(gradients)


def surroundings(clip: Tensor, mu: str) -> Tensor:
    """The mean colour around each pixel, (B, 3, T, H, W). mu: the window, see AOSAApprox.

    An even window reaches one pixel further down and right.
    """
    kind, window = _parsed(mu)
    before, after = (window - 1) // 2, window // 2
    pixels = pad(clip.flatten(0, 2)[:, None], (before, after, before, after))
    mean = avg_pool2d(pixels, window, stride=1)[:, 0].view_as(clip)
    return mean if kind == "box" else (mean * window**2 - clip) / (window**2 - 1)


def outliers(change: Tensor, of_clip: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The outliers among one clip's masks, above and below the fences, as indices into change (N,).

    of_clip: indices of the clip's masks. Each group is the index of its most extreme member and those of all.
    """
    values = change[of_clip]
    first, third = np.percentile(values.cpu().numpy(), [25, 75])
    reach = 1.5 * (third - first) + ROUNDING * values.abs().max()
    high, low = (values > third + reach).nonzero()[:, 0], (values < first - reach).nonzero()[:, 0]
    groups = [(values.argmax(), high), (values.argmin(), low)]
    return [(of_clip[worst], of_clip[members]) for worst, members in groups if len(members)]


def _parsed(mu: str) -> tuple[str, int]:
    match = re.fullmatch(r"(box|surround)([1-9]\d*)", str(mu))
    window = int(match[2]) if match else 0
    if not match or (match[1] == "surround" and (window % 2 == 0 or window < 3)):
        raise OutOfRange(f"mu = {mu} is not one of box4, surround9, surround5, box<n> or surround<odd n >= 3>")
    return match[1], window
