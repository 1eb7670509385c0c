"""The optimisation loop: energy, descent, options. Methods that replace a part are in test_methods.py."""

from itertools import pairwise

import pytest
import torch
from helpers.perturbation_runs import (
    EXACT,
    FRAMES,
    HEIGHT,
    SMALL,
    TARGET,
    WIDTH,
    first_seed,
    generators,
    record,
    seeds_of,
    small_clips,
    small_generator,
    small_model,
)
from helpers.refusals import assert_refused
from helpers.toys import GapFC, clips, seeded
from torch import nn

from vxbench.explainers.perturbation import EP3D, EP3DEvenly
from vxbench.explainers.perturbation.pyramid import Pyramid, blur
from vxbench.explainers.perturbation.regularisers import AreaTerm

# Rewards and penalties are of order 100.
ENERGY = {"rtol": 1e-12, "atol": 1e-12}


@pytest.fixture
def generator():
    return small_generator()


@pytest.fixture
def padded(generator):
    """The first padded mask: all seeds one, (1, T, H', W')."""
    return generator(first_seed()[0])[None]


def probability(clip, target=TARGET[:1]):
    return small_model()(clip).softmax(dim=1)[0, target.item()]


def first_step(**settings):
    return record(EP3D(**{**SMALL, "iterations": 1, **settings}))[1][0]


# Descent.


@pytest.mark.identity(12)
def test_the_first_step_is_the_whole_gradient_the_later_ones_are_dampened():
    explainer = EP3D(**SMALL, lr=0.003, momentum=0.8, dampening=0.7)
    steps = record(explainer)[1]
    velocity = steps[0].gradient
    for now, after in pairwise(steps):
        if now.iteration:
            velocity = 0.8 * velocity + (1 - 0.7) * now.gradient
        torch.testing.assert_close(after.seed, (now.seed - 0.003 * velocity).clamp(0, 1), **EXACT)
    assert ((steps[-1].seed > 0) & (steps[-1].seed < 1)).double().mean() > 0.5  # the clamp does not hide the rest


@pytest.mark.identity(12)
def test_a_constant_gradient_makes_equal_steps():
    """momentum + (1 - dampening) = 1: the velocity stays where it is."""

    class Constant(EP3D):
        def gradient(self, seed, reward, penalty):
            return torch.full_like(seed, 0.5)

    seeds = seeds_of(record(Constant(**SMALL, lr=0.1))[1])
    expected = 1 - 0.05 * torch.arange(5, dtype=torch.float64)
    torch.testing.assert_close(seeds, expected.view(5, 1, 1, 1, 1).expand_as(seeds), **EXACT)


def test_seeds_start_at_one_and_stay_in_0_1():
    seeds = seeds_of(record(EP3D(**SMALL, lr=1.0))[1])
    assert (seeds[0] == 1).all()
    assert seeds.min() == 0
    assert seeds.max() == 1


def test_the_saliency_is_the_mask_at_the_start_of_the_last_iteration(generator):
    saliency, steps = record(EP3D(**SMALL, lr=0.01))
    expected = generator.crop(generator(steps[-1].seed[0]))[None].float()
    assert torch.equal(saliency, expected)
    assert saliency.shape == (1, FRAMES, HEIGHT, WIDTH)
    assert saliency.dtype == torch.float32


@pytest.mark.choice("ep.iters")
def test_a_run_of_fewer_iterations_is_the_beginning_of_a_longer_one():
    (short, first), (long, steps) = (record(EP3D(**{**SMALL, "iterations": n}, lr=0.01)) for n in (3, 8))
    assert [step.iteration for step in first] == [0, 1, 2]
    assert torch.equal(seeds_of(first), seeds_of(steps)[:3])
    assert len(steps) == 8
    assert (short - long).abs().max() > 0.01


def test_the_gradient_is_that_of_reward_and_penalty(generator):
    """Finite differences of the reported energy along the gradient."""
    steps = record(EP3D(**{**SMALL, "iterations": 2}, lr=1e-7))[1]
    moved = steps[1].seed - steps[0].seed
    predicted = (steps[0].gradient * moved).sum()
    change = (steps[1].reward + steps[1].penalty - steps[0].reward - steps[0].penalty).sum()
    # 1e-7 times a gradient of order 10: the second-order term is below 1e-3 of the first.
    assert change.item() == pytest.approx(predicted.item(), rel=1e-3)
    assert change < 0


