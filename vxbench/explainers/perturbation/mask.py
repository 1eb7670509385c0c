"""Mask generator: a coarse seed grid spread into a smooth mask of the frame's size, frame by frame."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import fold, pad

from vxbench.errors import OutOfRange
from vxbench.ranges import above, whole


@dataclass(frozen=True)
class Geometry:
    """Sizes along one axis, in cells (seed, radius, padding, mid) and pixels (margin, out)."""

    size: int
    step: int
    sigma: float

    @property
    def seed(self) -> int:
        return math.ceil(self.size / self.step)

    @property
    def margin(self) -> int:
        return math.ceil(self.sigma)

    @property
    def radius(self) -> int:
        return 1 + math.ceil(self.sigma / self.step)

    @property
    def padding(self) -> int:
        return 1 + math.ceil((self.margin + self.sigma) / self.step)

    @property
    def mid(self) -> int:
        return self.seed + 2 * self.padding - 2 * self.radius

    @property
    def out(self) -> int:
        return self.step * self.mid - self.step + 1

    @property
    def covers(self) -> bool:
        """Whether the frame lies within the padded mask. Rounding to cells can leave too narrow a margin."""
        return self.out >= self.margin + self.size

    def distances(self) -> Tensor:
        """(2R+1, step): from pixel `phase` of a cell to the k-th seed of its window, in units of sigma."""
        window = torch.arange(2 * self.radius + 1, dtype=torch.float64)[:, None]
        phase = torch.arange(self.step, dtype=torch.float64)
        return (phase - self.margin - self.step * (window - self.padding)) / self.sigma


class MaskGenerator:
    """Seeds (N, h, w) -> padded masks (N, out_h, out_w), smooth and in [0, 1].

    A pixel is the smooth maximum, sum v e^(c v) / sum e^(c v) with coldness c, of the seeds in its window,
    each weighted by kappa(z) = exp(-2 max(z - 1/2, 0)^2) of its distance z in units of sigma. The window's margin
    is kept (the area term counts it); `crop` cuts out the frame.

    Source: TorchRay's extremal perturbations, as released with STEP (Li et al. 2021).
    """

    def __init__(self, height: int, width: int, step: int, sigma: float, coldness: float = 20.0):
        whole("step", step, 1, min(height, width))
        above("sigma", sigma, 0)
        above("coldness", coldness, 0)
        self.rows, self.columns = Geometry(height, step, sigma), Geometry(width, step, sigma)
        if not (self.rows.covers and self.columns.covers):
            raise OutOfRange(
                f"sigma = {sigma:g} with step = {step} makes a mask smaller than the {height} x {width} frame; "
                "choose another sigma or step"
            )
        self.coldness = coldness
        distance = torch.hypot(self.rows.distances()[:, None, :, None], self.columns.distances()[None, :, None, :])
        self._kernel = torch.exp(-2 * (distance - 0.5).clamp(min=0) ** 2).flatten(0, 1)  # (windows, step, step)
        self._memory: Tensor | None = None

    @property
    def seed_shape(self) -> tuple[int, int]:
        return self.rows.seed, self.columns.seed

    def __call__(self, seed: Tensor) -> Tensor:
        """seed: (N, h, w) in [0, 1]. Returns (N, out_h, out_w), differentiable in the seed.

        The gradient is good until the next call: both work in the same memory. Autograd notices, and raises.
        """
        padding = (self.columns.padding,) * 2 + (self.rows.padding,) * 2
        kernel = self._kernel.to(seed)
        memory = self._lend((len(seed), *kernel.shape, self.rows.mid, self.columns.mid), seed)
        mask = _SmoothMaximum.apply(pad(seed, padding), kernel, self.columns.radius, self.coldness, memory)
        return mask[:, : self.rows.out, : self.columns.out].clamp(0, 1)

    def _lend(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Memory kept from call to call: asking the system for as much anew costs more than filling it."""
        kept = self._memory
        if kept is None or kept.shape != shape or kept.dtype != like.dtype or kept.device != like.device:
            self._memory = kept = like.new_empty(shape)
        return kept

    def crop(self, mask: Tensor) -> Tensor:
        """(..., out_h, out_w) -> (..., H, W): the part of a padded mask that lies on the frame."""
        top, left = self.rows.margin, self.columns.margin
        return mask[..., top : top + self.rows.size, left : left + self.columns.size]


