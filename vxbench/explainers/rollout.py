"""Computes attention rollout on transformers with divided space-time attention."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from functools import partial
from inspect import signature

import torch
from torch import Tensor, nn

from vxbench.errors import NotApplicable, UserError, did_you_mean
from vxbench.explainers.base import Context, Explainer, Passes
from vxbench.explainers.cam.activations import check_grid, enlarge, fold, grid_of
from vxbench.network import in_chunks
from vxbench.ranges import one_of, within

FUSIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "mean": lambda heads: heads.mean(dim=1),
    "max": lambda heads: heads.amax(dim=1),
    "min": lambda heads: heads.amin(dim=1),
}


class AttentionRollout(Explainer):
    """The share of each patch that the class token holds at the end, if attention were all that moves information.

    Every attention is a matrix L over the 1 + P T tokens. Temporal attention, (T, T) for each patch, mixes a
    patch's frames and keeps the class token. Spatial attention, (1 + P, 1 + P) for each frame, mixes a frame's
    patches with the class token, whose own row is the mean over the frames: there is one class token, and every
    frame sees it. S is the class token's row of R = L_n ... L_1. One forward pass; the target plays no part.

    temporal, spatial: patterns (`*` as in file names) of the dotted names of the attention modules,
        nn.MultiheadAttention that get (B * P, T) and (B * T, 1 + P) tokens. None: there are none.
    residual: weight of the identity, the path around the attention, in each L.
    fusion: `mean`, `max` or `min` over the heads.
    discard: share of the smallest weights of each attention that count as 0.
    grid: h and w of the patches; None for as many square patches as fit into the clip.

    Source: Abnar and Zuidema 2020, eq. 1, on TimeSformer (Bertasius et al. 2021), whose paper gives no rollout.

    Raises:
        NotApplicable: the classifier has no such attention, or it does not run as described.
        UserError: a pattern that matches nothing, or another kind of module.
    """

    def __init__(
        self,
        temporal: str | None,
        spatial: str | None,
        residual: float = 0.5,
        fusion: str = "mean",
        discard: float = 0.0,
        grid: Sequence[int] | None = None,
        chunk: int = 64,
    ):
        super().__init__(chunk)
        self.temporal = temporal
        self.spatial = spatial
        self.residual = within("residual", residual, 0, 1)
        self.fusion = one_of("fusion", fusion, FUSIONS)
        self.discard = within("discard", discard, 0, 1)
        self.grid = check_grid(grid)

    @torch.no_grad()
    def explain(self, classifier: nn.Module, clip: Tensor, target: Tensor, context: Context) -> Tensor:
        coarse = in_chunks(partial(self.coarse_map, classifier), self.chunk, clip)
        return enlarge(coarse, clip.shape[2:])

    def passes(self, shape: tuple[int, int, int]) -> Passes:
        return Passes(forward=1)

    def coarse_map(self, classifier: nn.Module, clip: Tensor) -> Tensor:
        """The patches of the class token's row of R, (B, T', h, w)."""
        patches = class_row(self.attentions(classifier, clip))[1]
        return patches.unflatten(2, grid_of(patches.shape[2], *clip.shape[3:], self.grid))

    def attentions(self, classifier: nn.Module, clip: Tensor) -> list[tuple[str, Tensor]]:
        """The attentions of a forward pass, with the identity mixed in, in the order in which they run.

        Each is ("temporal", (B, P, T, T)) or ("spatial", (B, T, 1 + P, 1 + P)), and its rows sum to 1.
        """
        names = self._names(classifier)
        with recorded(classifier, names, FUSIONS[self.fusion]) as weights:
            classifier(clip)
        ran = [name for name, _ in weights]
        for name in names:
            if ran.count(name) != 1:
                raise NotApplicable(f"attention {name!r} runs {ran.count(name)} times in a forward pass, not once")
        layers = [(names[name], fold(weight, len(clip))) for name, weight in weights]
        _check_shapes(layers)
        return [(kind, mixed(weight, self.residual, self.discard)) for kind, weight in layers]

    def _names(self, classifier: nn.Module) -> dict[str, str]:
        """The kind of every attention module, by name."""
        if self.temporal is None or self.spatial is None:
            raise NotApplicable(f"{getattr(classifier, 'key', 'the classifier')} has no attention blocks")
        found = {kind: find_attention(classifier, kind, getattr(self, kind)) for kind in ("temporal", "spatial")}
        counts = {kind: len(names) for kind, names in found.items()}
        if counts["temporal"] != counts["spatial"]:
            raise UserError(f"{counts['temporal']} temporal and {counts['spatial']} spatial attentions are no pairs")
        return {name: kind for kind, names in found.items() for name in names}


def find_attention(classifier: nn.Module, kind: str, pattern: str) -> list[str]:
    """Names of the modules that match the pattern."""
    modules = {name: module for name, module in classifier.named_modules() if name}
    found = [name for name in modules if fnmatchcase(name, pattern)]
    if not found:
        raise UserError(f"{kind} = {pattern!r} matches no module of the classifier{did_you_mean(pattern, modules)}")
    for name in found:
        if not isinstance(modules[name], nn.MultiheadAttention):
            raise UserError(f"{kind}: {name} is a {type(modules[name]).__name__}, not an nn.MultiheadAttention")
    return found


@contextmanager
def recorded(
    classifier: nn.Module, names: Sequence[str], fuse: Callable[[Tensor], Tensor]
) -> Iterator[list[tuple[str, Tensor]]]:
    """Collects (name, attention weights (N, L, L)) of the modules as they run while inside, heads fused."""
    weights = []

    def ask(module, args, kwargs):
        """Asks for the weights of every head, however the network calls the module."""
        call = signature(module.forward).bind(*args, **kwargs)
        call.arguments.update(need_weights=True, average_attn_weights=False)
        return call.args, call.kwargs

    def keep(name, module, args, output):
        weights.append((name, fuse(output[1])))

    with ExitStack() as hooks:
        for name in names:
            module = classifier.get_submodule(name)
            hooks.callback(module.register_forward_pre_hook(ask, with_kwargs=True).remove)
            hooks.callback(module.register_forward_hook(partial(keep, name)).remove)
        yield weights


def mixed(weights: Tensor, residual: float, discard: float = 0.0) -> Tensor:
    """Mixes weights A to (1 - residual) A + residual I, with rows that sum to 1: max, min and discard leave other sums.

    A row of which `discard` leaves nothing, which needs residual = 0, stays 0.
    """
    if discard:
        weights = _without_smallest(weights, discard)
    identity = torch.eye(weights.shape[-1], dtype=weights.dtype, device=weights.device)
    mix = (1 - residual) * weights + residual * identity
    return mix / mix.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(mix.dtype).tiny)


def _without_smallest(weights: Tensor, share: float) -> Tensor:
    flat = weights.flatten(-2)
    smallest = flat.argsort(dim=-1, stable=True)[..., : int(share * flat.shape[-1])]
    return flat.scatter(-1, smallest, 0).view_as(weights)


def class_row(layers: list[tuple[str, Tensor]]) -> tuple[Tensor, Tensor]:
    """The class token's row of R = L_n ... L_1: its weight on itself (B,) and on the patches (B, T, P).

    From the last layer to the first a row is multiplied by a matrix, so no matrix over all tokens is needed.
    """
    clips, frames, tokens = next(weights.shape[:3] for kind, weights in layers if kind == "spatial")
    weights = layers[0][1]
    row = weights.new_ones(clips), weights.new_zeros(clips, frames, tokens - 1)
    for kind, matrix in reversed(layers):
        row = TIMES_LAYER[kind](*row, matrix)
    return row


def through_space(cls: Tensor, patches: Tensor, spatial: Tensor) -> tuple[Tensor, Tensor]:
    """The row (cls, patches) times L_S. The class token's own row is the mean over the frames: each gets its share."""
    share = (cls / patches.shape[1])[:, None, None].expand(-1, patches.shape[1], 1)
    rows = torch.cat([share, patches], dim=2)  # (B, T, 1 + P)
    rows = torch.einsum("btq,btqk->btk", rows, spatial)
    return rows[:, :, 0].sum(dim=1), rows[:, :, 1:]


def through_time(cls: Tensor, patches: Tensor, temporal: Tensor) -> tuple[Tensor, Tensor]:
    """The row (cls, patches) times L_T, in which the class token takes no part."""
    return cls, torch.einsum("btp,bptu->bup", patches, temporal)


TIMES_LAYER = {"spatial": through_space, "temporal": through_time}  # kind of L -> the row times L


def _check_shapes(layers: list[tuple[str, Tensor]]) -> None:
    """Checks that temporal (B, P, T, T) and spatial (B, T, 1 + P, 1 + P) attentions have the same P and T.

    Raises:
        NotApplicable: they have not.
    """
    sizes = set()
    for kind, weights in layers:
        outer, inner = weights.shape[1:3]
        sizes.add((outer, inner) if kind == "temporal" else (inner - 1, outer))
    if len(sizes) != 1:
        raise NotApplicable(f"attentions disagree on (patches, frames): {', '.join(map(str, sorted(sizes)))}")
