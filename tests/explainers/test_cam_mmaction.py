"""CAM methods on the architectures of the papers, small and with random weights, against what their heads compute."""

import pytest
import torch
from torch import nn

from vxbench.errors import NotApplicable
from vxbench.explainers.cam import GradCAM, GradCAMPlusPlus, SaliencyTubes, activation_and_gradient, to_grid
from vxbench.models import build_classifier
from vxbench.models.vgg16lstm import VGG16LSTM

pytestmark = pytest.mark.slow

H, W = 64, 96  # not square: 2 x 3 cells where a network's stride is 32, 4 x 6 patches of 16 pixels
INPUT = {"height": H, "width": W, "mean": [120.0] * 3, "std": [60.0] * 3}
SLOWFAST = "slowfast/slowfast_r50_8xb8-8x8x1-256e_kinetics400-rgb"
TSM = "tsm/tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb"
R2PLUS1D = "r2plus1d/r2plus1d_r34_8xb8-8x8x1-180e_kinetics400-rgb"
TIMESFORMER = "timesformer/timesformer_divST_8xb8-8x32x1-15e_kinetics400-rgb"
SLOW, FAST = "recognizer.backbone.slow_path.layer4", "recognizer.backbone.fast_path.layer4"
STAGE4 = "recognizer.backbone.layer4"
BLOCK = "recognizer.backbone.transformer_layers.layers."
LAST_SPATIAL_LN, PREV_BLOCK = BLOCK + "2.attentions.1.norm", BLOCK + "1"
TARGET = torch.tensor([1, 3])


def built(config, frames, backbone, channels):
    overrides = {"backbone": backbone, "cls_head": {"in_channels": channels}}
    model = build_classifier(config, 5, INPUT | {"frames": frames}, overrides)
    return widened(model).double()


