import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.toys import Everything, GapFC, clips, golden_clip, seeded, tiny_a
from hypothesis import given, settings
from hypothesis import strategies as st

from vxbench.errors import OutOfRange
from vxbench.explainers.perturbation.pyramid import Pyramid
from vxbench.metrics import Batch, DropInConfidence, ExplanationAccuracy, Faithfulness

OPERATORS = ["blur", "fade", "product"]
SHAPE = (4, 3, 4, 12, 16)


@pytest.fixture
def model():
    return seeded(GapFC())


@pytest.fixture
def batch(model):
    """Noise on a colour of each clip's own. Labels agree with the prediction on the first two clips only."""
    clip = clips(*SHAPE) + 2 * clips(4, 3, 1, 1, 1, seed=1)
    with torch.no_grad():
        predicted = model(clip).argmax(1)
    label = predicted.clone()
    label[2:] = (label[2:] + 1) % 4
    return Batch(clip, predicted, label)


@pytest.fixture
def saliency():
    return torch.rand(4, 4, 12, 16, generator=torch.Generator().manual_seed(5))


@pytest.mark.identity(25)
@pytest.mark.parametrize("operator", OPERATORS)
def test_a_map_of_ones_drops_nothing_and_has_the_model_s_accuracy(operator, model, batch):
    scores = Faithfulness(operator)(model, batch, torch.ones(4, 4, 12, 16))
    assert scores["dc"].tolist() == [0, 0, 0, 0]  # X_e is X, bit by bit
    assert scores["accuracy"].tolist() == [100, 100, 0, 0]
    as_predicted = Faithfulness(operator, label="pred")(model, batch, torch.ones(4, 4, 12, 16))
    assert as_predicted["accuracy"].tolist() == [100, 100, 100, 100]


@pytest.mark.parametrize("operator", OPERATORS)
def test_against_a_plain_loop(operator, model, batch, saliency):
    """y is the class predicted on X, whatever class was explained and whatever X_e is taken for."""
    batch.target = (batch.target + 1) % 4
    saliency = saliency**4
    scores = Faithfulness(operator)(model, batch, saliency)
    changed = 0
    for i in range(4):
        x, s = batch.clip[i : i + 1], saliency[i : i + 1]
        explained = x * s[:, None] if operator == "product" else Pyramid(x, operator).apply(s)
        before, after = model(x).softmax(1)[0], model(explained).softmax(1)[0]
        y = before.argmax()
        changed += int(after.argmax() != y)
        drop = 100 * max(0.0, (before[y] - after[y]).item())
        assert scores["dc"][i].item() == pytest.approx(drop, abs=1e-3)  # float32 probabilities, in points
        assert scores["accuracy"][i] == (100 if after.argmax() == batch.label[i] else 0)
    assert changed > 0


def test_fade_is_the_product(model, batch, saliency):
    """The faded pyramid at m is m X; only rounding differs (float32, in points)."""
    faded, product = (Faithfulness(o)(model, batch, saliency)["dc"] for o in ("fade", "product"))
    torch.testing.assert_close(faded, product, rtol=1e-4, atol=1e-3)


@pytest.mark.identity(25)
@settings(max_examples=25)
@given(st.integers(0, 2**31), st.sampled_from(OPERATORS), st.sampled_from(["gt", "pred"]))
def test_ranges(seed, operator, label):
    generator = torch.Generator().manual_seed(seed)
    clip = 3 * torch.randn(2, 3, 2, 6, 8, generator=generator)
    saliency = torch.rand(2, 2, 6, 8, generator=generator).round()
    batch = Batch(clip, torch.tensor([0, 1]), torch.tensor([2, 3]))
    scores = Faithfulness(operator, label)(seeded(GapFC(), seed % 7), batch, saliency)
    assert ((scores["dc"] >= 0) & (scores["dc"] <= 100)).all()
    assert set(scores["accuracy"].tolist()) <= {0.0, 100.0}


@pytest.mark.identity(24)
def test_monotone_maps_of_the_saliency_change_dc_and_accuracy():
    """Both read the map's values, not its order: S and S^40 rank alike and score differently."""
    model, clip = tiny_a(), golden_clip("small0")
    batch = Batch(clip, torch.tensor([8]), torch.tensor([8]))
    saliency = torch.linspace(0.9, 1, 8).view(1, 8, 1, 1).expand(1, 8, 56, 56)
    metric = Faithfulness()
    plain, bent = metric(model, batch, saliency), metric(model, batch, saliency**40)
    assert (bent["dc"] - plain["dc"]).abs() > 1  # points
    assert plain["accuracy"] == 100
    assert bent["accuracy"] == 0


