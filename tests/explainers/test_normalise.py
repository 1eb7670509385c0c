import numpy as np
import pytest
import torch
from helpers.toys import GOLDEN_TARGET, golden, golden_clip, tiny_a
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vxbench.errors import OutOfRange
from vxbench.explainers.gradients import Gradients
from vxbench.explainers.normalise import normalise

# Multiples of 1/8 up to 1000: exact in float32, so that no property depends on rounding.
maps = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 6), st.integers(1, 6)),
    elements=st.integers(-8000, 8000).map(lambda n: n / 8),
).map(torch.from_numpy)
scalers = st.sampled_from(["minmax", "p999"])


@given(maps, scalers)
def test_maps_end_in_the_unit_range_and_flat_ones_are_zero_and_flagged(saliency, how):
    scaled, degenerate = normalise(saliency, how)
    assert scaled.shape == saliency.shape
    assert degenerate.shape == (len(saliency),)
    assert ((scaled >= 0) & (scaled <= 1)).all()
    for row, flat in zip(scaled.flatten(1), degenerate, strict=True):
        assert row.amax() == (0 if flat else 1)
        assert row.amin() == 0


@given(maps)
def test_exactly_the_constant_maps_are_degenerate_under_minmax(saliency):
    flat = torch.tensor([len(row.unique()) == 1 for row in saliency])
    assert torch.equal(normalise(saliency, "minmax")[1], flat)


@given(maps, scalers, st.sampled_from([0.25, 2.0, 16.0]), st.integers(-64, 64))
def test_shift_and_positive_scale_change_nothing(saliency, how, scale, shift):
    expected, flagged = normalise(saliency, how)
    moved, flagged_too = normalise(scale * saliency + shift, how)
    assert torch.equal(flagged, flagged_too)
    # Powers of two and small whole shifts are exact; one rounding of the division remains.
    torch.testing.assert_close(moved, expected, rtol=1e-6, atol=1e-7)


@given(maps, scalers)
def test_each_clip_is_scaled_by_itself(saliency, how):
    together = normalise(saliency, how)[0]
    alone = torch.cat([normalise(row[None], how)[0] for row in saliency])
    assert torch.equal(together, alone)


def test_p999_cuts_the_highest_thousandth():
    saliency = torch.arange(2000.0).view(1, 2, 20, 50)
    scaled = normalise(saliency, "p999")[0].flatten()
    assert (scaled == 1).sum() == 2  # the values at index 1998 and above
    assert scaled[999] == pytest.approx(999 / 1998)


def test_p999_is_the_release_s_percentile():
    """Index int(.999 n) of the sorted positive part, over all channels and frames: scaling divides by it."""
    attribution = (
        Gradients().attribute(tiny_a(), golden_clip("small0"), torch.tensor([GOLDEN_TARGET["small0"]]), None).relu()
    )
    as_map = attribution.flatten(1, 2)
    top = float(golden("gradients")["small0_grad_p999"])
    expected = (as_map / top).clamp(max=1)
    # The network's own float32 differs between machines: 1e-5, as for the gradients' golden.
    torch.testing.assert_close(normalise(as_map, "p999")[0], expected, rtol=0, atol=1e-5)


def test_none_leaves_a_map_alone_and_still_flags_flat_ones():
    saliency = torch.stack([torch.full((2, 3, 4), 0.3), torch.linspace(0.2, 0.7, 24).view(2, 3, 4)])
    scaled, degenerate = normalise(saliency, "none")
    assert torch.equal(scaled, saliency)
    assert degenerate.tolist() == [True, False]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("how", ["minmax", "p999", "none"])
def test_a_map_that_is_not_finite_is_an_error(bad, how):
    saliency = torch.rand(2, 2, 3, 4)
    saliency[1, 0, 0, 0] = bad
    with pytest.raises(ValueError, match="NaN or infinity"):
        normalise(saliency, how)


def test_an_unknown_normaliser_is_named():
    with pytest.raises(OutOfRange, match="normaliser = softmax is not one of"):
        normalise(torch.rand(1, 2, 3, 4), "softmax")
