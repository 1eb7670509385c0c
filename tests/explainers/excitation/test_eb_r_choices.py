"""EB-R's settings: each changes what it should."""

import copy
import inspect

import pytest
import torch
from helpers.configs import composed
from helpers.eb_r_runs import LAYERS, TARGET, explainer, feature_mass, features_of, some_clips
from helpers.slow_excitation import small_network

from vxbench.errors import OutOfRange
from vxbench.explainers.excitation import ExcitationBackpropRNN


@pytest.mark.choice("ebr.contrastive")
@pytest.mark.parametrize("prior", ["last", "all"])
def test_contrastive_subtracts_what_the_negated_class_finds(prior):
    """Its mass sums to 0, and negating fc8 turns its sign; without it mass is a probability."""
    network, clip = small_network(3), some_clips()
    plain, contrast = (feature_mass(network, clip, prior=prior, contrastive=value) for value in (False, True))
    negated = copy.deepcopy(network)
    negated.fc8.weight.data.neg_()
    against = feature_mass(negated, clip, prior=prior)
    assert plain.sum((1, 2)).min() > 0.5
    assert against.sum((1, 2)).min() > 0.5
    torch.testing.assert_close(contrast, plain - against)
    torch.testing.assert_close(contrast.sum((1, 2)), torch.zeros(3).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(feature_mass(negated, clip, prior=prior, contrastive=True), -contrast)
    assert (contrast - plain).abs().max() > 0.01


@pytest.mark.choice("ebr.contrastive")
def test_a_class_that_nothing_opposes_is_not_contrasted():
    network, clip = small_network(3), some_clips()
    network.fc8.weight.data.abs_()
    plain, contrast = (explainer(contrastive=value)(network, clip, TARGET) for value in (False, True))
    assert plain.max() > 0
    assert torch.equal(plain, contrast)


@pytest.mark.choice("ebr.prior")
def test_prior_all_is_the_sum_of_priors_at_every_step():
    """Prior last on the first t frames is the class winning at step t; the sum is scaled to T."""
    network, clip = small_network(3, bias=0), some_clips()
    features = features_of(network, clip)
    total = torch.zeros_like(features)
    for t in range(1, 5):
        with torch.no_grad():
            total[:, :t] += explainer().feature_mass(network, features[:, :t], TARGET)
    everywhere = feature_mass(network, clip, prior="all")
    torch.testing.assert_close(everywhere, 4 * total / total.sum((1, 2), keepdim=True))
    torch.testing.assert_close(everywhere.sum((1, 2)), torch.full((3,), 4.0).double())
    assert (everywhere / 4 - feature_mass(network, clip)).abs().max() > 0.01


@pytest.mark.choice("ebr.prior")
def test_on_one_frame_the_priors_agree():
    network, clip = small_network(3), some_clips(frames=1)
    maps = [explainer(prior=prior)(network, clip, TARGET) for prior in ("last", "all")]
    assert maps[0].max() > 0
    assert torch.equal(*maps)


@pytest.mark.choice("ebr.through_time")
def test_without_time_every_frame_answers_for_its_own_step():
    """Mass of frame t is 0 with the class winning elsewhere, and does not feel the frames after it."""
    network, clip = small_network(3), some_clips()
    last = feature_mass(network, clip, through_time=False)
    assert last[:, :-1].abs().max() == 0
    torch.testing.assert_close(last.sum((1, 2)), torch.ones(3).double())
    assert feature_mass(network, clip)[:, :-1].sum() > 0.1

    other = clip.clone()
    other[:, :, 2:] = some_clips(seed=9)[:, :, 2:]
    relative = []
    for frames in (clip, other):
        mass = feature_mass(network, frames, prior="all", through_time=False)
        relative.append(mass[:, :2] / mass[:, :2].sum((1, 2), keepdim=True))
    torch.testing.assert_close(*relative)
    with_time = [feature_mass(network, frames, prior="all")[:, 0] for frames in (clip, other)]
    shares = [mass / mass.sum(1, keepdim=True) for mass in with_time]
    assert (shares[0] - shares[1]).abs().max() > 1e-3


@pytest.mark.choice("ebr.layer")
def test_a_convolution_and_its_relu_give_one_map_other_layers_another():
    network, clip = small_network(3), some_clips()
    maps = {layer: explainer(layer)(network, clip, TARGET) for layer in LAYERS}
    torch.testing.assert_close(maps["relu2_1"], maps["conv2_1"])
    assert (maps["conv2_2"] - maps["conv2_1"]).abs().max() > 1e-3 * maps["conv2_1"].max()
    shapes = {layer: explainer(layer).coarse_map(network, clip, TARGET).shape[2:] for layer in LAYERS}
    assert shapes == dict.fromkeys(LAYERS[2:5], (6, 5)) | {"conv1_1": (13, 10), "pool1": (6, 5), "pool2": (3, 2)}


def test_conv5_1_is_the_default_layer_on_five_blocks():
    network = small_network(1, (64, 37), channels=(2, 2, 3, 3, 4), convs=(1, 1, 1, 1, 2))
    clip = some_clips(2, 3, (64, 37))
    saliency = ExcitationBackpropRNN()(network, clip, TARGET[:2])
    assert saliency.shape == (2, 3, 64, 37)
    assert saliency.max() > 0
    assert torch.equal(saliency, explainer("conv5_1")(network, clip, TARGET[:2]))


@pytest.mark.parametrize(
    "settings", [{"prior": "first"}, {"contrastive": "no"}, {"through_time": 2}, {"chunk": 0}, {"chunk": 1.5}]
)
def test_settings_out_of_range(settings):
    with pytest.raises(OutOfRange, match=rf"^{next(iter(settings))} = "):
        ExcitationBackpropRNN(**settings)


@pytest.mark.parametrize(("name", "contrastive"), [("eb_r", False), ("eb_r_contrastive", True)])
def test_the_configuration_names_every_setting_with_its_default(name, contrastive):
    config = composed(f"explainer={name}").explainer
    settings = {key: config[key] for key in config if key not in ("_target_", "chunk")}
    known = inspect.signature(ExcitationBackpropRNN).parameters
    defaults = {key: field.default for key, field in known.items() if key != "chunk"}
    assert settings == defaults | {"contrastive": contrastive}
    assert config._target_ == "vxbench.explainers.ExcitationBackpropRNN"
