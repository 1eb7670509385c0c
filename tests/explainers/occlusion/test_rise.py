"""RISE: its masks against another enlarger, and what each of its open choices changes."""

from itertools import pairwise

import pytest
import torch
import yaml
from helpers.occlusion_toys import Constant
from helpers.paths import CONF
from helpers.toys import GapFC, clips, seeded
from scipy import ndimage

from vxbench.explainers.base import Context
from vxbench.explainers.occlusion.rise import RISE, SmoothMasks

TARGET = torch.tensor([2, 0])
CASES = [((6, 20, 27), (4, 7, 7)), ((7, 11, 9), (2, 3, 5)), ((1, 12, 5), (4, 7, 7)), ((8, 10, 6), (1, 2, 1))]


def masks_of(shape, grid, count=12, p=0.5, seed=0):
    seeds = torch.randint(2**62, (count,), generator=torch.Generator().manual_seed(seed))
    return SmoothMasks(seeds, torch.zeros(count, dtype=torch.long), shape, grid, p)


@pytest.mark.parametrize(("shape", "grid"), CASES)
def test_masks_are_the_grid_enlarged_and_cut_out(shape, grid):
    """scipy's zoom with mirrored ends is what the released code's resize comes down to."""
    masks = masks_of(shape, grid)
    visible = masks.visible(torch.float64)[:, 0]
    cells, shifts = masks.draws()
    sides = [-(-size // count) for size, count in zip(shape, grid, strict=True)]
    for mask, cell, shift in zip(visible, cells, shifts, strict=True):
        zoom = [(count + 1) * side / count for count, side in zip(grid, sides, strict=True)]
        big = ndimage.zoom(cell.double().numpy(), zoom, order=1, mode="mirror", grid_mode=True)
        assert all(0 <= s < side for s, side in zip(shift, sides, strict=True))
        cut = big[tuple(slice(s, s + size) for s, size in zip(shift, shape, strict=True))]
        torch.testing.assert_close(mask, torch.from_numpy(cut).clamp(0, 1), rtol=0, atol=1e-12)


def test_shifts_reach_over_the_whole_cell():
    _, shifts = masks_of((8, 21, 35), (4, 7, 7), 200).draws()
    assert shifts.amin(0).tolist() == [0, 0, 0]
    assert shifts.amax(0).tolist() == [1, 2, 4]


@pytest.mark.parametrize("p", [0.2, 0.5, 1.0])
def test_a_share_p_of_the_cells_is_visible(p):
    cells, _ = masks_of((4, 14, 14), (4, 7, 7), 300, p).draws()
    assert abs(cells.float().mean() - p) <= 5 * (p * (1 - p) / cells.numel()) ** 0.5  # five standard errors


def test_a_mask_is_its_seed_s():
    masks = masks_of((6, 20, 27), (4, 7, 7))
    together = masks.visible(torch.float64)
    for i in (0, 5, 11):
        torch.testing.assert_close(masks[i : i + 1].visible(torch.float64), together[i : i + 1], rtol=0, atol=1e-15)
    assert len({mask.sum().item() for mask in together}) == len(masks)


def test_the_map_is_the_mean_of_masks_weighted_by_their_scores():
    model, clip = seeded(GapFC()).double(), clips(2, 3, 6, 14, 15, dtype=torch.float64)
    generators = [torch.Generator().manual_seed(seed) for seed in (3, 4)]
    explainer = RISE(9, 0.4, (2, 3, 3), chunk=4)
    masks = explainer.masks(clip, Context([g.clone_state() for g in generators]))
    got = explainer(model, clip, TARGET, generators=generators)
    for i in range(2):
        expected = torch.zeros(6, 14, 15, dtype=torch.float64)
        for mask in masks[9 * i : 9 * i + 9].visible(torch.float64)[:, 0]:
            with torch.no_grad():
                expected += model(clip[i : i + 1] * mask).softmax(1)[0, TARGET[i]] * mask / (9 * 0.4)
        torch.testing.assert_close(got[i], expected.float())


def test_masks_follow_the_clip_s_generator_alone():
    clip, explainer = clips(2, 3, 4, 8, 8), RISE(5)

    def seeds(*states):
        return explainer.masks(clip, Context([torch.Generator().manual_seed(s) for s in states])).seeds.view(2, 5)

    assert torch.equal(seeds(1, 2)[0], seeds(1, 7)[0])
    assert torch.equal(seeds(1, 2)[1], seeds(2, 7)[0])
    assert not torch.equal(seeds(1, 2)[0], seeds(1, 2)[1])


def rise_masks(shape, **options):
    """(N, T, H, W)."""
    context = Context([torch.Generator().manual_seed(0)])
    return RISE(**options).masks(torch.zeros(1, 3, *shape), context).visible(torch.float64)[:, 0]


@pytest.mark.choice("rise.n")
def test_rise_s_n_is_how_many_masks_there_are_and_only_settles_the_map():
    """Four times the masks halve the error; 0.35 to 0.7 allows for its own spread."""
    clip, net, error = clips(8, 3, 2, 9, 10, dtype=torch.float64), Constant(0.3), {}
    for n in (50, 200):
        generators = [torch.Generator().manual_seed(b) for b in range(8)]
        saliency = RISE(masks=n, grid=(1, 3, 3))(net, clip, torch.zeros(8, dtype=torch.long), generators=generators)
        error[n] = (saliency - 0.3).square().mean().sqrt()
        assert len(rise_masks((2, 9, 10), masks=n)) == n
    assert len(RISE().masks(torch.zeros(1, 3, 1, 2, 2), Context([torch.Generator().manual_seed(0)]))) == 4000
    assert 0.35 < error[200] / error[50] < 0.7


@pytest.mark.choice("rise.p")
def test_rise_s_p_is_how_much_is_visible():
    """The same cells as far as they go: those visible at a smaller p are visible at a larger."""
    masks = [rise_masks((3, 12, 10), masks=300, p=p) for p in (0.2, 0.5, 0.8, 1.0)]
    for mask, p in zip(masks, (0.2, 0.5, 0.8, 1.0), strict=True):
        assert mask.mean() == pytest.approx(p, abs=0.02)
    for fewer, more in pairwise(masks):
        assert (fewer <= more + 1e-12).all()
    assert (masks[-1] == 1).all()


@pytest.mark.choice("rise.grid")
def test_rise_s_grid_is_how_finely_masks_vary_along_each_axis():
    """One cell: constant along the axis. Three: straight lines that bend at three places and where they mirror."""
    assert ((rise_masks((6, 12, 15), masks=20, grid=(1, 1, 1)) % 1) == 0).all()
    for axis in range(3):
        grid = [1, 1, 1]
        grid[axis] = 3
        masks = rise_masks((25, 20, 30), masks=20, grid=tuple(grid))
        for other in range(3):
            steps = masks.diff(dim=other + 1)
            enlarged = 4 * -(-masks.shape[other + 1] // 3)  # voxels of 3 cells: one cell more than the clip's
            assert steps.abs().max() == pytest.approx(3 / enlarged if other == axis else 0)
        bends = masks.diff(n=2, dim=axis + 1).abs() > 1e-9
        assert 2 < bends.sum(axis + 1).max() <= 2 * 5  # a bend between two voxels shows at both
        assert bends.any(0).sum(axis).max() > 2 * 5  # and is elsewhere in every mask


@pytest.mark.choice("rise.grid")
def test_rise_s_default_grid_is_4_7_7():
    assert torch.equal(rise_masks((8, 14, 14), masks=5), rise_masks((8, 14, 14), masks=5, grid=(4, 7, 7)))
    assert yaml.safe_load((CONF / "explainer" / "rise.yaml").read_text())["grid"] == [4, 7, 7]
