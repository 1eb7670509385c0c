import numpy as np
import pytest
import torch
from helpers.plain_loop import plain_mask, spread, weights
from helpers.refusals import assert_refused
from helpers.toys import golden
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vxbench.errors import OutOfRange
from vxbench.explainers.perturbation import mask as mask_module
from vxbench.explainers.perturbation.mask import Geometry, MaskGenerator

EXACT = {"rtol": 0, "atol": 1e-12}  # float64 arithmetic of another order, values of order 1
SIZES = [(112, 7, 11), (112, 13, 23), (112, 7, 23), (56, 7, 11)]


def uniform(*shape, seed=0, dtype=torch.float64):
    return torch.rand(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


geometries = st.tuples(st.integers(6, 26), st.integers(6, 26), st.integers(1, 6), st.floats(0.8, 9.0))


def generator_or_skip(height, width, step, sigma, coldness=20.0):
    assume(Geometry(height, step, sigma).covers and Geometry(width, step, sigma).covers)
    return MaskGenerator(height, width, step, sigma, coldness)


@settings(max_examples=30)
@given(geometry=geometries, coldness=st.floats(0.5, 40), seed=st.integers(0, 1000))
def test_mask_and_gradient_are_those_of_the_plain_formula(geometry, coldness, seed):
    generator = generator_or_skip(*geometry, coldness)
    seeds = uniform(2, *generator.seed_shape, seed=seed).requires_grad_()
    mask, plain = generator(seeds), plain_mask(seeds, *geometry, coldness)
    torch.testing.assert_close(mask, plain, **EXACT)
    weight = uniform(*mask.shape, seed=seed + 1) - 0.5
    (grad,) = torch.autograd.grad((mask * weight).sum(), seeds)
    (plain_grad,) = torch.autograd.grad((plain * weight).sum(), seeds)
    # A seed's gradient sums up to (2 R + 1)^2 step^2 pixels of order 1 times the coldness.
    torch.testing.assert_close(grad, plain_grad, rtol=0, atol=1e-10)


@settings(max_examples=50)
@given(geometry=geometries)
def test_the_crop_is_the_frame_or_the_sizes_are_refused(geometry):
    height, width, step, sigma = geometry
    if all(axis.out >= axis.margin + axis.size for axis in (Geometry(n, step, sigma) for n in (height, width))):
        generator = MaskGenerator(*geometry)
        assert generator.crop(generator(torch.ones(1, *generator.seed_shape))).shape == (1, height, width)
    else:
        with pytest.raises(OutOfRange, match="makes a mask smaller than the"):
            MaskGenerator(*geometry)


def test_a_mask_smaller_than_the_frame_is_refused():
    with pytest.raises(
        OutOfRange, match=r"^sigma = 5 with step = 13 makes a mask smaller than the 20 x 28 frame; choose"
    ):
        MaskGenerator(20, 28, 13, 5)


@pytest.mark.parametrize(
    ("size", "step", "sigma", "seed", "radius", "out"),
    [(112, 7, 11, 16, 3, 134), (224, 7, 23, 32, 5, 260), (112, 13, 23, 9, 3, 157), (224, 13, 23, 18, 3, 274)],
)
def test_sizes_of_the_published_settings(size, step, sigma, seed, radius, out):
    geometry = Geometry(size, step, sigma)
    assert (geometry.seed, geometry.radius, geometry.out) == (seed, radius, out)
    generator = MaskGenerator(size, size, step, sigma)
    assert generator(torch.zeros(1, seed, seed)).shape == (1, out, out)


@pytest.mark.identity(7)
@settings(max_examples=25)
@given(geometry=geometries, seed=st.integers(0, 1000))
def test_masks_lie_in_0_1_and_zero_seeds_give_zero(geometry, seed):
    generator = generator_or_skip(*geometry)
    mask = generator(uniform(2, *generator.seed_shape, seed=seed).round())
    assert mask.min() >= 0
    assert mask.max() <= 1
    assert (generator(torch.zeros(1, *generator.seed_shape)) == 0).all()


@pytest.mark.identity(7)
@settings(max_examples=25)
@given(geometry=geometries, seed=st.integers(0, 1000))
def test_each_frame_is_its_own(geometry, seed):
    generator = generator_or_skip(*geometry)
    seeds = uniform(3, *generator.seed_shape, seed=seed, dtype=torch.float32)
    mask = generator(seeds)
    for frame in range(3):
        assert torch.equal(mask[frame], generator(seeds[frame : frame + 1])[0])


@pytest.mark.identity(7)
@pytest.mark.parametrize(("step", "sigma"), [(3, 4.0), (5, 6.0), (4, 9.0)])
def test_a_seed_moved_by_one_cell_moves_the_mask_by_one_step(step, sigma):
    generator = MaskGenerator(12 * step, 10 * step, step, sigma)
    seeds = torch.zeros(3, 12, 10, dtype=torch.float64)
    seeds[0, 5, 5] = seeds[1, 6, 5] = seeds[2, 5, 6] = 1
    mask = generator(seeds)
    assert mask[0].max() > 0.5
    torch.testing.assert_close(mask[1, step:], mask[0, :-step], **EXACT)
    torch.testing.assert_close(mask[2, :, step:], mask[0, :, :-step], **EXACT)


def test_a_seed_is_brightest_at_its_centre_on_the_frame():
    generator = MaskGenerator(30, 40, 5, 6.0)
    seeds = torch.zeros(1, *generator.seed_shape)
    seeds[0, 2, 5] = 1
    frame = generator.crop(generator(seeds))[0]
    assert frame[2 * 5, 5 * 5] == frame.max()


def test_all_ones_seeds_do_not_give_an_all_ones_mask():
    """The smooth maximum is a weighted mean: the released first mask runs from .863 to .9998, mean .987."""
    generator = MaskGenerator(112, 112, 7, 11)
    mask = generator.crop(generator(torch.ones(1, 16, 16)))
    assert [round(v.item(), 3) for v in (mask.min(), mask.mean())] == [0.863, 0.987]
    assert round(mask.max().item(), 4) == 0.9998


def test_a_setting_out_of_range_is_refused_in_one_line():
    for setting, line in [
        ({"step": 0}, r"step = 0 is not a whole number in \[1, 10\]"),
        ({"step": 11}, r"step = 11 is not a whole number in \[1, 10\]"),
        ({"sigma": 0}, r"sigma = 0 is outside \(0, inf\)"),
        ({"coldness": -1}, r"coldness = -1 is outside \(0, inf\)"),
    ]:
        assert_refused(f"^{line}$", MaskGenerator, 10, 12, **{"step": 4, "sigma": 5, **setting})


# Goldens: the released generator, float32. It is itself up to 1.4e-6 away from float64, and so is ours: the weights are
# exp(20 v), whose rounding is 20 times that of v. Twice that as tolerance.
MASK = {"rtol": 0, "atol": 3e-6}


@pytest.fixture(scope="module")
def expected():
    return golden("primitives")


@pytest.mark.parametrize(("size", "step", "sigma"), SIZES)
def test_golden_masks(expected, size, step, sigma):
    key = f"mg_{size}_{step}_{sigma}"
    generator = MaskGenerator(size, size, step, sigma)
    rows = generator.rows
    sizes = [rows.seed, rows.radius, rows.padding, rows.mid, rows.out, rows.margin]
    assert (
        np.delete(expected[f"{key}_geometry"], 4).tolist() == sizes
    )  # the fifth, "up", is an inner size of the release
    padded = expected[f"{key}_padded"].reshape(-1, rows.out, rows.out)  # one or both seeds
    mask = generator(torch.from_numpy(expected[f"{key}_seed"][:, 0]))
    np.testing.assert_allclose(mask[: len(padded)], padded, **MASK)
    ones = generator(torch.ones(1, *generator.seed_shape))[0]
    np.testing.assert_allclose(ones[0], expected[f"{key}_ones_padded_row0"], **MASK)
    np.testing.assert_allclose(ones[len(ones) // 2], expected[f"{key}_ones_padded_mid"], **MASK)
    for part, name in ((ones, "padded"), (generator.crop(ones), "mask")):
        _, mean, _, top, low, _ = expected[f"{key}_ones_{name}_digest"]
        np.testing.assert_allclose([part.double().mean(), part.max(), part.min()], [mean, top, low], **MASK)


@pytest.mark.parametrize(("size", "step", "sigma"), SIZES)
def test_golden_gradients_at_the_seeds(expected, size, step, sigma):
    key = f"mg_{size}_{step}_{sigma}"
    generator = MaskGenerator(size, size, step, sigma)
    seeds = torch.from_numpy(expected[f"{key}_seed"][:, 0]).requires_grad_()
    mask = generator(seeds)
    weight = np.random.default_rng(777).standard_normal((2, 1, *mask.shape[1:]), np.float32)[:, 0]
    (grad,) = torch.autograd.grad((mask * torch.from_numpy(weight)).sum(), seeds)
    wanted = expected[f"{key}_grad_seed"][:, 0]
    # A sum over hundreds of pixels of either sign in float32: 1e-5 of the largest.
    np.testing.assert_allclose(grad, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_a_gradient_asked_after_the_next_call_is_refused_not_wrong():
    generator = MaskGenerator(20, 24, 4, 5)
    seeds = uniform(2, *generator.seed_shape).requires_grad_()
    mask = generator(seeds)
    generator(seeds.detach() / 2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(mask.sum(), seeds)


@pytest.mark.parametrize("block", [1, 1 << 12, 1 << 20])
def test_blocks_of_work_change_no_bit(block, monkeypatch):
    """From one phase of 64 cells to everything at once; float32."""
    generator = MaskGenerator(30, 40, 5, 6)
    seeds = uniform(3, *generator.seed_shape, dtype=torch.float32).requires_grad_()
    results = []
    for size in (mask_module.CPU_BLOCK, block):
        monkeypatch.setattr(mask_module, "CPU_BLOCK", size)
        mask = generator(seeds)
        results.append((mask.detach(), *torch.autograd.grad((mask**2).sum(), seeds)))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


@pytest.mark.parametrize(("size", "step", "sigma"), [(56, 7, 11), (60, 5, 6), (40, 13, 23)])
def test_float32_masks_are_bit_by_bit_those_of_plain_tensor_operations(size, step, sigma):
    """But for the last pixels of a frame, fewer than 64, which torch computes one by one there."""
    generator = MaskGenerator(size, size, step, sigma)
    seeds = uniform(3, *generator.seed_shape, dtype=torch.float32)
    kappa = weights(generator.rows, generator.columns)
    expected = spread(seeds[:, None], kappa, generator.rows, generator.columns)
    assert torch.equal(generator(seeds).flatten(1)[:, :-63], expected.flatten(1)[:, :-63])