def widened(model):
    """With heads and attentions of a size at which classes differ: mmaction2 starts both near zero."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "fc_cls" in name or "temporal_fc.weight" in name:
                weight.normal_(0, 0.3, generator=generator)
    return model


@pytest.fixture(scope="module")
def slowfast():
    """16 frames; the slow pathway keeps every fourth, 64 channels, the fast one all, 16 channels."""
    pathways = {"slow_pathway": {"depth": 18, "base_channels": 8}, "fast_pathway": {"depth": 18, "base_channels": 2}}
    rates = {"resample_rate": 4, "speed_ratio": 4, "channel_ratio": 4}
    return built(SLOWFAST, 16, rates | pathways, 80)


@pytest.fixture(scope="module")
def tsm():
    return built(TSM, 6, {"type": "NarrowResNetTSM", "depth": 18, "base_channels": 8}, 64)


@pytest.fixture(scope="module")
def r2plus1d():
    return built(R2PLUS1D, 16, {"depth": 18, "base_channels": 8}, 64)


@pytest.fixture(scope="module")
def timesformer():
    sizes = {"embed_dims": 24, "num_heads": 4, "num_transformer_layers": 3}
    return built(TIMESFORMER, 5, {"num_frames": 5, "img_size": [H, W], "patch_size": 16, **sizes}, 24)


def clip_of(frames, count=2):
    generator = torch.Generator().manual_seed(frames)
    return torch.randn(count, 3, frames, H, W, generator=generator, dtype=torch.float64)


def channels(model, layer, clip):
    """What the layer gives, by a hook of our own."""
    seen = []
    handle = model.get_submodule(layer).register_forward_hook(lambda module, inputs, output: seen.append(output))
    with torch.no_grad():
        model(clip)
    handle.remove()
    return seen[0]


# Convolutional networks, whose heads pool and score: G = W[y, k] over the number of cells.


@pytest.mark.choice("cam.pathway")
@pytest.mark.parametrize(("layer", "steps", "columns"), [(SLOW, 4, slice(16, 80)), (FAST, 16, slice(0, 16))])
@pytest.mark.parametrize("weights", ["per_step", "global"])
def test_a_pathway_of_slowfast_is_weighted_by_its_columns_of_the_head(slowfast, layer, steps, columns, weights):
    """mmaction2's head reads the fast pathway's averages, then the slow one's. Each has its own T'."""
    clip = clip_of(16)
    a = channels(slowfast, layer, clip)
    assert a.shape == (2, columns.stop - columns.start, steps, 2, 3)
    head = slowfast.recognizer.cls_head.fc_cls.weight.detach()[:, columns]
    target = (a.mean(dim=(2, 3, 4)) @ head.T).argmax(dim=1)  # classes that the pathway speaks for
    expected = torch.einsum("bk,bkthw->bthw", head[target], a).relu() / a[0, 0].numel()
    explainer = GradCAM(layer, weights)
    torch.testing.assert_close(explainer.coarse_map(slowfast, clip, target), expected)
    saliency = explainer(slowfast, clip, target)
    assert saliency.shape == (2, 16, H, W)
    held = saliency.unflatten(1, (steps, -1))
    assert torch.equal(held, held[:, :, :1].expand_as(held))  # a step's frames share its map
    assert (saliency.flatten(1).amax(1) > 0).all()


@pytest.mark.parametrize("layer", [SLOW, FAST])
def test_two_pathways_have_no_tubes(slowfast, layer):
    with pytest.raises(NotApplicable, match=r"head 'recognizer.cls_head.fc_cls' reads 80 features, not the \d+ chan"):
        SaliencyTubes(layer)(slowfast, clip_of(16), TARGET)


@pytest.mark.identity(15)
@pytest.mark.parametrize(("network", "frames", "steps"), [("tsm", 6, 6), ("r2plus1d", 16, 2)])
@pytest.mark.parametrize("weights", ["per_step", "global"])
def test_tubes_and_gradcam_on_one_pathway_are_the_head_s_weights(request, network, frames, steps, weights):
    model, clip = request.getfixturevalue(network), clip_of(frames)
    a = channels(model, STAGE4, clip)
    if a.ndim == 4:
        a = a.view(2, frames, *a.shape[1:]).transpose(1, 2)
    assert a.shape[2:] == (steps, 2, 3)
    head = model.recognizer.cls_head.fc_cls.weight.detach()[TARGET]
    tubes = torch.einsum("bk,bkthw->bthw", head, a)
    torch.testing.assert_close(SaliencyTubes(STAGE4).coarse_map(model, clip, TARGET), tubes)
    gradcam = GradCAM(STAGE4, weights).coarse_map(model, clip, TARGET)
    torch.testing.assert_close(gradcam, tubes.relu() / a[0, 0].numel())


@pytest.mark.identity(30)
@pytest.mark.parametrize("network", ["tsm", "r2plus1d", "slowfast", "timesformer"])
@pytest.mark.parametrize("explainer", [GradCAM, GradCAMPlusPlus, SaliencyTubes])
def test_a_batch_is_its_clips(request, network, explainer):
    model = request.getfixturevalue(network)
    layer = {"slowfast": SLOW, "timesformer": LAST_SPATIAL_LN}.get(network, STAGE4)
    clip = clip_of(model.input.frames, count=3)
    target = torch.tensor([1, 3, 0])
    if explainer is SaliencyTubes and network in ("slowfast", "timesformer"):
        with pytest.raises(NotApplicable):
            explainer(layer)(model, clip, target)
        return
    together = explainer(layer)(model, clip, target)
    for i in range(3):
        torch.testing.assert_close(explainer(layer)(model, clip[i : i + 1], target[i : i + 1])[0], together[i])


# TimeSformer.


def by_hand(tokens, gradient):
    """Grad-CAM on patches (B, T, 4, 6, K): per frame, the gradient's mean over the patches weighs the channels."""
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return (weights * tokens).sum(dim=-1).relu()


@pytest.mark.choice("cam.tsf_layer")
@pytest.mark.parametrize("layer", [LAST_SPATIAL_LN, PREV_BLOCK])
def test_gradcam_reads_the_last_spatial_norm_or_the_block_before(timesformer, layer):
    """The first gives a frame's tokens a row, the second all tokens of a clip, patch by patch."""
    clip = clip_of(5)
    a, g = activation_and_gradient(timesformer, layer, clip, TARGET)
    if layer == LAST_SPATIAL_LN:
        assert a.shape == (2 * 5, 1 + 24, 24)
        a, g = (x[:, 1:].reshape(2, 5, 4, 6, 24) for x in (a, g))
    else:
        assert a.shape == (2, 1 + 24 * 5, 24)
        a, g = (x[:, 1:].reshape(2, 4, 6, 5, 24).permute(0, 3, 1, 2, 4) for x in (a, g))
    expected = by_hand(a, g)
    torch.testing.assert_close(GradCAM(layer).coarse_map(timesformer, clip, TARGET), expected)
    assert (expected.flatten(1).amax(1) > 0).all()
    assert GradCAM(layer)(timesformer, clip, TARGET).shape == (2, 5, H, W)


