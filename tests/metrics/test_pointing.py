import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vxbench.errors import OutOfRange
from vxbench.metrics.base import Batch
from vxbench.metrics.pointing import SpatialPointingGame, TemporalPointingGame

SHAPES = [(4, 9, 12), (3, 20, 7), (1, 5, 31), (2, 24, 24)]


BOX = [(0, 20), (0, 30), (1, 11), (1, 11)]  # where to draw top, left, height and width from


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def batch_of(saliency, boxes=None, annotated=None, action=None, label=None):
    """Neither game looks at the clip or runs the model."""
    label = torch.arange(len(saliency)) if label is None else label
    seeds = generators(*range(len(saliency)))
    return Batch(saliency[:, None], label, label, boxes, annotated, action, seeds)


def s_pt(saliency, boxes, annotated=None, label=None, **options):
    return SpatialPointingGame(**options)(None, batch_of(saliency, boxes, annotated, label=label), saliency)


def t_pt(saliency, action, **options):
    return TemporalPointingGame(**options)(None, batch_of(saliency, action=action), saliency)


def rectangles(clip_count, shape, generator):
    """One rectangle on about two frames of three, some with a second one."""
    frames, height, width = shape
    boxes = torch.zeros(clip_count, *shape, dtype=torch.bool)
    for clip in range(clip_count):
        for t in range(frames):
            for _ in range(int(torch.randint(3, (), generator=generator))):
                top, left = (int(torch.randint(size, (), generator=generator)) for size in (height, width))
                boxes[clip, t, top : top + height // 3 + 1, left : left + width // 3 + 1] = True
    boxes[:, 0, 0, 0] = True
    return boxes


def scene(seed, shape, clip_count=3):
    """Maps without ties and boxes."""
    generator = generators(seed)[0]
    frame = torch.Size(shape[1:]).numel()
    order = [torch.randperm(frame, generator=generator) for _ in range(clip_count * shape[0])]
    return torch.stack(order).view(clip_count, *shape) / frame, rectangles(clip_count, shape, generator)


# The slow and obvious way: frame by frame, pixel by pixel.


def rate_slowly(
    saliency,
    boxes,
    annotated,
    shape="circle",
    radius=7,
    strict=False,
    unannotated="skip",
    swap_xy=False,
    constant="miss",
):
    """Hits and counted frames of one clip (T, H, W)."""
    hits = frames = 0
    for t in range(len(saliency)):
        pixels = [tuple(pixel) for pixel in boxes[t].nonzero().tolist()] if annotated[t] else []
        if not pixels and unannotated == "skip":
            continue
        values = saliency[t].tolist()
        if constant == "skip" and len({value for row in values for value in row}) == 1:
            continue
        v, u, best = 0, 0, values[0][0]
        for i, row in enumerate(values):
            for j, value in enumerate(row):
                if value > best:
                    v, u, best = i, j, value
        if swap_xy:
            v, u = u, v
        far = [math.hypot(i - v, j - u) if shape == "circle" else max(abs(i - v), abs(j - u)) for i, j in pixels]
        frames += 1
        hits += any(d < radius if strict else d <= radius for d in far)
    return hits, frames


@settings(max_examples=60)
@given(
    st.integers(0, 2**31),
    st.sampled_from(SHAPES),
    st.fixed_dictionaries(
        {
            "shape": st.sampled_from(["circle", "square"]),
            "radius": st.sampled_from([0, 1, 2.5, 3, 5, 7, 100]),
            "strict": st.booleans(),
            "unannotated": st.sampled_from(["skip", "miss"]),
            "swap_xy": st.booleans(),
            "constant": st.sampled_from(["miss", "skip"]),
        }
    ),
)
def test_spatial_rates_agree_with_a_plain_loop(seed, shape, options):
    saliency, boxes = scene(seed, shape)
    saliency[1, 0] = 0.25  # a frame without a maximum
    annotated = torch.rand(3, shape[0], generator=generators(seed)[0]) < 0.8
    scores = s_pt(saliency, boxes, annotated, **options)
    for i in range(3):
        hits, frames = rate_slowly(saliency[i], boxes[i], annotated[i], **options)
        assert scores.weights["s_pt"][i] == frames
        if frames:
            assert scores["s_pt"][i].item() == pytest.approx(hits / frames, rel=0, abs=1e-6)
        else:
            assert torch.isnan(scores["s_pt"][i])
            assert i in scores.reasons["s_pt"]


def point_at(v, u, height=30, width=40):
    saliency = torch.zeros(1, 1, height, width)
    saliency[0, 0, v, u] = 1
    return saliency


@pytest.fixture
def corner():
    """A box whose lower right pixel is (9, 9), in a frame of 30 x 40."""
    boxes = torch.zeros(1, 1, 30, 40, dtype=torch.bool)
    boxes[0, 0, 4:10, 2:10] = True
    return boxes


@pytest.mark.parametrize(
    ("v", "u", "hit"),
    [(5, 5, 1), (9, 9, 1), (16, 9, 1), (17, 9, 0), (9, 16, 1), (9, 17, 0), (13, 14, 1), (14, 14, 0), (0, 39, 0)],
)
def test_seven_pixels_by_hand(v, u, hit, corner):
    """(13, 14) is 4 and 5 pixels away: 6.4 in all; (14, 14) 7.07."""
    assert s_pt(point_at(v, u), corner)["s_pt"].item() == hit


@pytest.mark.parametrize(
    ("options", "v", "u", "default", "flipped"),
    [
        pytest.param({"shape": "square"}, 15, 15, 0, 1, marks=pytest.mark.choice("spt.shape")),
        pytest.param({"shape": "square"}, 17, 15, 0, 0, marks=pytest.mark.choice("spt.shape")),
        pytest.param({"radius": 8}, 17, 9, 0, 1, marks=pytest.mark.choice("spt.radius")),
        pytest.param({"radius": 6}, 16, 9, 1, 0, marks=pytest.mark.choice("spt.radius")),
        pytest.param({"strict": True}, 16, 9, 1, 0, marks=pytest.mark.choice("spt.strict")),
        pytest.param({"strict": True}, 15, 9, 1, 1, marks=pytest.mark.choice("spt.strict")),
        pytest.param({"strict": True, "shape": "square"}, 16, 9, 1, 0, marks=pytest.mark.choice("spt.strict")),
        pytest.param({"radius_224": 15}, 17, 9, 0, 0, marks=pytest.mark.choice("spt.radius_224")),
        pytest.param({"swap_xy": True}, 5, 25, 0, 0, marks=pytest.mark.choice("spt.swap_xy")),
        pytest.param({"swap_xy": True}, 3, 17, 0, 0, marks=pytest.mark.choice("spt.swap_xy")),
        pytest.param({"swap_xy": True}, 17, 9, 0, 0, marks=pytest.mark.choice("spt.swap_xy")),
    ],
)
def test_options_change_the_hits_they_should(options, v, u, default, flipped, corner):
    saliency = point_at(v, u)
    assert s_pt(saliency, corner)["s_pt"].item() == default
    assert s_pt(saliency, corner, **options)["s_pt"].item() == flipped


@pytest.mark.choice("spt.swap_xy")
@pytest.mark.parametrize(("swap_xy", "hit"), [(False, 0), (True, 1)])
def test_swap_xy_takes_the_row_for_the_column(swap_xy, hit):
    """The maximum is in row 2, column 25; the box around row 25, column 2."""
    boxes = torch.zeros(1, 1, 30, 40, dtype=torch.bool)
    boxes[0, 0, 24:27, 1:4] = True
    assert s_pt(point_at(2, 25), boxes, swap_xy=swap_xy)["s_pt"].item() == hit


@pytest.mark.choice("spt.radius_224")
@pytest.mark.parametrize("width", [112, 223, 224, 225])
def test_radius_224_holds_for_inputs_224_wide_and_no_others(width):
    boxes = torch.zeros(1, 1, 16, width, dtype=torch.bool)
    boxes[0, 0, :, 0] = True
    for u, radius_224, hit in ((15, 7, 0), (15, 15, 1), (16, 15, 0), (7, 7, 1)):
        expected = hit if width == 224 else int(u <= 7)
        assert s_pt(point_at(3, u, 16, width), boxes, radius_224=radius_224)["s_pt"].item() == expected


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.sampled_from([7, 2, 0]))
def test_the_released_evaluator_grows_a_rectangle_and_takes_the_row_for_x(seed, tolerance):
    """One rectangle, x0 <= x <= x1 and y0 <= y <= y1, grown by the tolerance on every side; frames without one miss."""
    generator = generators(seed)[0]
    saliency = torch.rand(1, 6, 30, 40, generator=generator)
    boxes = torch.zeros(1, 6, 30, 40, dtype=torch.bool)
    hits = 0
    for t in range(1, 6):
        y0, x0, height, width = (int(torch.randint(low, high, (), generator=generator)) for low, high in BOX)
        y1, x1 = y0 + height - 1, x0 + width - 1
        boxes[0, t, y0 : y1 + 1, x0 : x1 + 1] = True
        row, column = divmod(int(saliency[0, t].argmax()), 40)
        hits += x0 - tolerance <= row <= x1 + tolerance and y0 - tolerance <= column <= y1 + tolerance
    released = {"shape": "square", "swap_xy": True, "unannotated": "miss", "average": "class", "radius": tolerance}
    assert s_pt(saliency, boxes, **released)["s_pt"].item() == pytest.approx(hits / 6)


