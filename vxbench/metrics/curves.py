"""Follows the explained class's probability while voxels leave or enter the clip in the order of the map."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Generator, Tensor, nn

from vxbench.errors import OutOfRange
from vxbench.explainers.base import Passes
from vxbench.fact import Fact
from vxbench.metrics.base import Batch, Metric, Scores, finite, generators_of
from vxbench.metrics.faithfulness import NOT_FINITE
from vxbench.network import in_chunks, probabilities, untouched
from vxbench.ranges import above, one_of, whole

KINDS = ("zero", "blur")
KERNELS = ("gaussian", "rise")


class Substitutes:
    """Clips without their content.

    kernel_size, sigma: of the blur, pixels; zero padding, so borders fade to the mean colour.
    kernel: `gaussian` is the Gaussian cut off at kernel_size and scaled to sum 1; `rise` is the kernel of RISE's
        evaluation.py, where the tails beyond kernel_size are folded back inside: at 11 and 5 nearly a box.
    """

    def __init__(self, kernel: str = "gaussian", kernel_size: int = 11, sigma: float = 5.0):
        one_of("kernel", kernel, KERNELS)
        above("sigma", sigma, 0)
        if whole("kernel_size", kernel_size, 1) % 2 == 0:
            raise OutOfRange(f"kernel_size = {kernel_size} is not odd")
        self.taps = _folded(kernel_size, sigma) if kernel == "rise" else _cut_off(kernel_size, sigma)

    def of(self, clip: Tensor, kind: str) -> Tensor:
        """clip (B, 3, T, H, W) -> the same shape; `zero` takes no memory of its own."""
        if kind == "zero":
            return clip.new_zeros(()).expand_as(clip)
        rows, columns = (_band(self.taps, size).to(clip) for size in clip.shape[-2:])
        return rows @ clip @ columns


def _cut_off(size: int, sigma: float) -> Tensor:
    taps = _bell(size // 2, sigma)
    return taps / taps.sum()


def _folded(size: int, sigma: float) -> Tensor:
    """The tails, out to 4 sigma, are mirrored at the kernel's edges, as often as it takes."""
    reach = int(4 * sigma + 0.5)
    taps = _bell(reach, sigma)
    place = (torch.arange(-reach, reach + 1) + size // 2) % (2 * size)
    place = torch.where(place < size, place, 2 * size - 1 - place)
    return torch.zeros(size, dtype=taps.dtype).index_add(0, place, taps / taps.sum())


def _bell(reach: int, sigma: float) -> Tensor:
    return torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / sigma) ** 2)


def _band(taps: Tensor, size: int) -> Tensor:
    """(size, size): a product with it correlates one axis with the symmetric taps, zeros outside."""
    half = len(taps) // 2
    offset = torch.arange(size)[None] - torch.arange(size)[:, None]
    return torch.where(offset.abs() <= half, taps[offset.clamp(-half, half) + half], 0.0)


TIES = ("random", "raster")
DELETION = Fact(
    "Deletion AUC",
    short="del.",
    unit="fraction",
    low=0,
    high=1,
    higher_is_better=False,
    curve="Deletion",
    axis="share of the clip deleted",
)
INSERTION = Fact(
    "Insertion AUC",
    short="ins.",
    unit="fraction",
    low=0,
    high=1,
    higher_is_better=True,
    curve="Insertion",
    axis="share of the clip inserted",
)
OVERALL = Fact(
    "Insertion AUC minus deletion AUC, before rounding",
    short="over-all",
    unit="fraction",
    low=-1,
    high=1,
    higher_is_better=True,
    note="over-all {:.2f}",
)


class DeletionInsertion(Metric):
    """Areas under the deletion and the insertion curve of p_y, y the explained class, each in [0, 1].

    deletion: the T H W voxels, all channels at once, leave the clip in `steps` equal steps, most salient first.
    insertion: they enter the `start` in the same order. overall: insertion - deletion.
    fill: what deleted voxels become, 0 (`zero`: the mean colour) or the blurred clip (`blur`).
    start: what insertion starts from, likewise.
    ties: voxels of equal saliency in an order drawn per clip (`random`), or frame by frame, row by row (`raster`):
        a map with few values is then scored for its early frames.
    kernel, kernel_size, sigma: of the blur; see `Substitutes`.
    Both curves, (B, steps + 1) with their ends, are in `curves`. 2 steps + 1 forward passes a clip, one fewer where
    start and fill are the same.

    Source: Uchiyama et al., section IV-B; the areas as in RISE's evaluation.py.
    """

    keys = ("deletion", "insertion", "overall")
    facts: ClassVar = {"deletion": DELETION, "insertion": INSERTION, "overall": OVERALL}

    def __init__(
        self,
        steps: int = 28,
        fill: str = "zero",
        start: str = "blur",
        ties: str = "random",
        kernel: str = "gaussian",
        kernel_size: int = 11,
        sigma: float = 5.0,
        chunk: int = 64,
    ):
        self.steps = whole("steps", steps, 2)
        self.fill = one_of("fill", fill, KINDS)
        self.start = one_of("start", start, KINDS)
        self.ties = one_of("ties", ties, TIES)
        self.substitutes = Substitutes(kernel, kernel_size, sigma)
        self.chunk = whole("chunk", chunk, 1)

    def __call__(self, classifier: nn.Module, batch: Batch, saliency: Tensor) -> Scores:
        """Each key (B,), NaN where the network's output is not finite on the way."""
        rank = ranks(finite(saliency), generators_of(batch) if self.ties == "random" else None)
        with torch.no_grad(), untouched(classifier):
            curves = self._curves(_Way(classifier, batch.clip, batch.target, rank, self.steps, self.chunk))
        values = {key: area(curve) for key, curve in curves.items()}
        if "overall" in self.keys:
            values["overall"] = values["insertion"] - values["deletion"]
        reasons = {key: _not_finite(value) for key, value in values.items() if not value.isfinite().all()}
        return Scores(values, reasons, curves=curves)

    def passes(self, shape: tuple[int, int, int]) -> Passes:
        curves = 2 if "insertion" in self.keys else 1
        return Passes(forward=curves * (self.steps - 1) + len(self._kinds) + 1)

    @property
    def _kinds(self) -> set[str]:
        """The substitutes that curves begin or end with."""
        return {self.fill, self.start} if "insertion" in self.keys else {self.fill}

    def _curves(self, way: "_Way") -> dict[str, Tensor]:
        blank = {kind: self.substitutes.of(way.clip, kind) for kind in self._kinds}
        end = {kind: way.score(clip) for kind, clip in blank.items()}
        full = way.score(way.clip)
        curves = {"deletion": torch.cat([full, way.between(blank[self.fill], way.clip), end[self.fill]], dim=1)}
        if "insertion" in self.keys:
            start, clip = blank[self.start], way.clip
            curves["insertion"] = torch.cat([end[self.start], way.between(clip, start), full], dim=1)
        return curves


