import pytest
import torch
from helpers.toys import GOLDEN_TARGET, FrameWise, GapFC, clips, golden, golden_clip, seeded, tiny_a
from scipy.ndimage import zoom
from torch import nn

from vxbench.errors import NotApplicable, OutOfRange, UserError
from vxbench.explainers.cam import GradCAM, GradCAMPlusPlus, SaliencyTubes, activation_and_gradient, enlarge_in_time
from vxbench.explainers.normalise import normalise

SHAPE = (2, 3, 6, 8, 10)
TARGET = torch.tensor([1, 3])


def features(model, clip):
    with torch.no_grad():
        return model.features(clip)


@pytest.mark.identity(15)
@pytest.mark.parametrize("weights", ["per_step", "global"])
def test_on_pooling_and_one_linear_layer_the_weights_are_the_head_s(weights):
    """G = W_yk / (T' h w) everywhere, so S = ReLU(sum_k W_yk A_k) / (T' h w) under both weightings."""
    model, clip = seeded(GapFC()), clips(*SHAPE)
    activation = features(model, clip)
    head = model.fc.weight.detach()[TARGET]
    expected = torch.einsum("bk,bkthw->bthw", head, activation).relu() / activation[0, 0].numel()
    torch.testing.assert_close(GradCAM("features", weights).coarse_map(model, clip, TARGET), expected)


@pytest.mark.identity(16)
def test_with_one_time_step_both_weightings_agree():
    model, clip = seeded(GapFC(stride_t=8)), clips(*SHAPE)
    assert features(model, clip).shape[2] == 1
    maps = [GradCAM("features", weights)(model, clip, TARGET) for weights in ("per_step", "global")]
    torch.testing.assert_close(*maps)


@pytest.mark.choice("cam.weights")
@pytest.mark.parametrize("name", ["small0", "big"])
def test_global_weights_are_the_mean_over_time_of_those_per_step(name):
    """On layer1 of TinyA the gradient changes over time, so the maps differ too."""
    model, clip, target = tiny_a(), golden_clip(name), torch.tensor([GOLDEN_TARGET[name]])
    per_step, whole = (GradCAM("layer1", w) for w in ("per_step", "global"))
    a, g = activation_and_gradient(model, "layer1", clip, target)
    steps = per_step.channel_weights(a, g, False)
    assert steps.shape[2] == clip.shape[2]
    torch.testing.assert_close(whole.channel_weights(a, g, False), steps.mean(dim=2, keepdim=True))
    maps = [explainer.coarse_map(model, clip, target) for explainer in (per_step, whole)]
    assert (maps[0] - maps[1]).abs().max() > 0.01 * maps[1].max()


@pytest.mark.choice("cam.layer")
def test_each_layer_has_a_map_of_its_own_resolution():
    """And deeper layers give coarser maps of the same clip; enlarged, all have the clip's size."""
    model, clip, target = tiny_a(), golden_clip("small0"), torch.tensor([8])
    layers = ("layer1", "layer2", "layer3")
    coarse = [GradCAM(layer).coarse_map(model, clip, target).shape[1:] for layer in layers]
    assert coarse == [(8, 28, 28), (4, 14, 14), (4, 14, 14)]
    maps = [normalise(GradCAM(layer)(model, clip, target), "minmax")[0] for layer in layers]
    assert all(m.shape == (1, 8, 56, 56) for m in maps)
    assert (maps[1] - maps[2]).abs().max() > 0.1


@pytest.mark.identity(16)
def test_rescaling_the_score_leaves_the_normalised_map():
    model, clip = seeded(GapFC()), clips(*SHAPE)
    before = normalise(GradCAM("features")(model, clip, TARGET), "minmax")[0]
    with torch.no_grad():
        model.fc.weight.mul_(8)  # a power of two: exact in floating point
        model.fc.bias.mul_(8)
    after = normalise(GradCAM("features")(model, clip, TARGET), "minmax")[0]
    torch.testing.assert_close(after, before)
    assert before.max() == 1


