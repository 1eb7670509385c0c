"""Masks that hide rectangles, described by a few numbers: what is hidden in a frame is a union of rectangles."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


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
        """(N, T, H, W) bool. Dense: ask it of a few masks at a time."""
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
    """(N, R, T, 2) -> (N, count, T, 2): the first rectangle again, which adds nothing to the union."""
    return torch.cat([ranges, ranges[:, :1].expand(-1, count - ranges.shape[1], -1, -1)], dim=1)


def around(centre: Tensor, side: int, size: int, alive: Tensor) -> Tensor:
    """[c - side // 2, c + side // 2 + side % 2) cut to [0, size), empty where not alive: (...,) -> (..., 2)."""
    first = (centre - side // 2).clamp(0, size)
    last = (centre + side // 2 + side % 2).clamp(0, size)
    return torch.stack([first * alive, last * alive], dim=-1).to(torch.int16)


def _inside(ranges: Tensor, size: int) -> Tensor:
    """(..., 2) ranges -> (..., size) bool."""
    at = torch.arange(size, device=ranges.device)
    return (at >= ranges[..., :1]) & (at < ranges[..., 1:])
