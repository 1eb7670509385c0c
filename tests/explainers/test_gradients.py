from functools import partial

import captum.attr as attr
import numpy as np
import pytest
import torch
from helpers.toys import GOLDEN_TARGET, GapFC, Linear, clips, golden, golden_clip, seeded, tiny_a
from torch import nn

from vxbench.errors import OutOfRange, UserError
from vxbench.explainers import gradients
from vxbench.explainers.base import Context
from vxbench.explainers.gradients import Gradients, InputXGradient, IntegratedGradients, SmoothGrad

SHAPE = (3, 4, 5, 6)
MEAN, STD = [0.4, 0.5, 0.3], [0.2, 0.25, 0.3]
TARGET = torch.tensor([1, 4])


@pytest.fixture
def weight():
    return clips(5, *SHAPE, seed=1, dtype=torch.float64)


@pytest.fixture
def linear(weight):
    return Linear(weight)


@pytest.fixture
def clip():
    return clips(2, *SHAPE, seed=2, dtype=torch.float64)


def generators(count):
    return [torch.Generator().manual_seed(i) for i in range(count)]


# On a linear model everything has a closed form. Maps are float32: the default tolerance of assert_close.


@pytest.mark.identity(14)
def test_linear_gradients_are_the_weights_whatever_the_clip(linear, weight, clip):
    expected = weight[TARGET].abs().mean(dim=1).float()
    torch.testing.assert_close(Gradients()(linear, clip, TARGET), expected)
    torch.testing.assert_close(Gradients()(linear, 7 * clip + 3, TARGET), expected)


@pytest.mark.identity(14)
def test_linear_smoothgrad_mean_is_gradients(linear, clip):
    smooth = SmoothGrad(samples=3, reduce="abs_mean")(linear, clip, TARGET)
    torch.testing.assert_close(smooth, Gradients()(linear, clip, TARGET))


@pytest.mark.identity(14)
@pytest.mark.parametrize("rule", ["left", "midpoint"])
def test_linear_integrated_gradients_from_zero_is_input_x_gradient(linear, weight, clip, rule):
    integrated = IntegratedGradients(steps=3, rule=rule, baseline="zero")(linear, clip, TARGET)
    torch.testing.assert_close(integrated, InputXGradient()(linear, clip, TARGET))
    torch.testing.assert_close(integrated, (clip * weight[TARGET]).abs().mean(dim=1).float())


@pytest.mark.identity(13)
@pytest.mark.parametrize("steps", [2, 7, 25])
def test_linear_integrated_gradients_are_complete_at_any_step_count(linear, clip, steps):
    explainer = IntegratedGradients(steps, mean=MEAN, std=STD)
    total = explainer.attribute(linear, clip, TARGET, None).sum(dim=(1, 2, 3, 4))
    # captum holds the step sizes 1 / n in float32: relative error 6e-8 of terms that are larger than their sum.
    torch.testing.assert_close(total, gain(linear, clip, explainer), rtol=1e-5, atol=1e-5)


def gain(model, clip, explainer, score="logit"):
    """s_y(X) - s_y(X0)."""
    start = torch.tensor(explainer.baseline, dtype=clip.dtype).view(1, 3, 1, 1, 1).expand_as(clip)
    with torch.no_grad():
        end, begin = (gradients.class_score(model, point, TARGET, score) for point in (clip, start))
    return end - begin


@pytest.mark.identity(13)
@pytest.mark.choice("ig.rule")
def test_completeness_error_falls_as_one_over_the_steps():
    model = Linear(0.1 * clips(5, *SHAPE, seed=1, dtype=torch.float64))
    clip = clips(2, *SHAPE, dtype=torch.float64)

    def error(steps, rule):
        explainer = IntegratedGradients(steps, rule, "zero", score="prob")
        total = explainer.attribute(model, clip, TARGET, None).sum(dim=(1, 2, 3, 4))
        return (total - gain(model, clip, explainer, "prob")).abs()

    # Left sums err by C / n + O(1 / n^2), so doubling n about halves the error; the midpoint's C / n^2 is quartered.
    ratio = error(128, "left") / error(64, "left")
    assert ((ratio > 0.45) & (ratio < 0.55)).all()
    assert (error(64, "midpoint") < 0.3 * error(32, "midpoint")).all()