@pytest.fixture
def clips_of_unequal_length():
    """Clip by clip: 1 of 1 annotated frames hit, 1 of 4, 0 of 2; labels 5, 5, 6."""
    boxes = torch.zeros(3, 4, 30, 40, dtype=torch.bool)
    saliency = torch.zeros(3, 4, 30, 40)
    saliency[..., 29, 39] = 1
    for clip, frames in enumerate((1, 4, 2)):
        boxes[clip, :frames, :2, :2] = True
    saliency[:2, 0, 0, 0] = 2
    return saliency, boxes, torch.tensor([5, 5, 6])


def overall(scores):
    """The mean over groups of each group's weighted mean, which is how a table reads weights and groups."""
    values = scores["s_pt"]
    weights = scores.weights.get("s_pt", torch.ones_like(values))
    groups = scores.groups.get("s_pt", torch.zeros(len(values), dtype=torch.long))
    means = [(values * weights)[groups == g].sum() / weights[groups == g].sum() for g in groups.unique()]
    return torch.stack(means).mean().item()


@pytest.mark.choice("spt.average")
@pytest.mark.parametrize(
    ("average", "expected"),
    [("pooled", 2 / 7), ("clip", (1 + 1 / 4 + 0) / 3), ("class", (2 / 5 + 0 / 2) / 2)],
)
def test_averages_differ_in_weights_and_groups_only(average, expected, clips_of_unequal_length):
    saliency, boxes, label = clips_of_unequal_length
    scores = s_pt(saliency, boxes, label=label, average=average)
    assert scores["s_pt"].tolist() == [1, 0.25, 0]
    assert overall(scores) == pytest.approx(expected)
    default = s_pt(saliency, boxes, label=label)
    assert overall(default) == pytest.approx(2 / 7)


