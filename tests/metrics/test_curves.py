from itertools import pairwise, product

import numpy as np
import pytest
import torch
from helpers.toys import Everything, GapFC, clips, seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from torch import nn

from vxbench.errors import OutOfRange
from vxbench.metrics.base import Batch
from vxbench.metrics.curves import DeletionCurve, DeletionInsertion, Substitutes, area, boundaries, ranks

KEYS = ("deletion", "insertion", "overall")
SHAPES = [(4, 6, 8), (3, 5, 7), (1, 9, 4), (7, 3, 11), (2, 3, 4)]  # the last has fewer voxels than 28 steps


class Fixed(nn.Module):
    """The same probabilities for every clip."""

    outputs = "probs"

    def __init__(self, *p):
        super().__init__()
        self.p = torch.tensor([p])

    def forward(self, clip):
        return self.p.expand(len(clip), -1)


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def distinct(clip_count, shape, seed=0):
    """Maps (B, T, H, W) without ties: multiples of 1 / THW in a random order."""
    voxels = torch.Size(shape).numel()
    order = torch.stack([torch.randperm(voxels, generator=g) for g in generators(*range(seed, seed + clip_count))])
    return order.view(clip_count, *shape) / voxels


def tied(clip_count, shape, seed=0, levels=4):
    """Maps of few values, one frame and more of them alike."""
    return torch.randint(levels, (clip_count, *shape), generator=generators(seed)[0]) / levels


def problem(clip_count=3, shape=(4, 6, 8), seed=0, dtype=torch.float32):
    """A model and clips whose colours make their probabilities differ."""
    clip = clips(clip_count, 3, *shape, seed=seed) + 2 * clips(clip_count, 3, 1, 1, 1, seed=seed + 100)
    target = torch.arange(clip_count) % 4
    batch = Batch(clip.to(dtype), target, target, generators=generators(*range(clip_count)))
    return seeded(GapFC(), seed).to(dtype), batch


def scored(metric, model, batch, saliency, seeds=None):
    """With fresh generators, so that runs can be compared."""
    seeds = range(len(saliency)) if seeds is None else seeds
    fresh = Batch(batch.clip, batch.target, batch.label, generators=generators(*seeds))
    return metric(model, fresh, saliency)


# The slow and obvious way, in float64: one clip at a time, voxels one by one.


def blurred_slowly(frames, size=11, sigma=5.0):
    """frames (3, T, H, W): every pixel the weighted mean of its neighbours, zeros beyond the border."""
    half = size // 2
    offsets = [(i, j) for i in range(-half, half + 1) for j in range(-half, half + 1)]
    weights = np.array([np.exp(-(i**2 + j**2) / (2 * sigma**2)) for i, j in offsets])
    padded = np.pad(frames, ((0, 0), (0, 0), (half, half), (half, half)))
    height, width = frames.shape[-2:]
    shifted = [padded[..., half + i : half + i + height, half + j : half + j + width] for i, j in offsets]
    return sum(w * s for w, s in zip(weights / weights.sum(), shifted, strict=True))


def curves_slowly(model, clip, target, saliency, seed, steps=28, fill="zero", start="blur", ties="random"):
    """Both curves of one clip (3, T, H, W)."""
    x = clip.double().numpy()
    substitute = {"zero": np.zeros_like(x), "blur": blurred_slowly(x)}
    voxels = list(np.ndindex(saliency.shape))
    if ties == "random":
        drawn = torch.randperm(len(voxels), generator=generators(seed)[0])
        voxels = [voxels[i] for i in drawn]
    voxels = sorted(voxels, key=lambda v: -saliency[v].item())
    curves = []
    for before, after in ((x, substitute[fill]), (substitute[start], x)):
        current, done, curve = before.copy(), 0, []
        for boundary in np.linspace(0, len(voxels), steps + 1):
            for t, h, w in voxels[done : int(boundary)]:
                current[:, t, h, w] = after[:, t, h, w]
            done = int(boundary)
            with torch.no_grad():
                curve.append(model(torch.from_numpy(current)[None]).softmax(1)[0, target].item())
        curves.append(curve)
    return np.array(curves)


