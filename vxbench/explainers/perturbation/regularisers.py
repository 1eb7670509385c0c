"""Defines the terms of a mask's energy besides the class score: a given area, and kept voxels that gather."""

import math
import warnings

import torch
from torch import Tensor
from torch.nn.functional import conv3d

from vxbench.errors import OutOfRange, UserError
from vxbench.ranges import one_of, whole

TIES = ("plain", "shuffle")


def nearest_binary(values: Tensor, area: float, order: Tensor | None = None) -> Tensor:
    """The 0/1 vector with the area's share of ones that sorting pairs with `values`: its largest get 1.

    values: (..., n). The int(n (1 - area)) smallest get 0. Of equal values the first get 0, in index order or
    in the order given, (..., n) a permutation: what a stable ascending sort does, found by selection in O(n).
    """
    if order is not None:
        shuffled = nearest_binary(values.gather(-1, order), area)
        return torch.empty_like(values).scatter_(-1, order, shuffled)
    zeros = int(values.shape[-1] * (1 - area))
    if zeros == 0:
        return torch.ones_like(values)
    threshold = values.kthvalue(zeros, dim=-1, keepdim=True).values
    tied = values == threshold
    tied_zeros = zeros - (values < threshold).sum(dim=-1, keepdim=True)
    return ((values > threshold) | (tied & (tied.cumsum(dim=-1) > tied_zeros))).to(values)


class AreaTerm:
    """Mean squared distance of the mask to the nearest binary mask of the wanted area.

    The masks are (N, T, H', W'), padded or cropped. `per_frame` False: one sort over all voxels (EP-3D, STEP eq. 5-6).
    True: a sort per frame, averaged over frames (EP-2D, EP-3D-Evenly, STEP eq. 10-11).
    """

    def __init__(self, per_frame: bool = False, ties: str = "plain"):
        one_of("ties", ties, TIES)
        self.per_frame, self.shuffle = per_frame, ties == "shuffle"

    def __call__(self, mask: Tensor, area: Tensor, generators: list[torch.Generator]) -> Tensor:
        """The term (N,) of masks (N, T, H', W') and wanted areas (N,)."""
        values = mask.flatten(2) if self.per_frame else mask.flatten(1)
        with torch.no_grad():
            order = self._order(values, generators) if self.shuffle else None
            wanted = torch.empty_like(values)
            for share in area.unique().tolist():
                chosen = area == share
                wanted[chosen] = nearest_binary(values[chosen], share, None if order is None else order[chosen])
        distance = ((values - wanted) ** 2).mean(dim=-1)
        return distance.mean(dim=1) if self.per_frame else distance

    def _order(self, values: Tensor, generators: list[torch.Generator]) -> Tensor:
        keys = [torch.rand(v.shape, generator=g) for v, g in zip(values, generators, strict=True)]
        return torch.stack(keys).argsort(dim=-1).to(values.device)


