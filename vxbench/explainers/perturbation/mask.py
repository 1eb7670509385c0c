"""Spreads a coarse grid of seeds into a smooth mask of the frame's size, frame by frame."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad, unfold

from vxbench.errors import OutOfRange
from vxbench.ranges import above, whole

# Cells: torch sums and exponentiates whole vectors and left-over elements by other code, in other bits; so it does
# where threads split the work elsewhere.
ALIGNED = 64
CPU_BLOCK = 1 << 19  # values worked on at once, 2 MB
GPU_BLOCK = 1 << 26


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

    def offsets(self) -> Tensor:
        """The pixels from the k-th seed of its window to pixel `phase` of a cell, (2R+1, step)."""
        window = torch.arange(2 * self.radius + 1)[:, None]
        return torch.arange(self.step) - self.margin - self.step * (window - self.padding)


class MaskGenerator:
    """A function from seeds (N, h, w) to padded masks (N, out_h, out_w), smooth and in [0, 1].

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
        self.sigma, self.coldness = sigma, coldness
        self._kernels: dict[tuple, Tensor] = {}
        self._memory: Tensor | None = None

    @property
    def seed_shape(self) -> tuple[int, int]:
        return self.rows.seed, self.columns.seed

    def __call__(self, seed: Tensor) -> Tensor:
        """Spreads seeds (N, h, w) in [0, 1] to masks (N, out_h, out_w), differentiable in the seeds.

        The gradient is good until the next call: both work in the same memory. Autograd notices, and raises.
        """
        rows, columns = self.rows, self.columns
        size = (2 * rows.radius + 1, 2 * columns.radius + 1)
        cells = unfold(seed[:, None], size, padding=(rows.padding, columns.padding))  # (N, windows, mid_h * mid_w)
        cells = cells.transpose(0, 1).flatten(1)
        count = cells.shape[1]
        cells = pad(cells, (0, -count % ALIGNED))
        kernel = self._kernel(seed)
        memory = self._lend(kernel.numel() * cells.shape[1], seed)
        mask = _SmoothMaximum.apply(cells, kernel, self.coldness, memory)[:, :count]
        mask = mask.unflatten(1, (len(seed), rows.mid, columns.mid)).unflatten(0, (rows.step, columns.step))
        mask = mask.permute(2, 3, 0, 4, 1).flatten(3, 4).flatten(1, 2)
        return mask[:, : rows.out, : columns.out].clamp(0, 1)

    def _kernel(self, like: Tensor) -> Tensor:
        """The weights kappa, (step * step, windows), from each pixel of a cell to each seed of its window."""
        key = (like.dtype, like.device)
        if key not in self._kernels:
            down, across = self.rows.offsets().to(like), self.columns.offsets().to(like)
            distance = torch.sqrt(down[:, None, :, None] ** 2 + across[None, :, None, :] ** 2)
            kappa = torch.exp(-2 * (distance / self.sigma - 0.5).clamp(min=0) ** 2)
            self._kernels[key] = kappa.flatten(2, 3).flatten(0, 1).T.contiguous()
        return self._kernels[key]

    def _lend(self, size: int, like: Tensor) -> Tensor:
        """Lends memory kept from call to call: asking the system for as much anew costs more than filling it."""
        kept = self._memory
        if kept is None or kept.numel() != size or kept.dtype != like.dtype or kept.device != like.device:
            self._memory = kept = like.new_empty(size)
        return kept

    def crop(self, mask: Tensor) -> Tensor:
        """The part (..., H, W) of a padded mask (..., out_h, out_w) that lies on the frame."""
        top, left = self.rows.margin, self.columns.margin
        return mask[..., top : top + self.rows.size, left : left + self.columns.size]


class _SmoothMaximum(torch.autograd.Function):
    """The smooth maximum over each pixel's window, v . softmax(coldness v).

    cells (windows, n): the seeds in the window of each cell; kernel (phases, windows): their weights for each pixel of
    a cell -> (phases, n). Plain autograd would keep several tensors of phases x windows x n; here only the softmax
    weights are kept, in memory the caller lends, and both passes go over blocks that fit the cache of a CPU.

    The arithmetic is the release's, operation by operation and in its order of summation, so that pixels which tie or
    differ in the last bit there do so here: the area term ranks them.
    """

    @staticmethod
    def forward(ctx, cells, kernel, coldness, memory):
        mask = cells.new_empty(len(kernel), cells.shape[1])
        for phases, columns, weight in _blocks(cells, kernel, memory):
            value = cells[:, columns] * kernel[phases, :, None]
            torch.softmax(coldness * value, dim=1, out=weight)
            mask[phases, columns] = value.mul_(weight).sum(dim=1)
        ctx.save_for_backward(cells, kernel, memory)
        ctx.coldness = coldness
        return mask

    @staticmethod
    def backward(ctx, grad):
        cells, kernel, memory = ctx.saved_tensors
        total = torch.zeros_like(cells)
        for phases, columns, weight in _blocks(cells, kernel, memory):
            outer = grad[phases, None, columns]
            value = cells[:, columns] * kernel[phases, :, None]
            slope = torch._softmax_backward_data(value.mul_(outer), weight, 1, value.dtype)
            slope.mul_(ctx.coldness).add_(torch.mul(weight, outer, out=value)).mul_(kernel[phases, :, None])
            for phase in slope:
                total[:, columns] += phase
        return total, None, None, None


def _blocks(cells: Tensor, kernel: Tensor, memory: Tensor) -> Iterator[tuple[slice, slice, Tensor]]:
    """Blocks of the work: phases, columns of cells, and their part of the memory, (phases, windows, columns)."""
    size = CPU_BLOCK if cells.device.type == "cpu" else GPU_BLOCK
    windows, count = cells.shape
    width = min(count, max(1, size // (windows * ALIGNED)) * ALIGNED)
    depth = min(len(kernel), max(1, size // (windows * width)))
    start = 0
    for left in range(0, count, width):
        columns = slice(left, min(left + width, count))
        for first in range(0, len(kernel), depth):
            phases = slice(first, min(first + depth, len(kernel)))
            shape = (phases.stop - phases.start, windows, columns.stop - columns.start)
            yield phases, columns, memory[start : start + math.prod(shape)].view(shape)
            start += math.prod(shape)
