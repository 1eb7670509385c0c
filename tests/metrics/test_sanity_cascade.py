"""What the networks are whose maps are compared."""

import pytest
import torch
from helpers.sanity_runs import (
    ALL_BATCH_NORMS,
    BATCH_NORMS,
    NAMES,
    SHAPE,
    STAGES,
    Witness,
    changed,
    make_batch,
    make_model,
    networks_of,
    scores_of,
    weights_of,
)
from helpers.toys import clips, seeded
from torch import nn

from vxbench.errors import OutOfRange, UserError
from vxbench.explainers import Gradients
from vxbench.metrics.sanity import SanityCheck
from vxbench.metrics.sanity.cascade import randomise


@pytest.fixture
def model():
    return make_model()


@pytest.fixture
def batch():
    return make_batch()


@pytest.fixture
def calibration():
    return 2 * clips(10, *SHAPE, seed=3, dtype=torch.float64) + 1


def test_stages_add_up_and_nothing_else_changes(model):
    networks = networks_of(model, bn="keep")
    trained = model.state_dict()
    assert changed(trained, networks["original"]) == set()
    assert changed(trained, networks["fc"]) == weights_of("fc")
    assert changed(trained, networks["layer2"]) == weights_of("fc", "layer2")
    assert changed(trained, networks["layer1"]) == weights_of("fc", "layer2", "layer1")
    assert changed(networks["fc"], networks["layer1"]) == weights_of("layer2", "layer1")  # what is random stays so


def test_weights_come_from_their_modules_own_initialisers(model):
    """A uniform distribution within 1 / sqrt(fan in) for convolutions and linear layers; 1 and 0 for batch norm."""
    network = networks_of(model, bn="keep")["layer1"]
    for name, fan_in in {"fc": 8, "layer1.0": 3 * 27, "layer2.0": 6 * 27}.items():
        weight, bound = network[f"{name}.weight"], fan_in**-0.5
        assert weight.abs().max() <= bound
        assert network[f"{name}.bias"].abs().max() <= bound
        assert abs(weight.mean()) < 5 * bound / (3 * weight.numel()) ** 0.5  # five standard errors
        assert 0.7 < weight.std() / (bound / 3**0.5) < 1.3
    for name in ALL_BATCH_NORMS:
        assert (network[f"{name}.weight"] == 1).all()
        assert (network[f"{name}.bias"] == 0).all()


def test_random_weights_depend_on_the_seed_and_on_nothing_else(model):
    first = networks_of(model, bn="keep")["layer1"]
    torch.manual_seed(123)
    assert changed(first, networks_of(model, bn="keep")["layer1"]) == set()
    backwards = {"all": ["layer1", "layer2"], "fc": ["fc"]}
    assert changed(first, networks_of(model, bn="keep", stages=backwards)["fc"]) == set()
    batch_norm = {f"{n}.{p}" for n in ALL_BATCH_NORMS for p in ("weight", "bias")}
    other = changed(first, networks_of(model, bn="keep", seed=1)["layer1"])
    assert other == weights_of("fc", "layer1", "layer2") - batch_norm


def test_modules_of_one_shape_get_different_weights():
    model = nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 5))
    randomise(model, ["0", "1"], seed=0)
    assert not torch.equal(model[0].weight, model[1].weight)


def test_every_batch_meets_the_same_networks(model, calibration):
    metric = SanityCheck(witness := Witness(), STAGES)
    metric.prepare(model, calibration)
    for batch in (make_batch(3), make_batch(2)):
        metric(model, batch, batch.clip[:, 0])
    for first, second in zip(witness.networks[:4], witness.networks[4:], strict=True):
        assert changed(first.state_dict(), second.state_dict()) == set()


def test_the_class_stays_the_same(model, batch):
    """The one explained, whatever the label or what a random network predicts."""
    metric = SanityCheck(witness := Witness(), STAGES, bn="keep")
    batch.label = torch.tensor([3, 3, 3])
    metric(model, batch, batch.clip[:, 0])
    assert [target.tolist() for target in witness.targets] == 4 * [[0, 1, 2]]


