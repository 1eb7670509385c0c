"""Networks, clips and motion whose occlusion has a known outcome.

A classifier here returns probabilities as they are, so that its score can be any function of the clip.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vxbench.explainers.occlusion import AOSA, AOSAApprox

MEAN, STD = [110.0, 100.0, 95.0], [60.0, 55.0, 50.0]


class Affine(nn.Module):
    """Scores (B, K) = bias + <weight, clip>."""

    outputs = "probs"

    def __init__(self, shape: tuple[int, int, int], classes: int = 3, seed: int = 0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        weight = torch.randn(classes, 3, *shape, generator=generator, dtype=torch.float64)
        self.weight = nn.Parameter(weight / weight[0].numel() ** 0.5)
        self.bias = nn.Parameter(torch.rand(classes, generator=generator, dtype=torch.float64))
        self.largest = 0  # clips seen at once

    def forward(self, clip):
        self.largest = max(self.largest, len(clip))
        return self.bias + torch.einsum("bcthw,kcthw->bk", clip, self.weight)


class Curved(Affine):
    """Scores = sigmoid(bias + <weight, clip + clip ** 2 / 2>): neither affine nor linear in any voxel."""

    def forward(self, clip):
        return super().forward(clip + clip**2 / 2).sigmoid()


class Constant(nn.Module):
    """Every class has the same score, whatever the clip."""

    outputs = "probs"

    def __init__(self, score: float):
        super().__init__()
        self.score = score

    def forward(self, clip):
        return self.score + 0 * clip.sum((1, 2, 3, 4))[:, None].expand(-1, 3)


def aosa(**options) -> AOSA:
    return AOSA(MEAN, STD, **options)


def approx(**options) -> AOSAApprox:
    return AOSAApprox(mean=MEAN, std=STD, **options)


@contextmanager
def flow_is(flow: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Inside, the optical flow of every clip is `flow` (T - 1, H, W, 2), (x, y); gathers the grey frames asked for."""
    asked = []

    def given(gray):
        asked.append(gray)
        return np.asarray(flow, np.float32)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vxbench.explainers.occlusion.aosa.farneback", given)
        yield asked


def no_flow(shape: tuple[int, int, int]) -> np.ndarray:
    return np.zeros((shape[0] - 1, *shape[1:], 2), np.float32)


def random_flow(shape: tuple[int, int, int], seed: int, size: float = 2.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, size, (shape[0] - 1, *shape[1:], 2)).astype(np.float32)


def clip_of(frames: np.ndarray) -> Tensor:
    """(B, T, H, W, 3) uint8 -> the clip that a model with MEAN and STD is shown, (B, 3, T, H, W) float64."""
    return (torch.from_numpy(frames).double().sub(torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 4, 1, 2, 3)


def moving_clips(batch: int, shape: tuple[int, int, int], seed: int = 0) -> Tensor:
    """Smooth textures, each of which moves at a speed of its own."""
    random = np.random.default_rng(seed)
    frames, height, width = shape
    rows, columns = np.mgrid[:height, :width]
    out = np.empty((batch, frames, height, width, 3))
    for b in range(batch):
        speed, waves, phase = random.normal(0, 1.5, 2), random.uniform(0.3, 1, (4, 2)), random.uniform(0, 6, (4, 3))
        for i in range(frames):
            at = [(rows - i * speed[0]) * wave[0] + (columns - i * speed[1]) * wave[1] for wave in waves]
            out[b, i] = sum(np.sin(a[..., None] + p) for a, p in zip(at, phase, strict=True))
    return clip_of((130 + 28 * out).clip(0, 255).astype(np.uint8))


def square(hidden: np.ndarray, y: int, x: int, side: int) -> None:
    """Sets hidden (H, W) where |row - y|, |column - x| are within the hole, pixel by pixel."""
    for row in range(hidden.shape[0]):
        for column in range(hidden.shape[1]):
            if -(side // 2) <= row - y < side - side // 2 and -(side // 2) <= column - x < side - side // 2:
                hidden[row, column] = True