@pytest.mark.parametrize("chunk", [1, 3])
def test_chunk_and_batch_change_nothing(chunk, model, batch, saliency):
    expected = Faithfulness()(model, batch, saliency)
    chunked = Faithfulness(chunk=chunk)(model, batch, saliency)
    for key in ("dc", "accuracy"):  # float32 probabilities, in points
        torch.testing.assert_close(chunked[key], expected[key], rtol=1e-5, atol=1e-3)


def test_the_pair_runs_the_network_twice_a_clip_at_most_chunk_at_once(model, batch, saliency):
    seen = []
    model.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    Faithfulness(chunk=3)(model, batch, saliency)
    assert seen == [3, 1, 3, 1]


def test_each_metric_alone_gives_its_own_column(model, batch, saliency):
    pair = Faithfulness("product", "pred")(model, batch, saliency)
    drop = DropInConfidence("product")(model, batch, saliency)
    accuracy = ExplanationAccuracy("product", "pred")(model, batch, saliency)
    assert set(drop) == {"dc"} == set(DropInConfidence.keys)
    assert set(accuracy) == {"accuracy"} == set(ExplanationAccuracy.keys)
    assert torch.equal(drop["dc"], pair["dc"])
    assert torch.equal(accuracy["accuracy"], pair["accuracy"])


def explained_slowly(x, s, operator, levels=8, max_sigma=20.0):
    """X_e of one clip (3, T, H, W) in float64, pixel by pixel: between the two nearest levels of blur."""
    x, s = x.double().numpy(), s.double().numpy()
    if operator == "product":
        return x * s
    level = [
        blurred_slowly(x, max_sigma * (1 - i / (levels - 1))) if operator == "blur" else x * i / (levels - 1)
        for i in range(levels)
    ]
    explained = np.empty_like(x)
    for t, h, w in np.ndindex(s.shape):
        at = s[t, h, w] * (levels - 1)
        low = min(int(at), levels - 2)
        share = at - low
        explained[:, t, h, w] = (1 - share) * level[low][:, t, h, w] + share * level[low + 1][:, t, h, w]
    return explained


def blurred_slowly(x, sigma):
    """Rows, then columns: the mean of all pixels within 4 sigma, Gaussian weights, zeros beyond the border."""
    if sigma == 0:
        return x
    for axis in (2, 3):
        half = math.ceil(4 * sigma)
        weight = [math.exp(-(d**2) / (2 * sigma**2)) for d in range(-half, half + 1)]
        taps = np.array(weight) / sum(weight)
        x = np.apply_along_axis(lambda line: np.convolve(line, taps)[half : half + len(line)], axis, x)  # noqa: B023
    return x


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("shape", [(3, 5, 7), (1, 9, 4), (6, 11, 13)])
@pytest.mark.parametrize("label", ["gt", "pred"])
def test_scores_agree_with_a_plain_loop_in_float64(operator, shape, label):
    """Float64 to rounding; in float32 the probabilities agree to 1e-6, which is 1e-4 points."""
    changed = 0
    for seed in range(4):
        model = seeded(GapFC(), seed).double()
        clip = (clips(2, 3, *shape, seed=seed) + 2 * clips(2, 3, 1, 1, 1, seed=seed + 50)).double()
        saliency = torch.rand(2, *shape, generator=torch.Generator().manual_seed(seed)) ** 3
        truth = torch.tensor([seed % 4, (seed + 1) % 4])
        scores = Faithfulness(operator, label)(model, Batch(clip, truth, truth), saliency)
        narrow = Faithfulness(operator, label)(seeded(GapFC(), seed), Batch(clip.float(), truth, truth), saliency)
        for i in range(2):
            x_e = torch.from_numpy(explained_slowly(clip[i], saliency[i], operator))
            with torch.no_grad():
                before, after = model(clip[i : i + 1]).softmax(1)[0], model(x_e[None]).softmax(1)[0]
            y = before.argmax()
            right = after.argmax() == (truth[i] if label == "gt" else y)
            changed += int(after.argmax() != y)
            drop = 100 * max(0.0, (before[y] - after[y]).item())
            assert scores["dc"][i].item() == pytest.approx(drop, rel=0, abs=1e-6)
            assert narrow["dc"][i].item() == pytest.approx(drop, rel=0, abs=1e-4)
            assert scores["accuracy"][i] == narrow["accuracy"][i] == (100 if right else 0)
    assert changed > 0


