"""Reads a layer's activations and gradients, brings them to a grid of time and space, and enlarges maps to the clip.

Layers of K channels give, for B clips of T' steps and h x w cells:

| layer of | gives | becomes (B, K, T', h, w) |
|---|---|---|
| a 3D network | (B, K, T', h, w) | as it is |
| a network that runs on frames | (B * T', K, h, w) | folded |
| a transformer, frame by frame | (B * T', 1 + h w, K) | class token dropped, folded |
| a transformer, on all frames together | (B, 1 + h w T', K) | class token dropped, split in the order of its tokens |

Channels may come last, and no class token lead the others, where the network's `cam_layout` says so.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import le

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from vxbench.errors import NotApplicable, UserError, did_you_mean
from vxbench.explainers.normalise import normalise
from vxbench.network import at_least_float32, class_score, of_finite
from vxbench.ranges import one_of, whole

TOKEN_ORDERS = ("patch_major", "frame_major")
CHANNELS, TOKENS = ("channels_first", "channels_last"), ("tokens", "patch_tokens")
LAYOUTS = (*CHANNELS, *TOKENS)
UNLED = ", or model.cam_layout=patch_tokens if no class token leads them"


def activation_and_gradient(
    classifier: nn.Module, layer: str, clip: Tensor, target: Tensor, score: str = "logit"
) -> tuple[Tensor, Tensor]:
    """The layer's output and the gradient of the target's score there, both as the layer shapes them.

    The gradient is NaN where the layer has a row or several a clip, and the clip's score is not finite.
    """
    with torch.enable_grad(), captured(classifier, layer) as outputs:
        chosen = class_score(classifier, clip, target, score)
        output = ran_once(f"layer {layer!r}", outputs)
        reached = chosen.requires_grad  # outputs are the only leaves that ask for a gradient
        gradient = torch.autograd.grad(chosen.sum(), output, allow_unused=True)[0] if reached else None
    if gradient is None:
        raise NotApplicable(f"the class score does not depend on layer {layer!r}")
    rows, left = divmod(len(gradient), len(clip))
    return output.detach(), gradient if left else of_finite(chosen.repeat_interleave(rows), gradient)


@contextmanager
def captured(classifier: nn.Module, layer: str) -> Iterator[list[Tensor]]:
    """Collects the layer's outputs while inside, as leaves of the graph, so that nothing before them is kept.

    The network goes on with a copy, so an in-place operation after the layer cannot overwrite what is kept.
    """
    outputs = []

    def keep(module, inputs, output):
        if not isinstance(output, Tensor) or output.ndim not in (3, 4, 5):
            shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise NotApplicable(f"layer {layer!r} gives {shape}, not channels on a grid (4-D or 5-D) or tokens (3-D)")
        outputs.append(output.detach().requires_grad_())
        return outputs[-1].clone()

    handle = find_layer(classifier, layer).register_forward_hook(keep)
    try:
        yield outputs
    finally:
        handle.remove()


def ran_once(what: str, records: list):
    """The only record of a forward pass.

    Raises:
        NotApplicable: there is none, or more than one. what: names the layer in the message.
    """
    if len(records) != 1:
        raise NotApplicable(f"{what} runs {len(records)} times in a forward pass, not once")
    return records[0]


def find_layer(classifier: nn.Module, layer: str, key: str = "layer") -> nn.Module:
    """The submodule of that dotted name. key: the setting that names it, for messages.

    Raises:
        NotApplicable: no layer is named, as by a model that has none fit for it.
        UserError: the classifier has no layer of that name.
    """
    if layer is None:
        raise NotApplicable("the model names no layer for class activation maps (model.cam_layer)")
    modules = {name: module for name, module in classifier.named_modules() if name}
    if layer not in modules:
        raise UserError(f"{key} = {layer!r} is not in the classifier{did_you_mean(str(layer), modules)}")
    return modules[layer]


def check_patches_matter(gradient: Tensor, layer: str, layout: str | None = None) -> None:
    """Checks that the score depends on patches, not on the class token alone.

    Raises:
        NotApplicable: it does not, as in a transformer's last block, whose patches reach no head.
    """
    led = gradient.ndim == 3 and layout != "patch_tokens"
    if led and not gradient[:, 1:].any() and gradient[:, 0].any():
        raise NotApplicable(f"of layer {layer!r} only the class token reaches the score: take an earlier layer")


def layout_of(classifier: nn.Module, layer: str, output: Tensor) -> str | None:
    """How the layer's axes lie, one of LAYOUTS, as the classifier's `cam_layout` says; None: as `to_grid` assumes.

    Raises:
        UserError: it is none of them, or is not said although the layer works along its last axis.
    """
    if said := getattr(classifier, "cam_layout", None):
        return one_of("model.cam_layout", said, LAYOUTS)
    module = find_layer(classifier, layer)
    if output.ndim > 3 and isinstance(module, (nn.LayerNorm, nn.Linear)):
        raise UserError(
            f"layer {layer!r} gives {tuple(output.shape)} and is a {type(module).__name__}, which works along its last "
            "axis: set model.cam_layout=channels_last if its channels are there, else channels_first"
        )
    return None


def to_grid(
    output: Tensor,
    clip: Tensor,
    token_order: str | None = None,
    grid: Sequence[int] | None = None,
    layout: str | None = None,
) -> Tensor:
    """Brings a layer's output for clips (B, 3, T, H, W) to (B, K, T', h, w), in float32 or better.

    token_order: of tokens of all frames together, `patch_major` (a patch's frames follow one another, as in
        TimeSformer) or `frame_major` (a frame's patches do).
    grid: h and w of tokens; None for as many square patches as fit into the clip.
    layout: one of LAYOUTS, which is believed; None: `channels_first`, and `tokens` (a class token leads them, as it
        does not with `patch_tokens`) of 3-D outputs, unless the sizes cannot be those of such a grid.

    Raises:
        NotApplicable: rows that do not divide among the clips.
        UserError: sizes that do not fit the clip, the layout or the grid, or tokens whose order is not known.
    """
    output, kind = at_least_float32(output), layout or ("tokens" if output.ndim == 3 else "channels_first")
    if (output.ndim == 3) != (kind in TOKENS):
        raise UserError(f"model.cam_layout = {kind}, but the CAM layer gives {tuple(output.shape)}: set another")
    if kind in TOKENS:
        return _grid_of_tokens(output[:, kind == "tokens" :], clip, token_order, grid)
    channels = output.movedim(-1, 1) if kind == "channels_last" else output
    maps = channels if channels.ndim == 5 else fold(channels, len(clip)).transpose(1, 2)
    if len(maps) != len(clip) or (layout is None and not _may_be_grid(maps.shape[2:], clip.shape[2:])):
        axes = "(B, K, T', h, w)" if output.ndim == 5 else "(B T', K, h, w)"
        raise UserError(
            f"the CAM layer gives {tuple(output.shape)} for clips {tuple(clip.shape)}, which cannot be {axes}: "
            "set model.cam_layout=channels_last if its channels come last, channels_first if it is so nevertheless, "
            "or another model.cam_layer"
        )
    return maps


def _may_be_grid(grid: Sequence[int], clip: Sequence[int]) -> bool:
    """Whether (T', h, w) cells may cover a clip (T, H, W): no more than it has, and one stride in height and width.

    Padding, or the lack of it, leaves a cell more or less on either axis.
    """
    strides = [(size / (cells + 1), size / max(cells - 1, 1e-9)) for size, cells in zip(clip, grid, strict=True)]
    (low, high), (left, right) = strides[1:]
    return all(map(le, grid, clip)) and low <= right and left <= high


def _grid_of_tokens(tokens: Tensor, clip: Tensor, order: str | None, grid: Sequence[int] | None) -> Tensor:
    """Brings tokens (rows, patches, K), without a class token, to (B, K, T', h, w)."""
    patches = fold(tokens, len(clip))  # (B, rows of a clip, patches, K)
    if patches.shape[1] == 1:
        patches = _split_in_time(patches[:, 0], clip.shape[2], order, grid)
    if patches.shape[1] > clip.shape[2]:
        raise NotApplicable(f"{len(tokens)} rows of tokens are no frames of {len(clip)} clips of {clip.shape[2]}")
    return patches.unflatten(2, grid_of(patches.shape[2], *clip.shape[3:], grid)).permute(0, 4, 1, 2, 3)


def fold(rows: Tensor, clips: int) -> Tensor:
    """Rows (B * T', ...) split into those of each clip, (B, T', ...)."""
    if len(rows) % clips:
        raise NotApplicable(f"{len(rows)} feature maps do not divide among {clips} clips")
    return rows.unflatten(0, (clips, -1))


def _split_in_time(tokens: Tensor, frames: int, order: str | None, grid: Sequence[int] | None) -> Tensor:
    """Splits tokens (B, P T', K) into (B, T', P, K); T' is the clip's frames, unless the grid says what P is."""
    count = tokens.shape[1]
    steps = frames if grid is None else max(1, count // (grid[0] * grid[1]))
    if count % steps:
        raise UserError(f"{count} tokens do not divide among {steps} frames: set grid to [h, w]{UNLED}")
    if order is None and steps > 1:
        raise UserError(
            f"the CAM layer gives the {count} tokens of all frames together: set model.token_order to patch_major "
            "(a patch's frames follow one another) or frame_major (a frame's patches do)"
        )
    if order == "frame_major":
        return tokens.unflatten(1, (steps, -1))
    return tokens.unflatten(1, (-1, steps)).transpose(1, 2)


def grid_of(patches: int, height: int, width: int, grid: Sequence[int] | None = None) -> tuple[int, int]:
    """The h and w of that many patches: the given grid, or that of square patches which fit height x width pixels."""
    if grid is not None:
        if grid[0] * grid[1] != patches:
            raise UserError(f"grid = {list(grid)} has {grid[0] * grid[1]} cells for {patches} tokens of a frame")
        return tuple(grid)
    for side in range(1, min(height, width) + 1):
        if (height // side) * (width // side) == patches:
            return height // side, width // side
    raise UserError(
        f"{patches} tokens are no grid of square patches on {height}x{width} pixels: set grid to [h, w]{UNLED}"
    )


def check_grid(grid: Sequence[int] | None) -> tuple[int, int] | None:
    """Returns the grid of the settings, once it is known to be None or two whole numbers."""
    if grid is None:
        return None
    if isinstance(grid, str) or not isinstance(grid, Sequence) or len(grid) != 2:
        raise UserError(f"grid = {grid} is not null or [h, w]")
    return whole("grid[0]", grid[0], 1), whole("grid[1]", grid[1], 1)


def enlarge(coarse: Tensor, size: Sequence[int], upsample: str = "bilinear") -> Tensor:
    """Enlarges maps (B, T', h, w) to (B, T, H, W), size = (T, H, W)."""
    frames, height, width = size
    return UPSAMPLES[upsample](enlarge_in_time(coarse, frames), height, width)


def enlarge_in_time(coarse: Tensor, frames: int) -> Tensor:
    """Enlarges maps (B, T', h, w) to (B, T, h, w): repeats every step, or is linear where T is no multiple of T'."""
    steps = coarse.shape[1]
    if frames % steps == 0:
        return coarse.repeat_interleave(frames // steps, dim=1)
    series = coarse.flatten(2).transpose(1, 2)
    longer = interpolate(series, size=frames, mode="linear", align_corners=False)
    return longer.transpose(1, 2).unflatten(2, coarse.shape[2:])


def _bilinear(maps: Tensor, height: int, width: int) -> Tensor:
    return interpolate(maps, size=(height, width), mode="bilinear", align_corners=False)


def _spline3(maps: Tensor, height: int, width: int) -> Tensor:
    """Enlarges by a cubic spline, which may leave the range of the cells."""
    from scipy.ndimage import zoom

    factors = (1, 1, height / maps.shape[2], width / maps.shape[3])
    return torch.from_numpy(zoom(maps.cpu().numpy(), factors, order=3)).to(maps)


UPSAMPLES = {"bilinear": _bilinear, "spline3": _spline3}


def stretch_frames(saliency: Tensor) -> Tensor:
    """Scales every frame to [0, 1] by itself."""
    frames = saliency.flatten(0, 1).unsqueeze(1)
    return normalise(frames, "minmax")[0].view_as(saliency)