@pytest.mark.choice("spt.unannotated")
def test_frames_without_annotation_are_skipped_or_missed(clips_of_unequal_length):
    saliency, boxes, label = clips_of_unequal_length
    skipped, missed = (s_pt(saliency, boxes, label=label, unannotated=u) for u in ("skip", "miss"))
    assert skipped["s_pt"].tolist() == [1, 0.25, 0]
    assert missed["s_pt"].tolist() == [0.25, 0.25, 0]
    assert skipped.weights["s_pt"].tolist() == [1, 4, 2]
    assert missed.weights["s_pt"].tolist() == [4, 4, 4]
    assert torch.equal(s_pt(saliency, boxes)["s_pt"], skipped["s_pt"])


def test_a_frame_that_is_not_annotated_does_not_count_whatever_is_drawn_there(clips_of_unequal_length):
    saliency, boxes, _ = clips_of_unequal_length
    annotated = torch.ones(3, 4, dtype=torch.bool)
    annotated[1, 0] = False  # the frame that was hit
    assert s_pt(saliency, boxes, annotated)["s_pt"].tolist() == [1, 0, 0]
    assert s_pt(saliency, boxes, annotated).weights["s_pt"].tolist() == [1, 3, 2]
    assert s_pt(saliency, boxes, annotated, unannotated="miss")["s_pt"].tolist() == [0.25, 0, 0]