@pytest.mark.identity(13)
@pytest.mark.choice("ig.baseline")
@pytest.mark.parametrize("scale", [1, 255])
def test_the_black_baseline_is_a_black_clip_in_either_unit(scale):
    mean, std = [scale * m for m in MEAN], [scale * s for s in STD]
    black = (-torch.tensor(MEAN) / torch.tensor(STD)).view(1, 3, 1, 1, 1).expand(2, *SHAPE)
    model = seeded(GapFC(classes=5))
    explainer = IntegratedGradients(mean=mean, std=std)
    assert explainer(model, black, TARGET).abs().max() < 1e-6  # rounding of -mean / std
    assert explainer(model, black + 1, TARGET).abs().max() > 1e-3


REDUCED = {  # of the attributions (3, -5, 1) over the channels
    "abs_mean": 3.0,
    "pos_mean": 4 / 3,
    "signed_mean": -1 / 3,
    "abs_max": 5.0,
    "abs_sum": 9.0,
}


@pytest.mark.choice("grad.reduce")
@pytest.mark.parametrize(("reduce", "expected"), REDUCED.items())
def test_channel_reductions(reduce, expected):
    weight = torch.tensor([3.0, -5.0, 1.0]).view(1, 3, 1, 1, 1).expand(1, *SHAPE).clone()
    saliency = Gradients(reduce)(Linear(weight), clips(1, *SHAPE), torch.tensor([0]))
    torch.testing.assert_close(saliency, torch.full((1, *SHAPE[1:]), expected))


@pytest.mark.choice("grad.score")
def test_the_gradient_of_the_probability_is_the_softmax_rule(linear, weight, clip):
    clip = 0.05 * clip
    p = linear(clip).softmax(dim=1).detach()
    mixed = weight[TARGET] - torch.einsum("bk,kcthw->bcthw", p, weight)
    expected = p.gather(1, TARGET[:, None])[..., None, None, None] * mixed
    saliency = Gradients("signed_mean", score="prob")(linear, clip, TARGET)
    torch.testing.assert_close(saliency, expected.mean(dim=1).float())


@pytest.mark.choice("sg.variant")
@pytest.mark.parametrize("variant", ["mean", "square", "variance"])
@pytest.mark.parametrize("chunk", [1, 3, 5, 64])
def test_smoothgrad_against_a_plain_loop(variant, chunk):
    """Clip by clip and sample by sample, whatever the chunk; the size, no multiple of 16, betrays draws in groups."""
    model, clip = seeded(GapFC(classes=5)).double(), clips(2, *SHAPE, dtype=torch.float64)
    explainer = SmoothGrad(5, 0.3, variant, chunk=chunk)
    saliency = explainer(model, clip, TARGET, generators=generators(2))
    moments = {
        "mean": lambda g: g.mean(0),
        "square": lambda g: g.square().mean(0),
        "variance": lambda g: g.var(0),
    }
    for i, generator in enumerate(generators(2)):
        sigma = 0.3 * (clip[i].max() - clip[i].min())
        noisy = [clip[i] + sigma * torch.randn(SHAPE, generator=generator) for _ in range(5)]
        samples = torch.cat([gradients.input_gradient(model, n[None], TARGET[i : i + 1]) for n in noisy])
        torch.testing.assert_close(saliency[i], moments[variant](samples).abs().sum(dim=0).float())


def test_smoothgrad_without_noise_is_gradients(linear, clip):
    model = seeded(GapFC(classes=5)).double()
    still = SmoothGrad(2, noise=0, reduce="abs_mean")(model, clip, TARGET)
    torch.testing.assert_close(still, Gradients()(model, clip, TARGET))


# Captum, where its definitions are ours.