# The reward.


@pytest.mark.choice("ep.w_r")
@pytest.mark.parametrize("perturbation", ["blur", "fade"])
def test_reward_of_each_mode(generator, padded, perturbation):
    pyramid = Pyramid(small_clips(), perturbation, 5, 6.0)
    mask = generator.crop(padded)
    kept, deleted = probability(pyramid.apply(mask)), probability(pyramid.apply(1 - mask))
    expected = {"preserve": -kept.log(), "delete": -(1 - deleted).log()}
    expected["dual"] = expected["preserve"] + expected["delete"]
    settings = {"perturbation": perturbation, "levels": 5, "max_sigma": 6.0, "reward_weight": 7}
    for mode, value in expected.items():
        torch.testing.assert_close(first_step(mode=mode, **settings).reward[0], 7 * value, **ENERGY)


@pytest.mark.choice("ep.reward")
def test_reward_prob_is_the_probability_itself(generator, padded):
    kept = probability(Pyramid(small_clips()).apply(generator.crop(padded)))
    torch.testing.assert_close(first_step(reward="prob").reward[0], -100 * kept, **ENERGY)
    deleted = probability(Pyramid(small_clips()).apply(1 - generator.crop(padded)))
    torch.testing.assert_close(first_step(reward="prob", mode="delete").reward[0], -100 * (1 - deleted), **ENERGY)


class Sure(nn.Module):
    """Class 0 with probability 1, in floating point exactly."""

    def forward(self, clip):
        return torch.stack([clip.mean((1, 2, 3, 4)) + 1e4, 0 * clip.mean((1, 2, 3, 4))], dim=1)


@pytest.mark.choice("ep.reward")
def test_the_options_of_the_reward_differ_by_a_factor_p_in_the_gradient():
    """d(-log p) = -dp / p: without an area to keep, the first gradients are proportional."""
    steps = {reward: first_step(reward=reward, area_weight=0) for reward in ("neglog", "prob")}
    p = -steps["prob"].reward / 100
    torch.testing.assert_close(steps["neglog"].gradient * p, steps["prob"].gradient, rtol=1e-9, atol=1e-12)


class Probabilities(nn.Module):
    """The same classifier with its softmax inside, as VGG16LSTM."""

    outputs = "probs"

    def forward(self, clip):
        return small_model()(clip).softmax(dim=1)


@pytest.mark.parametrize("mode", ["preserve", "delete", "dual"])
@pytest.mark.parametrize("reward", ["neglog", "prob"])
def test_a_classifier_that_returns_probabilities_gets_no_second_softmax(mode, reward):
    settings = {**SMALL, "mode": mode, "reward": reward, "areas": (0.2, 0.4), "combine": "sum_tr", "lr": 0.01}
    expected, inside = (record(EP3D(**settings), model) for model in (small_model(), Probabilities()))
    assert torch.equal(inside[0], expected[0])
    assert torch.equal(seeds_of(inside[1]), seeds_of(expected[1]))


@pytest.mark.choice("ep.log_eps")
@pytest.mark.parametrize("log_eps", [1e-12, 1e-3])
def test_log_eps_is_the_floor_under_the_logarithm(log_eps):
    settings = {**SMALL, "iterations": 2, "log_eps": log_eps, "reward_weight": 1}
    saliency, steps = record(EP3D(**settings), Sure(), target=torch.tensor([1]))
    assert steps[0].reward.item() == pytest.approx(-torch.tensor(log_eps, dtype=torch.float64).log().item())
    assert torch.isfinite(saliency).all()


# The area.


@pytest.mark.choice("ep.area_domain")
def test_the_area_counts_the_padded_mask_or_the_frame(generator, padded):
    share = torch.tensor([0.1], dtype=torch.float64)
    for domain, mask in (("padded", padded), ("crop", generator.crop(padded))):
        expected = 300 * AreaTerm()(mask, share, generators(1))
        torch.testing.assert_close(first_step(area_domain=domain).penalty, expected, **ENERGY)


def test_the_weight_of_the_area_grows(generator):
    steps = record(EP3D(**SMALL, lr=0.01, area_weight=10, area_growth=1.5))[1]
    share = torch.tensor([0.1], dtype=torch.float64)
    for step in steps:
        mask = generator(step.seed[0])[None]
        expected = 10 * 1.5**step.iteration * AreaTerm()(mask, share, generators(1))
        torch.testing.assert_close(step.penalty, expected, **ENERGY)