def test_an_annotated_frame_whose_box_was_cropped_away_has_nothing_to_hit(clips_of_unequal_length):
    saliency, boxes, _ = clips_of_unequal_length
    everywhere = torch.ones(3, 4, dtype=torch.bool)
    assert s_pt(saliency, boxes, everywhere).weights["s_pt"].tolist() == [1, 4, 2]


@pytest.mark.choice("spt.ties")
def test_of_equal_maxima_the_first_or_any():
    """Two maxima, the first on the box: half of the random points hit, over many clips."""
    saliency = torch.zeros(200, 1, 30, 40)
    saliency[:, 0, 2, 2] = saliency[:, 0, 28, 38] = 1
    boxes = torch.zeros(200, 1, 30, 40, dtype=torch.bool)
    boxes[:, 0, 2, 2] = True
    assert s_pt(saliency, boxes)["s_pt"].tolist() == [1] * 200
    drawn = s_pt(saliency, boxes, ties="random")["s_pt"]
    assert 0.3 < drawn.mean() < 0.7
    assert torch.equal(drawn, s_pt(saliency, boxes, ties="random")["s_pt"])
    unique = point_at(2, 2).expand(200, -1, -1, -1)
    assert s_pt(unique, boxes, ties="random")["s_pt"].tolist() == [1] * 200


@pytest.mark.choice("spt.constant")
@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_constant_frame_points_at_the_corner_or_does_not_count(level, clips_of_unequal_length):
    """Clip 1: frame 0 hits, 1 and 2 are constant, the box of frame 2 is far from the corner; frame 3 misses."""
    saliency, boxes, _ = clips_of_unequal_length
    saliency[1, 1:3] = level
    boxes[1, 2] = boxes[1, 2].flip(0, 1)
    missed, skipped = (s_pt(saliency, boxes, constant=constant) for constant in ("miss", "skip"))
    assert missed["s_pt"].tolist() == [1, 0.5, 0]
    assert skipped["s_pt"].tolist() == [1, 0.5, 0]
    assert missed.weights["s_pt"].tolist() == [1, 4, 2]
    assert skipped.weights["s_pt"].tolist() == [1, 2, 2]
    for scores in (missed, skipped):
        assert scores["constant_frames"].tolist() == [0, 2, 0]
    assert torch.equal(s_pt(saliency, boxes).weights["s_pt"], missed.weights["s_pt"])


def test_a_constant_map_points_at_the_corner_and_every_frame_is_counted(corner):
    flat = torch.full((1, 1, 30, 40), 0.5)
    for boxes, hit in ((corner, 1), (corner.flip(2, 3), 0)):  # (4, 2) is 4.5 pixels from (0, 0)
        scores = s_pt(flat, boxes)
        assert scores["s_pt"].item() == hit
        assert scores["constant_frames"].item() == 1
        assert scores.reasons == {}


def test_a_constant_map_is_not_scored_where_constant_frames_are_skipped(corner):
    scores = s_pt(torch.zeros(1, 1, 30, 40), corner, constant="skip")
    assert torch.isnan(scores["s_pt"]).all()
    assert scores.reasons == {"s_pt": {0: "the map is constant on every frame that counts"}}


