"""Occlusion at the borders: of frames, of clips, of batches and of memory."""

import re

import numpy as np
import pytest
import torch
from helpers.occlusion_toys import Constant, Curved, aosa, approx, clip_of, flow_is, moving_clips, no_flow, random_flow
from helpers.toys import GOLDEN_MEAN, GOLDEN_STD, GapFC, clips, golden, seeded

from vxbench.errors import UserError
from vxbench.explainers.occlusion import AOSA, OSA, RISE
from vxbench.explainers.occlusion.aosa import outliers
from vxbench.explainers.occlusion.motion import Field, eight_bit, follow
from vxbench.models.classifier import to_clip

SHAPE = (4, 13, 18)
TARGET = torch.tensor([2, 0, 1])
METHODS = {
    "osa": lambda **o: OSA(stride=4, stride_t=3, size=5, **o),
    "aosa": lambda **o: aosa(stride=4, hole=5, **o),
    "approx": lambda **o: approx(stride=4, hole=5, **o),
    "approx_adjusted": lambda **o: approx(stride=4, hole=5, adjust="simple", **o),
    "rise": lambda **o: RISE(masks=20, **o),
}
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def double(*shape, seed=0):
    return clips(*shape, seed=seed, dtype=torch.float64)


def where(flow, stride=4):
    """Position (y, x) of the hole of each anchor in each frame, None where it has none."""
    with flow_is(flow):
        masks = aosa(stride=stride, hole=1, k=0).masks(double(1, 3, len(flow) + 1, *flow.shape[1:3]), None).hidden()
    return [[next(iter(map(tuple, frame.nonzero().tolist())), None) for frame in mask] for mask in masks]


def pushed(*steps):
    """Flow (x, y) that is the same all over 5 x 9 frames."""
    return np.stack([np.full((5, 9, 2), step, np.float32) for step in steps])


def test_an_anchor_that_leaves_the_frame_dies_for_good():
    """Anchors begin at columns 2 and 6 of 0 to 8, in row 2 of 0 to 4."""
    assert where(pushed((3, 0), (-3, 0))) == [[(2, 2), (2, 5), (2, 2)], [(2, 6), None, None]]
    assert where(pushed((-3, 0), (3, 0))) == [[(2, 2), None, None], [(2, 6), (2, 3), (2, 6)]]
    assert where(pushed((0, 3), (0, -3))) == [[(2, 2), None, None], [(2, 6), None, None]]
    assert where(pushed((0, -3), (0, 3))) == [[(2, 2), None, None], [(2, 6), None, None]]


def test_the_border_itself_is_inside_and_a_fraction_beyond_is_not():
    assert where(pushed((2, 2), (0, 0)))[1] == [(2, 6), (4, 8), (4, 8)]
    assert where(pushed((-2, -2), (0, 0)))[0] == [(2, 2), (0, 0), (0, 0)]
    assert where(pushed((2.4, 0)))[1] == [(2, 6), None]
    assert where(pushed((0, 2.01)))[1] == [(2, 6), None]
    assert where(pushed((-2.1, 0)))[0] == [(2, 2), None]
    assert where(pushed((0, -2.1)))[0] == [(2, 2), None]


def test_positions_are_rounded_to_even_and_go_on_from_there():
    steps = where(pushed((0.5, 0.5), (0.5, 0.5), (0.6, 0.4)))[0]
    assert steps == [(2, 2), (2, 2), (2, 2), (2, 3)]
    assert where(pushed((1, 0), (0.5, 0)))[0] == [(2, 2), (2, 3), (2, 4)]


def test_a_dead_anchor_is_compared_by_the_flow_at_the_border_it_left():
    """The last anchor leaves at once. The flow at the border then is like the first anchor's, or the second's."""
    for like, other in ((0, 1), (1, 0)):
        flow = np.zeros((3, 5, 13, 2), np.float32)
        flow[:, :, 0:4], flow[:, :, 4:8] = (0, 0.4), (0, -0.4)
        flow[0, :, 8:] = (9, 0)
        flow[1:, :, 12] = flow[1:, :, 4 * like]
        with flow_is(flow):
            masks = aosa(stride=4, hole=1, k=1).masks(double(1, 3, 4, 5, 13), None).hidden()
        assert masks[2, 0, 2, 4 * like + 2]
        assert not masks[2, 0, 2, 4 * other + 2]


@every_method
@pytest.mark.parametrize("shape", [(1, 13, 18), (1, 7, 5), (3, 4, 3), (2, 19, 6)])
def test_clips_of_one_frame_and_small_clips_have_maps(method, shape):
    saliency = method()(Curved(shape), moving_clips(2, shape), TARGET[:2])
    assert saliency.shape == (2, *shape)
    assert saliency.isfinite().all()


