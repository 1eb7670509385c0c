"""Parts of the occlusion family on their own: holes, sums over them, aggregates, batches, surroundings."""

import pytest
import torch
from helpers.toys import GapFC, clips, seeded
from hypothesis import given, settings
from hypothesis import strategies as st

from vxbench.explainers.occlusion.aosa import AOSA, AOSAApprox, surroundings
from vxbench.explainers.occlusion.base import AGGREGATES
from vxbench.explainers.occlusion.holes import Holes, around, hidden_share, join, paint_hidden, sum_hidden
from vxbench.explainers.occlusion.osa import OSA
from vxbench.explainers.occlusion.rise import RISE

MEAN, STD = [114.0, 115, 116], [57.0, 58, 59]
TARGET = torch.tensor([2, 0, 3])


@st.composite
def holes_of_clips(draw):
    """Up to 12 masks of 1-9 rectangles, some of them empty, over up to 3 clips."""
    rectangles, frames, height, width = (draw(st.integers(1, high)) for high in (9, 3, 9, 7))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 999)))

    def ranges(count, size):
        return torch.randint(size + 1, (count, rectangles, frames, 2), generator=generator).to(torch.int16)

    parts = []
    for _ in range(draw(st.integers(1, 3))):
        count = draw(st.integers(1, 4))
        owner = torch.zeros(count, dtype=torch.long)
        parts.append(Holes(ranges(count, height), ranges(count, width), owner, height, width))
    return join(parts)


@given(holes_of_clips(), st.integers(0, 99))
@settings(max_examples=60)
def test_sums_over_holes_are_those_of_dense_masks(holes, seed):
    generator = torch.Generator().manual_seed(seed)
    batch = int(holes.owner.max()) + 1
    image = torch.randn(batch, holes.frames, holes.height, holes.width, generator=generator, dtype=torch.float64)
    weight = torch.randn(len(holes), generator=generator, dtype=torch.float64)
    hidden = holes.hidden().double()
    torch.testing.assert_close(sum_hidden(image, holes), (image[holes.owner] * hidden).sum((1, 2, 3)))
    torch.testing.assert_close(hidden_share(holes), hidden.mean((1, 2, 3)))
    painted = torch.zeros_like(image).index_add_(0, holes.owner, hidden * weight.view(-1, 1, 1, 1))
    torch.testing.assert_close(paint_hidden(weight, holes, batch), painted)


def test_hidden_is_the_union_of_the_rectangles():
    rows = torch.tensor([[[[0, 2]], [[1, 3]], [[2, 2]]]], dtype=torch.int16)  # the third is empty
    columns = torch.tensor([[[[0, 2]], [[1, 4]], [[0, 4]]]], dtype=torch.int16)
    holes = Holes(rows, columns, torch.zeros(1, dtype=torch.long), 4, 4)
    assert holes.hidden()[0, 0].int().tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [0, 1, 1, 1], [0, 0, 0, 0]]
    assert holes.visible(torch.float64).shape == (1, 1, 1, 4, 4)
    assert torch.equal(holes.visible(torch.float64)[:, 0] == 0, holes.hidden())


@pytest.mark.parametrize(("side", "expected"), [(1, [5, 6]), (2, [4, 6]), (3, [4, 7]), (30, [0, 9])])
def test_an_odd_side_reaches_one_further_down(side, expected):
    assert around(torch.tensor(5), side, 9, torch.tensor(True)).tolist() == expected
    first, last = around(torch.tensor(5), side, 9, torch.tensor(False)).tolist()
    assert first == last


# Aggregates.


@pytest.mark.parametrize("how", AGGREGATES)
def test_a_mask_that_hides_everything_keeps_the_map_finite(how):
    rows = torch.tensor([[[[0, 3]]], [[[0, 1]]]], dtype=torch.int16)
    holes = Holes(rows, rows.clone(), torch.zeros(2, dtype=torch.long), 3, 3)
    got = AGGREGATES[how](holes, torch.tensor([0.1, 0.4]), torch.tensor([0.5]))
    assert torch.isfinite(got).all()
    other = AGGREGATES[how](holes[1:], torch.tensor([0.4]), torch.tensor([0.5]))
    if how != "coverage":
        torch.testing.assert_close(got * 2, other)  # it adds nothing but its count
    else:
        torch.testing.assert_close(got[0, 0], torch.tensor([[0.25] + [0.4] * 2, [0.4] * 3, [0.4] * 3]).double())