def test_the_classifier_and_the_global_generator_are_left_alone(model, batch, calibration):
    model.train()
    model.layer1[0].weight.requires_grad_(False)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    wanted = [weight.requires_grad for weight in model.parameters()]
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    metric = SanityCheck(Gradients(), STAGES)
    metric.prepare(model, calibration)
    metric(model, batch, batch.clip[:, 0])
    assert torch.equal(torch.rand(3), expected)
    assert changed(state, model.state_dict()) == set()
    assert all(module.training for module in model.modules())
    assert [weight.requires_grad for weight in model.parameters()] == wanted
    assert all(weight.grad is None for weight in model.parameters())


class Attending(nn.Module):
    """What transformers and recurrent networks are made of."""

    def __init__(self):
        super().__init__()
        self.block = nn.ModuleDict(
            {"attention": nn.MultiheadAttention(6, 2, batch_first=True), "norm": nn.LayerNorm(6), "lstm": nn.LSTM(6, 6)}
        )
        self.embed, self.fc = nn.Linear(3, 6), nn.Linear(6, 4)
        self.position = nn.Parameter(torch.ones(4, 6))

    def forward(self, clip):
        x = self.embed(clip.mean(dim=(3, 4)).transpose(1, 2)) + self.position
        x = self.block["norm"](self.block["attention"](x, x, x)[0])
        return self.fc(self.block["lstm"](x)[0].mean(dim=1))


def test_attention_layer_norm_and_lstm_are_initialised_too():
    model = seeded(Attending()).double()
    network = networks_of(model, bn="recalibrate", stages={"block": ["block"]})["block"]  # no batch norm: no clips
    assert changed(model.state_dict(), network) == {name for name in model.state_dict() if name.startswith("block")}


def test_weights_without_an_initialiser_are_refused():
    model = Attending().double()
    message = r"stages: all \(Attending\) has weights and no reset_parameters; leave it out"
    wrapped = nn.Sequential()
    wrapped.add_module("all", model)
    with pytest.raises(UserError, match=message):
        networks_of(wrapped, bn="keep", stages={"everything": ["all"]})


@pytest.mark.parametrize(
    ("name", "message"),
    [("layer3", "layer3 is not a layer of the network; did you mean layer"), ("dropout", "dropout has no weights")],
)
def test_stages_must_fit_the_network(model, name, message):
    with pytest.raises(UserError, match=message):
        networks_of(model, bn="keep", stages={"first": ["fc"], "second": [name]})


def statistics(network, *layers):
    return {n: (network[f"{n}.running_mean"], network[f"{n}.running_var"]) for la in layers for n in BATCH_NORMS[la]}


def assert_trained(found, model):
    for name, (mean, variance) in found.items():
        assert torch.equal(mean, model.get_submodule(name).running_mean)
        assert torch.equal(variance, model.get_submodule(name).running_var)


@pytest.mark.choice("sanity.bn")
def test_bn_decides_on_the_running_statistics_of_random_layers_only(model, calibration):
    runs = {bn: networks_of(model, calibration, bn=bn) for bn in ("recalibrate", "keep", "reset")}
    for stage in NAMES:
        random = {"original": [], "fc": [], "layer2": ["layer2"], "layer1": ["layer1", "layer2"]}[stage]
        for bn, run in runs.items():
            differing = changed(run[stage], runs["keep"][stage])
            buffers = {
                f"{name}.{b}"
                for layer in random
                for name in BATCH_NORMS[layer]
                for b in ("running_mean", "running_var")
            }
            counters = {name for name in differing if name.endswith("num_batches_tracked")}
            assert differing - counters == (set() if bn == "keep" else buffers)
            assert_trained(statistics(run[stage], *({"layer1", "layer2"} - set(random))), model)
        assert_trained(statistics(runs["keep"][stage], "layer1", "layer2"), model)
        for mean, variance in statistics(runs["reset"][stage], *random).values():
            assert (mean == 0).all()
            assert (variance == 1).all()