@pytest.mark.parametrize("build", [lambda **o: OSA(stride=4, size=40, extent=9, **o), lambda **o: aosa(hole=30, **o)])
def test_holes_larger_than_the_clip_hide_it_all(build):
    """Nothing is visible: no voxel is ever seen, and each has the drop to a clip of zeros."""
    clip, net = double(2, 3, *SHAPE), Curved(SHAPE)
    with torch.no_grad():
        drop = (net(clip) - net(0 * clip)).gather(1, TARGET[:2, None])
    with flow_is(no_flow(SHAPE)):
        maps = {how: build(aggregate=how)(net, clip, TARGET[:2]) for how in ("released", "eq2", "coverage")}
    assert maps["released"].count_nonzero() == 0
    assert maps["eq2"].count_nonzero() == 0
    torch.testing.assert_close(maps["coverage"], drop.float()[:, :, None, None].expand(-1, *SHAPE))


@pytest.mark.parametrize("build", [aosa, approx])
@pytest.mark.parametrize("ties", ["index", "released"])
def test_one_anchor_has_no_others_to_join(build, ties):
    clip, net, maps = double(2, 3, *SHAPE), Curved(SHAPE), []
    with flow_is(random_flow(SHAPE, 0, 0.5)):
        for k in (0, 3):
            explainer = build(stride=13, hole=5, k=k, ties=ties)
            assert len(explainer.masks(clip, None)) == 2
            maps.append(explainer(net, clip, TARGET[:2]))
    assert torch.equal(*maps)
    assert maps[0].abs().max() > 0


def test_frames_without_room_for_an_anchor_are_refused_in_one_line():
    with pytest.raises(UserError, match=r"stride = 30 leaves no anchor on frames of 13 x 18") as refused:
        aosa(stride=30)(Curved(SHAPE), double(1, 3, *SHAPE), TARGET[:1])
    assert "\n" not in str(refused.value)


def test_black_bars_leave_no_anchor_where_all_lie_in_them():
    frames = np.zeros((2, 20, 20, 3), np.uint8)
    with pytest.raises(UserError, match="leaves no anchor"):
        aosa(stride=37, frames="rounded").masks(clip_of(frames[None]), None)