def test_constant_frames_without_a_box_are_no_matter_unless_they_count(corner):
    saliency, boxes = torch.zeros(1, 2, 30, 40), torch.zeros(1, 2, 30, 40, dtype=torch.bool)
    saliency[0, 0, 5, 5] = 1
    boxes[0, 0] = corner[0, 0]
    assert s_pt(saliency, boxes)["constant_frames"].item() == 0
    assert s_pt(saliency, boxes, unannotated="miss")["constant_frames"].item() == 1


def test_a_clip_without_a_box_is_not_scored_and_says_why(corner):
    saliency = point_at(5, 5).repeat(2, 1, 1, 1)
    scores = s_pt(saliency, torch.cat([torch.zeros_like(corner), corner]))
    assert torch.isnan(scores["s_pt"]).tolist() == [True, False]
    assert scores.reasons == {"s_pt": {0: "no box in the sampled frames"}}
    assert s_pt(saliency, torch.cat([torch.zeros_like(corner), corner]), unannotated="miss")["s_pt"].tolist() == [0, 1]


@pytest.mark.parametrize("unannotated", ["skip", "miss"])
def test_a_data_set_without_boxes_is_not_scored_and_says_why(unannotated):
    scores = s_pt(point_at(5, 5), None, unannotated=unannotated)
    for key in ("s_pt", "constant_frames"):
        assert torch.isnan(scores[key]).all()
        assert scores.reasons[key] == {0: "no boxes"}


INCREASING = [lambda s: s**3, torch.exp, lambda s: 7 * s - 3, lambda s: s / (1.5 - s)]


@pytest.mark.identity(24)
@settings(max_examples=20)
@given(
    st.integers(0, 2**31), st.sampled_from(SHAPES), st.sampled_from(INCREASING), st.sampled_from(["first", "random"])
)
def test_only_the_order_within_a_frame_counts(seed, shape, increasing, ties):
    saliency, boxes = scene(seed, shape)
    saliency = (8 * saliency).floor() / 8  # ties, too
    plain, bent = (s_pt(s, boxes, ties=ties, radius=1) for s in (saliency, increasing(saliency)))
    assert torch.equal(plain["s_pt"], bent["s_pt"])
    action = torch.rand(3, shape[0], generator=generators(seed)[0]) < 0.5
    plain, bent = (t_pt(s, action, frame_score="max") for s in (saliency, increasing(saliency)))
    assert torch.equal(plain["t_pt"].nan_to_num(-1), bent["t_pt"].nan_to_num(-1))


@pytest.mark.identity(26)
@given(st.integers(0, 2**31), st.sampled_from(SHAPES), st.sampled_from(["circle", "square"]), st.sampled_from([0, 7]))
def test_the_boxes_as_a_map_always_hit(seed, shape, outline, radius):
    """On annotated frames, and also where a box fills its frame and the map is constant."""
    _, boxes = scene(seed, shape)
    boxes[1, 0] = True
    scores = s_pt(boxes.float(), boxes, shape=outline, radius=radius)
    assert scores["s_pt"].tolist() == [1, 1, 1]
    assert scores.weights["s_pt"].tolist() == boxes.flatten(2).any(2).sum(1).tolist()


@pytest.mark.identity(26)
@settings(max_examples=20)
@given(st.integers(0, 2**31), st.sampled_from(SHAPES), st.sampled_from(["circle", "square"]), st.booleans())
def test_the_rate_does_not_fall_with_the_radius(seed, shape, outline, strict):
    saliency, boxes = scene(seed, shape)
    rates = [
        s_pt(saliency, boxes, shape=outline, strict=strict, radius=r)["s_pt"] for r in (0, 1, 1.5, 2, 4, 7, 15, 60)
    ]
    assert (torch.stack(rates).diff(dim=0) >= 0).all()
    assert (rates[-1] == 1).all()