@pytest.mark.choice("sanity.bn")
def test_bn_changes_the_scores_of_stages_with_random_batch_norms_only(model, calibration):
    runs = [scores_of(Gradients(), model, make_batch(), calibration, bn=bn) for bn in ("recalibrate", "keep", "reset")]
    for stage in NAMES:
        keys = [key for key in runs[0] if key.endswith(f"_{stage}")]
        same = all(torch.equal(runs[0][key], run[key]) for key in keys for run in runs[1:])
        assert same == (stage in ("original", "fc"))


def plain_statistics(network, clip_groups):
    """Mean over groups of each batch norm's input mean and unbiased variance, every group normalised by its own."""
    found = {name: [] for layer in BATCH_NORMS.values() for name in layer}
    for group in clip_groups:
        x = group
        for layer in ("layer1", "layer2"):
            for index, module in enumerate(network.get_submodule(layer)):
                if not isinstance(module, nn.BatchNorm3d):
                    x = module(x)
                    continue
                values = x.transpose(0, 1).flatten(1)
                mean, n = values.mean(dim=1), values.shape[1]
                square = ((values - mean[:, None]) ** 2).sum(dim=1)
                found[f"{layer}.{index}"].append((mean, square / (n - 1)))
                shape = (1, -1, 1, 1, 1)
                x = (x - mean.view(shape)) / (square / n + module.eps).sqrt().view(shape)  # weight 1, bias 0
    return {name: tuple(torch.stack(v).mean(dim=0) for v in zip(*pairs, strict=True)) for name, pairs in found.items()}


@pytest.mark.parametrize(("size", "groups"), [(10, [10]), (64, [10]), (4, [4, 3, 3]), (5, [5, 5])])
def test_recalibration_against_plain_formulas(model, calibration, size, groups):
    metric = SanityCheck(witness := Witness(), STAGES, calibration_batch=size)
    metric.prepare(model, calibration)
    batch = make_batch()
    metric(model, batch, batch.clip[:, 0])
    network = witness.networks[-1]
    with torch.no_grad():
        expected = plain_statistics(network, calibration.split(groups))
    for name, (mean, variance) in expected.items():
        norm = network.get_submodule(name)
        torch.testing.assert_close(norm.running_mean, mean, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(norm.running_var, variance, rtol=1e-9, atol=1e-12)
        assert norm.momentum == model.get_submodule(name).momentum
        assert not norm.training


def test_layers_above_are_re_estimated_when_their_input_changes(model, calibration):
    networks = networks_of(model, calibration)
    before, after = (statistics(networks[stage], "layer2") for stage in ("layer2", "layer1"))
    for name in before:
        assert not torch.equal(before[name][0], after[name][0])


def test_clips_are_asked_for_where_they_are_needed(model, batch):
    assert SanityCheck(Gradients(), STAGES).calibration == 32
    assert SanityCheck(Gradients(), STAGES, calibration=7).calibration == 7
    for bn in ("keep", "reset"):
        assert SanityCheck(Gradients(), STAGES, bn=bn).calibration == 0


def test_recalibration_wants_its_clips_and_the_classifier_they_ran_through(model, batch, calibration):
    metric = SanityCheck(Gradients(), STAGES)
    with pytest.raises(ValueError, match="needs prepare"):
        metric(model, batch, batch.clip[:, 0])
    metric.prepare(make_model(), calibration)
    with pytest.raises(ValueError, match="with this very classifier"):
        metric(model, batch, batch.clip[:, 0])
    metric.prepare(model, calibration)
    assert metric(model, batch, batch.clip[:, 0]).keys() == set(metric.keys)


def test_clips_may_be_of_another_type_than_the_classifier_s_batches(model, calibration):
    """float32 clips of the data set, a float32 network: the usual case."""
    model, batch = model.float(), make_batch()
    batch.clip = batch.clip.float()
    scores = scores_of(Gradients(), model, batch, calibration.float(), bn="recalibrate")
    assert all(value.isfinite().all() for value in scores.values())


@pytest.mark.parametrize("stages", [None, [], ["fc"], [{}], 3])
def test_stages_that_are_no_list_of_names_with_modules_get_one_line(stages):
    with pytest.raises(OutOfRange, match="stages = "):
        SanityCheck(Gradients(), stages)
