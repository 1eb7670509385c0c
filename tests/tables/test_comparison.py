"""Rows compared clip by clip, against numbers worked out by hand, properties and a plain bootstrap."""

import itertools
import math
import random
import statistics

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, kendalltau, permutation_test, t

from vxbench.tables.comparison import pairs, rank_correlation, ratio
from vxbench.tables.statistics import LEVEL, MIN_RANKED, RESAMPLES, kendall_taus, resampled_means, two_sided

# 10,000 resamples of a few clips take some 10 ms; the properties do not need many examples.
few = settings(max_examples=15, deadline=None)
values = st.lists(st.floats(0, 100, allow_subnormal=False), min_size=8, max_size=8)
columns = st.lists(values, min_size=3, max_size=4)


def sample(measured, weights=None, groups=None, first=0):
    """clip<first>, clip<first + 1>, ...; NaN is left out, as the report leaves it out."""
    frame = pd.DataFrame({"value": measured, "weight": weights or 1.0, "group": groups or 0}, dtype=float)
    frame.index = [f"clip{first + i}" for i in range(len(frame))]
    return frame.dropna()


def one_pair(a, b):
    (found,) = pairs(0, {"a": a, "b": b})
    return found


def test_a_difference_by_hand():
    # Differences 2 and 4: resamples of two clips have the means 2, 3, 3, 4 with 1/4 each.
    found = one_pair(sample([12.0, 24.0]), sample([10.0, 20.0]))
    assert (found.difference.mean, found.difference.low, found.difference.high, found.difference.n) == (3, 2, 4, 2)
    assert found.p == 0.5  # two clips can tell no more: 2 of the 4 ways to exchange their signs are as extreme


def test_clips_are_paired():
    """A difference of 1 on every clip is certain, however far the clips lie apart."""
    apart = [0.0, 90.0, 10.0, 70.0, 30.0, 50.0, 20.0, 80.0]
    found = one_pair(sample([value + 1 for value in apart]), sample(apart))
    assert found.difference.low == pytest.approx(1, abs=1e-12)  # rounding of sums up to 800
    assert found.difference.high == pytest.approx(1, abs=1e-12)
    assert found.real
    assert found.ahead(higher_is_better=True) == "a"
    assert found.ahead(higher_is_better=False) == "b"


def test_a_difference_agrees_with_a_plain_bootstrap():
    generator = np.random.default_rng(4)
    first = generator.normal(50, 15, 24)
    second = first + generator.normal(2, 6, 24)
    draw, apart = random.Random(1), (first - second).tolist()
    plain = sorted(statistics.fmean(draw.choices(apart, k=24)) for _ in range(RESAMPLES))
    found = one_pair(sample(first), sample(second))
    # Two Monte-Carlo quantiles of 10,000 resamples differ by some 0.04 standard errors of the mean, 6/sqrt(24) = 1.2
    # (see test_report_statistics): 5 sigma is below 0.25.
    assert found.difference.low == pytest.approx(plain[int(0.025 * RESAMPLES)], abs=0.25)
    assert found.difference.high == pytest.approx(plain[int(0.975 * RESAMPLES) - 1], abs=0.25)


@pytest.mark.parametrize("seed", range(4))
def test_p_is_the_larger_of_a_plain_bootstrap_s_and_scipy_s_exchange(seed):
    """Sixteen clips with a few outliers: now the one is larger, now the other."""
    generator = np.random.default_rng(seed)
    first = generator.normal(50, 15, 16)
    second = first + generator.standard_t(2, 16) + 0.8
    apart = first - second
    means = generator.choice(apart, (RESAMPLES, 16)).mean(axis=1)
    bootstrap = 2 * min((means >= 0).mean(), (means <= 0).mean())
    exchange = permutation_test(
        (first, second),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,  # all 2^16
    ).pvalue
    # A share of p/2 <= 0.25 of 10,000 has a standard error of at most 0.0044; twice that, of two runs, 5 sigma: 0.06.
    assert one_pair(sample(first), sample(second)).p == pytest.approx(max(bootstrap, exchange), abs=0.06)


def test_p_is_not_below_that_of_the_bootstrap():
    """Eleven clips say 1, one says -3. Three draws of that one make up for the rest; exchanges alone give 0.114."""
    found = one_pair(sample([1.0] * 11 + [0.0]), sample([0.0] * 11 + [3.0]))
    # Twice a share of 10,000 near 0.07 has a standard error of 0.005, 5 sigma: 0.025.
    assert found.p == pytest.approx(2 * binom.sf(2, 12, 1 / 12), abs=0.025)
    assert found.p > 0.115


