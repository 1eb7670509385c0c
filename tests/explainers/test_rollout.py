"""Attention Rollout: the class token's row against full matrices, and the weights against the network's own."""

import math

import pytest
import torch
from helpers.toys import clips
from torch import nn
from torch.nn.functional import interpolate

from vxbench.errors import OutOfRange, UserError
from vxbench.explainers.rollout import FUSIONS, TIMES_LAYER, AttentionRollout, class_row, mixed, recorded
from vxbench.models import build_classifier

TIMESFORMER = "timesformer/timesformer_divST_8xb8-8x32x1-15e_kinetics400-rgb"
TEMPORAL, SPATIAL = "*.attentions.0.attn", "*.attentions.1.attn"
FRAMES, H, W, SIDE = 5, 24, 40, 8  # 3 x 5 patches
PATCHES, BLOCKS, HEADS, WIDTH = 15, 3, 4, 24
TARGET = torch.tensor([1, 3])


# Full matrices over the tokens: the class token first, then patch p of frame t at 1 + p T + t.


def place(p, t, frames):
    return 1 + p * frames + t


def temporal_matrix(attention):
    """(P, T, T) -> (1 + P T, 1 + P T)."""
    patches, frames = attention.shape[:2]
    full = torch.zeros(1 + patches * frames, 1 + patches * frames, dtype=torch.float64)
    full[0, 0] = 1
    for p in range(patches):
        for t in range(frames):
            for u in range(frames):
                full[place(p, t, frames), place(p, u, frames)] = attention[p, t, u]
    return full


def spatial_matrix(attention):
    """(T, 1 + P, 1 + P) -> (1 + P T, 1 + P T)."""
    frames, patches = attention.shape[0], attention.shape[1] - 1
    full = torch.zeros(1 + patches * frames, 1 + patches * frames, dtype=torch.float64)
    for t in range(frames):
        full[0, 0] += attention[t, 0, 0] / frames
        for p in range(patches):
            full[0, place(p, t, frames)] += attention[t, 0, 1 + p] / frames
            full[place(p, t, frames), 0] = attention[t, 1 + p, 0]
            for q in range(patches):
                full[place(p, t, frames), place(q, t, frames)] = attention[t, 1 + p, 1 + q]
    return full


def dense(layers, clip):
    """R = L_n ... L_1 of one clip."""
    matrices = {"temporal": temporal_matrix, "spatial": spatial_matrix}
    size = matrices[layers[0][0]](layers[0][1][clip]).shape[0]
    product = torch.eye(size, dtype=torch.float64)
    for kind, attention in layers:
        product = matrices[kind](attention[clip]) @ product
    return product