def area_slowly(curve):
    return sum((a + b) / 2 for a, b in pairwise(curve)) / (len(curve) - 1)


OPTIONS = [
    {},
    {"steps": 5, "fill": "blur"},
    {"start": "zero", "ties": "raster"},
    {"steps": 9, "fill": "blur", "start": "zero"},
]


# Each choice of options and ties on two of the shapes.
CASES = [(SHAPES[i % len(SHAPES)], *case) for i, case in enumerate(2 * list(product(OPTIONS, [False, True])))]


@pytest.mark.parametrize(("shape", "options", "ties"), CASES)
def test_curves_and_areas_agree_with_a_plain_loop_in_float64(shape, options, ties):
    """They agree in float64 to rounding; in float32 the network's own rounding is left."""
    for seed in range(2):
        saliency = tied(2, shape, seed) if ties else distinct(2, shape, seed)
        model, batch = problem(2, shape, seed, torch.float64)
        scores = scored(DeletionInsertion(**options), model, batch, saliency)
        _, single = problem(2, shape, seed)
        singly = scored(DeletionInsertion(**options), seeded(GapFC(), seed), single, saliency)
        for i in range(2):
            slow = curves_slowly(model, batch.clip[i], batch.target[i], saliency[i], i, **options)
            both = [area_slowly(curve) for curve in slow]
            expected = dict(zip(KEYS, [*both, both[1] - both[0]], strict=True))
            for key, curve in zip(KEYS, slow, strict=False):
                np.testing.assert_allclose(scores.curves[key][i], curve, rtol=0, atol=1e-12)
                np.testing.assert_allclose(singly.curves[key][i], curve, rtol=0, atol=1e-6)
            for key in KEYS:
                assert scores[key][i].item() == pytest.approx(expected[key], rel=0, abs=1e-12)
                assert singly[key][i].item() == pytest.approx(expected[key], rel=0, abs=1e-6)


def test_boundaries_are_28_equal_steps_of_the_voxels():
    assert boundaries(16 * 112 * 112, 28) == list(range(0, 16 * 112 * 112 + 1, 7168))
    assert boundaries(10, 4) == [0, 2, 5, 7, 10]
    assert boundaries(3, 6) == [0, 0, 1, 1, 2, 2, 3]


@pytest.mark.identity(23)
@pytest.mark.parametrize("fill", ["zero", "blur"])
@pytest.mark.parametrize("start", ["zero", "blur"])
def test_the_ends_are_the_same_for_every_map(fill, start):
    model, batch = problem()
    metric = DeletionInsertion(fill=fill, start=start)
    of = {"zero": torch.zeros_like(batch.clip), "blur": Substitutes().of(batch.clip, "blur")}
    with torch.no_grad():
        p = {k: model(x).softmax(1).gather(1, batch.target[:, None])[:, 0] for k, x in {"x": batch.clip, **of}.items()}
    for saliency in (distinct(3, (4, 6, 8)), torch.zeros(3, 4, 6, 8), tied(3, (4, 6, 8))):
        curves = metric(model, batch, saliency).curves
        close = {"rtol": 0, "atol": 1e-6}  # float32 probabilities
        torch.testing.assert_close(curves["deletion"][:, 0], p["x"], **close)
        torch.testing.assert_close(curves["deletion"][:, -1], p[fill], **close)
        torch.testing.assert_close(curves["insertion"][:, 0], p[start], **close)
        torch.testing.assert_close(curves["insertion"][:, -1], p["x"], **close)


@pytest.mark.identity(23)
@pytest.mark.parametrize("seed", range(5))
def test_deleting_in_order_is_inserting_in_the_opposite_order_backwards(seed):
    """28 divides the 4 x 6 x 7 voxels, and no two are alike."""
    model, batch = problem(2, (4, 6, 7), seed, torch.float64)
    saliency, metric = distinct(2, (4, 6, 7), seed), DeletionInsertion(start="zero")
    deletion = metric(model, batch, saliency).curves["deletion"]
    insertion = metric(model, batch, -saliency).curves["insertion"]
    torch.testing.assert_close(deletion, insertion.flip(1), rtol=0, atol=1e-12)