@pytest.mark.choice("dc.operator")
def test_the_operator_changes_what_stands_where_the_map_is_0(model, batch):
    """Nothing under a map of ones; under a map of zeros the blurred clip (the default), or the mean colour."""
    ones, zeros = torch.ones(4, 4, 12, 16), torch.zeros(4, 4, 12, 16)
    kept = {operator: Faithfulness(operator).explained(batch.clip, ones) for operator in OPERATORS}
    gone = {operator: Faithfulness(operator).explained(batch.clip, zeros) for operator in OPERATORS}
    for operator in OPERATORS:
        assert torch.equal(kept[operator], batch.clip)
    assert (gone["blur"] != 0).any()
    assert torch.equal(gone["fade"], torch.zeros_like(batch.clip))
    assert torch.equal(gone["product"], torch.zeros_like(batch.clip))
    assert torch.equal(Faithfulness().explained(batch.clip, zeros), gone["blur"])
    drop = {operator: Faithfulness(operator)(model, batch, zeros)["dc"] for operator in OPERATORS}
    assert not torch.allclose(drop["blur"], drop["fade"], atol=1e-1)


@pytest.mark.choice("acc.label")
def test_the_label_changes_accuracy_only_and_only_where_the_model_is_wrong(model, batch, saliency):
    truth, predicted = (Faithfulness(label=label)(model, batch, saliency**0.05) for label in ("gt", "pred"))
    assert torch.equal(truth["dc"], predicted["dc"])
    assert truth["accuracy"].tolist() == [100, 100, 0, 0]  # the model is wrong on the last two
    assert predicted["accuracy"].tolist() == [100, 100, 100, 100]
    assert torch.equal(Faithfulness()(model, batch, saliency**0.05)["accuracy"], truth["accuracy"])


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_constant_map_is_scored(level, model, batch):
    scores = Faithfulness()(model, batch, torch.full((4, 4, 12, 16), level))
    assert torch.isfinite(scores["dc"]).all()
    assert torch.isfinite(scores["accuracy"]).all()
    assert scores.reasons == {}


def test_where_p_y_is_0_nothing_can_drop(batch, saliency):
    class Silent(GapFC):
        outputs = "probs"

        def forward(self, clip):
            return torch.zeros(len(clip), 4)

    scores = Faithfulness()(Silent(), batch, saliency)
    assert scores["dc"].tolist() == [0, 0, 0, 0]
    assert scores.reasons == {}


def test_clips_without_boxes_are_scored(model, batch, saliency):
    boxed = replace(batch, boxes=torch.zeros(4, 4, 12, 16, dtype=torch.bool))
    expected, scores = (Faithfulness()(model, b, saliency) for b in (boxed, batch))
    assert torch.equal(scores["dc"], expected["dc"])


@pytest.mark.parametrize("bad", ["nan", "inf"])
def test_a_map_that_is_not_finite_is_refused(bad, model, batch, saliency):
    saliency[2, 0, 0, 0] = float(bad)
    with pytest.raises(ValueError, match=r"^saliency holds NaN or infinity$"):
        Faithfulness()(model, batch, saliency)


@pytest.mark.identity(30)
def test_a_batch_of_8_is_8_clips(model):
    clip, saliency = clips(8, *SHAPE[1:]), torch.rand(8, 4, 12, 16, generator=torch.Generator().manual_seed(5))
    label = torch.arange(8) % 4
    together = Faithfulness()(model, Batch(clip, label, label), saliency)
    for i in range(8):
        here = slice(i, i + 1)
        alone = Faithfulness()(model, Batch(clip[here], label[here], label[here]), saliency[here])
        assert alone["dc"][0].item() == pytest.approx(together["dc"][i].item(), abs=1e-3)  # float32, in points
        assert alone["accuracy"][0] == together["accuracy"][i]


def test_an_output_that_is_not_finite_is_not_scored(model, batch, saliency):
    batch.clip[1, 0, 0, 0, 0] = float("inf")
    scores = Faithfulness()(model, batch, saliency)
    for key in ("dc", "accuracy"):
        assert torch.isnan(scores[key]).tolist() == [False, True, False, False]
        assert scores.reasons[key] == {1: "the network's output is not finite"}


def test_a_model_left_in_training_mode_is_scored_in_eval_mode_and_left_as_it_was(batch, saliency):
    model = seeded(Everything())  # dropout and batch norm
    expected = Faithfulness()(model, batch, saliency)
    model.train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    scores = Faithfulness()(model, batch, saliency)
    assert torch.equal(scores["dc"], expected["dc"])
    assert all(module.training for module in model.modules())
    assert all(weight.requires_grad and weight.grad is None for weight in model.parameters())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"operator": "grey"}, "operator = grey is not one of blur, fade, product"),
        ({"label": "target"}, "label = target is not one of gt, pred"),
        ({"levels": 1}, "levels = 1 is not a whole number"),
        ({"max_sigma": 0}, "max_sigma = 0 is outside"),
        ({"chunk": 0}, "chunk = 0 is not a whole number"),
    ],
)
def test_a_wrong_option_is_one_clear_line(options, message):
    with pytest.raises(OutOfRange, match=message):
        Faithfulness(**options)