def alike(generator, clips, rows=8):
    """Rows without a difference: the clips differ widely, each row's noise has a long tail."""
    clip = generator.normal(50, 10, clips)
    return {f"row{i}": sample(clip + generator.exponential(5, clips)) for i in range(rows)}


@pytest.mark.slow
@pytest.mark.parametrize("clips", [12, 14])
def test_rows_without_a_difference_are_seldom_told_apart(clips):
    """The family-wise error of 28 pairs is at most 1 - LEVEL, all exchanges enumerated (12 clips) or drawn (14).

    The count of 100 tables with any real pair is binomial; 4 standard errors above 5 % are 13.7. A bootstrap alone
    finds one in more than a fifth of such tables.
    """
    generator, tables = np.random.default_rng(clips), 100
    wrong = sum(any(pair.real for pair in pairs(0, alike(generator, clips))) for _ in range(tables))
    level = 1 - LEVEL
    assert wrong <= tables * level + 4 * math.sqrt(tables * level * (1 - level))


@pytest.mark.slow
def test_a_difference_is_found_as_often_as_by_a_t_test():
    """Normal differences of 1.2 standard deviations on 20 clips, at the level of the first of 28 pairs.

    The t test is the most powerful unbiased one there. Both count over the same 200 tables; the exchange and the
    bootstrap may miss a tenth of them more.
    """
    generator, level, tables = np.random.default_rng(0), (1 - LEVEL) / 28, 200
    found = best = 0
    for _ in range(tables):
        apart = generator.normal(1.2, 1, 20)
        found += one_pair(sample(50 + apart), sample(np.full(20, 50.0))).p < level
        best += 2 * t.sf(abs(apart.mean()) / (apart.std(ddof=1) / math.sqrt(20)), 19) < level
    assert best > 0.9 * tables
    assert found >= best - 0.1 * tables


def test_only_common_clips_are_compared():
    found = one_pair(sample([5.0, 7.0, 1000.0]), sample([-1000.0, 4.0, 5.0], first=-1))
    assert (found.difference.mean, found.difference.n) == (1.5, 2)
    assert pairs(0, {"a": sample([1.0]), "b": sample([1.0], first=1)}) == []


def test_weights_and_groups_enter_as_in_the_means():
    """Clip0 counts 3 times in a pooled rate; the two classes count alike in a mean of classes."""
    pooled = one_pair(sample([4.0, 8.0], weights=[3, 1]), sample([0.0, 0.0], weights=[3, 1]))
    assert pooled.difference.mean == 5
    classes = one_pair(sample([3.0, 5.0, 10.0], groups=[1, 1, 2]), sample([0.0] * 3, groups=[1, 1, 2]))
    assert classes.difference.mean == 7


@few
@given(st.lists(st.tuples(*[st.integers(0, 9)] * 2, st.integers(1, 5), st.integers(0, 2)), min_size=1, max_size=7))
def test_the_two_values_of_a_clip_are_exchanged_with_its_weight_and_group(clips):
    """p is the larger of the resamples' and that of all exchanges, enumerated with the formula of the mean."""
    first, second, weights, groups = (np.array(column, dtype=float) for column in zip(*clips, strict=True))
    found = one_pair(sample(first, list(weights), list(groups)), sample(second, list(weights), list(groups)))
    signs = np.array(list(itertools.product([1, -1], repeat=len(clips))))
    apart = signs * (first - second)
    sums = sum(np.average(apart[:, groups == g], axis=1, weights=weights[groups == g]) for g in set(groups))
    exact = (np.abs(sums) >= abs(sums[0]) - 1e-9).mean()  # rounding of sums of at most 7 numbers up to 9
    drawn = resampled_means(*(column[:, None] for column in (first - second, weights, groups)))[:, 0]
    assert found.p == pytest.approx(max(exact, two_sided(drawn, 1e-9)), rel=1e-12)  # rounding of a quotient


def test_rows_with_equal_values_do_not_differ():
    found = one_pair(sample([0.1, 0.7, 0.3]), sample([0.1, 0.7, 0.3]))
    assert (found.difference.mean, found.p, found.real) == (0, 1, False)


@few
@given(values, values)
def test_a_pair_is_antisymmetric(first, second):
    ahead, behind = one_pair(sample(first), sample(second)), one_pair(sample(second), sample(first))
    turned = [-behind.difference.mean, -behind.difference.high, -behind.difference.low]
    # Sums of 8 values up to 100 and an interpolated quantile: some ulps of 800.
    assert [ahead.difference.mean, ahead.difference.low, ahead.difference.high] == pytest.approx(turned, abs=1e-11)
    assert ahead.p == behind.p