INCREASING = [lambda s: s**3, torch.exp, lambda s: 7 * s - 3, lambda s: s / (1.5 - s)]


@pytest.mark.identity(24)
@settings(max_examples=12)
@given(st.integers(0, 2**31), st.sampled_from(INCREASING), st.booleans())
def test_only_the_order_of_the_voxels_counts(seed, increasing, ties):
    saliency = tied(2, (2, 4, 6), seed) if ties else distinct(2, (2, 4, 6), seed)
    model, batch = problem(2, (2, 4, 6), seed % 5)
    metric = DeletionInsertion(steps=6)
    plain, bent = (scored(metric, model, batch, s) for s in (saliency, increasing(saliency)))
    assert not torch.equal(saliency, increasing(saliency))
    for key in KEYS:
        assert torch.equal(plain[key], bent[key])


@pytest.mark.identity(24)
@given(st.floats(0, 1), st.integers(1, 40))
def test_the_area_under_a_constant_curve_is_the_constant(constant, steps):
    curve = torch.full((2, steps + 1), constant, dtype=torch.float64)
    torch.testing.assert_close(area(curve), curve[:, 0], rtol=0, atol=1e-12)


def test_a_model_that_does_not_look_scores_its_constant_and_no_difference():
    _, batch = problem()
    scores = DeletionInsertion()(Fixed(0.25, 0.5, 0.125, 0.125), batch, distinct(3, (4, 6, 8)))
    for key, expected in (("deletion", [0.25, 0.5, 0.125]), ("insertion", [0.25, 0.5, 0.125]), ("overall", [0, 0, 0])):
        assert scores[key].tolist() == expected


def test_a_class_of_probability_0_is_scored():
    _, batch = problem()
    scores = DeletionInsertion()(Fixed(0.0, 0.0, 0.0, 1.0), batch, distinct(3, (4, 6, 8)))
    assert scores["deletion"].tolist() == [0, 0, 0] == scores["overall"].tolist()
    assert scores.reasons == {}


@settings(max_examples=12)
@given(st.integers(0, 2**31), st.sampled_from(SHAPES), st.integers(2, 9))
def test_ranges_and_the_mean_of_overall_is_the_difference_of_means(seed, shape, steps):
    model, batch = problem(3, shape, seed % 7)
    scores = DeletionInsertion(steps)(model, batch, tied(3, shape, seed))
    assert all(((scores[key] >= 0) & (scores[key] <= 1)).all() for key in KEYS[:2])
    assert scores.curves["deletion"].shape == scores.curves["insertion"].shape == (3, steps + 1)
    difference = scores["insertion"].mean() - scores["deletion"].mean()
    torch.testing.assert_close(scores["overall"].mean(), difference, rtol=0, atol=1e-6)


@pytest.mark.identity(30)
@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_neither_chunk_nor_batch_changes_a_result(chunk):
    model, batch = problem(8, (2, 4, 6))
    saliency = tied(8, (2, 4, 6))
    expected = scored(DeletionInsertion(steps=6), model, batch, saliency)
    chunked = scored(DeletionInsertion(steps=6, chunk=chunk), model, batch, saliency)
    for i in range(8):
        one = Batch(batch.clip[i : i + 1], batch.target[i : i + 1], batch.label[i : i + 1])
        single = scored(DeletionInsertion(steps=6), model, one, saliency[i : i + 1], seeds=[i])
        for key in KEYS:  # float32 probabilities
            torch.testing.assert_close(single[key][0], expected[key][i], rtol=0, atol=1e-6)
            torch.testing.assert_close(chunked[key][i], expected[key][i], rtol=0, atol=1e-6)


@settings(max_examples=8)
@given(st.permutations(range(4)), st.integers(0, 1000))
def test_a_clip_is_scored_alike_wherever_it_stands_in_the_batch(order, seed):
    model, batch = problem(4, (2, 4, 6), seed % 5)
    saliency, metric = tied(4, (2, 4, 6), seed), DeletionInsertion(steps=6)
    moved = Batch(batch.clip[order], batch.target[order], batch.label[order])
    expected = scored(metric, model, batch, saliency)
    scores = scored(metric, model, moved, saliency[order], seeds=order)
    for key in KEYS:
        torch.testing.assert_close(scores[key], expected[key][order], rtol=0, atol=1e-6)