class _SmoothMaximum(torch.autograd.Function):
    """The smooth maximum over each pixel's window, v . softmax(coldness v).

    seed (N, h', w') padded, kernel (windows, step, step) -> (N, mid_h * step, mid_w * step). Plain autograd would keep
    several tensors of windows x pixels; here only the softmax weights are kept, in memory the caller lends
    (N, windows, step, step, mid_h, mid_w), and both passes go over blocks of frames that fit the cache of a CPU (one
    frame) or fill a GPU. The arithmetic is the release's, softmax and then a weighted sum, so that pixels which tie or
    differ in the last bit there do so here: the area term ranks them.
    """

    @staticmethod
    def forward(ctx, seed, kernel, column_radius, coldness, memory):
        windows = _Windows(kernel, column_radius)
        pairs = zip(windows.blocks(seed), windows.blocks(memory), strict=True)
        mask = torch.cat([windows.spread(part, coldness, weight) for part, weight in pairs])
        ctx.save_for_backward(seed, kernel, mask, memory)
        ctx.column_radius, ctx.coldness = column_radius, coldness
        return mask.permute(0, 3, 1, 4, 2).flatten(3, 4).flatten(1, 2)

    @staticmethod
    def backward(ctx, grad):
        seed, kernel, mask, memory = ctx.saved_tensors
        windows = _Windows(kernel, ctx.column_radius)
        grad = grad.unflatten(2, (-1, kernel.shape[2])).unflatten(1, (-1, kernel.shape[1]))
        grad = grad.permute(0, 2, 4, 1, 3).contiguous()
        parts = []
        for part, top, weight, outer in zip(*map(windows.blocks, (seed, mask, memory, grad)), strict=True):
            # d mask / d value = weight * (1 + coldness * (value - mask))
            slope = windows.values(part).sub_(top[:, None]).mul_(ctx.coldness).add_(1)
            parts.append(windows.gather(slope.mul_(weight).mul_(outer[:, None]), seed.shape[1:]))
        return torch.cat(parts), None, None, None, None


class _Windows:
    """The (2R+1)^2 seeds that each pixel looks at, for a block of frames."""

    def __init__(self, kernel: Tensor, column_radius: int):
        self.kernel = kernel
        self.across = 2 * column_radius + 1
        self.down = len(kernel) // self.across

    def blocks(self, tensor: Tensor) -> tuple[Tensor, ...]:
        return tensor.split(1 if tensor.device.type == "cpu" else 64)

    def values(self, seed: Tensor) -> Tensor:
        """The seed of each window times its kernel, (N, windows, step, step, mid_h, mid_w).

        Phases come before cells, so that sums over phases run along contiguous memory.
        """
        cells = seed.unfold(1, self.down, 1).unfold(2, self.across, 1)  # (N, mid_h, mid_w, down, across)
        cells = cells.permute(0, 3, 4, 1, 2).flatten(1, 2)
        return cells[:, :, None, None] * self.kernel[None, :, :, :, None, None]

    def spread(self, seed: Tensor, coldness: float, weight: Tensor) -> Tensor:
        """mask (N, step, step, mid_h, mid_w); writes the windows' softmax weights into `weight`."""
        value = self.values(seed)
        torch.softmax(coldness * value, dim=1, out=weight)
        return value.mul_(weight).sum(dim=1)

    def gather(self, slope: Tensor, size: torch.Size) -> Tensor:
        """What slope (N, windows, step, step, mid_h, mid_w) says of each padded seed: (N, *size)."""
        kernel = self.kernel.flatten(1)[:, None]
        per_cell = kernel @ slope.flatten(4, 5).flatten(2, 3)  # (N, windows, 1, cells)
        return fold(per_cell[:, :, 0], size, (self.down, self.across))[:, 0]