@pytest.mark.parametrize("explainer", [GradCAM("features"), GradCAM("features", "global"), GradCAMPlusPlus("features")])
def test_a_frame_wise_network_sees_each_clip_s_own_frames(explainer):
    """(B * T, K, h, w) is folded clip by clip: together and alone agree, and the map follows its frame."""
    model, clip = seeded(FrameWise()), clips(*SHAPE)
    together = explainer.coarse_map(model, clip, TARGET)
    assert together.shape == (2, 6, 4, 5)
    for i in range(2):
        alone = explainer.coarse_map(model, clip[i : i + 1], TARGET[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone)
    backwards = explainer.coarse_map(model, clip.flip(2), TARGET)
    torch.testing.assert_close(backwards, together.flip(1))


@pytest.mark.parametrize(("model", "over"), [(GapFC(), (1, 2, 3)), (FrameWise(), (2, 3))])
def test_gradcam_pp_against_a_plain_reading_of_the_formula(model, over):
    """The sums run over (t, h, w) on a 3D network and over each frame's (h, w) on a frame-wise one."""
    model, clip = seeded(model).double(), clips(*SHAPE, dtype=torch.float64)
    a, g = activation_and_gradient(model, "features", clip, TARGET)
    if a.ndim == 4:
        a, g = (x.reshape(2, 6, *x.shape[1:]).permute(0, 2, 1, 3, 4) for x in (a, g))
    got = GradCAMPlusPlus("features").coarse_map(model, clip, TARGET)
    for i in range(2):
        total = torch.zeros(a.shape[2:]).double()
        for k in range(a.shape[1]):
            space = tuple(d - 1 for d in over)
            A, G = a[i, k], g[i, k]
            share = G**2 / (2 * G**2 + A.sum(space, keepdim=True) * G**3 + 1e-6)
            share[G == 0] = 0
            total += (G.clamp(min=0) * share).sum(space, keepdim=True) * A
        torch.testing.assert_close(got[i], total.clamp(min=0))


def test_what_follows_in_place_does_not_overwrite_the_activation():
    """The map of a convolution is the same whether or not the ReLU after it writes into its output."""
    clip, target = golden_clip("small0"), torch.tensor([GOLDEN_TARGET["small0"]])
    maps = [GradCAM("layer2.0").coarse_map(tiny_a(inplace), clip, target) for inplace in (False, True)]
    assert torch.equal(*maps)
    after_relu = GradCAM("layer2").coarse_map(tiny_a(), clip, target)
    assert not torch.allclose(maps[0], after_relu)


# Goldens. Grad-CAM is deterministic and smooth in the activations: 1e-5 of the maximum.


def assert_close_to_golden(got, expected):
    expected = torch.from_numpy(expected)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("name", ["small0", "big"])
@pytest.mark.parametrize("layer", ["layer2", "layer3"])
@pytest.mark.parametrize(
    ("key", "explainer", "options"),
    [("gradcam", GradCAM, {"weights": "global"}), ("gradcampp", GradCAMPlusPlus, {})],
)
def test_global_weights_against_pytorch_grad_cam(name, layer, key, explainer, options):
    target = torch.tensor([GOLDEN_TARGET[name]])
    got = explainer(layer, **options).coarse_map(tiny_a(), golden_clip(name), target)[0]
    assert_close_to_golden(got, golden("pytorch_grad_cam")[f"{name}_{layer}_{key}_lowres"])


@pytest.mark.parametrize(("name", "layer"), [("small0", "layer2"), ("small0", "layer3"), ("big", "layer3")])
def test_per_step_weights_and_time_against_the_release(name, layer):
    clip, target = golden_clip(name), torch.tensor([GOLDEN_TARGET[name]])
    got = enlarge_in_time(GradCAM(layer).coarse_map(tiny_a(), clip, target), clip.shape[2])
    assert_close_to_golden(got, golden("gradients")[f"{name}_gradcam_{layer}_norm0"][0])


# Enlarging.


def test_time_steps_are_repeated_where_they_divide_the_clip():
    coarse = torch.rand(2, 4, 3, 5)
    fine = enlarge_in_time(coarse, 8)
    assert torch.equal(fine[:, 0::2], coarse)
    assert torch.equal(fine[:, 1::2], coarse)


def test_time_is_linear_where_steps_do_not_divide_the_clip():
    ramp = torch.arange(4.0).view(1, 4, 1, 1).expand(1, 4, 3, 5)
    fine = enlarge_in_time(ramp, 6)
    # Centres of 6 equal segments on the axis of 4: (i + .5) * 4 / 6 - .5, held inside [0, 3].
    expected = ((torch.arange(6) + 0.5) * 4 / 6 - 0.5).clamp(0, 3)
    torch.testing.assert_close(fine, expected.view(1, 6, 1, 1).expand(1, 6, 3, 5))


def test_bilinear_puts_cells_at_their_centres():
    model, clip = seeded(GapFC(stride_t=1)), clips(*SHAPE)
    coarse = GradCAM("features").coarse_map(model, clip, TARGET)
    fine = GradCAM("features")(model, clip, TARGET)
    # 4 x 5 cells to 8 x 10 pixels: each pixel lies a quarter cell off a centre, so corners keep their cell's value
    # and the four pixels around a corner between cells average to the four cells' mean.
    torch.testing.assert_close(fine[..., 0, 0], coarse[..., 0, 0])
    pixels = fine[..., 1:3, 1:3].mean(dim=(-2, -1))
    torch.testing.assert_close(pixels, coarse[..., :2, :2].mean(dim=(-2, -1)))


@pytest.mark.choice("cam.upsample")
@pytest.mark.parametrize("explainer", [GradCAM, GradCAMPlusPlus, SaliencyTubes])
def test_upsample_changes_how_a_frame_s_cells_are_joined(explainer):
    """Time is enlarged as ever: both repeat the same steps, and each frame is scipy's enlargement of its cells."""
    model, clip = seeded(GapFC()).double(), clips(*SHAPE, dtype=torch.float64)
    linear, spline = (explainer("features", upsample=way) for way in ("bilinear", "spline3"))
    coarse = linear.coarse_map(model, clip, TARGET)
    assert torch.equal(spline.coarse_map(model, clip, TARGET), coarse)
    got = spline(model, clip, TARGET)
    for b in range(2):
        for t in range(6):
            expected = torch.from_numpy(zoom(coarse[b, t // 2].numpy(), 2, order=3))
            if explainer is not SaliencyTubes:  # whose maps may be negative
                expected = expected.clamp(min=0)
            torch.testing.assert_close(got[b, t], expected.float(), rtol=1e-5, atol=1e-6 * coarse.abs().max().item())
    assert (linear(model, clip, TARGET) - got).abs().max() > 0.01 * got.max()


def test_spline_keeps_corners_and_stays_above_zero():
    model, clip = seeded(GapFC(stride_t=1)), clips(*SHAPE)
    coarse = GradCAM("features").coarse_map(model, clip, TARGET)
    fine = GradCAM("features", upsample="spline3")(model, clip, TARGET)
    assert fine.shape == (2, 6, 8, 10)
    corners = ([0, 0, -1, -1], [0, -1, 0, -1])
    # The spline interpolates the cells and its grid runs from corner to corner; float32, 1e-5 of the maximum.
    close = 1e-5 * coarse.max().item()
    torch.testing.assert_close(fine[..., *corners], coarse[..., *corners], rtol=0, atol=close)
    assert fine.min() == 0


@pytest.mark.choice("cam.norm")
@pytest.mark.parametrize("explainer", [GradCAM, GradCAMPlusPlus, SaliencyTubes])
def test_norm_frame_stretches_every_frame(explainer):
    model, clip = seeded(GapFC()), clips(*SHAPE)
    frames = explainer("features", norm="frame")(model, clip, TARGET).flatten(2)
    whole = explainer("features")(model, clip, TARGET).flatten(2)
    low, high = whole.amin(2, keepdim=True), whole.amax(2, keepdim=True)
    torch.testing.assert_close(frames * (high - low) + low, whole)
    alive = whole.amax(2) > whole.amin(2)
    assert alive.any()
    assert (frames.amax(2)[alive] == 1).all()
    assert (frames.amin(2) == 0).all()
    assert (whole.amax(2) != 1).all()


@pytest.mark.identity(30)
@pytest.mark.parametrize("network", [GapFC, FrameWise])
@pytest.mark.parametrize("explainer", [GradCAM, GradCAMPlusPlus])
@pytest.mark.parametrize("options", [{}, {"norm": "frame", "upsample": "spline3", "score": "prob"}])
def test_a_batch_is_its_clips(network, explainer, options):
    model, clip = seeded(network()).double(), clips(8, *SHAPE[1:], dtype=torch.float64)
    target = torch.arange(8) % 4
    together = explainer("features", **options)(model, clip, target)
    torch.testing.assert_close(explainer("features", **options, chunk=3)(model, clip, target), together)
    for i in range(8):
        alone = explainer("features", **options)(model, clip[i : i + 1], target[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone)


# What does not fit.


def test_an_unknown_layer_is_named_with_its_neighbours():
    with pytest.raises(UserError, match=r"layer = 'layer4' is not in .* did you mean layer[123]"):
        GradCAM("layer4")(tiny_a(), golden_clip("small0"), torch.tensor([0]))


class Odd(GapFC):
    """A layer that runs twice, one that never runs, one whose output goes nowhere."""

    def __init__(self):
        super().__init__()
        self.twice, self.never, self.nowhere = nn.Identity(), nn.Identity(), nn.Identity()

    def forward(self, clip):
        self.nowhere(clip)
        return super().forward(self.twice(self.twice(clip)))


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        ("fc", r"layer 'fc' gives \(2, 4\)"),
        ("twice", "runs 2 times"),
        ("never", "runs 0 times"),
        ("nowhere", "does not depend on layer 'nowhere'"),
    ],
)
@pytest.mark.parametrize("explainer", [GradCAM, GradCAMPlusPlus])
def test_a_layer_without_a_map_is_not_applicable(explainer, layer, reason):
    with pytest.raises(NotApplicable, match=reason):
        explainer(layer)(seeded(Odd()), clips(*SHAPE), TARGET)


@pytest.mark.parametrize("option", ["weights", "upsample", "norm", "score", "token_order"])
def test_a_wrong_option_is_named(option):
    with pytest.raises(OutOfRange, match=f"{option} = typo is not one of"):
        GradCAM("features", **{option: "typo"})