@settings(max_examples=8)
@given(st.integers(0, 1000), st.sampled_from([[2], [3], [4], [2, 4]]))
def test_flipping_clip_and_map_together_changes_nothing_for_a_model_that_pools(seed, axes):
    """Every voxel for itself, then a mean: such a model cannot tell a flipped clip."""
    pointwise = nn.Sequential(nn.Conv3d(3, 6, 1), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(6, 4))
    _, batch = problem(2, (3, 5, 6), seed % 5)
    model, saliency = seeded(pointwise, seed % 5), distinct(2, (3, 5, 6), seed)
    metric = DeletionInsertion(steps=6)
    flipped = Batch(batch.clip.flip(axes), batch.target, batch.label)
    expected = scored(metric, model, batch, saliency)
    scores = scored(metric, model, flipped, saliency.flip([axis - 1 for axis in axes]))
    for key in KEYS:
        torch.testing.assert_close(scores[key], expected[key], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("options", "passes"), [({}, 57), ({"start": "zero"}, 56), ({"fill": "blur"}, 56)])
def test_the_ends_are_run_once_and_never_more_than_chunk_at_once(options, passes):
    model, batch = problem()
    seen = []
    model.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    DeletionInsertion(chunk=7, **options)(model, batch, distinct(3, (4, 6, 8)))
    assert sum(seen) == 3 * passes
    assert max(seen) == 7


def test_the_deletion_curve_alone_takes_half_the_passes():
    model, batch = problem()
    seen = []
    model.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    DeletionCurve()(model, batch, distinct(3, (4, 6, 8)))
    assert sum(seen) == 3 * 29


def test_the_class_explained_is_the_one_followed():
    model, batch = problem(1)
    batch.target = torch.tensor([2])
    batch.label = torch.tensor([0])
    with torch.no_grad():
        p = model(batch.clip).softmax(1)[0]
    curve = DeletionInsertion()(model, batch, distinct(1, (4, 6, 8))).curves["deletion"]
    assert curve[0, 0].item() == pytest.approx(p[2].item(), abs=1e-6)
    assert p[2] != p[0]


# Open choices


@pytest.mark.choice("del.steps")
def test_steps_change_how_finely_the_same_curve_is_drawn():
    """7 steps see every fourth point of 28: 168 voxels divide by both."""
    model, batch = problem(2, (4, 6, 7))
    saliency = distinct(2, (4, 6, 7))
    default = scored(DeletionInsertion(), model, batch, saliency).curves
    for steps, every in ((28, 1), (7, 4)):
        curves = scored(DeletionInsertion(steps), model, batch, saliency).curves
        for key in ("deletion", "insertion"):
            torch.testing.assert_close(curves[key], default[key][:, ::every], rtol=0, atol=1e-6)


@pytest.mark.choice("dauc.steps")
def test_the_deletion_curve_has_28_steps_unless_told_otherwise():
    model, batch = problem(2, (4, 6, 7))
    saliency = distinct(2, (4, 6, 7))
    pair = scored(DeletionInsertion(), model, batch, saliency)
    for steps, every in ((28, 1), (14, 2)):
        metric = DeletionCurve() if steps == 28 else DeletionCurve(steps)
        alone = scored(metric, model, batch, saliency)
        assert set(alone) == {"deletion"} == set(metric.keys)
        torch.testing.assert_close(alone.curves["deletion"], pair.curves["deletion"][:, ::every], rtol=0, atol=1e-6)
    assert not torch.allclose(alone["deletion"], pair["deletion"], rtol=0, atol=1e-4)


@pytest.mark.choice("del.fill")
def test_fill_changes_deletion_only():
    model, batch = problem()
    saliency = distinct(3, (4, 6, 8))
    zero, blur = (scored(DeletionInsertion(fill=fill), model, batch, saliency) for fill in ("zero", "blur"))
    torch.testing.assert_close(zero.curves["insertion"], blur.curves["insertion"], rtol=0, atol=1e-6)
    torch.testing.assert_close(zero.curves["deletion"][:, 0], blur.curves["deletion"][:, 0], rtol=0, atol=1e-6)
    assert ((zero["deletion"] - blur["deletion"]).abs() > 1e-3).all()
    default = scored(DeletionInsertion(), model, batch, saliency)
    assert torch.equal(default["deletion"], zero["deletion"])