@pytest.mark.identity(26)
@settings(max_examples=20)
@given(st.integers(0, 2**31), st.sampled_from(SHAPES), st.sampled_from([(1,), (2,), (3,), (1, 2, 3)]))
def test_flipping_map_and_boxes_together_changes_nothing(seed, shape, axes):
    saliency, boxes = scene(seed, shape)
    flipped = s_pt(saliency.flip(axes), boxes.flip(axes), radius=2)
    assert torch.equal(flipped["s_pt"], s_pt(saliency, boxes, radius=2)["s_pt"])


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.permutations(range(8)), st.sampled_from(["first", "random"]))
@pytest.mark.identity(30)
def test_clips_are_scored_one_by_one(seed, order, ties):
    """Eight at once, in another order, or alone."""
    saliency, boxes = scene(seed, (3, 8, 10), 8)
    saliency = (4 * saliency).floor() / 4
    action = torch.rand(8, 3, generator=generators(seed)[0]) < 0.5
    batch = batch_of(saliency, boxes, action=action)
    for metric, key in ((SpatialPointingGame(ties=ties, radius=1), "s_pt"), (TemporalPointingGame(), "t_pt")):
        batch.generators = generators(*range(8))
        expected = metric(None, batch, saliency)[key].nan_to_num(-1)
        moved = batch_of(saliency[order], boxes[order], action=action[order])
        moved.generators = generators(*order)
        assert torch.equal(metric(None, moved, saliency[order])[key].nan_to_num(-1), expected[order])
        one = batch_of(saliency[5:6], boxes[5:6], action=action[5:6])
        one.generators = generators(5)
        assert torch.equal(metric(None, one, saliency[5:6])[key].nan_to_num(-1), expected[5:6])


# The temporal game


@settings(max_examples=30)
@given(st.integers(0, 2**31), st.sampled_from([*SHAPES, (16, 3, 5)]), st.sampled_from(["sum", "max"]))
def test_temporal_hits_agree_with_a_plain_loop(seed, shape, frame_score):
    generator = generators(seed)[0]
    saliency = torch.rand(3, *shape, generator=generator)
    action = torch.rand(3, shape[0], generator=generator) < 0.5
    action[:, 0] = True
    value = math.fsum if frame_score == "sum" else max
    for gt in ("action", "stp_inverted"):
        scores = t_pt(saliency, action, frame_score=frame_score, gt=gt)
        for i in range(3):
            frames = [value(frame.flatten().tolist()) for frame in saliency[i]]
            truth = [a == (gt == "action") for a in action[i].tolist()]
            if len(frames) == 1 or not any(truth):
                assert torch.isnan(scores["t_pt"][i])
            else:
                assert scores["t_pt"][i].item() == truth[frames.index(max(frames))]


@pytest.fixture
def flash_and_glow():
    """Frame 1 has the brightest voxel, frame 2 the largest sum; the action is frames 2 and 3."""
    saliency = torch.zeros(1, 4, 5, 6)
    saliency[0, 1, 2, 2] = 1
    saliency[0, 2] = 0.25
    return saliency, torch.tensor([[False, False, True, True]])


@pytest.mark.choice("tpt.frame_score")
@pytest.mark.parametrize(("options", "hit"), [({}, 1), ({"frame_score": "sum"}, 1), ({"frame_score": "max"}, 0)])
def test_a_frame_s_score_is_its_sum_or_its_largest_voxel(options, hit, flash_and_glow):
    assert t_pt(*flash_and_glow, **options)["t_pt"].item() == hit


@pytest.mark.choice("tpt.gt")
@pytest.mark.parametrize(("options", "hit"), [({}, 1), ({"gt": "action"}, 1), ({"gt": "stp_inverted"}, 0)])
def test_the_truth_is_the_action_or_what_the_release_marks(options, hit, flash_and_glow):
    assert t_pt(*flash_and_glow, **options)["t_pt"].item() == hit


@pytest.mark.choice("tpt.gt")
@given(st.integers(0, 2**31))
def test_under_the_inverted_truth_every_hit_is_a_miss(seed):
    generator = generators(seed)[0]
    saliency, action = torch.rand(4, 6, 3, 3, generator=generator), torch.rand(4, 6, generator=generator) < 0.5
    action[:, 0], action[:, 1] = True, False
    assert (t_pt(saliency, action)["t_pt"] + t_pt(saliency, action, gt="stp_inverted")["t_pt"] == 1).all()


