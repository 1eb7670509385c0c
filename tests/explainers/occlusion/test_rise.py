import pytest
import torch
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