class DeletionCurve(DeletionInsertion):
    """DeletionInsertion's `deletion` alone, in half the passes: DAUC of Lin et al. 2021, figure 4."""

    keys = ("deletion",)

    def __init__(
        self,
        steps: int = 28,
        fill: str = "zero",
        ties: str = "random",
        kernel: str = "gaussian",
        kernel_size: int = 11,
        sigma: float = 5.0,
        chunk: int = 64,
    ):
        super().__init__(steps, fill, ties=ties, kernel=kernel, kernel_size=kernel_size, sigma=sigma, chunk=chunk)


def ranks(saliency: Tensor, generators: list[Generator] | None) -> Tensor:
    """Place of every voxel of its clip, 0 for the most salient: (B, T, H, W) int32.

    generators: one a clip, which draws the order among equals; None: raster order.
    """
    flat = saliency.flatten(1)
    clips, voxels = flat.shape
    if generators is None:
        first = torch.arange(voxels).expand(clips, voxels)
    else:
        first = torch.stack([torch.randperm(voxels, generator=generator) for generator in generators])
    first = first.to(flat.device)
    order = first.gather(1, flat.gather(1, first).argsort(dim=1, descending=True, stable=True))
    place = torch.arange(voxels, dtype=torch.int32, device=flat.device).expand(clips, voxels)
    return torch.empty_like(order, dtype=torch.int32).scatter_(1, order, place).view(saliency.shape)


def boundaries(voxels: int, steps: int) -> list[int]:
    """Voxels replaced after each step, from 0 to all: steps + 1 numbers, by numpy's linspace, rounded down."""
    return np.linspace(0, voxels, steps + 1).astype(int).tolist()


def area(curve: Tensor) -> Tensor:
    """Trapezoids under curves (B, n + 1) over [0, 1]: (B,)."""
    wide = curve.double()
    total = wide.sum(dim=1) - (wide[:, 0] + wide[:, -1]) / 2
    return (total / (curve.shape[1] - 1)).to(curve)


@dataclass
class _Way:
    """One batch between whole clips and their substitutes. At most `chunk` clips are mixed at once."""

    classifier: nn.Module
    clip: Tensor
    target: Tensor
    rank: Tensor
    steps: int
    chunk: int

    def score(self, clip: Tensor) -> Tensor:
        """p_y of clips like the batch's, (B, 1)."""
        return in_chunks(lambda clip, y: self._p(clip.contiguous(), y), self.chunk, clip, self.target)[:, None]

    def between(self, entering: Tensor, leaving: Tensor) -> Tensor:
        """p_y at the steps between the ends, (B, steps - 1), while voxels of one clip replace the other's."""
        cuts = torch.tensor(boundaries(self.rank[0].numel(), self.steps)[1:-1], device=self.rank.device)
        which = torch.arange(len(self.rank), device=cuts.device).repeat_interleave(len(cuts))

        def mixed(which: Tensor, cut: Tensor) -> Tensor:
            entered = self.rank[which] < cut[:, None, None, None]
            return self._p(torch.where(entered[:, None], entering[which], leaving[which]), self.target[which])

        return in_chunks(mixed, self.chunk, which, cuts.repeat(len(self.rank))).view(len(self.rank), -1)

    def _p(self, clip: Tensor, target: Tensor) -> Tensor:
        """NaN where any class's output is not finite."""
        p = probabilities(self.classifier, clip)
        return p.gather(1, target[:, None])[:, 0].masked_fill(~p.isfinite().all(dim=1), torch.nan)


def _not_finite(value: Tensor) -> dict[int, str]:
    return dict.fromkeys((~value.isfinite()).nonzero().flatten().tolist(), NOT_FINITE)