class CoreTerm:
    """STEP's smoothness: kept voxels gather in ellipsoids (STEP eq. 7-9).

    C is the mean of the mask in an ellipsoid window; the k largest C, in total as large as the wanted area, should be
    1 and the others 0.

    kernel: (T, H, W) extent in voxels. stride_t: 1 (released) or 11 (printed); in space it is the kernel's width.
    volume: `continuous` counts an ellipsoid as int(T H W pi / 6) voxels (443 for 7x11x11, released), at least one,
    `kernel` by the kernel's own sum (311, printed). loss: `two_means` (released) or `norm`, one mean over all
    windows (printed). short_t: `shrink` the kernel to a clip of fewer frames, or `error`.

    Raises:
        OutOfRange: a kernel between whose voxels the ellipsoid passes, such as (2, 2, 2).
        UserError: a clip shorter than the kernel under `error`, or a mask narrower than it.
    """

    def __init__(
        self,
        kernel: tuple[int, int, int] = (7, 11, 11),
        stride_t: int = 1,
        volume: str = "continuous",
        loss: str = "two_means",
        short_t: str = "shrink",
    ):
        if len(kernel) != 3:
            raise OutOfRange(f"kernel = {kernel} is not three extents (T, H, W)")
        for extent in kernel:
            whole("kernel", extent, 1)
        if not ellipsoid(kernel).any():
            raise OutOfRange(f"kernel = {tuple(kernel)} holds no voxel; its ellipsoid passes between them")
        self.kernel = tuple(kernel)
        self.stride_t = whole("stride_t", stride_t, 1)
        self.volume = one_of("volume", volume, ("continuous", "kernel"))
        self.loss = one_of("loss", loss, ("two_means", "norm"))
        self.short_t = one_of("short_t", short_t, ("shrink", "error"))

    def __call__(self, mask: Tensor, area: Tensor, generators: list[torch.Generator]) -> Tensor:
        """The term (N,) of padded masks (N, T, H', W') and wanted areas (N,)."""
        cores = self.cores(mask).flatten(1)
        volume = self._volume(mask.shape[1])
        losses = []
        for core, share, generator in zip(cores, area.tolist(), generators, strict=True):
            count = min(math.ceil(share * mask[0].numel() / volume), len(core))
            losses.append(self._loss(self._shuffled(core, generator).sort(descending=True, stable=True).values, count))
        return torch.stack(losses)

    def cores(self, mask: Tensor) -> Tensor:
        """Mean of the mask in each window, (N, T'', H'', W''). Rows beyond the last whole window count nowhere."""
        extent = self._extent(mask.shape[1])
        if any(size < wanted for size, wanted in zip(mask.shape[1:], extent, strict=True)):
            raise UserError(f"STEP's kernel {extent} is larger than the mask {tuple(mask.shape[1:])}")
        kernel = ellipsoid(extent).to(mask)
        stride = (self.stride_t, self.kernel[1], self.kernel[2])
        return conv3d(mask[:, None], kernel[None, None], stride=stride)[:, 0] / kernel.sum()

    def _loss(self, ranked: Tensor, count: int) -> Tensor:
        inside, outside = (1 - ranked[:count]) ** 2, ranked[count:] ** 2
        if self.loss == "norm":
            return torch.cat([inside, outside]).mean()
        return sum(part.mean() for part in (inside, outside) if len(part))

    def _shuffled(self, core: Tensor, generator: torch.Generator) -> Tensor:
        return core[torch.randperm(len(core), generator=generator).to(core.device)]

    def _volume(self, frames: int) -> float:
        extent = self._extent(frames)
        if self.volume == "continuous":
            return max(1, int(math.prod(extent) * math.pi / 6))
        return ellipsoid(extent).sum().item()

    def _extent(self, frames: int) -> tuple[int, int, int]:
        if frames >= self.kernel[0]:
            return self.kernel
        if self.short_t == "error":
            raise UserError(f"STEP's kernel spans {self.kernel[0]} frames, the clip has {frames}; use short_t=shrink")
        shrunk = (frames, *self.kernel[1:])
        if not ellipsoid(shrunk).any():
            raise UserError(f"STEP's kernel shrunk to the clip's {frames} frames, {shrunk}, holds no voxel")
        warnings.warn(
            f"STEP's kernel of {self.kernel[0]} frames shrunk to the clip's {frames}",
            RuntimeWarning,
            stacklevel=2,
        )
        return shrunk


def ellipsoid(extent: tuple[int, int, int]) -> Tensor:
    """A kernel (T, H, W), 1 where the centred coordinates scaled to [-1, 1] have squared norm <= 1."""
    axes = [torch.linspace(-1, 1, n, dtype=torch.float64) if n > 1 else torch.zeros(1).double() for n in extent]
    squares = [axis**2 for axis in axes]
    distance = squares[0][:, None, None] + squares[1][None, :, None] + squares[2][None, None, :]
    return (distance <= 1).double()