@few
@given(columns, st.randoms())
def test_a_pair_depends_on_neither_the_order_of_the_clips_nor_other_rows(rows, shuffler):
    samples = {f"row{i}": sample(row) for i, row in enumerate(rows)}
    alone = one_pair(samples["row0"], samples["row1"])
    samples["row2"] = samples["row2"].iloc[:5]  # a row with fewer clips changes nothing for the others
    order = list(range(8))
    shuffler.shuffle(order)
    found = pairs(0, {name: s.iloc[[i for i in order if i < len(s)]] for name, s in samples.items()})[0]
    for name in ("mean", "low", "high"):
        # A product of matrices may add up in another order: some ulps of 800.
        assert getattr(found.difference, name) == pytest.approx(getattr(alone.difference, name), abs=1e-11)
    assert found.p == alone.p


@few
@given(columns)
def test_the_interval_of_tau_contains_tau(rows):
    printed = list(range(len(rows)))
    found = rank_correlation([sample(row) for row in rows], printed)
    if found is None:  # all means are equal
        assert len({round(statistics.fmean(row), 9) for row in rows}) == 1
    else:
        assert -1 <= found.low <= found.tau <= found.high <= 1


def test_tau_depends_on_neither_the_order_of_the_clips_nor_that_of_the_rows():
    generator = np.random.default_rng(0)
    rows, printed = [sample(generator.normal(i, 9, 9)) for i in range(5)], [3.0, 1.0, 2.0, 4.0, 4.0]
    found = rank_correlation(rows, printed)
    assert found.low < found.tau < found.high
    assert rank_correlation([row.iloc[::-1] for row in rows], printed) == found
    assert rank_correlation(rows[::-1], printed[::-1]) == found


def test_tau_resamples_the_same_clips_for_all_rows():
    """Rows a constant apart keep their order in every resample, however far the clips lie apart."""
    apart = np.array([0.0, 90.0, 10.0, 70.0, 30.0])
    found = rank_correlation([sample(apart + i) for i in range(4)], [1, 2, 3, 4])
    assert (found.tau, found.low, found.high) == (1, 1, 1)


def test_the_interval_of_tau_is_widened_to_it():
    """Eight rows ordered as printed by a hair: noise reorders nearly all resamples, so tau = 1 is above them."""
    noise = np.random.default_rng(3).normal(0, 10, (8, 20))
    rows = [sample(row - row.mean() + i / 100) for i, row in enumerate(noise)]
    found = rank_correlation(rows, list(range(8)))
    assert (found.tau, found.high) == (1, 1)
    assert found.low < 0


def test_tau_keeps_every_clip_of_a_row():
    """The second row lacks the clip that would put it first."""
    rows = [sample([1.0, 1.0]), sample([2.0, math.nan]), sample([3.0, 3.0])]
    assert rank_correlation(rows, [1, 2, 3]).tau == 1
    # A resample without the row's one clip, one in four, counts as 0.
    assert rank_correlation(rows, [1, 2, 3]).low == 0


@pytest.mark.parametrize("rows", range(MIN_RANKED))
def test_too_few_rows_have_no_tau(rows):
    assert rank_correlation([sample([float(i)]) for i in range(rows)], list(range(rows))) is None


def test_many_taus_are_those_of_scipy():
    generator = np.random.default_rng(2)
    measured, printed = generator.integers(0, 4, (50, 6)).astype(float), np.array([1.0, 2, 2, 3, 5, 4])
    expected = [kendalltau(row, printed).statistic for row in measured]
    np.testing.assert_allclose(kendall_taus(measured, printed), expected, atol=1e-12)  # rounding of a root


def test_what_ranks_nothing_counts_as_no_correlation():
    assert kendall_taus(np.ones((1, 3)), np.array([1.0, 2, 3])).tolist() == [0]


def test_rounding_makes_no_order():
    """0.1 + 0.2 and 0.3 are tied: tau-b over 2 of 3 pairs."""
    found = kendall_taus(np.array([[0.1 + 0.2, 0.3, 0.1]]), np.array([3.0, 2, 1]))
    assert found[0] == pytest.approx(2 / math.sqrt(6), rel=1e-12)


def test_a_ratio_is_one_of_means_over_common_clips():
    found = ratio(sample([2.0, 6.0, 500.0]), sample([1.0, 3.0]))
    assert (found.mean, found.low, found.high, found.n) == (2, 2, 2, 2)  # twice on every clip: no width
    assert ratio(sample([1.0]), sample([1.0], first=1)) is None


def test_the_interval_of_a_ratio_is_that_of_its_resamples():
    # Resamples of the two clips: (1, 1), (1, 2) twice, (2, 2) over 1: ratios 1, 1.5 and 2 with 1/4, 1/2 and 1/4.
    found = ratio(sample([1.0, 2.0]), sample([1.0, 1.0]))
    assert (found.mean, found.low, found.high) == (1.5, 1, 2)
