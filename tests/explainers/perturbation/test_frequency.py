import math
import warnings

import numpy as np
import pytest
import torch
from helpers.refusals import assert_refused
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn, idctn

from vxbench.explainers.perturbation.frequency import BandFilter, dct3, idct3

EXACT = {"rtol": 0, "atol": 1e-12}  # float64, normal fields, grids of at most 12 cells an axis
pytestmark = pytest.mark.filterwarnings("ignore:r_l = .* keeps no low frequency:RuntimeWarning")

shapes = st.tuples(st.integers(1, 12), st.integers(1, 10), st.integers(1, 10))
shares = st.integers(0, 20).map(lambda n: n / 20)  # r N is a whole number often: where floor is delicate
bands = st.tuples(shares, shares).filter(lambda r: r[0] + r[1] <= 1)
seeds = st.integers(0, 1000)


def field(shape, seed):
    return torch.randn(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.identity(2)
@settings(max_examples=40)
@given(shape=shapes, seed=seeds)
def test_dct_is_scipys_and_idct_its_inverse(shape, seed):
    g = field(shape, seed)
    expected = dctn(g.numpy(), axes=(-3, -2, -1), norm="ortho")
    np.testing.assert_allclose(dct3(g).numpy(), expected, **EXACT)
    np.testing.assert_allclose(idct3(g).numpy(), idctn(g.numpy(), axes=(-3, -2, -1), norm="ortho"), **EXACT)
    torch.testing.assert_close(idct3(dct3(g)), g, **EXACT)
    torch.testing.assert_close(dct3(g).norm(), g.norm(), **EXACT)


@pytest.mark.identity(3)
@pytest.mark.choice("fep.rl")
@pytest.mark.choice("fep.rh")
@settings(max_examples=40)
@given(shape=shapes, r=bands, seed=seeds)
def test_the_filter_keeps_a_low_box_and_what_lies_outside_a_larger_box(shape, r, seed):
    """The masks of the paper, index by index, in exact arithmetic (r is a multiple of 1/20)."""
    r_l, r_h = (round(20 * share) for share in r)
    low_limit = [n * r_l // 20 for n in shape]
    high_limit = [n * (20 - r_h) // 20 for n in shape]
    spectrum = dctn(field(shape, seed).numpy(), axes=(-3, -2, -1), norm="ortho")
    a, b = BandFilter(*r).bands(shape)
    assert not (a & b).any()
    for index in np.ndindex(*shape):
        low = all(i < limit for i, limit in zip(index, low_limit, strict=True))
        high = not all(i < limit for i, limit in zip(index, high_limit, strict=True))
        assert (a[index], b[index]) == (low, high)
        if not (low or high):
            spectrum[(slice(None), *index)] = 0
    expected = idctn(spectrum, axes=(-3, -2, -1), norm="ortho")
    np.testing.assert_allclose(BandFilter(*r)(field(shape, seed)).numpy(), expected, **EXACT)


@pytest.mark.identity(3)
@settings(max_examples=40)
@given(shape=shapes, r=bands, seed=seeds)
def test_linear_self_adjoint_and_idempotent(shape, r, seed):
    band, f, g = BandFilter(*r), field(shape, seed), field(shape, seed + 1)
    torch.testing.assert_close(band(2 * f - 3 * g), 2 * band(f) - 3 * band(g), **EXACT)
    torch.testing.assert_close(band(band(f)), band(f), **EXACT)
    torch.testing.assert_close((band(f) * g).sum(), (f * band(g)).sum(), rtol=0, atol=1e-10)  # sums of up to 2400 terms


@pytest.mark.identity(1)
@settings(max_examples=40)
@given(shape=shapes, r=shares, seed=seeds)
def test_all_low_or_bands_that_touch_are_the_identity(shape, r, seed):
    g = field(shape, seed)
    torch.testing.assert_close(BandFilter(1, 0)(g), g, **EXACT)
    torch.testing.assert_close(BandFilter(r, 1 - r)(g), g, **EXACT)


@pytest.mark.parametrize("r", [0.1, 0.3, 0.7, 1 / 3, 0.55])
def test_bands_that_touch_leave_no_gap_on_any_grid(r):
    for n in range(1, 40):
        assert BandFilter(r, 1 - r).passband((n, n, n)).all()


@pytest.mark.identity(3)
def test_no_band_is_zero():
    assert (BandFilter(0, 0)(field((4, 5, 6), 0)) == 0).all()


@pytest.mark.identity(5)
@settings(max_examples=60)
@given(shape=shapes, r=bands)
def test_a_constant_is_kept_exactly_if_a_band_holds_it(shape, r):
    r_l, r_h = (round(20 * share) for share in r)
    kept = all(n * r_l // 20 >= 1 for n in shape) or any(n * (20 - r_h) // 20 == 0 for n in shape)
    constant = torch.full((1, *shape), 1.5, dtype=torch.float64)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        filtered = BandFilter(*r)(constant)
    torch.testing.assert_close(filtered, constant if kept else 0 * constant, **EXACT)
    assert bool(caught) is not kept


@pytest.mark.parametrize(
    ("r_l", "r_h", "kept"),
    [(0.5, 0.2, 8 * 4 * 4 + 1296 - 12 * 7 * 7), (0.5, 0.1, 8 * 4 * 4 + 1296 - 14 * 8 * 8), (0.7, 0.0, 11 * 6 * 6)],
)
def test_cells_kept_on_the_papers_grid(r_l, r_h, kept):
    """A 16 x 9 x 9 seed at the published bands: 64, 41 and 31 percent of 1296 cells."""
    assert BandFilter(r_l, r_h).passband((16, 9, 9)).sum() == kept


def test_a_share_that_is_a_whole_number_of_cells_is_not_rounded_down():
    """Floating point puts .58 * 50 just below 29, and (1 - .56) * 25 just below 11."""
    assert BandFilter(0.58, 0).passband((50, 50, 50)).sum() == 29**3
    assert BandFilter(0, 0.56).passband((25, 25, 25)).sum() == 25**3 - 11**3


@pytest.mark.choice("fep.zero_box")
def test_an_empty_low_band_warns_or_keeps_the_constant():
    with pytest.warns(
        RuntimeWarning, match=r"^r_l = 0.1 keeps no low frequency of a \(4, 9, 9\) grid: the mask's mean"
    ):
        warned = BandFilter(0.1, 0.2).passband((4, 9, 9))
    kept = BandFilter(0.1, 0.2, zero_box="keep_dc").passband((4, 9, 9))
    assert not warned[0, 0, 0]
    assert kept[0, 0, 0]
    assert (warned != kept).sum() == 1


@pytest.mark.choice("fep.dct")
def test_eq4_literal_is_the_printed_transform():
    """Cosines of frequency 1 .. N, 1/sqrt(2) on sample 0, sqrt(8 / (T h w)) in front; back by the transposed sums."""
    shape = (4, 5, 6)
    g = field(shape, 0)[0]
    tables = []
    for n in shape:
        sample = np.arange(n)
        c = np.where(sample == 0, 1 / math.sqrt(2), 1.0)
        tables.append(c * np.cos((2 * sample + 1) * (sample[:, None] + 1) * math.pi / (2 * n)))  # (frequency, sample)
    scale = math.sqrt(8 / math.prod(shape))
    spectrum = scale * np.einsum("at,by,cx,tyx->abc", *tables, g.numpy())
    keep = BandFilter(0.5, 0.2).passband(shape).numpy()
    expected = scale * np.einsum("at,by,cx,abc->tyx", *tables, spectrum * keep)
    band = BandFilter(0.5, 0.2, transform="eq4_literal")
    np.testing.assert_allclose(band(g).numpy(), expected, **EXACT)


@pytest.mark.choice("fep.dct")
def test_eq4_literal_is_no_identity_even_with_every_band():
    g = field((4, 5, 6), 0)
    filtered = BandFilter(1, 0, transform="eq4_literal")(g)
    assert (filtered - g).norm() > 0.1 * g.norm()
    assert not torch.allclose(BandFilter(1, 0, transform="eq4_literal")(filtered), filtered, atol=1e-3)


def test_a_setting_out_of_range_is_refused_in_one_line():
    for setting, line in [
        ({"r_l": -0.1}, r"r_l = -0.1 is outside \[0, 1\]"),
        ({"r_l": 1.1}, r"r_l = 1.1 is outside \[0, 1\]"),
        ({"r_h": 2}, r"r_h = 2 is outside \[0, 1\]"),
        ({"r_l": 0.7, "r_h": 0.4}, r"r_l \+ r_h = 0.7 \+ 0.4 = 1.1 is outside \[0, 1\]"),
        ({"transform": "fft"}, "transform = fft is not one of ortho, eq4_literal"),
        ({"zero_box": "error"}, "zero_box = error is not one of warn, keep_dc"),
    ]:
        assert_refused(f"^{line}$", BandFilter, **{"r_l": 0.5, "r_h": 0.2, **setting})