@pytest.mark.parametrize("layer", [LAST_SPATIAL_LN, PREV_BLOCK])
def test_a_patch_of_a_frame_lands_in_its_cell(timesformer, layer):
    """With blocks that pass their input on, what changes in one patch of one frame changes one cell's tokens."""
    silent = ("out_proj", "temporal_fc", "ffns.0.layers.1")  # the last linear map of every attention and MLP
    kept = {name: weight.clone() for name, weight in timesformer.named_parameters()}
    try:
        with torch.no_grad():
            for name, weight in timesformer.named_parameters():
                if any(part in name for part in silent):
                    weight.zero_()
        clip = clip_of(5, count=1)
        changed = clip.clone()
        changed[0, :, 3, 16:32, 64:80] += 1  # frame 3, patch (1, 4)
        before, after = (to_grid(channels(timesformer, layer, x), x, timesformer.token_order) for x in (clip, changed))
    finally:
        timesformer.load_state_dict(kept, strict=False)
    assert before.shape == (1, 24, 5, 4, 6)
    differs = (before - after).abs().amax(dim=1)[0]
    assert differs.nonzero().tolist() == [[3, 1, 4]]


@pytest.mark.parametrize("explainer", [GradCAM, GradCAMPlusPlus])
def test_the_last_block_s_patches_reach_no_head(timesformer, explainer):
    gradient = activation_and_gradient(timesformer, BLOCK + "2", clip_of(5), TARGET)[1]
    assert gradient[:, 0].any()
    assert not gradient[:, 1:].any()
    with pytest.raises(NotApplicable, match="only the class token reaches the score: take an earlier layer"):
        explainer(BLOCK + "2")(timesformer, clip_of(5), TARGET)


def test_temporal_attention_has_no_class_token_and_no_frames(timesformer):
    """Its rows are patches: taken for frames there would be 24 of them in a clip of 5."""
    with pytest.raises(NotApplicable, match="48 rows of tokens are no frames of 2 clips of 5"):
        GradCAM(BLOCK + "2.attentions.0.norm")(timesformer, clip_of(5), TARGET)


@pytest.mark.parametrize("layer", ["recognizer.backbone.norm", LAST_SPATIAL_LN])
def test_a_class_token_is_no_pooling(timesformer, layer):
    with pytest.raises(NotApplicable, match="does not read the global average"):
        SaliencyTubes(layer)(timesformer, clip_of(5), TARGET)


# A CNN-RNN, whose output is probabilities.


@pytest.mark.parametrize("score", ["logit", "prob"])
def test_gradcam_of_vgg16lstm_weighs_by_the_gradient_of_its_probability(score):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = VGG16LSTM(5, channels=(4, 4, 8, 8, 8), convs=(1, 1, 1, 1, 2), fc=16, hidden=8, size=(H, W))
        nn.init.normal_(model.fc8.weight)
    model, seen = model.double().eval(), []
    handle = model.relu5_2.register_forward_hook(lambda module, inputs, output: seen.append(output))
    chosen = model(clip_of(5)).gather(1, TARGET[:, None])
    handle.remove()
    gradient = torch.autograd.grad(chosen.sum(), seen[0])[0]
    a, g = (x.detach().view(2, 5, 8, 4, 6) for x in (seen[0], gradient))
    expected = (g.mean(dim=(3, 4), keepdim=True) * a).sum(dim=2).relu()
    assert (expected.flatten(1).amax(1) > 0).all()
    torch.testing.assert_close(GradCAM("relu5_2", score=score).coarse_map(model, clip_of(5), TARGET), expected)
    with pytest.raises(NotApplicable, match="head 'fc8' runs 5 times in a forward pass"):
        SaliencyTubes("relu5_2")(model, clip_of(5), TARGET)
