import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vxbench.errors import OutOfRange
from vxbench.metrics import Batch, SpatiotemporalConsistency

NORMS = ["recall", "precision", "iou", "count"]
T, H, W = 3, 4, 5


def score(saliency, boxes, **options):
    clip = torch.zeros(len(saliency), 3, *saliency.shape[1:])
    label = torch.zeros(len(saliency), dtype=torch.long)
    return SpatiotemporalConsistency(**options)(None, Batch(clip, label, label, boxes), saliency)


@pytest.fixture
def example():
    """Frame 0: 6 voxels in the box, 4 of them hot, and 2 hot outside. Frame 1: 2 in the box, none hot.
    Frame 2: no box, 5 hot."""
    boxes = torch.zeros(1, T, H, W, dtype=torch.bool)
    boxes[0, 0, :2, :3] = True
    boxes[0, 1, 3, :2] = True
    saliency = torch.full((1, T, H, W), 0.25)
    saliency[0, 0, :2, 1:4] = 0.5
    saliency[0, 2, 0] = 1.0
    return saliency, boxes


@pytest.mark.choice("stc.norm")
@pytest.mark.parametrize(
    ("norm", "expected"),
    [("recall", 100 * 4 / 8), ("precision", 100 * 4 / 6), ("iou", 100 * 4 / 10), ("count", 4)],
)
def test_by_hand(norm, expected, example):
    """The hot voxels of the frame without a box count only for the area."""
    scores = score(*example, norm=norm)
    assert scores["stc"].item() == pytest.approx(expected)
    assert scores["area_above_tau"].item() == pytest.approx(100 * 11 / 60)
    assert scores.reasons == {}


def some_boxes(seed, clips=2):
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(clips, T, H, W, generator=generator) < 0.3
    boxes[:, 0, 0, 0] = True
    return boxes, torch.rand(clips, T, H, W, generator=generator)


@pytest.mark.identity(25)
@given(st.integers(0, 2**31))
def test_a_map_of_ones_recalls_every_box(seed):
    boxes, saliency = some_boxes(seed)
    scores = score(torch.ones_like(saliency), boxes)
    assert scores["stc"].tolist() == [100, 100]
    assert scores["area_above_tau"].tolist() == [100, 100]


@pytest.mark.identity(25)
@given(st.integers(0, 2**31), st.floats(0.01, 1), st.sampled_from(NORMS))
def test_the_boxes_as_a_map_are_perfect_at_every_tau(seed, tau, norm):
    boxes, _ = some_boxes(seed)
    stc = score(boxes.float(), boxes, norm=norm, tau=tau)["stc"]
    expected = boxes.flatten(1).sum(1).float() if norm == "count" else torch.tensor([100.0, 100.0])
    assert torch.equal(stc, expected)


@pytest.mark.identity(25)
@given(st.integers(0, 2**31))
def test_recall_does_not_rise_with_tau(seed):
    boxes, saliency = some_boxes(seed)
    curve = torch.stack([score(saliency, boxes, tau=tau / 20)["stc"] for tau in range(21)])
    assert (curve.diff(dim=0) <= 0).all()


@given(st.integers(0, 2**31))
def test_ranges_and_order(seed):
    boxes, saliency = some_boxes(seed)
    scores = {norm: score(saliency, boxes, norm=norm)["stc"] for norm in NORMS}
    for norm in ("recall", "precision", "iou"):
        assert ((scores[norm] >= 0) & (scores[norm] <= 100)).all()
    assert (scores["iou"] <= scores["recall"]).all()
    assert (scores["iou"] <= scores["precision"]).all()


@pytest.mark.identity(24)
def test_monotone_maps_of_the_saliency_change_it(example):
    saliency, boxes = example
    assert score(saliency, boxes)["stc"] == 50
    assert score(saliency**2, boxes)["stc"] == 0  # same order, .5 became .25
    assert score(saliency.sqrt(), boxes)["stc"] == 100  # .25 became .5


@pytest.mark.parametrize("norm", NORMS)
def test_a_map_below_tau_scores_zero(norm, example):
    saliency, boxes = example
    scores = score(torch.zeros_like(saliency), boxes, norm=norm)
    assert scores["stc"] == 0
    assert scores["area_above_tau"] == 0


def scores_slowly(saliency, boxes, norm, tau):
    """Both keys of one clip (T, H, W), voxel by voxel."""
    both = hot = boxed = above = 0
    for t in range(len(boxes)):
        for o, s in zip(boxes[t].flatten().tolist(), saliency[t].flatten().tolist(), strict=True):
            above += s >= tau
            boxed += o
            both += o and s >= tau
            hot += s >= tau and bool(boxes[t].any())
    whole = {"recall": boxed, "precision": hot, "iou": boxed + hot - both, "count": 100}[norm]
    return 100 * both / whole if whole else 0.0, 100 * above / saliency.numel()