@every_method
def test_chunk_bounds_what_is_in_the_network_and_changes_nothing(method):
    clip, maps = moving_clips(3, SHAPE), []
    for chunk in (1, 5, 64):
        net = Curved(SHAPE)
        maps.append(method(chunk=chunk)(net, clip, TARGET))
        assert net.largest <= chunk
    for other in maps[1:]:
        torch.testing.assert_close(other, maps[0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("build", [aosa, approx])
def test_clips_of_a_batch_may_have_different_numbers_of_masks(build):
    """Black bars cost the first and the last clip rows of anchors."""
    shape, net = (3, 28, 18), Curved((3, 28, 18))
    clip = moving_clips(3, shape)
    black = (0 - torch.tensor([110.0, 100, 95])) / torch.tensor([60.0, 55, 50])
    for b in (0, 2):
        clip[b, :, :, :5] = clip[b, :, :, -5:] = black.view(3, 1, 1, 1)
    explainer = build(stride=4, hole=5, k=2, chunk=7)
    counts = explainer.masks(clip, None).owner.bincount().tolist()
    assert counts == [20, 28, 20]
    alone = torch.cat([explainer(net, clip[b : b + 1], TARGET[b : b + 1]) for b in range(3)])
    torch.testing.assert_close(explainer(net, clip, TARGET), alone, rtol=1e-6, atol=1e-9)


def test_rise_of_a_clip_depends_on_its_generator_alone():
    clip, net, explainer = moving_clips(3, SHAPE), Curved(SHAPE), RISE(masks=30, chunk=7)

    def generators(*seeds):
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    together = explainer(net, clip, TARGET, generators=generators(4, 5, 6))
    for b in range(3):
        alone = explainer(net, clip[b : b + 1], TARGET[b : b + 1], generators=generators(4 + b))
        torch.testing.assert_close(together[b : b + 1], alone, rtol=1e-6, atol=1e-9)
    other = explainer(net, clip, TARGET, generators=generators(7, 5, 6))
    assert not torch.allclose(other[0], together[0], atol=1e-3)


@pytest.mark.parametrize("how", ["truncated", "rounded"])
def test_colours_beyond_8_bits_are_cut_not_wrapped(how):
    clip = torch.stack([torch.full((3, 2, 9, 9), value) for value in (9.0, -9.0)])
    with flow_is(no_flow((2, 9, 9))) as asked:
        aosa(frames=how, letterbox="off").masks(clip, None)
    assert [gray.min() for gray in asked] == [gray.max() for gray in asked] == [255, 0]


class Softmax(GapFC):
    outputs = "probs"

    def forward(self, clip):
        return super().forward(clip).softmax(dim=1)


@every_method
def test_what_is_explained_is_the_probability_of_the_target(method):
    """The same map whether the network gives logits or has applied softmax itself."""
    clip = moving_clips(3, SHAPE)
    maps = [method()(seeded(net(), 1).double(), clip, TARGET) for net in (GapFC, Softmax)]
    torch.testing.assert_close(*maps, rtol=1e-5, atol=1e-9)
    assert maps[0].flatten(1).std(dim=1).min() > 1e-6


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@every_method
def test_clips_of_either_precision_have_float32_maps(method, dtype):
    clip, net = moving_clips(1, SHAPE).to(dtype), Curved(SHAPE).to(dtype)
    saliency = method()(net, clip, TARGET[:1])
    assert saliency.dtype == torch.float32
    expected = method()(net.double(), clip.double(), TARGET[:1])
    torch.testing.assert_close(saliency, expected, rtol=1e-3, atol=1e-5)


@every_method
def test_a_constant_score_gives_finite_maps(method):
    assert method()(Constant(0.0), moving_clips(2, SHAPE), TARGET[:2]).count_nonzero() == 0


@pytest.mark.parametrize("colours", [{}, {"mean": [1, 2, 3]}, {"mean": [1, 2, 3], "std": [1, 1]}])
def test_a_normaliser_that_is_no_three_values_gets_one_line(colours):
    with pytest.raises(UserError, match="AOSA needs the model's own, three values"):
        AOSA(**colours)


def test_estimates_that_are_equal_up_to_rounding_are_no_outliers():
    change = torch.tensor([-3.2] * 9 + [-3.2 - 1e-15, -3.2 + 1e-15], dtype=torch.float64)
    assert outliers(change, torch.arange(11)) == []


@pytest.mark.parametrize("colours", [{"mean": [0.43, 0.39, 0.38], "std": [0.23, 0.22, 0.22]}, {"std": [0, 0, 0]}])
def test_values_in_another_unit_are_refused(colours):
    with pytest.raises(UserError, match="are not in units of 0-255"):
        AOSA(**{"mean": [114, 115, 116], "std": [57, 58, 59], **colours})


@pytest.mark.parametrize("grid", [7, (4, 7), "abcd"])
def test_a_grid_that_is_no_three_numbers_gets_one_line(grid):
    with pytest.raises(UserError, match=f"grid = {re.escape(str(grid))} is not three numbers"):
        RISE(grid=grid)


@pytest.mark.choice("aosa.frames")
@pytest.mark.parametrize(("mean", "std"), [(GOLDEN_MEAN, GOLDEN_STD), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])
def test_the_frames_do_not_hang_on_how_the_clip_was_normalised(mean, std):
    """Normalised in units of 0-1 or of 0-255 a clip differs in the last bits, which decide what truncation cuts."""
    frames = golden("clips")["small0"]
    wide_mean, wide_std = ([255 * value for value in values] for values in (mean, std))
    in_255 = to_clip(frames[None], wide_mean, wide_std, "cpu")
    in_1 = (frames.astype(np.float32) / 255 - np.float32(mean)) / np.float32(std)
    in_1 = torch.from_numpy(in_1).permute(3, 0, 1, 2)[None]
    assert not torch.equal(in_255, in_1)
    truncated = [eight_bit(clip, wide_mean, wide_std) for clip in (in_255, in_1, torch.nextafter(in_1, in_1 + 1))]
    assert torch.equal(truncated[0], truncated[1])
    assert torch.equal(truncated[0], truncated[2])
    low = frames.astype(int) - truncated[0][0].numpy()
    assert set(np.unique(low)) == {0, 1}
    assert (eight_bit(in_255, wide_mean, wide_std, "rounded")[0].numpy() == frames).all()


def test_k_above_the_anchors_of_one_clip_of_a_batch():
    """A clip with black bars has fewer anchors than its neighbour, so fewer rectangles in a mask."""
    clip = moving_clips(2, (4, 40, 40))
    clip[1, :, :, :6], clip[1, :, :, -6:] = -2, -2
    net, target = seeded(GapFC()).double(), torch.tensor([1, 2])
    together = aosa(k=20)(net, clip, target)
    for i in range(2):
        alone = aosa(k=20)(net, clip[i : i + 1], target[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-6, atol=1e-9)  # maps are float32


def test_the_first_step_is_rounded_in_float64():
    """61 + .49999997 is 61.49999997 in float64, and 61.5 in float32, which rounds to 62."""
    flow = np.zeros((2, 80, 80, 2), np.float32)
    flow[..., 1] = np.float32(0.49999997)
    field = Field((0, 79), (0, 79), (0, 79))
    tracks = follow(flow, np.array([61]), np.array([3]), field)
    assert tracks.y[:, 0].tolist() == [61, 61, 62]
