"""What each method of the family replaces in the loop."""

import pytest
import torch
from helpers import perturbation_runs as runs
from helpers.perturbation_runs import EXACT, FRAMES, SMALL, energy, generators, record, seeds_of
from helpers.refusals import assert_refused
from hypothesis import given, settings
from hypothesis import strategies as st

from vxbench.errors import UserError
from vxbench.explainers.perturbation import EP3D, FEP, STEP, EP3DEvenly, EP3DGaussian, FEPOnSTEP
from vxbench.explainers.perturbation.frequency import BandFilter, dct3
from vxbench.explainers.perturbation.regularisers import AreaTerm, CoreTerm

# Slow enough that after 20 iterations four seeds in five are still strictly between 0 and 1.
SLOW = {**SMALL, "lr": 0.005, "iterations": 21}
BANDS = [(1, 0), (0.3, 0.7), (0.5, 0.5), (0.9, 0.1)]


# F-EP.


@pytest.mark.identity(1)
@pytest.mark.parametrize(("r_l", "r_h"), BANDS)
def test_fep_with_every_band_is_ep3d(r_l, r_h):
    """1 to 20 iterations in float64: the sort has not yet amplified the rounding of the transform (measured 3e-15)."""
    seeds = seeds_of(record(EP3D(**SLOW))[1])
    assert ((seeds[20] > 0) & (seeds[20] < 1)).double().mean() > 0.8
    torch.testing.assert_close(seeds_of(record(FEP(r_l=r_l, r_h=r_h, **SLOW))[1]), seeds, **EXACT)


@pytest.mark.identity(1)
@pytest.mark.choice("fep.rl")
@pytest.mark.choice("fep.rh")
def test_fep_with_a_gap_between_its_bands_is_not_ep3d():
    assert (seeds_of(record(FEP(r_l=0.5, r_h=0.2, **SLOW))[1]) - seeds_of(record(EP3D(**SLOW))[1])).abs().max() > 0.1


@pytest.mark.choice("fep.base")
@pytest.mark.parametrize(("r_l", "r_h"), BANDS)
def test_fep_on_step_with_every_band_is_step(r_l, r_h):
    step = {**SLOW, "core_start": 2, "core_weight": 30, "reward_weight": 100}
    expected = seeds_of(record(STEP(**step))[1])
    torch.testing.assert_close(seeds_of(record(FEPOnSTEP(r_l=r_l, r_h=r_h, **step))[1]), expected, **EXACT)


@pytest.mark.identity(4)
def test_without_clamping_the_mask_never_leaves_the_band():
    """The area asks for nothing, so that all seeds fall and, for 20 iterations, none meets 0 or 1."""
    steps = record(FEP(r_l=0.5, r_h=0.2, **{**SLOW, "lr": 0.01, "reward_weight": 20, "areas": (0.0,)}))[1]
    seeds = seeds_of(steps)
    assert 0 < seeds[1:].min() < seeds[1:].max() < 1
    moved = dct3(seeds - seeds[0])
    outside = ~BandFilter(0.5, 0.2).passband(seeds.shape[-3:])
    assert moved[..., outside].abs().max() < 1e-12
    assert moved[-1][..., ~outside].abs().max() > 0.1


@pytest.mark.identity(4)
def test_the_momentum_of_filtered_gradients_is_the_filtered_momentum():
    band, gradients = BandFilter(0.5, 0.2), [step.gradient for step in record(EP3D(**SLOW))[1]]

    def momentum(sequence):
        velocity = sequence[0]
        for gradient in sequence[1:]:
            velocity = 0.9 * velocity + 0.1 * gradient
        return velocity

    torch.testing.assert_close(momentum([band(g) for g in gradients]), band(momentum(gradients)), **EXACT)