@pytest.mark.choice("ins.start")
def test_start_changes_insertion_only():
    model, batch = problem()
    saliency = distinct(3, (4, 6, 8))
    zero, blur = (scored(DeletionInsertion(start=start), model, batch, saliency) for start in ("zero", "blur"))
    torch.testing.assert_close(zero.curves["deletion"], blur.curves["deletion"], rtol=0, atol=1e-6)
    torch.testing.assert_close(zero.curves["insertion"][:, -1], blur.curves["insertion"][:, -1], rtol=0, atol=1e-6)
    assert ((zero["insertion"] - blur["insertion"]).abs() > 1e-3).all()
    default = scored(DeletionInsertion(), model, batch, saliency)
    assert torch.equal(default["insertion"], blur["insertion"])


@pytest.mark.choice("del.ties")
def test_ties_change_maps_with_ties_only():
    model, batch = problem()
    saliency = distinct(3, (4, 6, 8))
    drawn, raster = (DeletionInsertion(ties=ties) for ties in ("random", "raster"))
    assert torch.equal(drawn(model, batch, saliency)["overall"], raster(model, batch, saliency)["overall"])
    flat = torch.zeros_like(saliency)
    assert not torch.equal(drawn(model, batch, flat)["overall"], raster(model, batch, flat)["overall"])
    assert torch.equal(
        scored(DeletionInsertion(), model, batch, flat)["overall"], scored(drawn, model, batch, flat)["overall"]
    )


@given(st.integers(0, 2**31), st.sampled_from(SHAPES))
def test_a_constant_map_deletes_at_random_not_frame_by_frame(seed, shape):
    flat = torch.full((1, *shape), 0.5)
    voxels = flat[0].numel()
    assert torch.equal(ranks(flat, None).flatten(), torch.arange(voxels, dtype=torch.int32))
    drawn = ranks(flat, generators(seed)).flatten()
    assert torch.equal(drawn.sort().values, torch.arange(voxels, dtype=torch.int32))
    assert torch.equal(drawn, ranks(flat, generators(seed)).flatten())
    assert not torch.equal(drawn, ranks(flat, generators(seed + 1)).flatten())


@given(st.integers(0, 2**31), st.sampled_from(SHAPES))
def test_a_more_salient_voxel_always_goes_first(seed, shape):
    saliency = tied(2, shape, seed)
    rank = ranks(saliency, generators(seed, seed + 1)).flatten(1)
    for values, places in zip(saliency.flatten(1), rank, strict=True):
        assert (values[places.argsort()].diff() <= 0).all()


def test_without_generators_every_clip_draws_from_seed_0():
    model, batch = problem()
    flat = torch.zeros(3, 4, 6, 8)
    unseeded = DeletionInsertion()(model, Batch(batch.clip, batch.target, batch.label), flat)
    assert torch.equal(unseeded["overall"], scored(DeletionInsertion(), model, batch, flat, seeds=[0, 0, 0])["overall"])


# The substitutes


@pytest.mark.parametrize(("size", "sigma"), [(11, 5.0), (7, 1.5), (5, 9.0), (1, 2.0)])
def test_the_blur_is_a_gaussian_of_the_neighbourhood(size, sigma):
    clip = clips(1, 3, 2, 9, 14, dtype=torch.float64)
    blurred = Substitutes(kernel_size=size, sigma=sigma).of(clip, "blur")
    np.testing.assert_allclose(blurred[0], blurred_slowly(clip[0].numpy(), size, sigma), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("size", "sigma"), [(11, 5.0), (5, 2.0), (3, 4.0)])
