import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vxbench.explainers.perturbation.loop import COMBINE, combine
from vxbench.explainers.perturbation.pyramid import blur

ROUNDING = {"rtol": 0, "atol": 1e-12}


def masks_of(batch, areas, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, areas, 3, 12, 20, dtype=torch.float64, generator=generator)


@settings(max_examples=20)
@given(
    areas=st.integers(1, 4), how=st.sampled_from(COMBINE), smoothing=st.sampled_from([0, 1.5]), seed=st.integers(0, 99)
)
def test_the_result_lies_in_0_1_and_each_clip_is_its_own(areas, how, smoothing, seed):
    masks = masks_of(3, areas, seed)
    enough = masks[:, :, 0, 0, 0] > 0.5
    result = combine(masks, how, smoothing, enough)
    assert result.shape == (3, 3, 12, 20)
    assert result.min() >= 0
    assert result.max() <= 1
    for i in range(3):
        alone = combine(masks[i : i + 1], how, smoothing, enough[i : i + 1])[0]
        torch.testing.assert_close(alone, result[i], **ROUNDING)


def test_sums_are_blurred_and_divided_by_the_clips_maximum():
    masks = masks_of(2, 3)
    for how, sigma in (("sum_gauss10", 10.0), ("sum_tr", 0.09 * 12)):
        total = blur(masks.sum(dim=1), sigma)
        expected = torch.stack([clip / clip.max() for clip in total])
        torch.testing.assert_close(combine(masks, how), expected, **ROUNDING)


def test_masks_of_nothing_sum_to_nothing():
    assert (combine(torch.zeros(1, 2, 3, 12, 20), "sum_tr") == 0).all()


def test_extremal_takes_the_first_that_is_enough_else_the_last():
    masks = masks_of(4, 3)
    enough = torch.tensor([[True, True, True], [False, True, False], [False, False, True], [False, False, False]])
    expected = torch.stack([masks[0, 0], masks[1, 1], masks[2, 2], masks[3, 2]])
    assert torch.equal(combine(masks, "extremal", enough=enough), expected)


@pytest.mark.choice("ep.combine")
def test_single_takes_the_first_and_the_options_differ_wherever_there_are_several():
    masks, enough = masks_of(2, 3), torch.tensor([[False, True, True]] * 2)
    results = {how: combine(masks, how, enough=enough) for how in COMBINE}
    assert torch.equal(results["single"], masks[:, 0])
    assert all(not torch.allclose(results[a], results[b]) for a in COMBINE for b in COMBINE if a < b)
    for how in COMBINE:
        assert torch.equal(combine(masks[:, :1], how, enough=enough[:, :1]), masks[:, 0])


def test_smoothing_blurs_every_mask_before_they_are_combined():
    masks, enough = masks_of(2, 3), torch.tensor([[False, True, True], [True, True, True]])
    for how in COMBINE:
        expected = combine(blur(masks, 2.0), how, enough=enough)
        torch.testing.assert_close(combine(masks, how, 2.0, enough), expected, **ROUNDING)
    torch.testing.assert_close(combine(masks[:, :1], "sum_tr", 2.0), blur(masks[:, 0], 2.0), **ROUNDING)