@pytest.mark.choice("fep.tensor")
@pytest.mark.choice("fep.term")
@pytest.mark.parametrize("tensor", ["seed", "mask"])
@pytest.mark.parametrize("term", ["total", "reward"])
def test_which_gradient_is_filtered(tensor, term):
    """The first gradient, put together by hand: reward and area part, at the seed or at the padded mask."""
    seed = runs.first_seed().requires_grad_()
    padded = runs.small_generator()(seed[0])[None]
    reward, area = energy(padded)
    band = BandFilter(0.5, 0.2)

    def at(target, energy):
        return torch.autograd.grad(energy, target, retain_graph=True)[0]

    where = seed if tensor == "seed" else padded
    filtered = band(at(where, reward)) + (band(at(where, area)) if term == "total" else at(where, area))
    expected = filtered if tensor == "seed" else torch.autograd.grad(padded, seed, filtered)[0]
    step = record(FEP(r_l=0.5, r_h=0.2, tensor=tensor, term=term, **{**SMALL, "iterations": 1}))[1][0]
    torch.testing.assert_close(step.gradient, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.choice("fep.dct")
@pytest.mark.choice("fep.zero_box")
def test_transform_and_zero_box_reach_the_filter():
    plain = EP3D(**{**SMALL, "iterations": 1})
    gradient = record(plain)[1][0].gradient
    for options in ({"transform": "eq4_literal"}, {"zero_box": "keep_dc", "r_l": 0.1}):
        step = record(FEP(**{**SMALL, "iterations": 1, **options}))[1][0]
        band = BandFilter(**{"r_l": 0.5, "r_h": 0.2, **options})
        torch.testing.assert_close(step.gradient, band(gradient), **EXACT)
    with pytest.warns(RuntimeWarning, match="keeps no low frequency"):
        record(FEP(r_l=0.1, **{**SMALL, "iterations": 1}))


# EP-2D, evenly.


@pytest.mark.identity(9)
def test_evenly_is_ep3d_on_a_clip_of_one_frame():
    clip = runs.small_clips()[:, :, :1]
    evenly, whole = (record(method(**SLOW), clip=clip)[1] for method in (EP3DEvenly, EP3D))
    assert torch.equal(seeds_of(evenly), seeds_of(whole))


@pytest.mark.identity(9)
def test_evenly_spreads_the_area_over_frames_and_ep3d_need_not():
    """At the end of a run every frame's padded mask has the area, .3, so that no frame stands out."""
    generator, shares = runs.small_generator(), {}
    for method in (EP3DEvenly, EP3D):
        steps = record(method(areas=(0.3,), ties="shuffle", **{**SMALL, "iterations": 100, "reward_weight": 5}))[1]
        shares[method] = generator(steps[-1].seed[0]).mean(dim=(1, 2))
    assert (shares[EP3DEvenly] - 0.3).abs().max() < 0.03  # smooth masks come near the area, not onto it
    assert (shares[EP3D] - 0.3).abs().max() > 0.1


# EP-3D, Gaussian.


@pytest.mark.parametrize(
    ("dt", "taps"),
    [(1, [0.7258, 0.1371]), (2, [0.5153, 0.2240, 0.0184]), (3, [0.4206, 0.2413, 0.0456, 0.0028])],
)
@pytest.mark.parametrize("ends", ["renorm", "replicate", "zero"])
def test_gaussian_weights_are_those_of_equation_12(dt, taps, ends):
    row = EP3DGaussian(dt=dt, ends=ends).weights(9)[4]
    assert row[4 : 5 + dt].tolist() == pytest.approx(taps, abs=5e-5)
    torch.testing.assert_close(row, row.flip(0), **EXACT)
    assert (row > 0).sum() == 2 * dt + 1


@pytest.mark.identity(10)
@pytest.mark.choice("ep.tsmooth_pad")
@settings(max_examples=30)
@given(dt=st.integers(0, 5), frames=st.integers(1, 9), ends=st.sampled_from(["renorm", "replicate", "zero"]))
def test_gaussian_weights_sum_to_one_and_lose_the_outside_only_with_zero(dt, frames, ends):
    weights = EP3DGaussian(dt=dt, ends=ends).weights(frames)
    sums = weights.sum(dim=1)
    if ends == "zero":
        inside = torch.tensor([dt <= t < frames - dt for t in range(frames)])
        torch.testing.assert_close(sums[inside], torch.ones(int(inside.sum()), dtype=torch.float64), **EXACT)
        assert (sums[~inside] < 1).all()
    else:
        torch.testing.assert_close(sums, torch.ones(frames, dtype=torch.float64), **EXACT)


@pytest.mark.choice("ep.tsmooth_pad")
def test_gaussian_ends_by_hand():
    full = EP3DGaussian(dt=1).weights(9)[4, 3:6]
    side, centre = full[0].item(), full[1].item()
    first = {ends: EP3DGaussian(dt=1, ends=ends).weights(3)[0].tolist() for ends in ("renorm", "replicate", "zero")}
    assert first["zero"] == pytest.approx([centre, side, 0])
    assert first["replicate"] == pytest.approx([centre + side, side, 0])
    assert first["renorm"] == pytest.approx([centre / (centre + side), side / (centre + side), 0])


@pytest.mark.identity(10)
@pytest.mark.parametrize("ends", ["renorm", "replicate"])
def test_gaussian_keeps_seeds_that_are_constant_in_time(ends):
    seed = torch.rand(2, 1, 4, 5, dtype=torch.float64).expand(2, FRAMES, 4, 5)
    torch.testing.assert_close(EP3DGaussian(dt=2, ends=ends).smooth_seed(seed), seed, **EXACT)


@pytest.mark.identity(10)
def test_gaussian_of_dt_zero_is_ep3d():
    assert torch.equal(seeds_of(record(EP3DGaussian(dt=0, **SLOW))[1]), seeds_of(record(EP3D(**SLOW))[1]))


def test_gaussian_smooths_seeds_before_the_generator_and_the_gradient_flows_through():
    generator = runs.small_generator()
    explainer = EP3DGaussian(dt=2, ends="zero", **{**SMALL, "iterations": 2}, lr=0.01)
    saliency, steps = record(explainer)
    smooth = torch.einsum("st,nthw->nshw", explainer.weights(FRAMES), steps[-1].seed)
    assert torch.equal(saliency, generator.crop(generator(smooth[0]))[None].float())
    # At seeds of one: what EP-3D's gradient at the smoothed seeds says, carried back by the transposed weights.
    spread = torch.einsum("st,nthw->nshw", explainer.weights(FRAMES), runs.first_seed()).requires_grad_()
    (at_smooth,) = torch.autograd.grad(sum(energy(generator(spread[0])[None])), spread)
    expected = torch.einsum("st,nshw->nthw", explainer.weights(FRAMES), at_smooth)
    torch.testing.assert_close(steps[0].gradient, expected, rtol=1e-10, atol=1e-12)


# STEP.


@pytest.mark.choice("ep.w_r")
def test_step_without_its_own_terms_is_ep3d():
    like_ep = {"core_weight": 0, "area_growth": 1.0, "reward_weight": 100.0}
    assert torch.equal(seeds_of(record(STEP(**SLOW, **like_ep))[1]), seeds_of(record(EP3D(**SLOW))[1]))


def test_step_adds_the_core_term_after_core_start():
    generator = runs.small_generator()
    area, start = torch.tensor([0.1], dtype=torch.float64), 2
    for step in record(STEP(**SMALL, lr=0.01, core_start=start, core_weight=40))[1]:
        mask = generator(step.seed[0])[None]
        expected = 300 * 1.0008668**step.iteration * AreaTerm()(mask, area, generators(1))
        if step.iteration > start:
            expected = expected + 40 * CoreTerm()(mask, area, generators(1))
        torch.testing.assert_close(step.penalty, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.choice("step.stride_t")
@pytest.mark.choice("step.topk_volume")
@pytest.mark.choice("step.loss")
@pytest.mark.parametrize(
    ("option", "term"),
    [
        ({"kernel": (3, 5, 5)}, CoreTerm((3, 5, 5))),
        ({"stride_t": 2}, CoreTerm(stride_t=2)),
        ({"volume": "kernel"}, CoreTerm(volume="kernel")),
        ({"core_loss": "norm"}, CoreTerm(loss="norm")),
    ],
)
def test_step_options_reach_the_core_term(option, term):
    """At 40 % of a mask that falls off to the left and in time, each option gives its own loss."""
    explainer = STEP(core_start=0, core_weight=1.0, **option)
    mask = torch.linspace(0, 1, 25, dtype=torch.float64) * torch.linspace(0.5, 1, 8, dtype=torch.float64)[:, None, None]
    mask = mask.expand(8, 25, 25)[None]
    area = torch.tensor([0.4], dtype=torch.float64)
    found = explainer.extra_penalty(mask, area, generators(1), 1)
    torch.testing.assert_close(found, term(mask, area, generators(1)), **EXACT)
    assert (found - CoreTerm()(mask, area, generators(1))).abs() > 1e-4


@pytest.mark.choice("step.short_t")
def test_step_on_a_short_clip_shrinks_or_stops():
    short = runs.small_clips()[:, :, :5]
    few = {**SMALL, "iterations": 2, "core_start": 0}
    with pytest.warns(RuntimeWarning, match="shrunk to the clip's 5"):
        record(STEP(**few), clip=short)
    with pytest.raises(UserError, match="use short_t=shrink"):
        record(STEP(short_t="error", **few), clip=short)


# Refusals.


def test_a_setting_out_of_range_is_refused_in_one_line():
    for method, setting, line in [
        (EP3DEvenly, {"ties": "random"}, "ties = random is not one of plain, shuffle"),
        (EP3DGaussian, {"dt": -1}, r"dt = -1 is not a whole number in \[0, inf\)"),
        (EP3DGaussian, {"ends": "wrap"}, "ends = wrap is not one of renorm, replicate, zero"),
        (STEP, {"kernel": (7, 0, 11)}, r"kernel = 0 is not a whole number in \[1, inf\)"),
        (STEP, {"core_loss": "sum"}, "loss = sum is not one of two_means, norm"),
        (STEP, {"core_weight": -1}, r"core_weight = -1 is outside \[0, inf\]"),
        (STEP, {"core_start": -1}, r"core_start = -1 is not a whole number in \[0, inf\)"),
        (FEP, {"r_l": 0.9, "r_h": 0.3}, r"r_l \+ r_h = 0.9 \+ 0.3 = 1.2 is outside \[0, 1\]"),
        (FEP, {"tensor": "clip"}, "tensor = clip is not one of seed, mask"),
        (FEP, {"term": "area"}, "term = area is not one of total, reward"),
        (FEPOnSTEP, {"volume": "sphere"}, "volume = sphere is not one of continuous, kernel"),
    ]:
        assert_refused(f"^{line}$", method, **setting)


@pytest.mark.parametrize("method", [EP3D, EP3DEvenly, STEP])
def test_settings_go_by_their_names(method):
    with pytest.raises(TypeError, match="positional"):
        method((0.1,))


@pytest.mark.parametrize("method", [FEP, FEPOnSTEP])
def test_only_the_bands_may_go_by_position(method):
    band = method(0.7, 0.1).band
    assert (band.r_l, band.r_h) == (0.7, 0.1)
    with pytest.raises(TypeError, match="positional"):
        method(0.7, 0.1, "ortho")


# Defaults, and settings handed on.


@pytest.mark.choice("ep.w_r")
def test_the_reward_weighs_100_in_ep_and_1_in_step():
    few = {**SMALL, "iterations": 1}
    rewards = {method: record(method(**few))[1][0].reward for method in (EP3D, EP3DEvenly, EP3DGaussian, FEP, STEP)}
    for method in (EP3DEvenly, EP3DGaussian, FEP):
        assert torch.equal(rewards[method], rewards[EP3D])
    torch.testing.assert_close(rewards[EP3D], 100 * rewards[STEP], rtol=1e-12, atol=0)
    other = record(EP3D(reward_weight=7, **few))[1][0]
    torch.testing.assert_close(other.reward, 7 * rewards[STEP], rtol=1e-12, atol=0)


@pytest.mark.choice("fep.area")
def test_the_area_of_fep_is_that_of_its_area_term():
    few = {**SMALL, "iterations": 1}
    found = {area: record(FEP(areas=(area,), **few))[1][0].penalty for area in (0.1, 0.4)}
    for area, penalty in found.items():
        torch.testing.assert_close(penalty, record(EP3D(areas=(area,), **few))[1][0].penalty, **EXACT)
    assert torch.equal(record(FEP(**few))[1][0].penalty, found[0.1])
    assert not torch.equal(found[0.1], found[0.4])


@pytest.mark.choice("fep.base")
def test_the_base_of_fep_is_an_energy_not_a_filter():
    """The same bands on the gradient of EP's energy and of STEP's, whose reward weighs 1."""
    few = {**SMALL, "iterations": 1}
    for method, base in ((FEP, EP3D), (FEPOnSTEP, STEP)):
        step, plain = record(method(0.5, 0.2, **few))[1][0], record(base(**few))[1][0]
        torch.testing.assert_close(step.gradient, BandFilter(0.5, 0.2)(plain.gradient), **EXACT)
        assert torch.equal(step.reward, plain.reward)
