"""Which networks and layers EB-R applies to."""

import pytest
import torch
from helpers.eb_r_runs import TARGET, explainer, some_clips
from helpers.slow_excitation import small_network
from helpers.toys import Everything, seeded
from torch import nn

from vxbench.errors import NotApplicable, UserError
from vxbench.explainers.excitation import ExcitationBackpropRNN, find_network


class Wrapped(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.recognizer = nn.Module()
        self.recognizer.net = network

    def forward(self, clip):
        return self.recognizer.net(clip)


def test_the_network_is_found_inside_a_classifier_or_named():
    network, clip = small_network(3), some_clips()
    wrapped, expected = Wrapped(network), explainer()(network, clip, TARGET)
    assert find_network(wrapped) is network
    assert torch.equal(explainer()(wrapped, clip, TARGET), expected)
    assert torch.equal(explainer(network="recognizer.net")(wrapped, clip, TARGET), expected)
    with pytest.raises(UserError, match=r"^network = 'recogniser' is not in the classifier"):
        explainer(network="recogniser")(wrapped, clip, TARGET)


class TanhLSTM(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.fc8 = nn.LSTM(4, 4), nn.Linear(4, 5)

    def frame_features(self, frames):
        return frames


@pytest.mark.parametrize("model", [Everything(), TanhLSTM()])
def test_it_is_not_applicable_to_other_networks(model):
    with pytest.raises(NotApplicable, match=r"^the network is not a CNN-RNN: no part of it has"):
        explainer()(seeded(model), some_clips(), TARGET)


def test_a_network_named_that_is_no_cnn_rnn_says_what_it_lacks():
    model = nn.Sequential(TanhLSTM())
    with pytest.raises(NotApplicable, match=r"^network '0' is not a CNN-RNN: it has no lstm.gates"):
        explainer(network="0")(model, some_clips(), TARGET)


@pytest.mark.parametrize("layer", ["fc6", "relu7"])
def test_a_layer_without_a_grid_is_not_applicable(layer):
    with pytest.raises(NotApplicable, match=layer):
        explainer(layer)(small_network(), some_clips(), TARGET)


def test_a_layer_that_the_frames_do_not_pass_is_not_applicable():
    with pytest.raises(NotApplicable, match=r"^layer 'fc8' runs 0 times"):
        explainer("fc8")(small_network(), some_clips(), TARGET)


class Aside(nn.Module):
    """The features do not come from its layer `aside`."""

    def __init__(self):
        super().__init__()
        inner = small_network()
        self.inner, self.lstm, self.fc8, self.aside = inner, inner.lstm, inner.fc8, nn.ReLU()

    def frame_features(self, frames):
        self.aside(frames)
        return self.inner.frame_features(frames)


def test_a_layer_beside_the_features_is_not_applicable():
    with pytest.raises(NotApplicable, match=r"^layer 'aside' is not a feature map"):
        explainer("aside", network="")(Aside(), some_clips(), TARGET)


def test_a_layer_that_does_not_exist_is_named():
    with pytest.raises(UserError, match=r"layer = 'conv5_1' is not .*did you mean"):
        ExcitationBackpropRNN()(small_network(), some_clips(), TARGET)