def test_of_equal_frames_the_first_is_pointed_at():
    saliency = torch.zeros(1, 4, 2, 2)
    saliency[0, 1] = saliency[0, 3] = 1
    for action, hit in (([False, True, False, False], 1), ([False, False, False, True], 0)):
        assert t_pt(saliency, torch.tensor([action]))["t_pt"].item() == hit


@pytest.mark.parametrize("frame_score", ["sum", "max"])
def test_frames_that_all_score_the_same_point_nowhere(frame_score):
    """Also where the same values stand in another order, so that only rounding tells their sums apart."""
    generator = generators(0)[0]
    frame = torch.rand(35, generator=generator, dtype=torch.float64)
    shuffled = torch.stack([frame[torch.randperm(35, generator=generator)] for _ in range(8)]).view(1, 8, 5, 7)
    if frame_score == "sum":
        assert len(shuffled.sum(dim=(2, 3)).unique()) > 1
    saliency = torch.cat([torch.full((1, 8, 5, 7), 0.3), torch.zeros(1, 8, 5, 7), shuffled])
    scores = t_pt(saliency, torch.ones(3, 8, dtype=torch.bool), frame_score=frame_score)
    assert torch.isnan(scores["t_pt"]).all()
    assert scores.reasons == {"t_pt": dict.fromkeys(range(3), "every frame has the same score")}


def test_without_a_segment_nothing_is_scored_and_it_says_why(flash_and_glow):
    saliency, action = flash_and_glow
    scores = t_pt(saliency, None)
    assert torch.isnan(scores["t_pt"]).all()
    assert scores.reasons == {"t_pt": {0: "no action segment"}}
    for gt, frames in (("action", torch.zeros_like(action)), ("stp_inverted", torch.ones_like(action))):
        scores = t_pt(saliency, frames, gt=gt)
        assert torch.isnan(scores["t_pt"]).all()
        assert scores.reasons == {"t_pt": {0: "no sampled frame lies in the segment to be hit"}}


@pytest.mark.parametrize("metric", [SpatialPointingGame(), TemporalPointingGame()])
@pytest.mark.parametrize("bad", ["nan", "inf"])
def test_a_map_that_is_not_finite_is_refused(metric, bad, corner):
    saliency = point_at(5, 5)
    saliency[0, 0, 0, 0] = float(bad)
    with pytest.raises(ValueError, match=r"^saliency holds NaN or infinity$"):
        metric(None, batch_of(saliency, corner, action=torch.ones(1, 1, dtype=torch.bool)), saliency)


@pytest.mark.parametrize(
    ("metric", "options", "message"),
    [
        (SpatialPointingGame, {"shape": "disc"}, "shape = disc is not one of circle, square"),
        (SpatialPointingGame, {"radius": -1}, "radius = -1 is outside"),
        (SpatialPointingGame, {"radius_224": "15"}, "radius_224 = 15 is outside"),
        (SpatialPointingGame, {"strict": "yes"}, "strict = yes is not one of False, True"),
        (SpatialPointingGame, {"average": "frame"}, "average = frame is not one of pooled, clip, class"),
        (SpatialPointingGame, {"unannotated": "hit"}, "unannotated = hit is not one of skip, miss"),
        (SpatialPointingGame, {"swap_xy": None}, "swap_xy = None is not one of False, True"),
        (SpatialPointingGame, {"ties": "last"}, "ties = last is not one of first, random"),
        (SpatialPointingGame, {"constant": "hit"}, "constant = hit is not one of miss, skip"),
        (TemporalPointingGame, {"frame_score": "mean"}, "frame_score = mean is not one of sum, max"),
        (TemporalPointingGame, {"gt": "background"}, "gt = background is not one of action, stp_inverted"),
    ],
)
def test_a_wrong_option_is_one_clear_line(metric, options, message):
    with pytest.raises(OutOfRange, match=message):
        metric(**options)