@pytest.fixture
def network():
    return seeded(GapFC(classes=5))


def attribution(explainer, network, clip, **options):
    return explainer.attribute(network, clip, TARGET, Context(generators(len(clip)), **options))


@pytest.mark.parametrize("score", ["logit", "prob"])
def test_gradients_and_input_x_gradient_are_captum_s(network, score):
    clip = clips(2, *SHAPE, seed=2)
    scored = partial(score_of, network, score)
    found = attribution(Gradients(score=score), network, clip)
    torch.testing.assert_close(
        found, attr.Saliency(scored).attribute(clip.clone().requires_grad_(), abs=False, **extra())
    )
    found = attribution(InputXGradient(score=score), network, clip)
    torch.testing.assert_close(found, attr.InputXGradient(scored).attribute(clip.clone().requires_grad_(), **extra()))


def score_of(network, score, clip, target):
    output = network(clip)
    return (output.softmax(dim=1) if score == "prob" else output).gather(1, target[:, None])[:, 0]


def extra():
    return {"additional_forward_args": TARGET}


@pytest.mark.choice("ig.rule")
@pytest.mark.parametrize("rule", ["left", "midpoint"])
def test_integrated_gradients_are_captum_s_and_a_plain_sum(network, rule):
    """Float64, where no ReLU flips: captum holds the step sizes 1 / n in float32."""
    network, clip = network.double(), clips(2, *SHAPE, seed=2, dtype=torch.float64)
    found = attribution(IntegratedGradients(7, rule, "zero"), network, clip)
    scored = attr.IntegratedGradients(partial(score_of, network, "logit"))
    method = {"left": "riemann_left", "midpoint": "riemann_middle"}[rule]
    theirs = scored.attribute(clip, n_steps=7, method=method, **extra())
    torch.testing.assert_close(found, theirs, rtol=0, atol=1e-12)
    places = [(i + (0.5 if rule == "midpoint" else 0)) / 7 for i in range(7)]
    mean = sum(gradients.input_gradient(network, place * clip, TARGET) for place in places) / 7
    torch.testing.assert_close(found, clip * mean, rtol=1e-6, atol=1e-7)


@pytest.mark.choice("sg.variant")
@pytest.mark.parametrize(("variant", "theirs"), [("mean", "smoothgrad"), ("square", "smoothgrad_sq")])
def test_smoothgrad_is_captum_s_noise_tunnel_on_the_same_noise(network, variant, theirs):
    """Sample by sample torch's global generator draws what a generator of the same seed does."""
    clip = clips(1, *SHAPE, seed=2)
    explainer = SmoothGrad(6, variant=variant)
    found = explainer.attribute(network, clip, TARGET[:1], Context(generators(1)))
    spread = 0.15 * (clip.max() - clip.min()).item()
    tunnel = attr.NoiseTunnel(attr.Saliency(partial(score_of, network, "logit")))
    options = {"nt_samples": 6, "nt_samples_batch_size": 1, "stdevs": spread, "abs": False}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        expected = tunnel.attribute(clip, nt_type=theirs, additional_forward_args=TARGET[:1], **options)
    # float32 throughout here, float64 sums in ours; a ReLU may flip at one voxel in a hundred.
    assert (found - expected).norm() <= 1e-3 * expected.norm()
    assert ((found - expected).abs() <= 1e-5 * expected.abs().max()).float().mean() >= 0.97


# Options.


@pytest.mark.choice("ig.baseline")
@pytest.mark.identity(13)
@pytest.mark.parametrize("baseline", ["black", "zero", "released_const"])
def test_integrated_gradients_at_their_baseline_are_zero_and_elsewhere_not(network, baseline):
    colours = {"black": -torch.tensor(MEAN) / torch.tensor(STD), "zero": torch.zeros(3)}
    colours["released_const"] = torch.tensor([-1.8952, -1.7822, -1.7349])
    explainer = IntegratedGradients(5, baseline=baseline, mean=MEAN, std=STD)
    for name, colour in colours.items():
        start = colour.view(1, 3, 1, 1, 1).expand(2, *SHAPE)
        assert (explainer(network, start, TARGET).abs().max() < 1e-6) == (name == baseline)


