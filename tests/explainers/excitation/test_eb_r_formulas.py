"""EB-R against the formulas taken unit by unit, and the conservation of mass."""

from itertools import product

import numpy as np
import pytest
import torch
from helpers import slow_excitation as slow
from helpers.eb_r_runs import LAYERS, SIZE, TARGET, explainer, feature_mass, features_of, some_clips
from helpers.slow_excitation import small_network
from helpers.toys import seeded
from torch import nn
from torch.nn.functional import interpolate

from vxbench.explainers.excitation import class_mass, down_in_time, unroll

# Each setting on two of the six networks.
SETTINGS = 2 * list(product([False, True], ["last", "all"], [True, False]))


@pytest.mark.parametrize(
    ("seed", "contrastive", "prior", "through_time"), [(i % 6, *setting) for i, setting in enumerate(SETTINGS)]
)
def test_features_mass_is_the_formulas(seed, contrastive, prior, through_time):
    """Rounding alone: 1e-11 of a total of 1. Clips of 1 to 6 frames, LSTMs of 1 to 8 units."""
    network, clip = small_network(seed, hidden=1 + (5 * seed) % 8), some_clips(1, 1 + seed, seed=seed)
    features, target = features_of(network, clip), seed % 5
    options = {"prior": prior, "through_time": through_time}
    expected = slow.features_mass(network, features[0].numpy(), target, 1, **options)
    if contrastive:
        expected = expected - slow.features_mass(network, features[0].numpy(), target, -1, **options)
    found = feature_mass(network, clip, torch.tensor([target]), contrastive=contrastive, **options)
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=0, atol=1e-11)


def test_the_networks_above_are_alive():
    """Guards the test above: most of its maps are not zero, and most have mass on several frames."""
    masses = []
    for seed in range(6):
        network, clip = small_network(seed, hidden=1 + (5 * seed) % 8), some_clips(1, 1 + seed, seed=seed)
        masses.append(feature_mass(network, clip, torch.tensor([seed % 5])))
    assert sum(mass.sum().item() > 0.5 for mass in masses) >= 4
    assert sum((mass.sum(2) > 1e-3).sum().item() > 1 for mass in masses) >= 3


@pytest.mark.parametrize(("seed", "size"), [(0, (13, 10)), (3, (9, 7)), (5, (8, 15))])
@pytest.mark.parametrize("layer", LAYERS)
def test_layer_mass_is_the_formulas(layer, seed, size):
    contrastive = (seed + LAYERS.index(layer)) % 2 == 0  # each layer with and without
    network, clip = small_network(seed, size), some_clips(1, 3, size, seed)
    found = explainer(layer, contrastive=contrastive).layer_mass(network, clip, TARGET[:1])[0]
    expected = slow.layer_mass(network, clip[0], TARGET[0].item(), layer, contrastive)
    assert np.abs(expected).max() > 1e-3
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("layer", ["conv2_1", "pool1"])
def test_the_map_is_the_positive_part_of_the_channels_sum_enlarged(layer):
    network, clip = small_network(3), some_clips(1, 3)
    mass = torch.from_numpy(slow.layer_mass(network, clip[0], TARGET[0].item(), layer, contrastive=True))
    coarse = mass.sum(1).clamp(min=0)
    assert (mass.sum(1) < -1e-4).any()
    expected = interpolate(coarse[None], size=SIZE, mode="bilinear", align_corners=False)
    found = explainer(layer, contrastive=True)(network, clip, TARGET[:1])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.identity(17)
@pytest.mark.parametrize("seed", range(4))
def test_mass_is_one_at_fc7_and_at_every_layer_below(seed):
    """Without biases a unit is above 0 only if something excited it: no mass is lost on the way down."""
    network, clip = small_network(seed, bias=0), some_clips()
    at_fc7 = feature_mass(network, clip).sum(dim=(1, 2))
    torch.testing.assert_close(at_fc7, torch.ones(3).double(), rtol=1e-12, atol=0)
    for layer in LAYERS:
        mass = explainer(layer).layer_mass(network, clip, TARGET)
        assert mass.min() >= 0
        torch.testing.assert_close(mass.sum(dim=(1, 2, 3, 4)), at_fc7, rtol=1e-11, atol=0)


@pytest.mark.identity(17)
@pytest.mark.parametrize("seed", range(4))
def test_the_lstm_loses_no_mass_before_it_is_normalised(seed):
    """A class that wins at the last step is mass 1: all of it arrives at the features, most of it at earlier ones."""
    network = small_network(seed, bias=0)
    steps = unroll(network.lstm, features_of(network, some_clips()))
    wins = [torch.zeros_like(step.h) for step in steps[:-1]]
    wins.append(class_mass(network.fc8.weight[TARGET], steps[-1].h))
    with torch.no_grad():
        mass = down_in_time(network.lstm, steps, wins, through_time=True)
    torch.testing.assert_close(mass.sum((1, 2)), torch.ones(3).double(), rtol=1e-12, atol=0)
    assert mass[:, :-1].sum((1, 2)).min() > 0.2


class ResidualRNN(nn.Module):
    """What VGG has not: batch norm, a residual sum, average pooling; frames of any size."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.conv, self.relu = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.ReLU(inplace=True)
        inner = small_network(3, fc=4)
        self.lstm, self.fc8 = inner.lstm, inner.fc8

    def frame_features(self, frames):
        x = self.relu(self.norm(self.stem(frames)))
        x = self.relu(self.norm(self.conv(x)) + x)
        return x.mean(dim=(2, 3))


@pytest.mark.identity(17)
@pytest.mark.parametrize("size", [(9, 12), (6, 5)])
def test_residual_networks_with_batch_norm_conserve_mass_too(size):
    network, clip = seeded(ResidualRNN().double(), seed=1), some_clips(size=size)
    network.norm.weight.data.fill_(1.5)
    network.norm.bias.data.zero_()
    network.lstm.fc_x.bias.data.zero_()
    mass = explainer("stem").layer_mass(network, clip, TARGET)
    assert mass.shape == (3, 4, 4, size[0] - 2, size[1] - 2)
    assert mass.min() >= 0
    torch.testing.assert_close(mass.sum((1, 2, 3, 4)), torch.ones(3).double(), rtol=1e-11, atol=0)
    assert explainer("stem")(network, clip, TARGET).shape == (3, 4, *size)
