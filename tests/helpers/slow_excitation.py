"""EB-R unit by unit, from the formulas, without autograd: small networks only. All in float64 lists and numpy.

P is shared by `hand_down`, the one rule: a unit's mass goes to the units that excited it, as much as each did.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from vxbench.models.vgg16lstm import VGG16LSTM


def small_network(seed: int = 0, size=(13, 10), bias: float = 0.3, hidden: int = 8, **settings) -> VGG16LSTM:
    """VGG16LSTM of a few units, two of its blocks, weights of either sign; biases normal of that deviation.

    The LSTM's weights are small, so that its gates stay open and its states well above 1e-20.
    """
    settings = {"channels": (3, 4), "convs": (1, 2), "fc": 7, "num_classes": 5} | settings
    model = VGG16LSTM(hidden=hidden, size=size, **settings).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            scale = 0.5 if name.startswith("lstm") else 1.5
            deviation = bias if name.endswith("bias") else scale / weight[0].numel() ** 0.5
            weight.normal_(0, deviation, generator=generator)
    return model


def hand_down(mass: float, parts: np.ndarray) -> np.ndarray:
    """mass, divided in proportion to the parts; a unit that nothing excited keeps it."""
    total = parts.sum()
    return mass * parts / total if total > 0 else np.zeros_like(parts)


def linear_down(x: np.ndarray, weight: np.ndarray, mass: np.ndarray) -> np.ndarray:
    found = np.zeros_like(x)
    for i, row in enumerate(weight):
        found += hand_down(mass[i], x * np.maximum(row, 0))
    return found


def conv_down(x: np.ndarray, weight: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """3x3, one pixel of zeros around."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    found = np.zeros_like(padded)
    for k, row, column in np.ndindex(*mass.shape):
        window = (slice(None), slice(row, row + 3), slice(column, column + 3))
        found[window] += hand_down(mass[k, row, column], padded[window] * np.maximum(weight[k], 0))
    return found[:, 1:-1, 1:-1]


def pool_down(x: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """2x2 maxima: the first greatest unit takes all."""
    found = np.zeros_like(x)
    for k, row, column in np.ndindex(*mass.shape):
        cell = x[k, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        y, z = np.unravel_index(cell.argmax(), cell.shape)
        found[k, 2 * row + y, 2 * column + z] += mass[k, row, column]
    return found


def frame_down(network: VGG16LSTM, frame: torch.Tensor, mass: np.ndarray, layer: str) -> np.ndarray:
    """P of the layer (K, h, w) of one frame (3, H, W), from P of its fc7."""
    trace, x = [], frame[None]
    for name in network.cnn:
        trace.append((name, getattr(network, name), x[0].detach().numpy()))
        x = getattr(network, name)(x)
    grid, x = x.shape[1:], x.flatten(1)
    for name in ("fc6", "relu6", "fc7", "relu7"):
        trace.append((name, getattr(network, name), x[0].detach().numpy()))
        x = getattr(network, name)(x)
    for name, module, before in reversed(trace):
        if name == layer:
            return mass
        mass = _module_down(module, before, mass)
        if name == "fc6":
            mass = mass.reshape(grid)
    raise AssertionError(layer)


def _module_down(module: nn.Module, x: np.ndarray, mass: np.ndarray) -> np.ndarray:
    if isinstance(module, nn.ReLU):
        return np.where(x > 0, mass, 0)
    if isinstance(module, nn.MaxPool2d):
        return pool_down(x, mass)
    down = conv_down if isinstance(module, nn.Conv2d) else linear_down
    return down(x, module.weight.detach().numpy(), mass)


@dataclass
class State:
    x: np.ndarray
    h_prev: np.ndarray
    c_prev: np.ndarray
    i: np.ndarray
    f: np.ndarray
    g: np.ndarray
    c: np.ndarray
    h: np.ndarray


def states(network: VGG16LSTM, features: np.ndarray) -> list[State]:
    """The LSTM's steps on features (T, D), unit by unit."""
    lstm = network.lstm
    parts = (lstm.fc_x.weight, lstm.fc_x.bias, lstm.fc_h.weight)
    weight_x, bias, weight_h = (part.detach().numpy() for part in parts)
    units = weight_h.shape[1]
    h, c, found = np.zeros(units), np.zeros(units), []
    for x in features:
        i, f, o, g, new_c, new_h = (np.zeros(units) for _ in range(6))
        for u in range(units):
            before = [
                weight_x[gate * units + u] @ x + weight_h[gate * units + u] @ h + bias[gate * units + u]
                for gate in range(4)
            ]
            i[u], f[u], o[u] = (1 / (1 + np.exp(-value)) for value in before[:3])
            g[u] = max(before[3], 0)
            new_c[u] = f[u] * c[u] + i[u] * g[u]
            new_h[u] = o[u] * max(new_c[u], 0)
        found.append(State(x, h, c, i, f, g, new_c, new_h))
        h, c = new_h, new_c
    return found


def features_mass(network, features, target, sign=1, prior="last", through_time=True) -> np.ndarray:
    """P of the features (T, D) of one clip, of total 1 or T."""
    steps = states(network, features)
    units, width = network.lstm.hidden, features.shape[1]
    weight_x = network.lstm.fc_x.weight.detach().numpy()[3 * units :]
    weight_h = network.lstm.fc_h.weight.detach().numpy()[3 * units :]
    class_weight = sign * network.fc8.weight.detach().numpy()[target]
    mass_h, mass_c = np.zeros((len(steps), units)), np.zeros((len(steps), units))
    found = np.zeros((len(steps), width))
    for t in reversed(range(len(steps))):
        step = steps[t]
        if prior == "all" or t == len(steps) - 1:
            mass_h[t] += hand_down(1, step.h * np.maximum(class_weight, 0))
        mass_c[t] += mass_h[t]
        for u in range(units):
            held, written = hand_down(mass_c[t, u], np.array([step.f[u] * step.c_prev[u], step.i[u] * step.g[u]]))
            joint = np.concatenate([weight_x[u], weight_h[u]])
            below = hand_down(written, np.concatenate([step.x, step.h_prev]) * np.maximum(joint, 0))
            found[t] += below[:width]
            if through_time and t > 0:
                mass_h[t - 1] += below[width:]
                mass_c[t - 1, u] += held
    total = found.sum()
    return found * (len(steps) if prior == "all" else 1) / total if total > 0 else found


def layer_mass(network, clip, target, layer, contrastive=False, prior="last", through_time=True) -> np.ndarray:
    """P of the layer, (T, K, h, w), of one clip (3, T, H, W)."""
    frames = clip.transpose(0, 1)
    with torch.no_grad():
        features = network.frame_features(frames).numpy()
    mass = features_mass(network, features, target, 1, prior, through_time)
    if contrastive:
        mass = mass - features_mass(network, features, target, -1, prior, through_time)
    with torch.no_grad():
        return np.stack([frame_down(network, frame, mass[t], layer) for t, frame in enumerate(frames)])
