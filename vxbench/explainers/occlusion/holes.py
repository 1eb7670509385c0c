"""Describes masks that hide a union of rectangles in each frame by a few numbers, and sums and paints with them.

Sums over many masks go through integral images, so that no mask is made dense.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

AT_ONCE = 256  # masks whose corners are held at once
DENSE_AT_ONCE = 8
MOST_RECTANGLES = 7  # their 127 intersections are still cheaper than dense masks


@dataclass(frozen=True)
class Holes:
    """N masks over clips of (T, H, W); mask i hides in frame t the union of its R rectangles.

    rows, columns: (N, R, T, 2) int16. A rectangle is rows [first, last) times columns [first, last); nothing
        where a range is empty.
    owner: (N,) int64, the clip of the batch that each mask belongs to.
    """

    rows: Tensor
    columns: Tensor
    owner: Tensor
    height: int
    width: int

    def __len__(self) -> int:
        return len(self.owner)

    def __getitem__(self, part: slice | Tensor) -> "Holes":
        """Some of the masks, without copying when `part` is a slice."""
        return replace(self, rows=self.rows[part], columns=self.columns[part], owner=self.owner[part])

    @property
    def frames(self) -> int:
        return self.rows.shape[2]

    def hidden(self) -> Tensor:
        """The hidden voxels, (N, T, H, W) bool. It is dense: ask it of a few masks at a time."""
        rows, columns = _inside(self.rows, self.height), _inside(self.columns, self.width)
        union = rows.new_zeros(len(self), self.frames, self.height, self.width)
        for r in range(rows.shape[1]):
            union |= rows[:, r, :, :, None] & columns[:, r, :, None]
        return union

    def visible(self, dtype: torch.dtype) -> Tensor:
        """The masks as factors of the clip, (N, 1, T, H, W): 1 visible, 0 hidden."""
        return (~self.hidden())[:, None].to(dtype)


def join(parts: list[Holes]) -> Holes:
    """The masks of several clips as those of one batch, clip by clip. Each part must own a single clip."""
    most = max(part.rows.shape[1] for part in parts)
    owner = [torch.full_like(part.owner, i) for i, part in enumerate(parts)]
    rows, columns = (
        torch.cat([_filled_up(getattr(part, name), most) for part in parts]) for name in ("rows", "columns")
    )
    return replace(parts[0], rows=rows, columns=columns, owner=torch.cat(owner))


def _filled_up(ranges: Tensor, count: int) -> Tensor:
    """Ranges (N, R, T, 2) filled up to (N, count, T, 2) with the first rectangle, which adds nothing to the union."""
    return torch.cat([ranges, ranges[:, :1].expand(-1, count - ranges.shape[1], -1, -1)], dim=1)


def around(centre: Tensor, side: int, size: int, alive: Tensor) -> Tensor:
    """Ranges (..., 2) of length side around the centres (...,), cut to [0, size), empty where not alive.

    The range around c is [c - side // 2, c + side // 2 + side % 2).
    """
    first = (centre - side // 2).clamp(0, size)
    last = (centre + side // 2 + side % 2).clamp(0, size)
    return torch.stack([first * alive, last * alive], dim=-1).to(torch.int16)


def _inside(ranges: Tensor, size: int) -> Tensor:
    """Whether each of `size` places lies in the ranges (..., 2), (..., size) bool."""
    at = torch.arange(size, device=ranges.device)
    return (at >= ranges[..., :1]) & (at < ranges[..., 1:])


def sum_hidden(image: Tensor, holes: Holes) -> Tensor:
    """The sum of image (B, T, H, W) over the voxels that each of N masks hides on its clip, (N,) float64."""
    if holes.rows.shape[1] > MOST_RECTANGLES:
        flat = image.double().flatten(1)
        return _over(holes, DENSE_AT_ONCE, lambda part: (flat[part.owner] * part.hidden().flatten(1)).sum(1))
    integral = torch.nn.functional.pad(image.double().cumsum(2).cumsum(3), (1, 0, 1, 0)).flatten()
    return _over(holes, AT_ONCE, lambda part: sum((integral[at] * sign).sum((1, 2)) for sign, at in _corners(part)))


def paint_hidden(weight: Tensor, holes: Holes, batch: int) -> Tensor:
    """The sum over i of weight_i on the voxels that mask i hides on its clip: (N,) -> (B, T, H, W) float64."""
    shape = (batch, holes.frames, holes.height, holes.width)
    weight = weight.double()
    if holes.rows.shape[1] > MOST_RECTANGLES:
        total = weight.new_zeros(shape)
        for part, w in zip(_split(holes, DENSE_AT_ONCE), weight.split(DENSE_AT_ONCE), strict=True):
            total.index_add_(0, part.owner, part.hidden() * w.view(-1, 1, 1, 1))
        return total
    steps = weight.new_zeros(batch, holes.frames, holes.height + 1, holes.width + 1)
    for part, w in zip(_split(holes, AT_ONCE), weight.split(AT_ONCE), strict=True):
        for sign, at in _corners(part):
            steps.view(-1).index_add_(0, at.flatten(), (w.view(-1, 1, 1) * sign).expand_as(at).flatten())
    return steps.cumsum(2).cumsum(3)[..., :-1, :-1]


def hidden_share(holes: Holes) -> Tensor:
    """The share of voxels that each mask hides, (N,) float64, from exact counts."""
    one = torch.ones(1, holes.frames, holes.height, holes.width, device=holes.owner.device)
    alone = Holes(holes.rows, holes.columns, torch.zeros_like(holes.owner), holes.height, holes.width)
    return sum_hidden(one, alone) / one.numel()


def _corners(holes: Holes) -> Iterator[tuple[Tensor, Tensor]]:
    """The four corners: signs (P, 1) and flat positions (n, P, T) of each in a (B, T, H + 1, W + 1) array."""
    sign, rows, columns = _signed_rectangles(holes)
    frame = torch.arange(holes.frames, device=rows.device)
    start = (holes.owner[:, None, None] * holes.frames + frame) * (holes.height + 1)
    for i in (0, 1):
        for j in (0, 1):
            yield sign * (1 if i == j else -1), (start + rows[..., i]) * (holes.width + 1) + columns[..., j]


def _signed_rectangles(holes: Holes) -> tuple[Tensor, Tensor, Tensor]:
    """All P = 2 ** R - 1 intersections of a mask's rectangles: signs (P, 1), rows and columns (n, P, T, 2).

    The union's indicator is the signed sum of theirs. Empty ones have both ends of a range alike.
    """
    rows, columns = holes.rows.long(), holes.columns.long()
    sign = rows.new_ones(1, 1)
    all_rows, all_columns = rows[:, :1], columns[:, :1]
    for r in range(1, rows.shape[1]):
        one_row, one_column = rows[:, r : r + 1], columns[:, r : r + 1]
        sign = torch.cat([sign, sign[:1], -sign])
        all_rows = torch.cat([all_rows, one_row, _common(all_rows, one_row)], dim=1)
        all_columns = torch.cat([all_columns, one_column, _common(all_columns, one_column)], dim=1)
    return sign, _common(all_rows, all_rows), _common(all_columns, all_columns)


def _common(a: Tensor, b: Tensor) -> Tensor:
    """The intersection of two ranges (..., 2); [first, first) where it is empty."""
    first = torch.maximum(a[..., 0], b[..., 0])
    return torch.stack([first, torch.minimum(a[..., 1], b[..., 1]).maximum(first)], dim=-1)


def _split(holes: Holes, at_once: int) -> Iterator[Holes]:
    for start in range(0, len(holes), at_once):
        yield holes[start : start + at_once]


def _over(holes: Holes, at_once: int, function: Callable[[Holes], Tensor]) -> Tensor:
    return torch.cat([function(part) for part in _split(holes, at_once)])
