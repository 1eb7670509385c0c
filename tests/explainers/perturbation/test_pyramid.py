import numpy as np
import pytest
import torch
from helpers.refusals import assert_refused
from helpers.toys import clips, golden, golden_clip
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from vxbench.explainers.perturbation.mask import MaskGenerator
from vxbench.explainers.perturbation.pyramid import Pyramid, blur

# Clips are of order 1. float32 goldens: a convolution rounds differently on another processor; 1e-6 a voxel is the
# tolerance measured for the blur.
VOXEL = 1e-6
BLUR = {"rtol": 0, "atol": VOXEL}
EXACT = {"rtol": 0, "atol": 1e-12}  # float64 arithmetic of another order


def assert_digests(values, expected, voxel=VOXEL):
    """Mean, norm, maximum and minimum of values (..., C, H, W) as they are if no voxel differs by more than `voxel`."""
    values = values.double().flatten(-3)
    _, mean, norm, top, low, _ = torch.from_numpy(expected).unbind(dim=-1)
    close = {"rtol": 0, "atol": voxel}
    torch.testing.assert_close(values.mean(dim=-1), mean, **close)
    torch.testing.assert_close(values.amax(dim=-1), top, **close)
    torch.testing.assert_close(values.amin(dim=-1), low, **close)
    torch.testing.assert_close(values.norm(dim=-1), norm, rtol=0, atol=voxel * values.shape[-1] ** 0.5)


@settings(max_examples=25)
@given(height=st.integers(1, 20), width=st.integers(1, 20), sigma=st.floats(0.2, 12), seed=st.integers(0, 1000))
def test_blur_is_scipys_gaussian_with_zero_padding(height, width, sigma, seed):
    clip = clips(2, height, width, seed=seed, dtype=torch.float64)
    expected = clip.numpy()
    for axis in (-2, -1):
        expected = gaussian_filter1d(
            expected, sigma, axis=axis, mode="constant", cval=0, radius=int(np.ceil(4 * sigma))
        )
    np.testing.assert_allclose(blur(clip, sigma).numpy(), expected, **EXACT)


def test_blur_of_sigma_zero_is_the_identity():
    clip = clips(2, 5, 6)
    assert blur(clip, 0) is clip


def test_blur_fades_to_zero_at_the_border():
    blurred = blur(torch.ones(9, 9, dtype=torch.float64), 2.0)
    assert blurred[4, 4] > 0.9
    assert blurred[0, 0] < 0.4


@pytest.mark.identity(6)
@pytest.mark.parametrize("kind", ["blur", "fade"])
def test_mask_one_keeps_the_clip_and_zero_takes_the_lowest_level(kind):
    clip = clips(2, 3, 4, 12, 10)
    pyramid = Pyramid(clip, kind)
    ones = torch.ones(2, 4, 12, 10)
    assert torch.equal(pyramid.apply(ones), clip)
    assert torch.equal(pyramid.apply(0 * ones), pyramid.levels[:, 0])
    lowest = blur(clip, 20.0) if kind == "blur" else torch.zeros_like(clip)
    assert torch.equal(pyramid.levels[:, 0], lowest)


def test_levels_are_evenly_spaced_blurs():
    clip = clips(1, 3, 2, 12, 10, dtype=torch.float64)
    levels = Pyramid(clip, levels=5, max_sigma=8.0).levels
    for level, sigma in enumerate([8, 6, 4, 2, 0]):
        torch.testing.assert_close(levels[:, level], blur(clip, sigma), **EXACT)


