"""Rank correlation and structural similarity."""

import pytest
import torch
from helpers.sanity_runs import (
    plain_ssim,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from vxbench.metrics.sanity.similarity import spearman, ssim


@given(st.integers(0, 2**31), st.integers(2, 40), st.integers(2, 6))
def test_spearman_is_scipy_s_with_ties(seed, count, values):
    a, b = torch.randint(values, (2, 3, count), generator=torch.Generator().manual_seed(seed)).double()
    got = spearman(a, b)
    for i in range(3):
        constant = len(a[i].unique()) == 1 or len(b[i].unique()) == 1
        assert got[i].isnan() == constant
        if not constant:
            assert got[i].item() == pytest.approx(spearmanr(a[i], b[i]).statistic, abs=1e-12)


@given(st.integers(0, 2**31))
def test_spearman_reads_the_order_only(seed):
    a, b = torch.randn(2, 2, 30, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    torch.testing.assert_close(spearman(a.exp(), b**3), spearman(a, b))
    torch.testing.assert_close(spearman(-a, b), -spearman(a, b))
    assert spearman(a, a).tolist() == [1, 1]


def test_spearman_does_not_rank_rounding_errors():
    """Distances from a mean that is not exact differ in their last digits where they ought to be equal."""
    a = torch.tensor([[0.25, 0.25 + 1e-15, 0.25, 0.25 - 1e-15]], dtype=torch.float64)
    assert spearman(a, torch.arange(4.0).double()[None]).isnan().all()
    assert spearman(torch.arange(4.0).double()[None], a).isnan().all()


def test_spearman_of_many_voxels():
    """There are as many ranks as a clip has voxels, so their squares sum to large numbers."""
    a, b = torch.randn(2, 1, 16 * 112 * 112, generator=torch.Generator().manual_seed(0), dtype=torch.float64).round(
        decimals=2
    )
    b = a + b
    assert spearman(a, b).item() == pytest.approx(spearmanr(a[0], b[0]).statistic, abs=1e-12)


@settings(max_examples=15)
@given(st.integers(0, 2**31), st.integers(1, 17), st.integers(1, 17))
def test_ssim_against_loops(seed, height, width):
    a, b = torch.rand(2, 1, 2, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    b = (a + b) / 2
    got = ssim(a, b)
    for t in range(2):
        assert got[0, t].item() == pytest.approx(plain_ssim(a[0, t].numpy(), b[0, t].numpy()), abs=1e-9)


@given(st.integers(0, 2**31))
def test_ssim_is_symmetric_at_most_1_and_1_for_equal_frames(seed):
    a, b = torch.rand(2, 1, 2, 12, 15, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assert (ssim(a, a) == 1).all()
    assert (ssim(a, b) < 1).all()
    assert torch.equal(ssim(a, b), ssim(b, a))
