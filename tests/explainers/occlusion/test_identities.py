"""What must hold between the occlusion methods, whatever the network and the clip."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from helpers.occlusion_toys import (
    Affine,
    Constant,
    Curved,
    aosa,
    approx,
    clip_of,
    flow_is,
    moving_clips,
    no_flow,
    random_flow,
    square,
)
from helpers.toys import clips
from hypothesis import given, settings
from hypothesis import strategies as st

from vxbench.explainers.base import Context
from vxbench.explainers.normalise import normalise
from vxbench.explainers.occlusion import OSA, RISE
from vxbench.explainers.occlusion.base import AGGREGATES
from vxbench.explainers.occlusion.motion import Field, anchors_of, follow, tubes
from vxbench.explainers.occlusion.osa import cuboids

SHAPE = (4, 13, 18)
TARGET = torch.tensor([2, 0])


def double(*shape, seed=0):
    return clips(*shape, seed=seed, dtype=torch.float64)


def still(batch, shape, seed=0):
    return double(batch, 3, 1, *shape[1:], seed=seed).expand(-1, -1, shape[0], -1, -1)


@pytest.mark.identity(18)
@pytest.mark.parametrize("aggregate", AGGREGATES)
@pytest.mark.parametrize(("shape", "hole"), [((4, 7, 9), 3), ((1, 6, 5), 2), ((5, 9, 11), 4)])
def test_tubes_of_a_still_clip_are_the_cuboids_that_span_it(shape, hole, aggregate):
    """With a stride of 1 the centres of both are all the pixels."""
    clip, net = still(2, shape), Curved(shape)
    tube = aosa(stride=1, hole=hole, k=0, aggregate=aggregate)
    cuboid = OSA(stride=1, stride_t=shape[0], size=hole, extent=2 * shape[0], aggregate=aggregate)
    with flow_is(no_flow(shape)):
        assert torch.equal(tube.masks(clip, None).hidden(), cuboid.masks(clip, None).hidden())
        assert torch.equal(tube(net, clip, TARGET), cuboid(net, clip, TARGET))


@pytest.mark.identity(18)
@pytest.mark.parametrize(("stride", "hole"), [(3, 5), (4, 3), (5, 6), (8, 16)])
def test_tubes_of_a_still_clip_are_spanning_cuboids_at_any_stride(stride, hole):
    shape = (3, 21, 26)
    centres = (range(1, 2), range(stride // 2, 21, stride), range(stride // 2, 26, stride))
    with flow_is(no_flow(shape)):
        tube = aosa(stride=stride, hole=hole, k=0).masks(still(1, shape), None).hidden()
    assert torch.equal(tube, cuboids(shape, centres, hole, 6).hidden())


@pytest.mark.identity(18)
def test_the_flow_of_a_still_clip_keeps_interior_tubes_where_they_are():
    frame = np.random.default_rng(0).integers(60, 200, (1, 1, 21, 26, 3), dtype=np.uint8)
    tube = aosa(stride=4, hole=6, k=0).masks(clip_of(frame.repeat(3, 1)), None).hidden()
    assert torch.equal(tube, cuboids((3, 21, 26), (range(1, 2), range(2, 21, 4), range(2, 26, 4)), 6, 6).hidden())


@pytest.mark.identity(19)
@pytest.mark.parametrize("k", [0, 3])
@pytest.mark.parametrize("seed", range(3))
@settings(max_examples=4)
@given(st.tuples(st.integers(1, 5), st.integers(6, 15), st.integers(6, 15)), st.integers(2, 5), st.integers(1, 7))
def test_the_linear_estimate_is_exact_on_an_affine_score(seed, k, shape, stride, hole):
    options = {"stride": stride, "hole": hole, "k": k}
    clip, net = double(2, 3, *shape, seed=seed), Affine(shape, seed=seed)
    exact, estimate = aosa(**options), approx(cond=False, relu=False, **options)
    with flow_is(random_flow(shape, seed)):
        masks = exact.masks(clip, None)
        expected, got = (e.scores(net, clip, TARGET, masks)[0].double() for e in (exact, estimate))
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(estimate(net, clip, TARGET), exact(net, clip, TARGET), rtol=1e-5, atol=1e-7)


@pytest.mark.identity(19)
def test_the_linear_estimate_is_not_exact_on_a_curved_score():
    clip, net = double(2, 3, *SHAPE), Curved(SHAPE)
    exact, estimate = aosa(stride=4, hole=6), approx(cond=False, relu=False, stride=4, hole=6)
    with flow_is(random_flow(SHAPE, 0)):
        masks = exact.masks(clip, None)
        expected, got = (e.scores(net, clip, TARGET, masks)[0] for e in (exact, estimate))
    assert (expected - got).abs().max() > 0.01


@pytest.mark.identity(19)
@pytest.mark.parametrize("options", [{"relu": False}, {}, {"sign": "eq8_literal"}, {"adjust": "simple"}])
def test_filling_with_the_clip_itself_changes_nothing(options):
    explainer = approx(mu="box1", stride=4, hole=6, **options)
    clip, net = double(2, 3, *SHAPE), Curved(SHAPE)
    with flow_is(random_flow(SHAPE, 0)):
        masks = explainer.masks(clip, None)
        masked, whole = explainer.scores(net, clip, TARGET, masks)
        assert torch.equal(masked, whole[masks.owner])
        assert explainer(net, clip, TARGET).count_nonzero() == 0


@pytest.mark.identity(19)
@pytest.mark.parametrize("cond", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_with_relu_no_difference_is_larger_than_without(cond, seed):
    clip, net = double(2, 3, *SHAPE, seed=seed), Curved(SHAPE, seed=seed)
    difference = {}
    with flow_is(random_flow(SHAPE, seed)):
        for relu in (True, False):
            explainer = approx(cond=cond, relu=relu, stride=4, hole=5, k=1)
            masks = explainer.masks(clip, None)
            masked, whole = explainer.scores(net, clip, TARGET, masks)
            difference[relu] = masked - whole[masks.owner]
    assert (difference[True] < difference[False] - 1e-6).all()
    assert (difference[True] < 0).all()
    assert (difference[False] > 0).any()


def ranks(saliency):
    """Dense ranks; values that differ by rounding share one."""
    return saliency.round(decimals=11).unique(return_inverse=True)[1]


@pytest.mark.identity(20)
@pytest.mark.parametrize(("stride", "joined"), [(3, 0), (5, 0), (4, 1), (3, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_released_and_eq2_rank_alike_where_every_voxel_is_hidden_as_often(stride, joined, seed):
    """Tiles without overlap, each joined with the next ones in a circle: coverage and hidden share are uniform."""
    shape = (2, 2 * stride, 3 * stride)
    y, x = anchors_of(*shape[1:], stride, (0, shape[1]))
    tracks = follow(no_flow(shape), y, x, Field((0, shape[1]), (0, shape[1] - 1), (0, shape[2] - 1)))
    others = (np.arange(6)[:, None] + 1 + np.arange(joined)) % 6
    holes = tubes(tracks, others, stride, shape[1:])
    clip, net, explainer = double(1, 3, *shape, seed=seed), Curved(shape, seed=seed), aosa()
    masked, whole = explainer.scores(net, clip, TARGET[:1], holes)
    released, eq2 = (AGGREGATES[how](holes, masked, whole) for how in ("released", "eq2"))
    assert torch.equal(ranks(released), ranks(eq2))
    assert len(ranks(released).unique()) == 6
    visible = 1 - (1 + joined) / 6
    torch.testing.assert_close(released, (eq2 - whole * visible) / visible, rtol=0, atol=1e-12)


@pytest.mark.identity(20)
def test_released_and_eq2_rank_differently_where_the_border_is_hidden_less():
    clip, net = double(1, 3, *SHAPE), Curved(SHAPE)
    with flow_is(no_flow(SHAPE)):
        maps = [aosa(stride=3, hole=5, k=0, aggregate=how)(net, clip, TARGET[:1]) for how in ("released", "eq2")]
    assert not torch.equal(ranks(maps[0]), ranks(maps[1]))


OCCLUSIONS = {
    "osa": lambda **o: OSA(stride=4, stride_t=2, size=5, **o),
    "aosa": lambda **o: aosa(stride=4, hole=6, **o),
    "aosa_single": lambda **o: aosa(stride=4, hole=6, k=0, **o),
    "approx": lambda **o: approx(stride=4, hole=6, **o),
    "approx_zero": lambda **o: approx(stride=4, hole=6, cond=False, relu=False, adjust="simple", **o),
}


@pytest.mark.identity(20)
@pytest.mark.parametrize("method", OCCLUSIONS.values(), ids=OCCLUSIONS)
def test_a_constant_score_leaves_nothing_or_the_visible_share(method):
    clip, net = moving_clips(2, SHAPE), Constant(0.3)
    for aggregate in ("released", "coverage"):
        saliency = method(aggregate=aggregate)(net, clip, TARGET)
        assert saliency.count_nonzero() == 0
        scaled, degenerate = normalise(saliency, "minmax")
        assert degenerate.all()
        assert scaled.count_nonzero() == 0
    explainer = method(aggregate="eq2")
    masks = explainer.masks(clip, None)
    visible = torch.stack([masks.visible(torch.float32)[masks.owner == b, 0].mean(0) for b in (0, 1)])
    torch.testing.assert_close(explainer(net, clip, TARGET), 0.3 * visible, rtol=1e-5, atol=1e-6)
    assert visible.min() < visible.max()


def tubes_by_hand(flow, stride, side):
    """Hidden (N, T, H, W), one anchor, one frame, one pixel at a time, on the whole frame."""
    frames, height, width = len(flow) + 1, *flow.shape[1:3]
    hidden = []
    for y0 in range(stride // 2, height, stride):
        for x0 in range(stride // 2, width, stride):
            y, x, alive, tube = y0, x0, True, np.zeros((frames, height, width), bool)
            for t in range(frames):
                if alive:
                    square(tube[t], y, x, side)
                if t < frames - 1:
                    to_x, to_y = np.float32(x) + flow[t, y, x, 0], np.float32(y) + flow[t, y, x, 1]
                    alive = alive and 0 <= to_y <= height - 1 and 0 <= to_x <= width - 1
                    y, x = min(max(round(float(to_y)), 0), height - 1), min(max(round(float(to_x)), 0), width - 1)
            hidden.append(tube)
    return np.stack(hidden)


@pytest.mark.identity(21)
@pytest.mark.parametrize(("shape", "stride", "side"), [((5, 13, 17), 4, 5), ((3, 11, 8), 3, 4), ((1, 9, 12), 5, 16)])
@pytest.mark.parametrize("seed", range(2))
def test_without_joined_tubes_every_mask_hides_its_own(shape, stride, side, seed):
    flow = random_flow(shape, seed)
    with flow_is(flow):
        masks = aosa(stride=stride, hole=side, k=0).masks(double(1, 3, *shape), None)
    np.testing.assert_array_equal(masks.hidden().numpy(), tubes_by_hand(flow, stride, side))


@pytest.mark.identity(21)
@pytest.mark.parametrize("ties", ["index", "released"])
@pytest.mark.parametrize("cooc", ["flow", "position"])
@settings(max_examples=4)
@given(st.tuples(st.integers(1, 5), st.integers(8, 15), st.integers(8, 15)), st.integers(3, 5), st.integers(0, 99))
def test_joining_tubes_only_hides_more(cooc, ties, shape, stride, seed):
    clip = double(1, 3, *shape)
    with flow_is(random_flow(shape, seed, 0.7)):
        hidden = [
            aosa(stride=stride, hole=4, k=k, cooc=cooc, ties=ties).masks(clip, None).hidden() for k in (0, 1, 2, 3)
        ]
    for fewer, more in pairwise(hidden):
        assert (fewer <= more).all()
    assert (hidden[0] < hidden[-1]).any()


@pytest.mark.identity(21)
@pytest.mark.parametrize("beyond", [0, 1, 50])
def test_with_all_others_joined_every_mask_hides_every_tube(beyond):
    clip = double(1, 3, *SHAPE)
    with flow_is(random_flow(SHAPE, 0)):
        single = aosa(stride=5, hole=4, k=0).masks(clip, None).hidden()
        joined = aosa(stride=5, hole=4, k=len(single) - 1 + beyond).masks(clip, None).hidden()
        almost = aosa(stride=5, hole=4, k=len(single) - 2).masks(clip, None).hidden()
    union = single.any(0)
    assert (joined == union).all()
    assert not (almost == union).all()
    assert len(joined) == len(single)


@pytest.mark.identity(22)
@pytest.mark.parametrize("k", [0, 2])
@pytest.mark.parametrize(("stride", "cells"), [(3, (2, 1)), (4, (0, 2)), (5, (-1, 1)), (8, (1, -1))])
def test_a_clip_moved_by_whole_strides_moves_its_tubes(k, stride, cells):
    """The motion is in the middle, in many directions; elsewhere is none. Tubes there have masks that move along."""
    shape, (down, right) = (4, 11 * stride + 1, 12 * stride - 1), (cells[0] * stride, cells[1] * stride)
    flow = np.zeros((3, *shape[1:], 2), np.float32)
    middle = np.s_[:, 4 * stride : 8 * stride, 4 * stride : 8 * stride]
    flow[middle] = np.random.default_rng(stride).normal(0.8, 1, flow[middle].shape)
    clip = double(1, 3, *shape)
    explainer = aosa(stride=stride, hole=stride + 1, k=k)
    with flow_is(flow):
        before = explainer.masks(clip, None).hidden().numpy()
    with flow_is(np.roll(flow, (down, right), (1, 2))):
        after = explainer.masks(clip.roll((down, right), (3, 4)), None).hidden().numpy()
    rows, columns = (len(range(stride // 2, size, stride)) for size in shape[1:])
    before, after = (hidden.reshape(rows, columns, *shape) for hidden in (before, after))
    for i in range(4, 8):
        for j in range(4, 8):
            moved = after[i + cells[0], j + cells[1]]
            np.testing.assert_array_equal(moved, np.roll(before[i, j], (down, right), (1, 2)))
            assert not (moved == moved[0]).all()  # it does move


@pytest.mark.identity(29)
@pytest.mark.parametrize("p", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(5, 9, 13), (1, 8, 7), (3, 15, 6)])
def test_rise_of_a_constant_score_is_that_score_in_expectation(shape, p):
    """Every voxel is visible with probability p. Bound: 5.5 standard errors, of which one test in 10^4 fails by chance.

    A linear interpolation of N independent cells has at most their variance p (1 - p).
    """
    explainer, clip, n = RISE(masks=1500, p=p, grid=(2, 4, 3)), double(1, 3, *shape), 1500
    saliency = explainer(Constant(0.3), clip, TARGET[:1]).double()
    error = 0.3 * ((1 - p) / (p * n)) ** 0.5
    assert (saliency - 0.3).abs().max() < 5.5 * error
    visible = explainer.masks(clip, Context([torch.Generator().manual_seed(0)])).visible(torch.float64)
    torch.testing.assert_close(saliency[0], 0.3 * visible.mean((0, 1)) / p, rtol=1e-5, atol=1e-6)
    share = visible.flatten(1).mean(1)
    assert (share.mean() - p).abs() < 5.5 * share.std() / n**0.5
    assert visible.min() >= 0
    assert visible.max() <= 1


@pytest.mark.identity(29)
def test_rise_with_all_cells_visible_is_the_score_itself():
    saliency = RISE(masks=7, p=1.0)(Constant(0.3), double(2, 3, *SHAPE), TARGET)
    torch.testing.assert_close(saliency, torch.full_like(saliency, 0.3))


@pytest.mark.identity(30)
@pytest.mark.parametrize("chunk", [1, 7, 64])
@pytest.mark.parametrize("method", [*OCCLUSIONS.values(), lambda **o: approx(stride=3, hole=4, adjust="simple", **o)])
def test_a_batch_of_8_gives_what_its_clips_give_alone(method, chunk):
    clip, net, target = moving_clips(8, SHAPE), Curved(SHAPE), torch.tensor([0, 1, 2, 2, 1, 0, 0, 1])
    explainer = method(chunk=chunk)
    alone = torch.cat([explainer(net, clip[b : b + 1], target[b : b + 1]) for b in range(8)])
    torch.testing.assert_close(explainer(net, clip, target), alone, rtol=1e-6, atol=1e-9)
    assert (alone[1:] - alone[:1]).abs().amax((1, 2, 3)).min() > 1e-3 * alone.abs().max()
