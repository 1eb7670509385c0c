import math
import warnings

import numpy as np
import pytest
import torch
from helpers.refusals import assert_refused
from helpers.toys import golden
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vxbench.errors import OutOfRange, UserError
from vxbench.explainers.perturbation.mask import MaskGenerator
from vxbench.explainers.perturbation.regularisers import CoreTerm, ellipsoid

EXACT = {"rtol": 0, "atol": 1e-12}


def uniform(*shape, seed=0, dtype=torch.float64):
    return torch.rand(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def generators(count, seed=0):
    return [torch.Generator().manual_seed(seed + i) for i in range(count)]


def term_of(term, mask, area):
    return term(mask[None], torch.tensor([area], dtype=torch.float64), generators(1))[0]


def plain_core_loss(mask, area, kernel, stride_t, volume, loss):
    """Window by window, in Python. mask: (T, H, W)."""
    shape = ellipsoid(kernel)
    cores = []
    for t in range(0, mask.shape[0] - kernel[0] + 1, stride_t):
        for y in range(0, mask.shape[1] - kernel[1] + 1, kernel[1]):
            for x in range(0, mask.shape[2] - kernel[2] + 1, kernel[2]):
                window = mask[t : t + kernel[0], y : y + kernel[1], x : x + kernel[2]]
                cores.append(((window * shape).sum() / shape.sum()).item())
    size = int(math.prod(kernel) * math.pi / 6) if volume == "continuous" else int(shape.sum())
    count = min(math.ceil(area * mask.numel() / size), len(cores))
    cores.sort(reverse=True)
    inside, outside = [(1 - c) ** 2 for c in cores[:count]], [c**2 for c in cores[count:]]
    if loss == "norm":
        return sum(inside + outside) / len(cores)
    return (sum(inside) / len(inside) if inside else 0) + (sum(outside) / len(outside) if outside else 0)


@pytest.mark.identity(11)
@pytest.mark.parametrize(("extent", "voxels"), [((7, 11, 11), 311), ((5, 11, 11), 205)])
def test_the_ellipsoid_holds_as_many_voxels_as_published(extent, voxels):
    kernel = ellipsoid(extent)
    assert kernel.sum() == voxels
    assert torch.equal(kernel, kernel.flip(0).flip(1).flip(2))


@pytest.mark.choice("step.loss")
@settings(max_examples=40)
@given(
    extent=st.tuples(st.integers(1, 4), st.integers(2, 4), st.integers(2, 4)),
    size=st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 9)),
    area=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    stride_t=st.integers(1, 3),
    volume=st.sampled_from(["continuous", "kernel"]),
    loss=st.sampled_from(["two_means", "norm"]),
    seed=st.integers(0, 1000),
)
def test_the_loss_is_that_of_plain_loops(extent, size, area, stride_t, volume, loss, seed):
    mask = uniform(*(e + s for e, s in zip(extent, size, strict=True)), seed=seed)
    assume(ellipsoid(extent).sum() > 0)  # two voxels per axis have their centres outside
    term = CoreTerm(extent, stride_t, volume, loss)
    torch.testing.assert_close(
        term_of(term, mask, area).item(), plain_core_loss(mask, area, extent, stride_t, volume, loss), **EXACT
    )


@pytest.mark.identity(11)
@settings(max_examples=20)
@given(seed=st.integers(0, 1000), binary=st.booleans())
def test_cores_are_means_and_lie_in_0_1(seed, binary):
    mask = uniform(1, 9, 25, 30, seed=seed)
    cores = CoreTerm().cores(mask.round() if binary else mask)
    assert cores.shape == (1, 3, 2, 2)
    assert cores.min() >= 0
    assert cores.max() <= 1 + 1e-12
    torch.testing.assert_close(CoreTerm().cores(torch.ones_like(mask)), torch.ones_like(cores), **EXACT)


def mask_with_full_windows(count):
    """(7, 22, 33): one row of 2 x 3 windows, `count` of them entirely 1."""
    mask = torch.zeros(7, 22, 33, dtype=torch.float64)
    for index in range(count):
        y, x = divmod(index, 3)
        mask[:, 11 * y : 11 * y + 11, 11 * x : 11 * x + 11] = 1
    return mask