@pytest.mark.slow
@pytest.mark.choice("ep.areas")
@pytest.mark.parametrize("method", [EP3D, EP3DEvenly])
def test_the_mask_comes_to_the_area_when_nothing_else_pulls(generator, method):
    settings = {**SMALL, "iterations": 100, "area_weight": 100, "reward_weight": 0, "ties": "shuffle"}
    for area in (0.05, 0.5):
        steps = record(method(areas=(area,), **settings))[1]
        mask = generator(steps[-1].seed[0])
        # Smooth masks cannot be binary: the mean comes near the area, not onto it.
        assert mask.mean().item() == pytest.approx(area, abs=0.08)


@pytest.mark.choice("ep.ties")
def test_shuffled_ties_follow_the_generator_and_plain_ones_do_not():
    settings = {**SMALL, "lr": 0.01}
    shuffled = [record(EP3D(ties="shuffle", **settings), seed=s)[0] for s in (0, 0, 1)]
    assert torch.equal(shuffled[0], shuffled[1])
    assert not torch.equal(shuffled[0], shuffled[2])
    assert torch.equal(*[record(EP3D(**settings), seed=s)[0] for s in (0, 1)])


# Settings that depend on the clip.


@pytest.mark.parametrize(("side", "sigma"), [(112, 11), (56, 23)])
def test_step_and_sigma_by_default(side, sigma):
    clip, model = clips(1, 3, 2, side, side), seeded(GapFC())
    results = [
        record(EP3D(iterations=2, lr=0.01, **settings), model, clip)[0]
        for settings in ({}, {"step": 7, "sigma": sigma}, {"step": 7, "sigma": 15})
    ]
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_smoothing_blurs_the_result():
    sharp, smooth = (record(EP3D(**SMALL, smoothing=s))[0] for s in (0, 2))
    torch.testing.assert_close(smooth, blur(sharp, 2).clamp(0, 1), rtol=0, atol=1e-6)
    assert (smooth - sharp).abs().max() > 0.01


# Refusals.


def test_a_setting_out_of_range_is_refused_in_one_line():
    for setting, line in [
        ({"areas": (0.1, 1.5)}, r"areas = 1.5 is outside \[0, 1\]"),
        ({"areas": ()}, r"areas is empty; give at least one share in \[0, 1\]"),
        ({"combine": "mean"}, "combine = mean is not one of sum_gauss10, sum_tr, extremal, single"),
        ({"combine": "extremal", "mode": "delete"}, "combine = extremal compares the kept clip's score; .*"),
        ({"iterations": 0}, r"iterations = 0 is not a whole number in \[1, inf\)"),
        ({"lr": 0}, r"lr = 0 is outside \(0, inf\)"),
        ({"momentum": 1.1}, r"momentum = 1.1 is outside \[0, 1\]"),
        ({"dampening": -0.1}, r"dampening = -0.1 is outside \[0, 1\]"),
        ({"perturbation": "noise"}, "perturbation = noise is not one of blur, fade"),
        ({"levels": 1}, r"levels = 1 is not a whole number in \[2, inf\)"),
        ({"max_sigma": 0}, r"max_sigma = 0 is outside \(0, inf\)"),
        ({"step": 0}, r"step = 0 is not a whole number in \[1, inf\)"),
        ({"sigma": -3}, r"sigma = -3 is outside \(0, inf\)"),
        ({"coldness": 0}, r"coldness = 0 is outside \(0, inf\)"),
        ({"mode": "keep"}, "mode = keep is not one of preserve, delete, dual"),
        ({"reward": "logit"}, "reward = logit is not one of neglog, prob"),
        ({"reward_weight": -1}, r"reward_weight = -1 is outside \[0, inf\]"),
        ({"log_eps": 2}, r"log_eps = 2 is outside \[0, 1\]"),
        ({"area_weight": float("nan")}, r"area_weight = nan is outside \[0, inf\]"),
        ({"area_growth": 0}, r"area_growth = 0 is outside \(0, inf\)"),
        ({"area_domain": "all"}, "area_domain = all is not one of padded, crop"),
        ({"ties": "random"}, "ties = random is not one of plain, shuffle"),
        ({"smoothing": -1}, r"smoothing = -1 is outside \[0, inf\]"),
    ]:
        assert_refused(f"^{line}$", EP3D, **setting)