@pytest.mark.parametrize("how", AGGREGATES)
def test_what_lowers_the_score_is_important(how):
    holes = OSA(4, 1, 4, 4).masks(torch.zeros(1, 3, 2, 10, 10), None)  # a partition of the frame, twice
    hidden = holes.hidden().flatten(1).double()
    assert (hidden.sum(0) == 2).all()
    place = torch.zeros(2, 10, 10, dtype=torch.float64)
    place[:, 2:6, 6:10] = 1  # one of its cells
    whole = torch.tensor([0.9], dtype=torch.float64)
    got = AGGREGATES[how](holes, whole - 0.01 * (hidden @ place.flatten()), whole)[0]
    assert got[place > 0].min() > got[place == 0].max()


# Batches.


def test_clips_with_and_without_black_bars_share_a_batch():
    """They have different numbers of masks."""
    model, clip = seeded(GapFC()).double(), clips(3, 3, 6, 32, 24, dtype=torch.float64)
    low = -torch.tensor(MEAN).double() / torch.tensor(STD).double()
    clip[1, :, :, :4] = clip[1, :, :, -4:] = low.view(3, 1, 1, 1)
    for explainer in (AOSA(MEAN, STD, 4, 6, chunk=5), AOSAApprox(mean=MEAN, std=STD, stride=4, hole=6, chunk=2)):
        counts = torch.bincount(explainer.masks(clip, None).owner)
        assert counts[0] == counts[2] > counts[1]
        together = explainer(model, clip, TARGET)
        for i in range(3):
            alone = explainer(model, clip[i : i + 1], TARGET[i : i + 1])
            torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-6 * alone.abs().max().item())


def test_adjusted_clips_share_a_batch():
    """Outliers are found and estimated again clip by clip, here with the fill and the ReLU on."""
    model, clip = seeded(GapFC()).double(), clips(4, 3, 6, 32, 24, seed=5, dtype=torch.float64) ** 3
    target = torch.tensor([2, 0, 3, 1])
    options = {"mean": MEAN, "std": STD, "stride": 4, "hole": 5, "k": 0}
    plain, explainer = (AOSAApprox(adjust=adjust, chunk=3, **options) for adjust in ("off", "simple"))
    together = explainer(model, clip, target)
    assert not torch.equal(together, plain(model, clip, target))
    for i in range(4):
        alone = explainer(model, clip[i : i + 1], target[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-6 * alone.abs().max().item())


class Counting(GapFC):
    def forward(self, clip):
        self.passes = getattr(self, "passes", 0) + len(clip)
        return super().forward(clip)


@pytest.mark.parametrize(
    ("explainer", "passes"),
    [
        (OSA(8, 2, chunk=7), 3 * 3 * 4 + 1),
        (AOSA(MEAN, STD, 8, 6, chunk=7), 3 * 3 + 1),
        (AOSAApprox(mean=MEAN, std=STD), 1),
        (RISE(10, chunk=7), 10),
    ],
)
def test_forward_passes_a_clip(explainer, passes):
    model = seeded(Counting())
    explainer(model, clips(2, 3, 6, 24, 25), TARGET[:2])
    assert model.passes == 2 * passes


# Surroundings.


def test_an_even_window_reaches_further_down_and_right():
    clip = torch.zeros(1, 3, 2, 7, 7, dtype=torch.float64)
    clip[0, 1, 0, 3, 3] = 16
    mean = surroundings(clip, "box4")
    assert mean[0, 1, 0].nonzero().tolist() == [[v, u] for v in range(1, 5) for u in range(1, 5)]
    assert mean.sum() == 16  # channels and frames do not mix
    ring = surroundings(clip, "surround3")[0, 1, 0]
    assert ring[3, 3] == 0
    torch.testing.assert_close(ring[2, 2], torch.tensor(2.0).double())