def drawn(seed, patches, frames, blocks=3, count=2, residual=0.5):
    """Random attentions, temporal then spatial in each block."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"temporal": (count, patches, frames, frames), "spatial": (count, frames, 1 + patches, 1 + patches)}
    layers = []
    for kind in ("temporal", "spatial") * blocks:
        scores = 2 * torch.randn(shapes[kind], generator=generator, dtype=torch.float64)
        layers.append((kind, mixed(scores.softmax(dim=-1), residual)))
    return layers


SIZES = [(1, 1), (1, 3), (3, 1), (5, 3), (7, 4), (4, 7)]


@pytest.mark.parametrize(
    ("seed", "patches", "frames"), [*((seed, *size) for seed, size in enumerate(SIZES)), (6, 7, 4), (7, 4, 7)]
)
def test_the_class_row_is_that_of_the_full_product(seed, patches, frames):
    layers = drawn(seed, patches, frames)
    cls, row = class_row(layers)
    for b in range(2):
        expected = dense(layers, b)[0]
        torch.testing.assert_close(cls[b], expected[0], rtol=1e-12, atol=1e-15)
        torch.testing.assert_close(row[b].T.flatten(), expected[1:], rtol=1e-12, atol=1e-15)


def test_the_order_of_the_layers_matters():
    """Guards the test above."""
    layers = drawn(0, 5, 3)
    assert (class_row(layers)[1] - class_row(layers[::-1])[1]).abs().max() > 1e-3


def one_hot(token, patches, frames):
    row = torch.zeros(1 + patches * frames, dtype=torch.float64)
    row[token] = 1
    return row[:1], row[1:].view(1, patches, frames).transpose(1, 2)


@pytest.mark.identity(28)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("patches", "frames"), [(5, 3), (4, 7)])
def test_every_row_sums_to_one_and_is_not_negative(seed, patches, frames):
    layers = drawn(seed, patches, frames, count=1)
    full = dense(layers, 0)
    for token in range(1 + patches * frames):
        cls, row = one_hot(token, patches, frames)
        for kind, matrix in reversed(layers):
            cls, row = TIMES_LAYER[kind](cls, row, matrix)
        got = torch.cat([cls, row.transpose(1, 2).flatten()])
        torch.testing.assert_close(got, full[token], rtol=1e-12, atol=1e-15)
        assert got.min() >= 0
        assert got.sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.identity(28)
@pytest.mark.parametrize(("patches", "frames"), SIZES)
def test_attention_to_oneself_moves_nothing_to_the_class_token(patches, frames):
    temporal = torch.eye(frames).expand(2, patches, -1, -1)
    spatial = torch.eye(1 + patches).expand(2, frames, -1, -1)
    layers = [("temporal", mixed(temporal, 0.5)), ("spatial", mixed(spatial, 0.5))] * 3
    cls, row = class_row(layers)
    assert torch.equal(row, torch.zeros(2, frames, patches))
    torch.testing.assert_close(cls, torch.ones(2))


def test_uniform_attention_of_one_block_by_hand():
    """Half of the class token stays, half is spread over the frame's 1 + P tokens; time then moves nothing."""
    patches, frames = 4, 3
    temporal = torch.full((1, patches, frames, frames), 1 / frames)
    spatial = torch.full((1, frames, 1 + patches, 1 + patches), 1 / (1 + patches))
    cls, row = class_row([("temporal", mixed(temporal, 0.5)), ("spatial", mixed(spatial, 0.5))])
    torch.testing.assert_close(cls, torch.tensor([0.5 + 0.5 / 5]))
    torch.testing.assert_close(row, torch.full((1, 3, 4), 0.5 / 5 / 3))


def test_temporal_attention_acts_before_spatial_attention():
    """The class token looks at frame 0 alone, whose patches, a layer below, came from frame 2."""
    patches, frames = 2, 3
    temporal = torch.zeros(1, patches, frames, frames)
    temporal[..., 2] = 1
    spatial = torch.eye(1 + patches).repeat(1, frames, 1, 1)
    spatial[0, 0, 0] = torch.tensor([0, 0.25, 0.75])
    cls, row = class_row([("temporal", mixed(temporal, 0)), ("spatial", mixed(spatial, 0))])
    torch.testing.assert_close(row[0, 2], torch.tensor([0.25, 0.75]) / 3)
    assert not row[0, :2].any()
    torch.testing.assert_close(cls, torch.tensor([2 / 3]))


@pytest.mark.parametrize("residual", [0, 0.3, 1])
@pytest.mark.parametrize("discard", [0, 0.4])
def test_rows_sum_to_one_whatever_the_heads_gave(residual, discard):
    weights = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    mix = mixed(weights, residual, discard)
    left = torch.ones(2, 3, 5)
    if residual == 0 and discard:
        left = (mix > 0).any(dim=-1).float()  # nothing is left of a row whose weights are all among the smallest
        assert 0 < (left == 0).sum() < 5
    torch.testing.assert_close(mix.sum(-1), left)
    off = ~torch.eye(5, dtype=torch.bool)
    if residual < 1:
        assert ((mix == 0) & off).any().item() == bool(discard)


def test_discard_drops_the_smallest_of_each_attention():
    weights = torch.tensor([[[0.1, 0.9], [0.4, 0.6]], [[0.7, 0.3], [0.2, 0.8]]])
    kept = torch.tensor([[[0.0, 0.9], [0.0, 0.6]], [[0.7, 0.0], [0.0, 0.8]]])
    assert torch.equal(mixed(weights, 0, discard=0.5), (kept > 0).float())
    torch.testing.assert_close(mixed(weights, 0, discard=0.25)[0], torch.tensor([[0, 1], [0.4, 0.6]]))


