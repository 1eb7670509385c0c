"""Every method against slow_occlusion.py, in float64, on odd shapes: agreement to rounding, 1e-9."""

import numpy as np
import pytest
import torch
from helpers.slow_occlusion import (
    adjusted,
    cuboid_masks,
    exact_scores,
    linear_scores,
    paint,
    probability,
    tube_masks,
)
from helpers.toys import GapFC, Linear, clips, seeded

from vxbench.explainers.occlusion import aosa
from vxbench.explainers.occlusion.aosa import AOSA, AOSAApprox
from vxbench.explainers.occlusion.osa import OSA

MEAN, STD = [110.0, 100, 95], [58.0, 56, 55]
TARGET = 2
SHAPES = [(6, 13, 18), (5, 17, 11), (1, 12, 9), (4, 9, 23)]


def clip_of(shape, seed=0, bars=0):
    """One clip of pixel noise, its top and bottom rows black."""
    frames = torch.rand((1, 3, *shape), generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 255
    frames[:, :, :, :bars] = frames[:, :, :, shape[1] - bars :] = 0
    mean, std = (torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1, 1) for v in (MEAN, STD))
    return (frames.round() - mean) / std


def wild_flow(shape, seed):
    """Smooth enough that anchors move alike, strong enough that some leave the frame."""
    drift = np.random.default_rng(seed).normal(0, 1.5, (shape[0] - 1, 1, 1, 2))
    noise = np.random.default_rng(seed + 99).normal(0, 0.8, (shape[0] - 1, *shape[1:], 2))
    return (drift + noise).astype(np.float32)


@pytest.fixture
def flow(request, monkeypatch):
    """The flow AOSA sees instead of Farneback's: those of pixel noise mean nothing."""

    def given(shape, seed):
        one = wild_flow(shape, seed)
        monkeypatch.setattr(aosa, "farneback", lambda gray: one)
        return one

    return given


@pytest.fixture(scope="module")
def model():
    return seeded(GapFC(stride_t=1)).double()


def assert_map(got, expected):
    expected = torch.as_tensor(expected)
    torch.testing.assert_close(got[0], expected, rtol=0, atol=1e-9 * expected.abs().max().item())


def whole_of(model, clip):
    with torch.no_grad():
        return probability(model, clip[0], TARGET).item()


def compare(explainer, model, clip, masks, scores):
    """Masks, scores and map of the explainer with those given."""
    found = explainer.masks(clip, None)
    assert np.array_equal(found.hidden().numpy(), np.array(masks) == 0)
    masked, whole = explainer.scores(model, clip, torch.tensor([TARGET]), found)
    torch.testing.assert_close(masked, torch.tensor(scores, dtype=torch.float64), rtol=1e-9, atol=1e-12)
    expected = paint(masks, scores, whole_of(model, clip), explainer.aggregate)
    assert_map(explainer.combine(found, masked, whole), expected)


