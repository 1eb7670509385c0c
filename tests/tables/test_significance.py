"""Tests of many differences, against enumerations and numbers worked out by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vxbench.tables.statistics import RESAMPLES, holm, least_p, sign_exchange, two_sided

few = settings(max_examples=15, deadline=None)


def test_p_counts_both_sides_and_is_never_zero():
    resampled = np.concatenate([np.full(990, 1.0), np.full(9, -1.0)])
    assert two_sided(resampled) == pytest.approx(2 * 10 / 1000)
    assert two_sided(-resampled) == two_sided(resampled)
    assert two_sided(np.ones(999)) == pytest.approx(2 / 1000)
    assert two_sided(np.zeros(999)) == 1


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=8))
def test_p_of_few_clips_is_the_share_of_all_exchanges(contributions):
    """Whole numbers, so that sums are exact; a clip without a difference changes nothing."""
    sums = [abs(sum(signed)) for signed in itertools.product(*((c, -c) for c in contributions))]
    expected = sum(value >= abs(sum(contributions)) for value in sums) / len(sums)
    found = sign_exchange(np.array(contributions, dtype=float)[:, None], np.zeros(1))
    assert found.tolist() == [pytest.approx(expected, rel=1e-12)]  # rounding of a quotient


def test_drawn_exchanges_agree_with_all_of_them():
    """Thirteen clips, 2^13 = 8,192 exchanges: all of them where 10,000 may be used, else 4,000 drawn ones."""
    contributions = np.random.default_rng(0).normal(0.4, 1, (13, 6))
    whole, drawn = (sign_exchange(contributions, np.zeros(6), resamples) for resamples in (10_000, 4_000))
    assert not np.array_equal(whole, drawn)
    np.testing.assert_allclose(drawn, whole, atol=0.04)  # 5 standard errors of a share of 4,000, at most 0.0079


def test_exchanges_are_drawn_alike_in_blocks_and_for_every_column(monkeypatch):
    contributions = np.random.default_rng(0).normal(0.4, 1, (20, 3))
    whole = sign_exchange(contributions, np.zeros(3), 1000)
    monkeypatch.setattr("vxbench.tables.statistics.DRAWS_AT_ONCE", 20 * 300)
    assert sign_exchange(contributions, np.zeros(3), 1000).tolist() == whole.tolist()
    assert sign_exchange(contributions[:, 1:], np.zeros(2), 1000).tolist() == whole[1:].tolist()
    assert sign_exchange(-contributions, np.zeros(3), 1000).tolist() == whole.tolist()


def test_thousands_of_clips_that_all_differ_alike_give_the_least_p():
    """2^3000 is no float; no drawn exchange but the sample itself is as far from 0."""
    assert sign_exchange(np.ones((3000, 1)), np.zeros(1), 100).tolist() == [1 / 101]


def test_clips_that_do_not_differ_are_not_exchanged():
    """Three of forty clips differ: 2 of 8 exchanges are as extreme, and 2^40 of them are not made."""
    contributions = np.zeros((40, 1))
    contributions[[3, 17, 39]] = 1
    assert sign_exchange(contributions, np.zeros(1)).tolist() == [0.25]


def test_sums_closer_than_rounding_are_equal():
    """0.1 + 0.2 - 0.3 and 0 are one number: of 8 exchanges all are as far from 0 as the measured one."""
    contributions = np.array([[0.1], [0.2], [-0.3]])
    assert sign_exchange(contributions, np.array([1e-12])).tolist() == [1]
    assert sign_exchange(-contributions[::-1], np.array([1e-12])).tolist() == [1]


@pytest.mark.parametrize("k", range(1, 15))
def test_the_least_p_is_reached_where_all_clips_say_the_same(k):
    """Both tests together, as a pair takes them; two of the 2^k exchanges are as extreme."""
    both = max(two_sided(np.ones(RESAMPLES)), sign_exchange(np.ones((k, 1)), np.zeros(1))[0])
    # 14 clips are the first whose exchanges are drawn: of 10,000 1.2 are expected, and more than 9 in 1 of 10^6 draws.
    assert least_p(k) <= both <= (least_p(k) if k < 14 else 10 / RESAMPLES)
    assert least_p(k) == max(2 / 2**k, 2 / (RESAMPLES + 1))


def test_holm_by_hand():
    # Sorted .01 .02 .03 .04 times 4 3 2 1: .04 .06 .06 .04, none below the one before it.
    assert holm([0.03, 0.01, 0.04, 0.02]).tolist() == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.7]).tolist() == [1, 1]
    assert holm([]).tolist() == []


@few
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_the_p_values_and_bonferroni(p):
    corrected = holm(p)
    assert (corrected >= np.array(p)).all()
    assert (corrected <= np.minimum(1, len(p) * np.array(p))).all()
    assert (np.argsort(p, kind="stable") == np.lexsort((np.arange(len(p)), p, corrected))).all()
