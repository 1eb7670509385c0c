"""A small network in float64, clips for it, and EB-R at its features."""

import torch

from helpers.toys import clips
from vxbench.explainers.excitation import ExcitationBackpropRNN

LAYERS = ("conv1_1", "pool1", "conv2_1", "relu2_1", "conv2_2", "pool2")
SIZE = (13, 10)
TARGET = torch.tensor([1, 4, 0])


def explainer(layer="conv2_1", **settings) -> ExcitationBackpropRNN:
    return ExcitationBackpropRNN(layer, **settings)


def some_clips(count=3, frames=4, size=SIZE, seed=0):
    return clips(count, 3, frames, *size, seed=seed, dtype=torch.float64)


def features_of(network, clip):
    """fc7 of a clip's frames, (B, T, D)."""
    frames = clip.transpose(1, 2)
    with torch.no_grad():
        return network.frame_features(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])


def feature_mass(network, clip, target=TARGET, **settings):
    with torch.no_grad():
        return explainer(**settings).feature_mass(network, features_of(network, clip), target)
