"""The loop against the slow ones of plain_loop.py."""

import pytest
import torch
from helpers.perturbation_runs import record, seeds_of
from helpers.plain_loop import plain_run, slow_run
from helpers.toys import GapFC, Linear, TinyA, clips, golden_clip, seeded, tiny_a

from vxbench.explainers.perturbation import EP3D, FEP, EP3DEvenly
from vxbench.explainers.perturbation.mask import MaskGenerator

# (T, H, W), step, sigma; seed grids of 5x3x4, 4x3x3, 2x3x5, 7x2x6 cells.
SHAPES = [((5, 11, 13), 4, 5), ((4, 13, 13), 5, 6), ((2, 9, 14), 3, 4), ((7, 8, 23), 4, 5)]
RUNS = [(None, 0), ((0.5, 0.2), 0), ((0.5, 0.2), 1), ((0.7, 0.0), 2), ((0.4, 0.4), 0), ((0.34, 0.66), 1)]  # band, seed


@pytest.mark.filterwarnings("ignore:r_l = .* keeps no low frequency:RuntimeWarning")
@pytest.mark.parametrize(("band", "seed"), RUNS)
@pytest.mark.parametrize(("shape", "step", "sigma"), SHAPES)
def test_fep_and_ep3d_in_float64_are_the_naive_run(shape, step, sigma, band, seed):
    model = seeded(GapFC(stride_t=1), seed).double()
    clip, target = clips(1, 3, *shape, seed=seed, dtype=torch.float64), torch.tensor([seed])
    area = clear_cut(0.2, *shape, step, sigma)
    expected = slow_run(model, clip[0], seed, area, 5, step, sigma, band, lr=0.01)
    settings = {"areas": (area,), "iterations": 5, "lr": 0.01, "step": step, "sigma": sigma}
    method = EP3D(**settings) if band is None else FEP(*band, **settings)
    found = seeds_of(record(method, model, clip, target)[1])[:, 0]
    # Gradients are of order 10 and each step has 1e-15 of rounding: a swap of two voxels would show at 1e-4.
    torch.testing.assert_close(found, torch.stack(expected), rtol=0, atol=1e-10)
    assert (found[-1] - found[0]).abs().max() > 0.01


def clear_cut(area, frames, height, width, step, sigma):
    """The area nearest to the one wished at which the first mask's sort is not cut among mirror images."""
    generator = MaskGenerator(height, width, step, sigma)
    first = generator(torch.ones(1, *generator.seed_shape, dtype=torch.float64)).expand(frames, -1, -1)
    ranked = first.flatten().sort().values
    cuts = (ranked.diff() > 1e-9).nonzero()[:, 0] + 1
    shares = 1 - (cuts + 0.5) / len(ranked)
    return shares[(shares - area).abs().argmin()].item()


FLOAT32 = [
    ("golden", lambda: (tiny_a(), golden_clip("small0"), torch.tensor([8])), 7, 11, 0.2),
    ("odd", lambda: (seeded(GapFC()), clips(2, 3, 6, 29, 41, seed=4), torch.tensor([0, 2])), 5, 6, 0.1),
    ("wide", lambda: (seeded(TinyA(), 3), clips(1, 3, 8, 24, 60, seed=5) / 500, torch.tensor([1])), 6, 11, 0.05),
    (
        "linear",
        lambda: (Linear(clips(3, 3, 4, 30, 30, seed=6) / 60), clips(1, 3, 4, 30, 30), torch.tensor([2])),
        7,
        8,
        0.3,
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("evenly", [False, True])
@pytest.mark.parametrize(("case", "step", "sigma", "area"), [c[1:] for c in FLOAT32], ids=[c[0] for c in FLOAT32])
def test_float32_runs_are_those_of_plain_autograd_to_the_last_bits(case, step, sigma, area, evenly):
    model, clip, target = case()
    expected = torch.stack(plain_run(model, clip, target, area, 11, step, sigma, evenly))
    method = (EP3DEvenly if evenly else EP3D)(areas=(area,), iterations=11, step=step, sigma=sigma)
    found = seeds_of(record(method, model, clip, target)[1])
    assert (found[-1] - found[0]).abs().max() > 0.1
    # Measured 0 with AVX2. With AVX-512, which sums left-over elements otherwise, a last bit (1.2e-7) in up to 5 % of
    # the seeds; after it two ranks of the area term may change places, and what hangs on them.
    torch.testing.assert_close(found[:3], expected[:3], rtol=0, atol=1e-6)
    assert ((found - expected).abs() > 1e-6).double().mean() < 0.01
