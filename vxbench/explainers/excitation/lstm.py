"""Excitation backprop through a ReLU-LSTM, from its hidden states down to its inputs, against time.

Gates i, f, o are constants: h = o ReLU(c) and c = f c_prev + i g are then linear with positive weights, and so is
g = ReLU(W_x x + W_h h_prev + b) where it is above 0.

Source: Bargal et al. 2018 (Excitation Backprop for RNNs), section 3.2.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vxbench.explainers.excitation.rules import ratio


@dataclass
class Step:
    """What one step reads and makes: x (B, D), all else (B, M)."""

    x: Tensor
    h_prev: Tensor
    held: Tensor  # f c_prev
    written: Tensor  # i g
    h: Tensor


def unroll(lstm: nn.Module, features: Tensor) -> list[Step]:
    """The steps of the LSTM on features (B, T, D), from a state of zeros."""
    weight = lstm.cell_weights[1]
    h = c = features.new_zeros(len(features), weight.shape[1])
    steps = []
    for x in features.unbind(dim=1):
        i, f, o, g = lstm.gates(x, h)
        held, written = f * c, i * g
        previous, c = h, held + written
        h = o * c.relu()
        steps.append(Step(x, previous, held, written, h))
    return steps


def down_in_time(lstm: nn.Module, steps: list[Step], mass: list[Tensor], through_time: bool) -> Tensor:
    """P of the features, (B, T, D), from P of every step's h (B, M).

    through_time: False drops what goes to the state before the step, so every frame answers for its own step alone.
    """
    weight_x, weight_h = (weight.clamp(min=0) for weight in lstm.cell_weights)
    to_h = to_c = torch.zeros_like(mass[-1])
    found = []
    for step, own in zip(reversed(steps), reversed(mass), strict=True):
        share = ratio(own + to_h + to_c, step.held + step.written)
        x, h = step.x.clamp(min=0), step.h_prev.clamp(min=0)
        excited = ratio(step.written * share, x @ weight_x.T + h @ weight_h.T)
        found.append(x * (excited @ weight_x))
        if through_time:
            to_h, to_c = h * (excited @ weight_h), step.held * share
    return torch.stack(found[::-1], dim=1)


def class_mass(weight: Tensor, h: Tensor) -> Tensor:
    """P of h (B, M) when all mass, 1, is on one class, whose weights in the last layer are weight (B, M)."""
    part = weight.clamp(min=0) * h.clamp(min=0)
    return ratio(part, part.sum(dim=1, keepdim=True))
