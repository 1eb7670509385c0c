import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import Everything, GapFC, clips, golden_clip, seeded, tiny_a

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
