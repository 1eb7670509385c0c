import math
import random
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vxbench.tables.statistics import RESAMPLES, _counts, estimate, kendall_tau, means, resampled_means, shares

finite = st.floats(-100, 100, allow_subnormal=False)


def plain_bootstrap(values, seed):
    """The same interval in plain Python, one resample at a time, with its own random numbers."""
    draw = random.Random(seed)
    means = sorted(statistics.fmean(draw.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return means[int(0.025 * RESAMPLES)], means[int(0.975 * RESAMPLES) - 1]


@pytest.mark.parametrize("seed", range(3))
def test_interval_agrees_with_a_plain_bootstrap(seed):
    values = np.random.default_rng(seed).normal(50, 15, 24).tolist()
    found = estimate(values)
    # A bootstrap quantile at 2.5 % has a standard error of sqrt(p(1-p)/R)/f, f the normal density there: about
    # 0.027 standard errors of the mean (15/sqrt(24) = 3.1), 0.08. Two of them differ by 5 sigma below 0.6.
    assert found.low == pytest.approx(plain_bootstrap(values, seed)[0], abs=0.6)
    assert found.high == pytest.approx(plain_bootstrap(values, seed)[1], abs=0.6)
    assert found.mean == pytest.approx(statistics.fmean(values), rel=1e-12)  # rounding of a sum


def test_interval_of_a_coin_is_the_binomial_quantile():
    """Resampled means of k ones in n clips are Binomial(n, k/n)/n; 2.5 % and 97.5 % of B(20, 0.5) are 6 and 14."""
    found = estimate([100.0] * 10 + [0.0] * 10)
    assert (found.mean, found.low, found.high, found.n) == (50, 30, 70, 20)


@given(st.lists(finite, min_size=1, max_size=30), st.randoms())
def test_order_of_the_clips_does_not_matter(values, shuffler):
    shuffled = list(values)
    shuffler.shuffle(shuffled)
    found = estimate(values, resamples=200)
    assert found == estimate(shuffled, resamples=200)
    assert found.low <= found.high
    # Means are sums divided by n: rounding may push one past the extremes by a few ulps of 100.
    assert min(values) - 1e-12 <= found.low
    assert found.high <= max(values) + 1e-12


@given(finite, st.integers(1, 50))
def test_one_clip_and_equal_clips_give_no_width(value, n):
    found = estimate([value] * n)
    assert (found.mean, found.low, found.high, found.n) == (value, value, value, n)


def test_nan_is_left_out_and_counted():
    found = estimate([1.0, math.nan, 3.0, math.nan])
    assert (found.mean, found.n, found.skipped) == (2, 2, 2)
    nothing = estimate([math.nan])
    assert math.isnan(nothing.mean)
    assert (nothing.n, nothing.skipped) == (0, 1)


def test_blocks_of_draws_are_one_bootstrap(monkeypatch):
    """Cut small or whole, every resample draws as many clips as there are, and its mean is that of those drawn."""
    values, one, same = np.arange(7.0)[:, None], np.ones((7, 1)), np.zeros((7, 1), dtype=int)
    whole = resampled_means(values, one, same, 1000, seed=1)
    counts = _counts(7, 1000, 1)
    assert (counts.sum(axis=1) == 7).all()
    np.testing.assert_allclose(whole[:, 0], counts @ np.arange(7.0) / 7, rtol=1e-12)  # rounding of sums
    monkeypatch.setattr("vxbench.tables.statistics.DRAWS_AT_ONCE", 7 * 300)
    cut = resampled_means(values, one, same, 1000, seed=1)
    np.testing.assert_array_equal(cut, whole)


def test_tau_by_hand():
    assert kendall_tau([1, 2, 3], [10, 20, 30]) == 1
    assert kendall_tau([1, 2, 3], [30, 20, 10]) == -1
    # Pairs of 4 rows: 5 agree, 1 (the last two) does not: (5 - 1) / 6.
    assert kendall_tau([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6, rel=1e-12)  # rounding
    # tau-b: 2 agree, 0 disagree, 1 tied in the first column: 2 / sqrt(2 * 3).
    assert kendall_tau([1, 1, 2], [1, 2, 3]) == pytest.approx(2 / math.sqrt(6), rel=1e-12)


@pytest.mark.parametrize(
    ("measured", "printed"), [([], []), ([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [5, 5, 5])]
)
def test_no_tau_where_there_is_no_ranking(measured, printed):
    assert kendall_tau(measured, printed) is None


def test_a_pooled_rate_counts_every_frame_alike():
    """1 of 1 frame and 1 of 9 frames are 2 of 10, whatever the two clips' own rates are."""
    pooled = estimate([100.0, 100 / 9], weights=[1, 9])
    assert pooled.mean == pytest.approx(20, rel=1e-12)  # rounding of a sum
    assert (round(pooled.low, 6), round(pooled.high, 6)) == (round(100 / 9, 6), 100)  # the clips one at a time


def test_a_mean_of_classes_counts_every_class_alike():
    values, groups = [0.0, 0.0, 0.0, 90.0], [4, 4, 4, 7]
    assert estimate(values, groups=groups).mean == 45
    assert estimate(values).mean == 22.5


@given(st.lists(st.tuples(finite, st.integers(1, 9), st.integers(0, 2)), min_size=1, max_size=20))
def test_weights_and_groups_say_what_the_formula_says(clips):
    values, weights, groups = (np.array(column) for column in zip(*clips, strict=True))
    means = [np.average(values[groups == g], weights=weights[groups == g]) for g in sorted(set(groups.tolist()))]
    found = estimate(values, weights, groups, resamples=50)
    assert found.mean == pytest.approx(np.mean(means), rel=1e-9, abs=1e-9)  # rounding of sums of values up to 100


@given(st.lists(st.tuples(finite, st.integers(1, 9), st.integers(0, 2)), min_size=1, max_size=20))
def test_a_mean_is_the_sum_of_shares_times_values(clips):
    values, weights, groups = (np.array(column, dtype=float)[:, None] for column in zip(*clips, strict=True))
    parts = shares(weights, groups)
    assert (parts > 0).all()
    assert parts.sum() == pytest.approx(1, rel=1e-12)  # rounding of a sum of at most 20 shares
    assert (parts * values).sum() == pytest.approx(means(values, weights, groups)[0], rel=1e-12, abs=1e-12)