@pytest.mark.identity(11)
@pytest.mark.parametrize("loss", ["two_means", "norm"])
@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_zero_when_as_many_windows_as_wanted_are_full_and_the_rest_empty(loss, count):
    area = (count - 0.5) * 443 / (7 * 22 * 33)  # ceil(area n / 443) = count
    term = CoreTerm(loss=loss)
    # Means of 0s and 1s in float64: a window's mean may be one rounding off 1.
    assert term_of(term, mask_with_full_windows(count), area) < 1e-24
    assert term_of(term, mask_with_full_windows(count - 1), area) > 0.1
    if count < 6:
        assert term_of(term, mask_with_full_windows(count + 1), area) > 0.1
    dented = mask_with_full_windows(count)
    dented[3, 5, 5] = 0.5
    assert term_of(term, dented, area) > 1e-7


def test_the_generator_only_settles_ties():
    mask = uniform(2, 8, 25, 30).requires_grad_()
    area = torch.tensor([0.1, 0.2], dtype=torch.float64)
    gradients = [torch.autograd.grad(CoreTerm()(mask, area, generators(2, s)).sum(), mask)[0] for s in (0, 5)]
    torch.testing.assert_close(*gradients, **EXACT)


@pytest.mark.choice("step.stride_t")
def test_stride_in_time():
    mask = uniform(1, 20, 25, 30)
    assert CoreTerm(stride_t=1).cores(mask).shape[1] == 14
    assert CoreTerm(stride_t=11).cores(mask).shape[1] == 2
    torch.testing.assert_close(CoreTerm(stride_t=11).cores(mask), CoreTerm().cores(mask)[:, ::11], **EXACT)


@pytest.mark.choice("step.topk_volume")
def test_volume_sets_how_many_cores_are_wanted():
    """400 wanted voxels are one core of 443 and two of 311."""
    area = 400 / (7 * 22 * 33)
    one, two = mask_with_full_windows(1), mask_with_full_windows(2)
    assert term_of(CoreTerm(volume="continuous"), one, area) < 1e-24 < term_of(CoreTerm(volume="kernel"), one, area)
    assert term_of(CoreTerm(volume="kernel"), two, area) < 1e-24 < term_of(CoreTerm(volume="continuous"), two, area)


@pytest.mark.choice("step.short_t")
def test_a_short_clip_shrinks_the_kernel_and_says_so():
    mask = uniform(5, 25, 30)
    with pytest.warns(RuntimeWarning, match=r"^STEP's kernel of 7 frames shrunk to the clip's 5$"):
        short = term_of(CoreTerm(), mask, 0.1)
    torch.testing.assert_close(short, term_of(CoreTerm((5, 11, 11)), mask, 0.1), **EXACT)
    with pytest.raises(UserError, match=r"^STEP's kernel spans 7 frames, the clip has 5; use short_t=shrink$"):
        term_of(CoreTerm(short_t="error"), mask, 0.1)


def test_a_clip_of_the_kernels_length_is_no_short_clip():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        term_of(CoreTerm(short_t="error"), uniform(7, 25, 30), 0.1)


@pytest.mark.parametrize("area", [0.0, 1.0])
@pytest.mark.parametrize("loss", ["two_means", "norm"])
def test_no_core_or_all_cores_wanted_is_still_a_number(area, loss):
    mask = torch.full((7, 22, 33), area, dtype=torch.float64)
    assert term_of(CoreTerm(loss=loss), mask, area) < 1e-24


def test_a_setting_out_of_range_is_refused_in_one_line():
    for setting, line in [
        ({"kernel": (0, 11, 11)}, r"kernel = 0 is not a whole number in \[1, inf\)"),
        ({"kernel": (11, 11)}, r"kernel = \(11, 11\) is not three extents \(T, H, W\)"),
        ({"stride_t": 0}, r"stride_t = 0 is not a whole number in \[1, inf\)"),
        ({"volume": "sphere"}, "volume = sphere is not one of continuous, kernel"),
        ({"loss": "sum"}, "loss = sum is not one of two_means, norm"),
        ({"short_t": "skip"}, "short_t = skip is not one of shrink, error"),
    ]:
        assert_refused(f"^{line}$", CoreTerm, **setting)