@pytest.mark.choice("sg.n")
@pytest.mark.parametrize("samples", [1, 3, 8])
def test_smoothgrad_draws_as_many_samples_as_asked_each_the_next_of_one_stream(network, samples):
    clip, seen = clips(2, *SHAPE, seed=2), []
    hook = network.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    SmoothGrad(samples, chunk=2)(network, clip, TARGET, generators=generators(2))
    hook.remove()
    assert len(seen) == samples
    streams = generators(2)
    for noisy in seen:
        noise = torch.stack([torch.randn(SHAPE, generator=generator) for generator in streams])
        spread = 0.15 * (clip.flatten(1).amax(1) - clip.flatten(1).amin(1)).view(2, 1, 1, 1, 1)
        torch.testing.assert_close(noisy, clip + spread * noise)


class Probabilities(nn.Module):
    """A classifier with its softmax inside."""

    outputs = "probs"

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, clip):
        return self.network(clip).softmax(dim=1)


FAMILY = [Gradients, InputXGradient, partial(IntegratedGradients, 4, baseline="zero"), partial(SmoothGrad, 3)]


@pytest.mark.choice("grad.score")
@pytest.mark.parametrize("method", FAMILY)
def test_a_classifier_that_returns_probabilities_is_taken_as_it_is(network, method):
    """`logit` differentiates the output as returned, `prob` applies no second softmax: here both are p."""
    clip, inside = clips(2, *SHAPE, seed=2), Probabilities(network)
    expected = method(score="prob")(network, clip, TARGET)
    for score in ("logit", "prob"):
        torch.testing.assert_close(method(score=score)(inside, clip, TARGET), expected)
    assert not torch.allclose(method(score="logit")(network, clip, TARGET), expected, rtol=1e-2)


@pytest.mark.identity(30)
@pytest.mark.parametrize("method", FAMILY)
def test_eight_clips_at_once_are_eight_single_clips(network, method):
    network, clip, target = network.double(), clips(8, *SHAPE, seed=3, dtype=torch.float64), torch.arange(8) % 5
    together = method()(network, clip, target, generators=generators(8))
    for i in range(8):
        alone = method()(network, clip[i : i + 1], target[i : i + 1], generators=generators(8)[i : i + 1])
        torch.testing.assert_close(alone[0], together[i])


# Goldens: the release's attributions on TinyA. Kept are frames 0, 3, 7 of the small clip, frame 7 of the big one.
# Tolerances: plain gradients 1e-5 of the maximum. Integrated gradients and SmoothGrad pass points where a ReLU
# sits at zero; rounding flips it, which moves whole patches. So 1e-3 in relative L2, and 97 % of the voxels
# within 1e-5 of the maximum.


def target(name):
    return torch.tensor([GOLDEN_TARGET[name]])


def assert_almost_everywhere(got, expected):
    expected = torch.from_numpy(expected)
    error = got - expected
    assert error.norm() <= 1e-3 * expected.norm()
    assert (error.abs() <= 1e-5 * expected.abs().max()).float().mean() >= 0.97


@pytest.mark.parametrize(("name", "frames"), [("small0", [0, 3, 7]), ("big", [7])])
def test_gradients_against_the_release(name, frames):
    expected = torch.from_numpy(golden("gradients")[f"{name}_grad_raw"])
    got = Gradients().attribute(tiny_a(), golden_clip(name), target(name), None)[:, :, frames]
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("name", ["small0", "big"])
def test_input_x_gradient_against_the_release(name):
    """Per frame: sum, mean, L2 norm, maximum, minimum of the attribution, in float64."""
    digest = golden("gradients")[f"{name}_gradxinput_raw_digest"]
    got = InputXGradient().attribute(tiny_a(), golden_clip(name), target(name), None)[0].double()
    got = got.transpose(0, 1).flatten(1).numpy()
    found = np.stack([got.sum(1), got.mean(1), np.linalg.norm(got, axis=1), got.max(1), got.min(1)], axis=1)
    # The sum cancels: its error is measured against the L2 norm.
    np.testing.assert_allclose(found, digest[:, :5], rtol=1e-5, atol=1e-5 * digest[:, 2].max())


