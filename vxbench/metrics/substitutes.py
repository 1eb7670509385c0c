"""What stands in a clip where voxels are taken away: the mean colour, or the clip blurred frame by frame."""

import torch
from torch import Tensor

from vxbench.errors import OutOfRange
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
