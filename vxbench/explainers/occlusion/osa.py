"""Computes occlusion sensitivity: the same cuboids, on a grid, hide parts of every clip."""

import math

import torch
from torch import Tensor

from vxbench.errors import OutOfRange
from vxbench.explainers.base import Context, Passes
from vxbench.explainers.occlusion.base import Occlusion
from vxbench.explainers.occlusion.holes import Holes, around, join
from vxbench.ranges import whole

SIZES = {
    "area2pct": lambda height, width: math.sqrt(0.02 * height * width),
    "side2pct": lambda height, width: 0.02 * math.sqrt(height * width),
}


class OSA(Occlusion):
    """Occlusion sensitivity analysis (Zeiler and Fergus 2014) in space and time, as AOSA's row of comparison.

    stride, stride_t: pixels and frames between the cuboids' centres, which start at 0.
    size: their side in pixels. `area2pct`: 2 % of the frame's area; `side2pct`: 2 % of its side; or a number.
    extent: their frames; null: half of the clip's.
    """

    def __init__(
        self,
        stride: int = 8,
        stride_t: int = 2,
        size: str | int = "area2pct",
        extent: int | None = None,
        aggregate: str = "released",
        chunk: int = 64,
    ):
        super().__init__(aggregate, chunk)
        self.stride = whole("stride", stride, 1)
        self.stride_t = whole("stride_t", stride_t, 1)
        self.size = _checked_size(size)
        self.extent = extent if extent is None else whole("extent", extent, 1)

    def masks(self, clip: Tensor, context: Context) -> Holes:
        frames, height, width = shape = tuple(clip.shape[2:])
        side = self.size if isinstance(self.size, int) else max(1, round(SIZES[self.size](height, width)))
        extent = self.extent or max(1, frames // 2)
        holes = cuboids(shape, self.centres(shape), side, extent, clip.device)
        return join([holes] * len(clip))

    def passes(self, shape: tuple[int, int, int]) -> Passes:
        return Passes(forward=math.prod(map(len, self.centres(shape))) + 1)

    def centres(self, shape: tuple[int, int, int]) -> tuple[range, range, range]:
        """Centres of the cuboids along T, H and W."""
        steps = (self.stride_t, self.stride, self.stride)
        return tuple(range(0, size, step) for size, step in zip(shape, steps, strict=True))


def cuboids(
    shape: tuple[int, int, int],
    centres: tuple[range, range, range],
    side: int,
    extent: int,
    device: torch.device | str = "cpu",
) -> Holes:
    """Makes one mask per centre (t outer, then y, then x), which hides extent x side x side voxels, cut to the clip.

    shape: (T, H, W). A length n around c is [c - n // 2, c + n // 2 + n % 2).
    """
    frames, height, width = shape
    t, y, x = torch.meshgrid(*(torch.tensor(axis, device=device) for axis in centres), indexing="ij")
    span = around(t.flatten(), extent, frames, torch.ones_like(t.flatten()))
    at = torch.arange(frames, device=device)
    alive = (at >= span[:, :1]) & (at < span[:, 1:])  # (N, T)
    rows = around(y.flatten()[:, None].expand_as(alive), side, height, alive)
    columns = around(x.flatten()[:, None].expand_as(alive), side, width, alive)
    return Holes(
        rows[:, None], columns[:, None], torch.zeros(len(rows), dtype=torch.long, device=device), height, width
    )


def _checked_size(size: str | int) -> str | int:
    if isinstance(size, str) and size not in SIZES:
        raise OutOfRange(f"size = {size} is not one of {', '.join(SIZES)} or a whole number of pixels")
    return size if isinstance(size, str) else whole("size", size, 1)