@pytest.mark.choice("stc.norm")
@pytest.mark.choice("stc.tau")
@settings(max_examples=40)
@given(
    st.integers(0, 2**31),
    st.sampled_from([(3, 4, 5), (1, 7, 3), (5, 3, 11)]),
    st.sampled_from(NORMS),
    st.sampled_from([0.0, 0.25, 0.5, 0.77, 1.0]),
)
def test_scores_agree_with_a_plain_loop_in_float64(seed, shape, norm, tau):
    generator = torch.Generator().manual_seed(seed)
    saliency = torch.rand(3, *shape, generator=generator, dtype=torch.float64)
    boxes = (torch.rand(3, *shape, generator=generator) < 0.3) & (
        torch.rand(3, shape[0], 1, 1, generator=generator) < 0.7
    )
    scores = score(saliency, boxes, norm=norm, tau=tau)
    for i in range(3):
        stc, area = scores_slowly(saliency[i], boxes[i], norm, tau)
        if boxes[i].any():
            assert scores["stc"][i].item() == pytest.approx(stc, rel=1e-6)
        else:
            assert torch.isnan(scores["stc"][i])
        assert scores["area_above_tau"][i].item() == pytest.approx(area, rel=1e-6)


@pytest.mark.choice("stc.norm")
def test_recall_is_the_default_and_the_norm_leaves_the_area_alone(example):
    by_norm = {norm: score(*example, norm=norm) for norm in NORMS}
    assert score(*example)["stc"] == by_norm["recall"]["stc"]
    assert len({scores["stc"].item() for scores in by_norm.values()}) == len(NORMS)
    assert len({scores["area_above_tau"].item() for scores in by_norm.values()}) == 1


@pytest.mark.choice("stc.tau")
@pytest.mark.parametrize(("tau", "stc", "area"), [(0.2, 100, 100), (0.5, 50, 100 * 11 / 60), (0.6, 0, 100 * 5 / 60)])
def test_tau_changes_what_is_hot(tau, stc, area, example):
    """A voxel at tau counts. The default is .5."""
    scores = score(*example, tau=tau)
    assert scores["stc"].item() == stc
    assert scores["area_above_tau"].item() == pytest.approx(area)
    if tau == 0.5:
        assert score(*example)["stc"] == scores["stc"]


@pytest.mark.parametrize(("level", "stc"), [(0.0, 0), (0.49, 0), (0.5, 100), (1.0, 100)])
def test_a_constant_map_is_scored(level, stc, example):
    saliency, boxes = example
    scores = score(torch.full_like(saliency, level), boxes)
    assert scores["stc"].item() == stc
    assert scores.reasons == {}


@pytest.mark.parametrize("bad", ["nan", "inf"])
def test_a_map_that_is_not_finite_is_refused(bad, example):
    saliency, boxes = example
    saliency[0, 2, 0, 0] = float(bad)
    with pytest.raises(ValueError, match=r"^saliency holds NaN or infinity$"):
        score(saliency, boxes)


@pytest.mark.identity(30)
def test_a_batch_of_8_is_8_clips():
    boxes, saliency = some_boxes(0, 8)
    together = score(saliency, boxes)
    for key in ("stc", "area_above_tau"):
        alone = torch.cat([score(saliency[i : i + 1], boxes[i : i + 1])[key] for i in range(8)])
        assert torch.equal(alone, together[key])


def test_a_clip_without_a_box_is_not_scored_and_says_why(example):
    saliency, boxes = example
    pair = torch.cat([saliency, saliency]), torch.cat([boxes, torch.zeros_like(boxes)])
    scores = score(*pair)
    assert scores["stc"][0] == 50
    assert torch.isnan(scores["stc"][1])
    assert scores.reasons == {"stc": {1: "no box in the sampled frames"}}
    assert torch.isfinite(scores["area_above_tau"]).all()


def test_a_data_set_without_boxes_is_not_scored_and_says_why(example):
    scores = score(example[0], None)
    assert torch.isnan(scores["stc"]).all()
    assert scores.reasons == {"stc": {0: "no boxes"}}
    assert scores["area_above_tau"].item() == pytest.approx(100 * 11 / 60)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"norm": "f1"}, "norm = f1 is not one of"), ({"tau": 1.5}, r"tau = 1.5 is outside \[0, 1\]")],
)
def test_a_wrong_option_is_one_clear_line(options, message):
    with pytest.raises(OutOfRange, match=message):
        SpatiotemporalConsistency(**options)


def test_a_box_on_a_frame_whose_annotation_is_not_valid_counts_nowhere(example):
    saliency, boxes = example
    clip, label = torch.zeros(1, 3, T, H, W), torch.zeros(1, dtype=torch.long)
    annotated = torch.tensor([[True, False, True]])
    stc = SpatiotemporalConsistency()(None, Batch(clip, label, label, boxes, annotated), saliency)["stc"]
    assert stc.item() == pytest.approx(100 * 4 / 6)
