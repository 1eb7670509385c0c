"""Filters a field by bands of a three-dimensional cosine transform (F-EP section 3.2, eq. 3-5)."""

import math
import warnings
from functools import lru_cache

import torch
from torch import Tensor

from vxbench.errors import OutOfRange
from vxbench.ranges import one_of, within

TRANSFORMS = ("ortho", "eq4_literal")


def dct3(field: Tensor) -> Tensor:
    """The orthonormal DCT-II over the last three dimensions."""
    return _transform(field, lambda basis: basis)


def idct3(spectrum: Tensor) -> Tensor:
    """The inverse of `dct3`, a DCT-III."""
    return _transform(spectrum, lambda basis: basis.T)


class BandFilter:
    """A filter that keeps the low band A and the high band B of a field g (..., T, h, w): IDCT((A + B) DCT(g)).

    A holds indices below floor(r_l N) on all axes, B all but those below floor((1 - r_h) N) on all axes; with
    r_l + r_h <= 1 they do not meet. r_l + r_h = 1 and r_l = 1 are the identity. The filter is a linear, self-adjoint
    projection.

    transform: `ortho`, the orthonormal transform the text means, or `eq4_literal`, the printed one, whose frequencies
    run from 1 to N and whose 1/sqrt(2) sits on the sample index: the constant is lost, and it is no projection.
    zero_box: what to do when A is empty (some floor(r_l N) = 0): `warn`, or `keep_dc` to keep the constant.

    Raises:
        OutOfRange: r_l, r_h or their sum outside [0, 1].
    """

    def __init__(self, r_l: float, r_h: float, transform: str = "ortho", zero_box: str = "warn"):
        within("r_l", r_l, 0, 1)
        within("r_h", r_h, 0, 1)
        if r_l + r_h > 1 + 1e-9:
            raise OutOfRange(f"r_l + r_h = {r_l:g} + {r_h:g} = {r_l + r_h:g} is outside [0, 1]")
        self.r_l, self.r_h = r_l, r_h
        self.literal = one_of("transform", transform, TRANSFORMS) == "eq4_literal"
        self.zero_box = one_of("zero_box", zero_box, ("warn", "keep_dc"))

    def __call__(self, field: Tensor) -> Tensor:
        """The field (..., T, h, w), filtered."""
        keep = self.passband(field.shape[-3:]).to(field)
        if self.literal:
            return _transform(_transform(field, _printed) * keep, lambda basis: _printed(basis).T)
        return idct3(dct3(field) * keep)

    def passband(self, shape: tuple[int, int, int]) -> Tensor:
        """The bands that are kept, A + B, (T, h, w) bool."""
        low, high = self.bands(shape)
        keep = low | high
        if not keep[0, 0, 0]:
            self._empty(keep, shape)
        return keep

    def bands(self, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
        """The low band A and the high band B, each (T, h, w) bool."""
        low = _box([math.floor(self.r_l * n + 1e-9) for n in shape], shape)
        return low, ~_box([math.floor((1 - self.r_h) * n + 1e-9) for n in shape], shape)

    def _empty(self, keep: Tensor, shape: tuple[int, int, int]) -> None:
        if self.zero_box == "keep_dc":
            keep[0, 0, 0] = True
        else:
            warnings.warn(
                f"r_l = {self.r_l:g} keeps no low frequency of a {tuple(shape)} grid: "
                "the mask's mean cannot follow the area",
                RuntimeWarning,
                stacklevel=3,
            )


def _box(limits: list[int], shape: tuple[int, int, int]) -> Tensor:
    box = torch.zeros(shape, dtype=torch.bool)
    box[tuple(slice(limit) for limit in limits)] = True
    return box


def _transform(field: Tensor, arrange) -> Tensor:
    for axis in (-3, -2, -1):
        basis = arrange(_basis(field.shape[axis])).to(field)
        field = (field.transpose(axis, -1) @ basis.T).transpose(axis, -1)
    return field


@lru_cache
def _basis(size: int) -> Tensor:
    """The orthonormal cosines (N, N) float64; row k is the k-th."""
    index = torch.arange(size, dtype=torch.float64)
    basis = torch.cos(math.pi / size * (index + 0.5) * index[:, None]) * math.sqrt(2 / size)
    basis[0] /= math.sqrt(2)
    return basis


def _printed(basis: Tensor) -> Tensor:
    """The basis as printed: frequencies 1 .. N (the N-th is zero at every sample), 1/sqrt(2) on the first sample."""
    rows = torch.cat([basis[1:], torch.zeros_like(basis[:1])])
    rows[:, 0] /= math.sqrt(2)
    return rows