# Goldens: the released core loss on generated masks, float32.


@pytest.fixture(scope="module")
def expected():
    return golden("primitives")


def test_golden_kernel(expected):
    shape = expected["core_kernel_shape"][-3:]
    kernel = np.unpackbits(expected["core_kernel_packed"])[: shape.prod()].reshape(shape)
    assert np.array_equal(ellipsoid(tuple(shape.tolist())), kernel)


@pytest.mark.parametrize(("name", "size"), [("small", 56), ("big", 112)])
@pytest.mark.parametrize("area", [5, 10, 20])
def test_golden_loss_and_gradient(expected, name, size, area):
    key = f"core_{name}_a{area:02d}"
    seeds = torch.from_numpy(expected[f"core_{name}_seed"][:, 0])
    mask = MaskGenerator(size, size, 7, 11)(seeds).requires_grad_()
    loss = term_of(CoreTerm(), mask, area / 100)
    (grad,) = torch.autograd.grad(loss, mask)
    # The mask is within 1.5e-6 of the released one and the loss a mean of squares of order 1; 1e-5 relative is the
    # README's tolerance for deterministic parts, of the largest for gradients.
    assert loss.item() == pytest.approx(expected[key][0], rel=1e-5)
    _, _, norm, top, low, _ = expected[f"{key}_grad_digest"]
    assert grad.double().norm().item() == pytest.approx(norm, rel=1e-5)
    scale = max(top, -low)
    assert [grad.max().item(), grad.min().item()] == pytest.approx([top, low], abs=1e-5 * scale)
    if f"{key}_grad_slice" in expected:
        middle = grad[len(grad) // 2, ::3, ::3]
        np.testing.assert_allclose(middle, expected[f"{key}_grad_slice"], rtol=0, atol=1e-5 * scale)


# Kernels at the edge of having any voxel.


@pytest.mark.parametrize("volume", ["continuous", "kernel"])
@pytest.mark.parametrize("extent", [(1, 1, 1), (1, 1, 2), (2, 1, 1), (3, 1, 1)])
def test_the_smallest_kernels_count_at_least_one_voxel(volume, extent):
    """int(T H W pi / 6) is 0 for one voxel."""
    mask = uniform(4, 5, 6)
    for area in (0.0, 0.1, 1.0):
        assert torch.isfinite(term_of(CoreTerm(extent, volume=volume), mask, area))
    single = CoreTerm((1, 1, 1), volume=volume)
    assert torch.equal(single.cores(mask[None])[0], mask)
    ranked = mask.flatten().sort(descending=True).values
    expected = ((1 - ranked[:12]) ** 2).mean() + (ranked[12:] ** 2).mean()
    torch.testing.assert_close(term_of(single, mask, 0.1), expected, **EXACT)


@pytest.mark.parametrize("extent", [(2, 2, 2), (1, 2, 2), (7, 2, 2), (2, 2, 9), (2, 4, 4)])
def test_a_kernel_without_a_voxel_is_refused(extent):
    with pytest.raises(OutOfRange, match=r"^kernel = \(.*\) holds no voxel; its ellipsoid passes between them$"):
        CoreTerm(extent)


@pytest.mark.choice("step.short_t")
def test_a_kernel_that_loses_its_voxels_by_shrinking_stops():
    with pytest.raises(UserError, match=r"^STEP's kernel shrunk to the clip's 2 frames, \(2, 4, 4\), holds no voxel$"):
        term_of(CoreTerm((5, 4, 4)), uniform(2, 9, 9), 0.1)


def test_a_kernel_wider_than_the_mask_stops():
    with pytest.raises(UserError, match=r"^STEP's kernel \(7, 11, 11\) is larger than the mask \(8, 10, 30\)$"):
        term_of(CoreTerm(), uniform(8, 10, 30), 0.1)