def test_rise_s_kernel_is_a_blurred_point(size, sigma):
    point = np.zeros((size, size))
    point[size // 2, size // 2] = 1
    taps = Substitutes("rise", size, sigma).taps
    np.testing.assert_allclose(torch.outer(taps, taps), gaussian_filter(point, sigma), rtol=0, atol=1e-12)


@pytest.mark.choice("ins.kernel")
def test_the_two_kernels_start_insertion_elsewhere_and_change_nothing_else():
    model, batch = problem(shape=(2, 12, 16))
    saliency = distinct(3, (2, 12, 16))
    plain, rise = (scored(DeletionInsertion(kernel=k), model, batch, saliency) for k in ("gaussian", "rise"))
    assert torch.equal(plain["deletion"], rise["deletion"])
    assert (plain.curves["insertion"][:, 0] != rise.curves["insertion"][:, 0]).all()


# What can go wrong


def test_an_output_that_is_not_finite_is_not_scored_and_says_where():
    """A voxel at infinity spoils every step that shows it: all but the last of deletion, all of insertion's end."""
    model, batch = problem()
    batch.clip[1, 0, 0, 0, 0] = float("inf")
    scores = scored(DeletionInsertion(), model, batch, distinct(3, (4, 6, 8)))
    for key in KEYS:
        assert torch.isnan(scores[key]).tolist() == [False, True, False]
        assert scores.reasons[key] == {1: "the network's output is not finite"}


def test_only_the_curve_that_breaks_is_lost():
    """Another class than the one explained breaks where nothing is left of the clip."""

    class Brittle(Fixed):
        def forward(self, clip):
            blank = (clip == 0).flatten(1).all(dim=1)
            return super().forward(clip).clone().masked_fill(blank[:, None] & (self.p == 0.125), torch.nan)

    _, batch = problem()
    metric = DeletionInsertion(steps=4, fill="blur", start="zero")
    scores = metric(Brittle(0.25, 0.25, 0.375, 0.125), batch, distinct(3, (4, 6, 8)))
    assert scores["deletion"].tolist() == [0.25, 0.25, 0.375]
    for key in ("insertion", "overall"):
        assert torch.isnan(scores[key]).all()
        assert scores.reasons[key] == dict.fromkeys(range(3), "the network's output is not finite")
    assert "deletion" not in scores.reasons


@pytest.mark.parametrize("bad", ["nan", "inf"])
@pytest.mark.parametrize("metric", [DeletionInsertion(), DeletionCurve()])
def test_a_map_that_is_not_finite_is_refused(bad, metric):
    model, batch = problem()
    saliency = distinct(3, (4, 6, 8))
    saliency[1, 0, 0, 0] = float(bad)
    with pytest.raises(ValueError, match=r"^saliency holds NaN or infinity$"):
        metric(model, batch, saliency)


def test_a_wrong_number_of_generators_is_refused():
    model, batch = problem()
    batch.generators = generators(0)
    with pytest.raises(ValueError, match="1 generators for 3 clips"):
        DeletionInsertion()(model, batch, distinct(3, (4, 6, 8)))


def test_a_model_left_in_training_mode_is_scored_in_eval_mode_and_left_as_it_was():
    model = seeded(Everything())  # dropout and batch norm
    _, batch = problem()
    saliency = distinct(3, (4, 6, 8))
    expected = scored(DeletionInsertion(), model, batch, saliency)
    model.train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    scores = scored(DeletionInsertion(), model, batch, saliency)
    assert all(torch.equal(scores[key], expected[key]) for key in KEYS)
    assert not scores["deletion"].requires_grad
    assert all(module.training for module in model.modules())
    assert all(weight.requires_grad and weight.grad is None for weight in model.parameters())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 1}, "steps = 1 is not a whole number"),
        ({"fill": "grey"}, "fill = grey is not one of zero, blur"),
        ({"start": "noise"}, "start = noise is not one of zero, blur"),
        ({"ties": "last"}, "ties = last is not one of random, raster"),
        ({"kernel": "box"}, "kernel = box is not one of gaussian, rise"),
        ({"kernel_size": 10}, "kernel_size = 10 is not odd"),
        ({"sigma": 0}, "sigma = 0 is outside"),
        ({"chunk": 0}, "chunk = 0 is not a whole number"),
    ],
)
def test_a_wrong_option_is_one_clear_line(options, message):
    with pytest.raises(OutOfRange, match=message):
        DeletionInsertion(**options)
