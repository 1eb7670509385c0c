"""What layers give, as channels on a grid of time and space.

| layer of | gives | B clips, T' steps, h x w cells |
|---|---|---|
| a 3D network | (B, K, T', h, w) | as it is |
| a network that runs on frames | (B * T', K, h, w) | folded |
| a transformer, frame by frame | (B * T', 1 + h w, K) | class token dropped, folded |
| a transformer, on all frames together | (B, 1 + h w T', K) | the same, in the order of its tokens |
"""

from collections.abc import Sequence

from torch import Tensor

from vxbench.errors import NotApplicable, UserError
from vxbench.ranges import whole

TOKEN_ORDERS = ("patch_major", "frame_major")


def to_grid(
    output: Tensor, clip: Tensor, token_order: str = "patch_major", grid: Sequence[int] | None = None
) -> Tensor:
    """A layer's output for clips (B, 3, T, H, W) as (B, K, T', h, w).

    token_order: of tokens of all frames together, `patch_major` (a patch's frames follow one another, as in
        TimeSformer) or `frame_major` (a frame's patches do).
    grid: h and w of tokens; None for as many square patches as fit into the clip.

    Raises:
        NotApplicable: rows that do not divide among the clips.
        UserError: a number of tokens that does not fit the clip or the grid.
    """
    if output.ndim == 5:
        return output
    rows = fold(output, len(clip))
    if output.ndim == 4:
        return rows.transpose(1, 2)
    patches = rows[:, :, 1:]  # (B, rows of a clip, patches, K), without the class token
    if patches.shape[1] == 1:
        patches = _split_in_time(patches[:, 0], clip.shape[2], token_order, grid)
    if patches.shape[1] > clip.shape[2]:
        raise NotApplicable(f"{len(output)} rows of tokens are no frames of {len(clip)} clips of {clip.shape[2]}")
    return patches.unflatten(2, grid_of(patches.shape[2], *clip.shape[3:], grid)).permute(0, 4, 1, 2, 3)


def fold(rows: Tensor, clips: int) -> Tensor:
    """(B * T', ...) -> (B, T', ...)."""
    if len(rows) % clips:
        raise NotApplicable(f"{len(rows)} feature maps do not divide among {clips} clips")
    return rows.unflatten(0, (clips, -1))


def _split_in_time(tokens: Tensor, frames: int, order: str, grid: Sequence[int] | None) -> Tensor:
    """(B, P T', K) -> (B, T', P, K), T' the clip's frames unless the grid says what P is."""
    count = tokens.shape[1]
    steps = frames if grid is None else max(1, count // (grid[0] * grid[1]))
    if count % steps:
        raise UserError(f"{count} tokens do not divide among {steps} frames: set grid to [h, w]")
    if order == "frame_major":
        return tokens.unflatten(1, (steps, -1))
    return tokens.unflatten(1, (-1, steps)).transpose(1, 2)


def grid_of(patches: int, height: int, width: int, grid: Sequence[int] | None = None) -> tuple[int, int]:
    """h and w of that many patches: the given grid, or the square patches that fit height x width pixels."""
    if grid is not None:
        if grid[0] * grid[1] != patches:
            raise UserError(f"grid = {list(grid)} has {grid[0] * grid[1]} cells for {patches} tokens of a frame")
        return tuple(grid)
    for side in range(1, min(height, width) + 1):
        if (height // side) * (width // side) == patches:
            return height // side, width // side
    raise UserError(f"{patches} tokens are no grid of square patches on {height}x{width} pixels: set grid to [h, w]")


def check_grid(grid: Sequence[int] | None) -> tuple[int, int] | None:
    """A grid as the settings give it: None or two whole numbers."""
    if grid is None:
        return None
    if isinstance(grid, str) or not isinstance(grid, Sequence) or len(grid) != 2:
        raise UserError(f"grid = {grid} is not null or [h, w]")
    return whole("grid[0]", grid[0], 1), whole("grid[1]", grid[1], 1)


def check_patches_matter(gradient: Tensor, layer: str) -> None:
    """Tokens of which the score feels the class token alone have no map.

    Raises:
        NotApplicable: so it is, as in a transformer's last block, whose patches reach no head.
    """
    if gradient.ndim == 3 and not gradient[:, 1:].any() and gradient[:, 0].any():
        raise NotApplicable(f"of layer {layer!r} only the class token reaches the score: take an earlier layer")