@pytest.mark.parametrize("aggregate", ["released", "eq2", "coverage"])
@pytest.mark.parametrize(
    ("shape", "stride", "stride_t", "side", "extent"),
    [(SHAPES[0], 8, 2, 5, 3), (SHAPES[1], 5, 3, 4, None), (SHAPES[2], 4, 1, 3, None), (SHAPES[3], 7, 2, 30, 2)],
)
def test_osa(model, shape, stride, stride_t, side, extent, aggregate):
    clip = clip_of(shape)
    masks = cuboid_masks(shape, stride, stride_t, side, extent or max(1, shape[0] // 2))
    explainer = OSA(stride, stride_t, side, extent, aggregate, chunk=7)
    compare(explainer, model, clip, masks, exact_scores(model, clip[0], TARGET, masks))


@pytest.mark.parametrize(("shape", "size", "side"), [((2, 60, 50), "area2pct", 8), ((2, 60, 50), "side2pct", 1)])
def test_osa_s_cuboids_are_2_percent_of_the_frame(shape, size, side):
    """sqrt(.02 * 60 * 50) = 7.75 pixels; .02 * sqrt(60 * 50) = 1.1."""
    hidden = OSA(20, size=size).masks(torch.zeros(1, 3, *shape), None).hidden()
    assert hidden.flatten(2).sum(2).max() == side**2


@pytest.mark.parametrize(("height", "side"), [(112, 16), (224, 32), (256, 36)])
def test_osa_s_cuboids_at_the_usual_sizes(height, side):
    holes = OSA(height // 2).masks(torch.zeros(1, 3, 2, height, height), None)
    assert (holes.rows[..., 1] - holes.rows[..., 0]).max() == side


AOSA_CASES = [
    (SHAPES[0], 6, 5, 3, 0),
    (SHAPES[0], 4, 6, 8, 1),  # more rectangles than are intersected: dense
    (SHAPES[1], 5, 4, 2, 2),
    (SHAPES[2], 4, 3, 2, 3),  # one frame: nothing moves, all anchors are alike
    (SHAPES[3], 7, 3, 0, 4),
    (SHAPES[3], 5, 4, 99, 5),  # every mask hides all tubes
]


@pytest.mark.parametrize("aggregate", ["released", "eq2", "coverage"])
@pytest.mark.parametrize(("shape", "stride", "hole", "k", "seed"), AOSA_CASES)
def test_aosa(model, flow, shape, stride, hole, k, seed, aggregate):
    clip = clip_of(shape, seed)
    ends = (0, shape[1] - 1), (0, shape[1] - 1), (0, shape[2] - 1)
    masks = tube_masks(flow(shape, seed), shape[1:], stride, hole, k, *ends)
    explainer = AOSA(MEAN, STD, stride, hole, k, aggregate, chunk=5)
    compare(explainer, model, clip, masks, exact_scores(model, clip[0], TARGET, masks))


def test_wild_flow_kills_some_anchors_and_not_all(flow):
    """Guards the test above."""
    left = []
    for shape, stride, _, _, seed in AOSA_CASES:
        if shape[0] > 1:
            flow(shape, seed)
            left.append(AOSA(MEAN, STD, stride).tracks_of(np.full((*shape, 3), 99, np.uint8)).alive[-1].mean())
    assert min(left) > 0
    assert sum(share < 1 for share in left) >= 3


@pytest.mark.parametrize("seed", range(2))
def test_aosa_with_position_differences(model, flow, seed):
    shape, clip = SHAPES[0], clip_of(SHAPES[0], seed)
    ends = (0, shape[1] - 1), (0, shape[1] - 1), (0, shape[2] - 1)
    motion = flow(shape, seed)
    masks = tube_masks(motion, shape[1:], 4, 4, 2, *ends, position=True)
    compare(
        AOSA(MEAN, STD, 4, 4, 2, cooc="position", chunk=9),
        model,
        clip,
        masks,
        exact_scores(model, clip[0], TARGET, masks),
    )
    assert not np.array_equal(masks, tube_masks(motion, shape[1:], 4, 4, 2, *ends))


def test_aosa_within_black_bars(model, flow):
    """35 rows high: bars of 1 row are looked at, anchors start in rows 3.75 to 31.25 and live in rows 5 to 30."""
    shape = (4, 35, 10)
    clip = clip_of(shape, bars=3)
    masks = tube_masks(flow(shape, 3), shape[1:], 6, 5, 1, (3.75, 31.25), (5, 30), (0, 9))
    explainer = AOSA(MEAN, STD, 6, 5, 1, chunk=9)
    compare(explainer, model, clip, masks, exact_scores(model, clip[0], TARGET, masks))
    everywhere = tube_masks(flow(shape, 3), shape[1:], 6, 5, 1, (0, 34), (0, 34), (0, 9))
    compare(
        AOSA(MEAN, STD, 6, 5, 1, letterbox="off", chunk=9),
        model,
        clip,
        everywhere,
        exact_scores(model, clip[0], TARGET, everywhere),
    )
    assert len(everywhere) > len(masks)


MUS = {None: (None, False), "box4": (4, False), "box1": (1, False), "surround5": (5, True), "surround9": (9, True)}


@pytest.mark.parametrize("relu", [False, "drops", "eq8_literal"])
@pytest.mark.parametrize("mu", MUS)
def test_aosa_approx(model, flow, mu, relu):
    shape, clip = SHAPES[0], clip_of(SHAPES[0])
    ends = (0, shape[1] - 1), (0, shape[1] - 1), (0, shape[2] - 1)
    masks = tube_masks(flow(shape, 0), shape[1:], 6, 5, 2, *ends)
    scores = linear_scores(model, clip[0], TARGET, masks, *MUS[mu], bool(relu), relu)
    explainer = AOSAApprox(
        cond=mu is not None,
        mu=mu or "box4",
        relu=bool(relu),
        sign=relu or "drops",
        mean=MEAN,
        std=STD,
        stride=6,
        hole=5,
        k=2,
    )
    if mu == "box1":  # filled with itself: no estimate changes
        found = explainer.masks(clip, None)
        masked, whole = explainer.scores(model, clip, torch.tensor([TARGET]), found)
        assert (masked == whole).all()
    else:
        compare(explainer, model, clip, masks, scores)


@pytest.mark.parametrize(("shape", "stride", "hole", "k", "seed"), AOSA_CASES)
def test_aosa_approx_on_odd_shapes(model, flow, shape, stride, hole, k, seed):
    clip = clip_of(shape, seed)
    ends = (0, shape[1] - 1), (0, shape[1] - 1), (0, shape[2] - 1)
    masks = tube_masks(flow(shape, seed), shape[1:], stride, hole, k, *ends)
    scores = linear_scores(model, clip[0], TARGET, masks, 4, False, True, "drops")
    compare(AOSAApprox(mean=MEAN, std=STD, stride=stride, hole=hole, k=k), model, clip, masks, scores)


def spiky(seed):
    """A classifier that looks at a few voxels: hiding those changes its score far more than hiding others."""
    weight = torch.randn(4, 3, *SHAPES[0], generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Linear(weight**7 / 4e3).eval()


@pytest.mark.parametrize("seed", [2, 3, 7, 12])  # those with outliers on both sides
def test_aosa_approx_adjusted(flow, seed):
    model, shape, clip = spiky(seed), SHAPES[0], clip_of(SHAPES[0], seed)
    ends = (0, shape[1] - 1), (0, shape[1] - 1), (0, shape[2] - 1)
    masks = tube_masks(flow(shape, seed), shape[1:], 3, 5, 0, *ends)
    plain = linear_scores(model, clip[0], TARGET, masks, None, False, False, None)
    scores, raised, lowered = adjusted(model, clip[0], TARGET, masks, plain, whole_of(model, clip))
    assert raised.any()
    assert lowered.any()
    assert np.array_equal(scores != plain, raised | lowered)
    options = {"mean": MEAN, "std": STD, "stride": 3, "hole": 5, "k": 0}
    explainer = AOSAApprox(cond=False, relu=False, adjust="simple", chunk=1, **options)
    compare(explainer, model, clip, masks, scores.tolist())


def test_farneback_s_own_flow_goes_through(model):
    """The chain as it is called, with OpenCV's flow: the map is that of its own tracks."""
    clip = clips(1, 3, 4, 24, 32, seed=3, dtype=torch.float64)
    explainer = AOSA(MEAN, STD, 8, 6, 1)
    got = explainer(model, clip, torch.tensor([TARGET]))
    frames = aosa.eight_bit(clip, MEAN, STD)[0].numpy()
    motion = aosa.farneback(aosa.gray_frames(frames))
    masks = tube_masks(motion, (24, 32), 8, 6, 1, (0, 23), (0, 23), (0, 31))
    expected = paint(masks, exact_scores(model, clip[0], TARGET, masks), whole_of(model, clip), "released")
    expected = torch.from_numpy(expected).float()
    torch.testing.assert_close(got[0], expected, rtol=0, atol=1e-6 * expected.abs().max().item())
