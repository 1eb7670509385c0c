"""What each open choice of the occlusion methods changes, and what it leaves alone."""

import numpy as np
import pytest
import torch
import yaml
from helpers.occlusion_toys import (
    Affine,
    Curved,
    aosa,
    approx,
    clip_of,
    flow_is,
    moving_clips,
    no_flow,
    random_flow,
)
from helpers.paths import CONF as CONF_ROOT
from helpers.toys import clips

from vxbench.explainers.occlusion import OSA

CONF = CONF_ROOT / "explainer"
SHAPE = (4, 13, 18)
TARGET = torch.tensor([2, 0])


def double(*shape, seed=0):
    return clips(*shape, seed=seed, dtype=torch.float64)


def hidden(explainer, clip, flow=None):
    """(N, T, H, W) bool, of OSA or of AOSA along the flow."""
    with flow_is(no_flow(clip.shape[2:]) if flow is None else flow):
        return explainer.masks(clip, None).hidden()


def extents(mask):
    """Voxels along t, y and x that a mask (T, H, W) with one box hides."""
    return [int(mask.any(dim=axes).sum()) for axes in ((1, 2), (0, 2), (0, 1))]


@pytest.mark.choice("osa.size")
@pytest.mark.parametrize(
    ("height", "width", "area", "side"),
    [(112, 112, 16, 2), (224, 224, 32, 4), (256, 256, 36, 5), (50, 72, 8, 1), (90, 40, 8, 1)],
)
def test_osa_s_size_is_a_share_of_the_area_or_of_the_side(height, width, area, side):
    """A side of sqrt(2 %) or of 2 % of the frame's, which is the geometric mean where height and width differ."""
    clip, options = torch.zeros(1, 3, 4, height, width), {"stride": min(height, width) // 2, "extent": 2}
    large, small, given = (hidden(OSA(size=size, **options), clip) for size in ("area2pct", "side2pct", 7))
    inside = len(large) // 2 + len(range(0, width, options["stride"])) + 1  # t 2, and the second row and column
    for masks, pixels in ((large, area), (small, side), (given, 7)):
        assert extents(masks[inside]) == [2, pixels, pixels]
    assert len(large) == len(small) == len(given)
    assert (small <= large).all()
    assert torch.equal(large.flatten(2).any(2), small.flatten(2).any(2))


@pytest.mark.choice("osa.stride")
def test_osa_s_stride_is_how_far_apart_cuboids_are():
    clip = torch.zeros(1, 3, 6, 19, 26)
    every_2, every_8 = (hidden(OSA(stride=stride, size=4), clip) for stride in (2, 8))
    assert len(every_8) == 3 * 3 * 4
    assert len(every_2) == 3 * 10 * 13
    of_these = every_2.unflatten(0, (3, 10, 13))[:, ::4, ::4].flatten(0, 2)
    assert torch.equal(of_these, every_8)


@pytest.mark.choice("osa.stride")
@pytest.mark.parametrize(("frames", "extent"), [(1, 1), (6, 3), (7, 3), (16, 8)])
def test_osa_s_stride_is_8_with_cuboids_of_half_the_clip_every_other_frame(frames, extent):
    masks = hidden(OSA(), torch.zeros(1, 3, frames, 19, 26))
    assert len(masks) == -(-frames // 2) * 3 * 4
    assert max(extents(mask)[0] for mask in masks) == extent
    if frames == 16:
        begin = [int(mask.any(2).any(1).nonzero()[0, 0]) for mask in masks[::12]]
        assert begin == [0, 0, 0, 2, 4, 6, 8, 10]


@pytest.mark.choice("osa.stride")
def test_osa_s_stride_is_by_default_that_of_aosa():
    osa, other = (yaml.safe_load((CONF / f"{name}.yaml").read_text())["stride"] for name in ("osa", "aosa"))
    assert osa == other


@pytest.mark.choice("aosa.aggregate")
@pytest.mark.parametrize("seed", range(3))
def test_aosa_s_aggregate_changes_only_how_scores_become_a_map(seed):
    """The three sums, one mask at a time; a voxel that no mask hides is the best, neutral and worthless."""
    clip, net, maps = double(1, 3, *SHAPE, seed=seed), Curved(SHAPE, seed=seed), {}
    with flow_is(random_flow(SHAPE, seed)):
        for how in ("released", "eq2", "coverage"):
            explainer = aosa(stride=6, hole=5, k=1, aggregate=how)
            masks = explainer.masks(clip, None)
            f, f0 = explainer.scores(net, clip, TARGET[:1], masks)
            maps[how] = explainer(net, clip, TARGET[:1])[0].double()
    omega = masks.visible(torch.float64)[:, 0]
    n, drop, covered = len(omega), torch.zeros(SHAPE).double(), torch.zeros(SHAPE).double()
    expected = {"released": torch.zeros(SHAPE).double(), "eq2": torch.zeros(SHAPE).double()}
    for i in range(n):
        expected["released"] += (f[i] - f0[0]) * omega[i] / omega[i].mean() / n
        expected["eq2"] += f[i] * omega[i] / n
        drop += (f0[0] - f[i]) * (1 - omega[i])
        covered += 1 - omega[i]
    expected["coverage"] = torch.where(covered > 0, drop / covered, 0)
    for how, saliency in maps.items():
        torch.testing.assert_close(saliency, expected[how], rtol=1e-5, atol=1e-7)
    never = covered == 0
    assert 0 < never.sum() < never.numel()
    assert torch.allclose(maps["eq2"][never], maps["eq2"].max(), atol=1e-6)
    assert torch.allclose(maps["released"][never], ((f - f0) / omega.mean((1, 2, 3))).mean(), atol=1e-6)
    assert maps["coverage"][never].abs().max() < 1e-12


def anchors_on(speeds):
    """One row of anchors at 2, 6, 10, ..., 5 rows high, each with a flow (x, y) of its own in every frame: flow."""
    flow = np.zeros((len(speeds[0]), 5, 4 * len(speeds), 2), np.float32)
    for n, speed in enumerate(speeds):
        for t, one in enumerate(speed):
            flow[t, :, 4 * n : 4 * n + 4] = one
    return flow


def joined(flow, **options):
    """Which anchors each mask of the row hides in the first frame, itself included."""
    clip = double(1, 3, len(flow) + 1, *flow.shape[1:3])
    first = hidden(aosa(stride=4, hole=1, **options), clip, flow)[:, 0, 2, 2::4]
    return [set(mask.nonzero()[:, 0].tolist()) for mask in first]


ANGLES = [0, 10, 25, 45, 70, 100]  # degrees; the nearer, the more alike
TURNED = anchors_on([[(0.3 * np.cos(np.radians(a)), 0.3 * np.sin(np.radians(a)))] * 2 for a in ANGLES])


@pytest.mark.choice("aosa.k")
def test_aosa_s_k_is_how_many_of_the_most_alike_are_joined():
    assert joined(TURNED, k=0) == [{n} for n in range(6)]
    assert joined(TURNED, k=1) == [{0, 1}, {0, 1}, {1, 2}, {2, 3}, {3, 4}, {4, 5}]
    assert joined(TURNED, k=2) == [{0, 1, 2}, {0, 1, 2}, {1, 2, 3}, {2, 3, 4}, {3, 4, 5}, {3, 4, 5}]
    assert joined(TURNED) == joined(TURNED, k=3)
    assert joined(TURNED, k=3) == [{0, 1, 2, 3}, {0, 1, 2, 3}, {0, 1, 2, 3}, {1, 2, 3, 4}, {2, 3, 4, 5}, {2, 3, 4, 5}]
    assert joined(TURNED, k=5) == [set(range(6))] * 6


@pytest.mark.choice("aosa.cooc")
def test_aosa_s_cooc_compares_flow_or_the_whole_pixels_anchors_moved():
    """Rounded, 2 and 3 move alike, and 1 at right angles to both."""
    flow = anchors_on([[(0.9, 0.6)], [(-0.9, 0.1)], [(0.45, 0.6)], [(-0.4, 0.8)]])
    assert joined(flow, k=1, cooc="flow") == [{0, 2}, {1, 3}, {0, 2}, {1, 3}]
    assert joined(flow, k=1, cooc="position") == [{0, 2}, {1, 2}, {2, 3}, {2, 3}]
    assert joined(flow, k=0, cooc="flow") == joined(flow, k=0, cooc="position")


@pytest.mark.choice("aosa.cooc")
@pytest.mark.parametrize("seed", range(3))
def test_aosa_s_cooc_changes_nothing_where_flow_is_in_whole_pixels(seed):
    flow, clip = np.zeros((3, 30, 30, 2), np.float32), double(1, 3, 4, 30, 30)
    flow[:, 10:20, 10:20] = np.random.default_rng(seed).integers(-1, 2, (3, 10, 10, 2))
    masks = [hidden(aosa(stride=4, hole=3, k=2, cooc=cooc), clip, flow) for cooc in ("flow", "position")]
    assert torch.equal(*masks)


@pytest.mark.choice("aosa.ties")
def test_aosa_s_ties_on_a_still_clip_are_the_lowest_others_or_arbitrary():
    still = no_flow((3, 5, 20))
    assert joined(still, k=2) == [{0, 1, 2}, {0, 1, 2}, {0, 1, 2}, {0, 1, 3}, {0, 1, 4}]
    released = joined(still, k=2, ties="released")
    assert all(n in mask and 1 <= len(mask) <= 3 for n, mask in enumerate(released))
    assert released != joined(still, k=2)


@pytest.mark.choice("aosa.ties")
@pytest.mark.parametrize("seed", range(3))
def test_aosa_s_ties_are_not_decided_by_rounding(seed):
    """All anchors move alike, and their cosines differ in the last bits only."""
    steps = np.random.default_rng(seed).normal(0, 0.2, (7, 2))
    masks = joined(anchors_on([steps] * 23))
    assert masks[:4] == [{0, 1, 2, 3}] * 4
    assert masks[4:] == [{0, 1, 2, n} for n in range(4, 23)]


@pytest.mark.choice("aosa.ties")
def test_aosa_s_released_ties_prefer_the_tube_itself_to_any_that_moves_the_other_way():
    flow = anchors_on([[(0.3, 0)], [(-0.3, 0.05)], [(-0.3, 0.1)]])
    assert joined(flow, k=1) == [{0, 2}, {1, 2}, {1, 2}]
    assert joined(flow, k=1, ties="released") == [{0}, {1, 2}, {1, 2}]


@pytest.mark.choice("aosa.ties")
@pytest.mark.parametrize("k", [0, 1, 2])
def test_aosa_s_ties_change_nothing_where_k_others_are_alike(k):
    assert joined(TURNED, k=k, ties="released") == joined(TURNED, k=k, ties="index")


@pytest.mark.choice("aosa.gray")
def test_aosa_s_gray_swaps_the_weights_of_red_and_blue():
    frames = np.random.default_rng(0).integers(40, 220, (1, *SHAPE, 3), dtype=np.uint8)
    for how, weights in (("bgr_on_rgb", (0.114, 0.587, 0.299)), ("rgb", (0.299, 0.587, 0.114))):
        with flow_is(no_flow(SHAPE)) as asked:
            aosa(gray=how, frames="rounded", k=0).masks(clip_of(frames), None)
        assert asked[0].dtype == np.uint8
        assert np.abs(asked[0] - frames[0] @ np.array(weights)).max() <= 0.51


@pytest.mark.choice("aosa.gray")
def test_aosa_s_gray_changes_the_tubes_only_through_the_flow():
    """The same number of masks; nothing changes where red equals blue."""
    options = {"stride": 4, "hole": 5, "k": 1, "frames": "rounded"}
    clip = moving_clips(1, (4, 24, 30), seed=3)
    a, b = (aosa(gray=how, **options).masks(clip, None).hidden() for how in ("bgr_on_rgb", "rgb"))
    assert a.shape == b.shape
    assert not torch.equal(a, b)
    frames = np.random.default_rng(0).integers(60, 200, (1, 4, 24, 30, 3), dtype=np.uint8)
    frames[..., 2] = frames[..., 0]
    a, b = (aosa(gray=how, **options).masks(clip_of(frames), None).hidden() for how in ("bgr_on_rgb", "rgb"))
    assert torch.equal(a, b)


def barred(frames, height, width, bar, level=0):
    """uint8 frames of 130 with `bar` rows of `level` above and below."""
    out = np.full((frames, height, width, 3), 130, np.uint8)
    out[:, :bar], out[:, height - bar :] = level, level
    return out


def rows_hidden(frames, letterbox, stride=1):
    """Rows of the anchors that hide something in the first frame, and in the second, without motion."""
    with flow_is(no_flow(frames.shape[:3])):
        rows = aosa(stride=stride, hole=1, k=0, letterbox=letterbox).tubes_of(frames).rows[:, 0]
    return [sorted({first for first, last in rows[:, t].tolist() if first < last}) for t in (0, 1)]


def whole(frames):
    return [list(range(frames.shape[1]))] * 2


@pytest.mark.choice("aosa.letterbox")
@pytest.mark.parametrize(
    ("height", "rows", "start", "later"),
    [
        (112, 3, (12, 100), (16, 96)),
        (56, 2, (6, 50), (8, 48)),
        (224, 6, (24, 200), (32, 192)),
        (30, 1, (4, 26), (5, 25)),
    ],
)
def test_aosa_s_letterbox_rule_scales_with_the_height(height, rows, start, later):
    """12, 100, 16 and 96 of 112 rows, ends included; the bars are as deep as 3 of 112 rows, rounded."""
    black = barred(2, height, 5, rows)
    expected = [list(range(low, high + 1)) for low, high in (start, later)]
    assert rows_hidden(black, "scaled") == expected
    assert rows_hidden(black, "off") == whole(black)
    short = barred(2, height, 5, rows - 1)
    assert rows_hidden(short, "scaled") == whole(short)
    assert rows_hidden(barred(3, height, 9, rows, 15), "scaled") == expected
    assert rows_hidden(barred(3, height, 9, rows, 16), "scaled") == whole(black)


@pytest.mark.choice("aosa.letterbox")
@pytest.mark.parametrize("level", [0, 15, 16, 130])
def test_aosa_s_released_letterbox_rule_is_the_scaled_one_on_clips_of_16x112x112(level):
    frames = barred(16, 112, 112, 20, level)
    scaled, released = (rows_hidden(frames, how, 4) for how in ("scaled", "released_112"))
    assert scaled == released
    assert (scaled == rows_hidden(frames, "off", 4)) == (level > 15)


@pytest.mark.choice("aosa.letterbox")
def test_aosa_s_released_letterbox_rule_counts_pixels_elsewhere():
    """The sum over 6 rows is below 500000 on any small clip, and its rows are 12 to 100, then 16 to 96."""
    bright = barred(2, 56, 5, 0)
    assert rows_hidden(bright, "released_112") == [list(range(12, 56)), list(range(16, 56))]
    assert rows_hidden(bright, "scaled") == rows_hidden(bright, "off") == whole(bright)
    large = barred(16, 128, 112, 20, 16)
    assert rows_hidden(large, "released_112", 4)[0][-1] == 126


def mean_around(clip, before, after, centre=True):
    """Mean over rows and columns -before .. after of each pixel, 0 beyond the border, one pixel at a time."""
    out, (height, width) = torch.zeros_like(clip), clip.shape[3:]
    for y in range(height):
        for x in range(width):
            for dy in range(-before, after + 1):
                for dx in range(-before, after + 1):
                    if (centre or dy or dx) and 0 <= y + dy < height and 0 <= x + dx < width:
                        out[..., y, x] += clip[..., y + dy, x + dx]
    return out / ((before + after + 1) ** 2 - (not centre))


MEANS = {"box4": (1, 2, True), "surround9": (4, 4, False), "surround5": (2, 2, False), "box3": (1, 1, True)}


def differences(clip, net, **options):
    """D_i (N,) of AOSA-approx along random flow, and its masks."""
    explainer = approx(stride=4, hole=5, k=1, **options)
    with flow_is(random_flow(tuple(clip.shape[2:]), 0)):
        masks = explainer.masks(clip, None)
    masked, whole = explainer.scores(net, clip, TARGET[: len(clip)], masks)
    return masked.double() - whole.double()[masks.owner], masks


@pytest.mark.choice("approx.mu")
@pytest.mark.parametrize("mu", MEANS)
def test_approx_s_mu_is_what_hidden_voxels_are_filled_with(mu):
    """On an affine score the estimate without ReLU is the score of the clip filled with the mean by hand."""
    shape = (2, 11, 13)
    clip, net = double(2, 3, *shape), Affine(shape)
    change, masks = differences(clip, net, mu=mu, relu=False)
    fill, omega = mean_around(clip, *MEANS[mu])[masks.owner], masks.visible(torch.float64)
    with torch.no_grad():
        filled = net(clip[masks.owner] * omega + fill * (1 - omega)) - net(clip)[masks.owner]
    torch.testing.assert_close(change, filled.gather(1, TARGET[masks.owner, None])[:, 0], rtol=0, atol=1e-12)


@pytest.mark.choice("approx.mu")
def test_approx_s_mu_is_box4_by_default_and_matters_only_with_cond():
    clip, net = double(2, 3, *SHAPE), Curved(SHAPE)
    change = {mu: differences(clip, net, mu=mu) for mu in MEANS}
    assert torch.equal(change["box4"][0], differences(clip, net)[0])
    for mu in ("surround9", "surround5"):
        assert not torch.allclose(change[mu][0], change["box4"][0], atol=1e-4)
        assert torch.equal(change[mu][1].hidden(), change["box4"][1].hidden())
        without = [differences(clip, net, cond=False, mu=other)[0] for other in (mu, "box4")]
        assert torch.equal(*without)


def elements(clip, net, masks, keep):
    """sum over hidden voxels of keep(J * (0 - X)), with J by automatic differentiation."""
    clip = clip.clone().requires_grad_()
    gradient = torch.autograd.grad(net(clip)[range(len(clip)), TARGET[: len(clip)]].sum(), clip)[0]
    effect = keep(gradient * -clip.detach())[masks.owner]
    return (effect * masks.hidden()[:, None]).sum((1, 2, 3, 4))


@pytest.mark.choice("approx.relu")
@pytest.mark.parametrize("seed", range(3))
def test_approx_s_relu_keeps_the_elements_that_lower_the_score(seed):
    clip, net = double(2, 3, *SHAPE, seed=seed), Curved(SHAPE, seed=seed)
    for relu, keep in ((True, lambda e: e.clamp(max=0)), (False, lambda e: e)):
        change, masks = differences(clip, net, cond=False, relu=relu)
        torch.testing.assert_close(change, elements(clip, net, masks, keep), rtol=1e-10, atol=1e-12)
    assert torch.equal(differences(clip, net)[0], differences(clip, net, relu=True)[0])


@pytest.mark.choice("approx.sign")
@pytest.mark.parametrize("seed", range(3))
def test_approx_s_literal_sign_negates_the_elements_that_raise_the_score(seed):
    clip, net = double(2, 3, *SHAPE, seed=seed), Curved(SHAPE, seed=seed)
    literal, masks = differences(clip, net, cond=False, sign="eq8_literal")
    torch.testing.assert_close(literal, elements(clip, net, masks, lambda e: -e.clamp(min=0)), rtol=1e-10, atol=1e-12)
    drops, plain = (differences(clip, net, cond=False, **o)[0] for o in ({}, {"relu": False}))
    torch.testing.assert_close(drops - literal, plain)
    assert torch.equal(differences(clip, net, relu=False, sign="eq8_literal")[0], differences(clip, net, relu=False)[0])


class Spotted(Affine):
    """Squares of the clip, weighted far more in one spot: masks that hide it are outliers."""

    def forward(self, clip):
        weight = torch.ones_like(clip)
        weight[:, :, :, :6, :6] = 40
        return torch.exp(-(clip**2 * weight).mean((1, 2, 3, 4)))[:, None] * self.bias


@pytest.mark.choice("approx.adjust")
@pytest.mark.parametrize("cond", [True, False])
def test_approx_s_adjust_estimates_outliers_from_their_most_extreme_mask(cond):
    """Outside 1.5 interquartile ranges beyond the quartiles; anything within stays as it is."""
    clip, net = double(2, 3, *SHAPE), Spotted(SHAPE)
    options = {"cond": cond, "relu": False}
    (before, masks), after = differences(clip, net, **options), differences(clip, net, adjust="simple", **options)[0]
    fill = mean_around(clip, 1, 2) if cond else torch.zeros_like(clip)
    expected, replaced = before.clone(), 0
    for b in (0, 1):
        mine = [i for i in range(len(masks)) if masks.owner[i] == b]
        values = before[mine].numpy()
        low, high = np.percentile(values, 25), np.percentile(values, 75)
        fences = low - 1.5 * (high - low), high + 1.5 * (high - low)
        for extreme, outside in ((values.argmin(), values < fences[0]), (values.argmax(), values > fences[1])):
            if not outside.any():
                continue
            at = (clip[b] * masks.visible(torch.float64)[mine[extreme]])[None].requires_grad_()
            score = net(at)[0, TARGET[b]]
            effect = (torch.autograd.grad(score, at)[0] * (fill[b] - at)).detach()
            for i in np.array(mine)[outside]:
                replaced += 1
                expected[i] = (score - net(clip)[b, TARGET[b]]).detach() + (effect * masks.hidden()[i]).sum()
    assert 0 < replaced < len(masks) / 2
    torch.testing.assert_close(after, expected, rtol=1e-10, atol=1e-12)
    assert not torch.allclose(after, before, atol=1e-3)


@pytest.mark.choice("approx.adjust")
@pytest.mark.parametrize("seed", range(3))
def test_approx_s_adjust_adds_the_most_extreme_drop_of_an_affine_score_to_the_other_outliers(seed):
    """Tiles whose drops are given. Quartiles 0 and 1: estimates outside -1.5 to 2.5 count both masks."""
    drops = torch.tensor([-10, -1.55, -1.45, *[0] * 4, *[0.5] * 3, 1, 1, 2.45, 2.55, 6], dtype=torch.float64)
    both = torch.tensor([-10, -11.55, -1.45, *[0] * 4, *[0.5] * 3, 1, 1, 2.45, 8.55, 6], dtype=torch.float64)
    order = torch.randperm(15, generator=torch.Generator().manual_seed(seed))
    clip, net = torch.ones(1, 3, 2, 9, 15, dtype=torch.float64), Affine((2, 9, 15))
    tiles = drops[order].view(3, 5).repeat_interleave(3, 0).repeat_interleave(3, 1)
    net.weight.data[:] = -tiles / (3 * 2 * 9)
    for adjust, expected in (("off", drops), ("simple", both)):
        explainer = approx(stride=3, hole=3, k=0, cond=False, relu=False, adjust=adjust)
        with flow_is(no_flow((2, 9, 15))):
            masks = explainer.masks(clip, None)
        masked, whole = explainer.scores(net, clip, TARGET[:1], masks)
        torch.testing.assert_close(masked - whole, expected[order], rtol=0, atol=1e-12)


@pytest.mark.choice("approx.adjust")
def test_approx_s_adjust_changes_nothing_where_there_is_no_outlier():
    clip, net = double(1, 3, *SHAPE, seed=20), Curved(SHAPE)
    off = differences(clip, net)[0]
    low, high = np.percentile(off.numpy(), [25, 75])
    assert low - 1.5 * (high - low) <= off.min() < off.max() <= high + 1.5 * (high - low)
    assert torch.equal(differences(clip, net, adjust="simple")[0], off)