# On mmaction2's TimeSformer.


@pytest.fixture(scope="module")
def model():
    backbone = {"num_frames": FRAMES, "img_size": [H, W], "patch_size": SIDE, "embed_dims": WIDTH}
    backbone |= {"num_heads": HEADS, "num_transformer_layers": BLOCKS}
    size = {"frames": FRAMES, "height": H, "width": W, "mean": [120.0] * 3, "std": [60.0] * 3}
    built = build_classifier(TIMESFORMER, 5, size, {"backbone": backbone, "cls_head": {"in_channels": WIDTH}})
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # attentions that differ from frame to frame, and time that counts
        for name, weight in built.named_parameters():
            if "in_proj_weight" in name or "temporal_fc.weight" in name:
                weight.normal_(0, 0.5, generator=generator)
    return built.double()


@pytest.fixture(scope="module")
def clip():
    return clips(2, 3, FRAMES, H, W, dtype=torch.float64)


def heads_by_hand(model, clip):
    """Attention of every head and module, (N, heads, L, L), from what goes in and the projection's weights."""
    attentions, handles = {}, []

    def compute(name, module, args):
        tokens = args[0].transpose(0, 1)  # (N, L, K)
        q, k, _ = (tokens @ module.in_proj_weight.T + module.in_proj_bias).chunk(3, dim=-1)
        q, k = (x.unflatten(-1, (HEADS, -1)).transpose(1, 2) for x in (q, k))
        attentions[name] = (q @ k.transpose(-1, -2) / math.sqrt(WIDTH // HEADS)).softmax(dim=-1)

    for name, module in model.named_modules():
        if isinstance(module, nn.MultiheadAttention):
            hook = module.register_forward_pre_hook(lambda m, args, name=name: compute(name, m, args))
            handles.append(hook)
    with torch.no_grad():
        model(clip)
    for handle in handles:
        handle.remove()
    return attentions


def layers_by_hand(model, clip, fuse=FUSIONS["mean"], residual=0.5):
    heads, layers = heads_by_hand(model, clip), []
    for block in range(BLOCKS):
        for i, kind in enumerate(("temporal", "spatial")):
            name = f"recognizer.backbone.transformer_layers.layers.{block}.attentions.{i}.attn"
            fused = fuse(heads[name])
            attention = (1 - residual) * fused + residual * torch.eye(fused.shape[-1], dtype=torch.float64)
            attention = attention / attention.sum(-1, keepdim=True)
            layers.append((kind, attention.unflatten(0, (len(clip), -1))))
    return layers


@pytest.mark.parametrize("fusion", ["mean", "max", "min"])
def test_the_weights_are_those_of_the_network_s_projections(model, clip, fusion):
    got = AttentionRollout(TEMPORAL, SPATIAL, fusion=fusion).attentions(model, clip)
    expected = layers_by_hand(model, clip, FUSIONS[fusion])
    assert [kind for kind, _ in got] == ["temporal", "spatial"] * BLOCKS
    for (_, one), (_, other) in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other)
    assert got[0][1].shape == (2, PATCHES, FRAMES, FRAMES)
    assert got[1][1].shape == (2, FRAMES, 1 + PATCHES, 1 + PATCHES)


def map_by_hand(model, clip, **options):
    layers = layers_by_hand(model, clip, **options)
    rows = torch.stack([dense(layers, b)[0, 1:] for b in range(len(clip))])
    coarse = rows.view(-1, 3, 5, FRAMES).permute(0, 3, 1, 2)
    return interpolate(coarse, size=(H, W), mode="bilinear", align_corners=False).float()


def test_the_map_is_the_full_product_s_enlarged(model, clip):
    saliency = AttentionRollout(TEMPORAL, SPATIAL)(model, clip, TARGET)
    assert saliency.shape == (2, FRAMES, H, W)
    torch.testing.assert_close(saliency, map_by_hand(model, clip))
    assert ((saliency.flatten(1).amax(1) / saliency.flatten(1).amin(1)) > 1.2).all()


@pytest.mark.choice("rollout.residual")
@pytest.mark.parametrize("residual", [0, 0.25, 0.9])
def test_residual_is_the_weight_of_the_identity(model, clip, residual):
    saliency = AttentionRollout(TEMPORAL, SPATIAL, residual=residual)(model, clip, TARGET)
    torch.testing.assert_close(saliency, map_by_hand(model, clip, residual=residual))
    default = AttentionRollout(TEMPORAL, SPATIAL)(model, clip, TARGET)
    assert (saliency - default).abs().max() > 0.01 * default.max()


def test_with_all_weight_on_the_residual_nothing_moves(model, clip):
    assert not AttentionRollout(TEMPORAL, SPATIAL, residual=1)(model, clip, TARGET).any()


@pytest.mark.choice("rollout.fusion")
@pytest.mark.parametrize("fusion", ["max", "min"])
def test_fusion_joins_the_heads(model, clip, fusion):
    fuse = {"max": lambda heads: heads.max(dim=1).values, "min": lambda heads: heads.min(dim=1).values}[fusion]
    saliency = AttentionRollout(TEMPORAL, SPATIAL, fusion=fusion)(model, clip, TARGET)
    torch.testing.assert_close(saliency, map_by_hand(model, clip, fuse=fuse))
    default = AttentionRollout(TEMPORAL, SPATIAL)(model, clip, TARGET)
    assert (saliency - default).abs().max() > 0.01 * default.max()


def test_the_class_plays_no_part(model, clip):
    rollout = AttentionRollout(TEMPORAL, SPATIAL)
    assert torch.equal(rollout(model, clip, TARGET), rollout(model, clip, TARGET.flip(0)))


@pytest.mark.identity(30)
def test_a_batch_is_its_clips(model):
    clip, rollout = clips(8, 3, FRAMES, H, W, dtype=torch.float64), AttentionRollout(TEMPORAL, SPATIAL)
    target = torch.zeros(8, dtype=torch.int64)
    together = rollout(model, clip, target)
    torch.testing.assert_close(AttentionRollout(TEMPORAL, SPATIAL, chunk=3)(model, clip, target), together)
    for i in range(8):
        torch.testing.assert_close(rollout(model, clip[i : i + 1], target[:1])[0], together[i])


def trace(model):
    hooks = [sum(len(v) for key, v in vars(m).items() if key.endswith("_hooks")) for m in model.modules()]
    weights = [(w.requires_grad, w.grad) for w in model.parameters()]
    return hooks, weights, [m.training for m in model.modules()]


def test_it_leaves_no_trace_also_after_an_exception(model, clip, monkeypatch):
    before, logits = trace(model), model(clip).detach()
    AttentionRollout(TEMPORAL, SPATIAL)(model, clip, TARGET)
    assert trace(model) == before
    monkeypatch.setattr(model.recognizer.cls_head, "forward", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        AttentionRollout(TEMPORAL, SPATIAL)(model, clip, TARGET)
    assert trace(model) == before
    monkeypatch.undo()
    assert torch.equal(model(clip), logits)


def test_the_network_computes_what_it_computes_without_the_hooks(model, clip):
    names = [name for name, module in model.named_modules() if isinstance(module, nn.MultiheadAttention)]
    expected = model(clip)
    with recorded(model, names, FUSIONS["mean"]) as weights:
        logits = model(clip)
    assert len(weights) == 2 * BLOCKS
    torch.testing.assert_close(logits, expected)


def test_patterns_that_are_no_pairs_are_refused(model, clip):
    with pytest.raises(UserError, match="1 temporal and 3 spatial attentions are no pairs"):
        AttentionRollout("*.layers.0.attentions.0.attn", SPATIAL)(model, clip, TARGET)


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ({"residual": 1.5}, r"residual = 1\.5 is outside \[0, 1\]"),
        ({"residual": float("nan")}, "residual = nan"),
        ({"discard": -0.1}, r"discard = -0\.1 is outside \[0, 1\]"),
        ({"fusion": "median"}, "fusion = median is not one of mean, max, min"),
        ({"chunk": 0}, "chunk = 0"),
    ],
)
def test_a_wrong_option_is_named(option, reason):
    with pytest.raises(OutOfRange, match=reason):
        AttentionRollout("time", "space", **option)