@pytest.mark.identity(6)
@settings(max_examples=25)
@given(levels=st.integers(2, 9), seed=st.integers(0, 1000))
def test_fade_is_the_product_of_mask_and_clip(levels, seed):
    clip = clips(2, 3, 4, 5, 6, seed=seed, dtype=torch.float64)
    mask = torch.rand(2, 4, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(Pyramid(clip, "fade", levels).apply(mask), mask[:, None] * clip, **EXACT)


@pytest.mark.identity(6)
@settings(max_examples=25)
@given(levels=st.integers(2, 9), seed=st.integers(0, 1000))
def test_a_mask_mixes_the_two_levels_next_to_it(levels, seed):
    clip = clips(1, 3, 2, 5, 6, seed=seed, dtype=torch.float64)
    mask = torch.rand(1, 2, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    pyramid = Pyramid(clip, levels=levels, max_sigma=3.0)
    mixed = pyramid.apply(mask)
    for t, y, x in np.ndindex(2, 5, 6):
        position = mask[0, t, y, x].item() * (levels - 1)
        lower = int(position)
        low, high = pyramid.levels[0, lower, :, t, y, x], pyramid.levels[0, lower + 1, :, t, y, x]
        expected = (1 - (position - lower)) * low + (position - lower) * high
        torch.testing.assert_close(mixed[0, :, t, y, x], expected, **EXACT)


def test_the_gradient_is_the_step_between_levels_and_zero_at_one():
    clip = clips(1, 3, 2, 5, 6, dtype=torch.float64)
    pyramid = Pyramid(clip, levels=4, max_sigma=3.0)
    mask = torch.full((1, 2, 5, 6), 0.5, dtype=torch.float64)
    mask[..., 0] = 1.0
    mask.requires_grad_()
    (grad,) = torch.autograd.grad(pyramid.apply(mask).sum(), mask)
    step = 3 * (pyramid.levels[:, 2] - pyramid.levels[:, 1]).sum(dim=1)
    torch.testing.assert_close(grad[..., 1:], step[..., 1:], **EXACT)
    assert (grad[..., 0] == 0).all()


def test_a_setting_out_of_range_is_refused_in_one_line():
    for setting, line in [
        ({"kind": "noise"}, "perturbation = noise is not one of blur, fade"),
        ({"levels": 1}, r"levels = 1 is not a whole number in \[2, inf\)"),
        ({"max_sigma": 0}, r"max_sigma = 0 is outside \(0, inf\)"),
    ]:
        assert_refused(f"^{line}$", Pyramid, clips(1, 3, 1, 2, 2), **setting)


# Goldens: the released perturbation on the synthetic clips.


@pytest.fixture(scope="module")
def expected():
    return golden("primitives")


@pytest.mark.parametrize("name", ["small0", "big"])
@pytest.mark.parametrize("kind", ["blur", "fade"])
def test_golden_levels(expected, name, kind):
    levels = Pyramid(golden_clip(name), kind).levels[0]  # (L, C, T, H, W)
    per_frame = levels.permute(2, 0, 1, 3, 4)  # (T, L, C, H, W)
    assert_digests(per_frame, expected[f"{name}_{kind}_digest"])


def test_golden_blurred_pixels(expected):
    small = Pyramid(golden_clip("small0")).levels[0]
    np.testing.assert_allclose(small[1::3, 1, 3], expected["small0_blur_frame3"], **BLUR)
    big = Pyramid(golden_clip("big")).levels[0]
    np.testing.assert_allclose(big[[0, 3], 1, 5, ::4, ::4], expected["big_blur_frame5_ch1_levels03"], **BLUR)


@pytest.mark.parametrize("kind", ["blur", "fade"])
def test_golden_perturbed_clip(expected, kind):
    generator = MaskGenerator(56, 56, 7, 11)
    mask = generator.crop(generator(torch.from_numpy(expected["apply_seed"][:, 0])))[None]
    frames = Pyramid(golden_clip("small0"), kind).apply(mask)[0].transpose(0, 1)  # (T, C, H, W)
    # The mask is within 1.5e-6 of the released one (test_mask.py), and 7 levels apart are at most 2: 7 * 2 * 1.5e-6.
    index = expected[f"apply_{kind}_frame_index"]
    np.testing.assert_allclose(frames[index, 1], expected[f"apply_{kind}_frames"], rtol=0, atol=2e-5)
    assert_digests(frames, expected[f"apply_{kind}_digest"], voxel=2e-5)


@pytest.mark.parametrize("share", [0.0, 1.0, 0.5, 0.1429, 0.4286])
def test_golden_constant_masks(expected, share):
    key = f"apply_blur_const_{share:.4f}_digest"
    value = {0.1429: 1 / 7, 0.4286: 3 / 7}.get(share, share)  # the name is rounded
    clip = golden_clip("small0")
    perturbed = Pyramid(clip).apply(torch.full((1, 8, 56, 56), value))
    assert_digests(perturbed[0].flatten(0, 1), expected[key])


def test_golden_gradient_at_the_mask(expected):
    generator = MaskGenerator(56, 56, 7, 11)
    mask = generator.crop(generator(torch.from_numpy(expected["apply_seed"][:, 0])))[None].requires_grad_()
    weight = np.random.default_rng(777).standard_normal((8, 1, 3, 56, 56), np.float32)[:, 0]
    frames = Pyramid(golden_clip("small0")).apply(mask)[0].transpose(0, 1)
    (grad,) = torch.autograd.grad((frames * torch.from_numpy(weight)).sum(), mask)
    # A voxel's gradient jumps where the mask crosses a level, k / 7: one rounding may put it on the other side.
    wanted = expected["apply_blur_grad_mask_frame3"]
    close = np.isclose(grad[0, 3].numpy(), wanted, rtol=1e-5, atol=1e-4 * np.abs(wanted).max())
    assert close.mean() > 0.999
    norms = expected["apply_blur_grad_mask_digest"].reshape(-1, 6)[:, 2]
    np.testing.assert_allclose(grad[0].flatten(1).norm(dim=1).numpy(), norms, rtol=1e-3)  # the same few voxels
