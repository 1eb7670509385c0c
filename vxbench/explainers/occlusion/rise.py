"""Computes RISE in space and time: random smooth masks, averaged with the scores they leave (Petsiuk et al. 2018)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vxbench.errors import OutOfRange
from vxbench.explainers.base import Context, Passes
from vxbench.explainers.occlusion.base import Occlusion, masked_scores
from vxbench.ranges import above, whole, within


class RISE(Occlusion):
    """S = sum_i p_y(M_i X) M_i / (N p) (Petsiuk et al. 2018, eq. 6; eclique/RISE).

    masks: N. p: share of the grid's cells that are visible. grid: cells over (T, H, W).
    Each mask has a seed of its own, drawn from its clip's generator, so that `chunk` changes nothing.
    """

    def __init__(self, masks: int = 4000, p: float = 0.5, grid: Sequence[int] = (4, 7, 7), chunk: int = 64):
        super().__init__(chunk=chunk)
        self.count = whole("masks", masks, 1)
        self.p = above("p", within("p", p, 0, 1), 0)
        if not isinstance(grid, Sequence) or len(grid) != 3:
            raise OutOfRange(f"grid = {grid} is not three numbers of cells, over time, height and width")
        self.grid = tuple(whole("grid", cells, 1) for cells in grid)

    def masks(self, clip: Tensor, context: Context) -> "SmoothMasks":
        seeds = [torch.randint(2**62, (self.count,), generator=generator) for generator in context.generators]
        owner = torch.arange(len(clip), device=clip.device).repeat_interleave(self.count)
        return SmoothMasks(torch.cat(seeds), owner, tuple(clip.shape[2:]), self.grid, self.p)

    def passes(self, shape: tuple[int, int, int]) -> Passes:
        return Passes(forward=self.count)

    def scores(self, classifier, clip, target, masks):
        masked = masked_scores(classifier, clip, target, masks, self.chunk)
        return masked, masked.new_zeros(len(clip))  # the score of the whole clip has no part in it

    def combine(self, masks, masked, whole):
        total = masked.new_zeros(len(whole), *masks.shape, dtype=torch.float64)
        for start in range(0, len(masks), self.chunk):
            part = masks[start : start + self.chunk]
            weight = masked[start : start + self.chunk].double()
            total.index_add_(0, part.owner, part.visible(masked.dtype)[:, 0] * weight.view(-1, 1, 1, 1))
        return total / (self.count * self.p)


@dataclass(frozen=True)
class SmoothMasks:
    """N masks of shape (T, H, W), each from its seed: a coarse grid of 0 and 1, enlarged linearly, shifted at random.

    seeds: (N,) int64 on the CPU. owner: (N,) on the clips' device.
    The grid is enlarged to one cell more than the clip along every axis, with cells of ceil(size / grid)
    voxels, mirrored at its ends; the clip is cut out at a shift below one cell.
    """

    seeds: Tensor
    owner: Tensor
    shape: tuple[int, int, int]
    grid: tuple[int, int, int]
    p: float

    def __len__(self) -> int:
        return len(self.owner)

    def __getitem__(self, part: slice) -> "SmoothMasks":
        return replace(self, seeds=self.seeds[part], owner=self.owner[part])

    def visible(self, dtype: torch.dtype) -> Tensor:
        """The masks as factors of the clip, (N, 1, T, H, W), in [0, 1]."""
        cells, shift = self.draws()
        mask = cells.to(self.owner.device, dtype)
        for axis in range(3):
            weights = _linear(shift[:, axis], self.shape[axis], self.grid[axis]).to(mask)
            mask = torch.einsum("nabc,nda->nbcd", mask, weights)  # the enlarged axis goes last: in turn, all do
        return mask[:, None]

    def draws(self) -> tuple[Tensor, Tensor]:
        """The grids (N, *grid) of 0 and 1, and the shifts (N, 3) in voxels, drawn from the seeds."""
        generator = torch.Generator()
        cells, shifts = [], []
        for seed in self.seeds.tolist():
            generator.manual_seed(seed)
            cells.append(torch.rand(self.grid, generator=generator) < self.p)
            sides = (_cell(size, count) for size, count in zip(self.shape, self.grid, strict=True))
            shifts.append([torch.randint(side, (), generator=generator).item() for side in sides])
        return torch.stack(cells), torch.tensor(shifts)


def _cell(size: int, count: int) -> int:
    return math.ceil(size / count)


def _linear(shift: Tensor, size: int, count: int) -> Tensor:
    """Weights of the grid's cells in each voxel, (N,) -> (N, size, count) float64; they sum to 1 over the cells."""
    voxel = shift[:, None] + torch.arange(size) + 0.5
    at = voxel.double() * (count / ((count + 1) * _cell(size, count))) - 0.5  # in cells; cell i has its centre at i
    last = count - 1
    at = (last - (last - at.abs()).abs()).clamp(0, last)  # mirrored at the first and the last centre
    return (1 - (at[..., None] - torch.arange(count)).abs()).clamp(min=0)