@pytest.mark.choice("ig.baseline")
@pytest.mark.parametrize(("name", "frames"), [("small0", [0, 3, 7]), ("big", [7])])
def test_integrated_gradients_against_the_release(name, frames):
    arrays = golden("gradients")
    explainer = IntegratedGradients(baseline="released_const")
    got = explainer.attribute(tiny_a(), golden_clip(name), target(name), None)
    assert_almost_everywhere(got[:, :, frames], arrays[f"{name}_ig_raw"])
    # A sum over all voxels hardly feels the flips.
    assert got.sum().item() == pytest.approx(float(arrays[f"{name}_ig_sum"]), rel=1e-3)
    colour = torch.tensor(explainer.baseline).view(1, 3, 1, 1, 1).expand_as(golden_clip(name))
    with torch.no_grad():
        end, begin = (tiny_a()(clip)[0, target(name)].item() for clip in (golden_clip(name), colour))
    assert end - begin == pytest.approx(float(arrays[f"{name}_ig_logit_difference"]), rel=1e-5)


@pytest.mark.choice("sg.variant")
@pytest.mark.parametrize(("variant", "key"), [("mean", "None"), ("square", "square"), ("variance", "variance")])
def test_smoothgrad_against_the_release_on_its_noise(variant, key, monkeypatch):
    arrays, stream = golden("gradients"), np.random.default_rng(99)

    def recorded_noise(clip, generators):
        return torch.from_numpy(stream.standard_normal((1, clip.numel()), np.float32)).view_as(clip)

    monkeypatch.setattr(gradients, "draw_noise", recorded_noise)
    explainer = SmoothGrad(int(arrays[f"small0_sg_{key}_numpy_nsamples"]), variant=variant, chunk=1)
    got = explainer(tiny_a(), golden_clip("small0"), target("small0"))
    raw = arrays[f"small0_sg_{key}_numpy_raw"]
    assert_almost_everywhere(got[:, 3], np.abs(raw).sum(axis=1)[:, 0])


def test_smoothgrad_draws_the_release_s_torch_noise_from_the_clip_s_generator():
    arrays = golden("gradients")
    explainer = SmoothGrad(int(arrays["small0_sg_square_torch_nsamples"]), variant="square")
    got = explainer(tiny_a(), golden_clip("small0"), target("small0"), generators=generators(1))  # seed 0
    assert_almost_everywhere(got[:, 3], arrays["small0_sg_square_torch_raw"].sum(axis=1)[:, 0])


WRONG = [
    (Gradients, {"reduce": "max"}, "reduce = max is not one of"),
    (Gradients, {"score": "loss"}, "score = loss is not one of"),
    (Gradients, {"normaliser": "p99"}, "normaliser = p99 is not one of"),
    (IntegratedGradients, {"steps": 1, "baseline": "zero"}, "steps = 1 is not a whole number"),
    (IntegratedGradients, {"rule": "right", "baseline": "zero"}, "rule = right is not one of"),
    (IntegratedGradients, {"baseline": "white"}, "baseline = white is not one of"),
    (SmoothGrad, {"samples": 0}, "samples = 0 is not a whole number"),
    (SmoothGrad, {"noise": -0.1}, "noise = -0.1 is outside"),
    (SmoothGrad, {"samples": 1, "variant": "variance"}, "samples = 1 is too few"),
]


@pytest.mark.parametrize(("explainer", "options", "message"), WRONG)
def test_a_wrong_option_is_one_clear_line(explainer, options, message):
    with pytest.raises(OutOfRange, match=message):
        explainer(**options)


def test_black_needs_the_model_s_colours():
    with pytest.raises(UserError, match="needs the model's mean and std"):
        IntegratedGradients()
