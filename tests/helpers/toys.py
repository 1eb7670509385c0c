"""Small classifiers with known behaviour, and the golden outputs of the released implementations.

A classifier takes (B, 3, T, H, W) and returns logits (B, K).
"""

import numpy as np
import torch
from torch import nn

from helpers.paths import GOLDEN
from vxbench.models.vgg16lstm import ReLULSTM

GOLDEN_MEAN, GOLDEN_STD = (0.43216, 0.39467, 0.37645), (0.22803, 0.22145, 0.21699)
GOLDEN_TARGET = {"big": 3, "small0": 8, "small1": 6}


class Linear(nn.Module):
    """Logits are inner products with the clip, so gradient methods have a closed form."""

    def __init__(self, weight: torch.Tensor):  # (K, 3, T, H, W)
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, clip):
        return torch.einsum("bcthw,kcthw->bk", clip, self.weight)


class GapFC(nn.Module):
    """Convolution, ReLU, global average pooling, one linear head: where CAM methods have a closed form.

    stride_t: time steps of the feature map are T / stride_t.
    """

    def __init__(self, classes: int = 4, channels: int = 5, stride_t: int = 2):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv3d(3, channels, 3, stride=(stride_t, 2, 2), padding=1), nn.ReLU(inplace=True)
        )
        self.fc = nn.Linear(channels, classes)

    def forward(self, clip):
        return self.fc(self.features(clip).mean(dim=(2, 3, 4)))


class FrameWise(nn.Module):
    """A 2D network on every frame, scores averaged: activations are (B * T, K, h, w), as in TSM."""

    def __init__(self, classes: int = 4, channels: int = 5):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, channels, 3, stride=2, padding=1), nn.ReLU(inplace=True))
        self.fc = nn.Linear(channels, classes)

    def forward(self, clip):
        batch = len(clip)
        maps = self.features(clip.transpose(1, 2).flatten(0, 1))
        return self.fc(maps.mean(dim=(2, 3))).unflatten(0, (batch, -1)).mean(dim=1)


class TinyA(nn.Module):
    """The network of the golden files; see `tiny_a` for its weights."""

    def __init__(self, inplace: bool = False):
        super().__init__()
        self.layer1 = nn.Sequential(nn.Conv3d(3, 8, 3, stride=(1, 2, 2), padding=1), nn.ReLU(inplace))
        self.layer2 = nn.Sequential(nn.Conv3d(8, 16, 3, stride=(2, 2, 2), padding=1), nn.ReLU(inplace))
        self.layer3 = nn.Sequential(nn.Conv3d(16, 32, 3, stride=1, padding=1), nn.ReLU(inplace))
        self.fc = nn.Linear(32, 10)

    def forward(self, clip):
        return self.fc(self.layer3(self.layer2(self.layer1(clip))).mean(dim=(2, 3, 4)))


class Everything(nn.Module):
    """What real networks have and explainers trip over: batch norm, in-place ReLUs, dropout.

    Four time steps come out of eight frames.
    """

    def __init__(self, classes: int = 4):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv3d(3, 6, 3, stride=(2, 2, 2), padding=1), nn.BatchNorm3d(6), nn.ReLU(inplace=True)
        )
        self.layer = nn.Sequential(nn.Conv3d(6, 8, 3, padding=1), nn.BatchNorm3d(8), nn.ReLU(inplace=True))
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(8, classes)

    def forward(self, clip):
        return self.fc(self.dropout(self.layer(self.stem(clip)).mean(dim=(2, 3, 4))))


class EverythingRNN(nn.Module):
    """The same on every frame, and a ReLU-LSTM over the frames: gives probabilities, as VGG16LSTM."""

    outputs = "probs"

    def __init__(self, classes: int = 4):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6), nn.ReLU(inplace=True))
        self.layer = nn.Sequential(nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(8, 7)
        self.lstm = ReLULSTM(7, 6)
        self.fc8 = nn.Linear(6, classes)

    def frame_features(self, frames):
        return self.fc(self.dropout(self.layer(self.stem(frames)).mean(dim=(2, 3)))).relu()

    def forward(self, clip):
        frames = clip.transpose(1, 2)
        features = self.frame_features(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        h = c = features.new_zeros(len(features), self.lstm.hidden)
        steps = []
        for x in features.unbind(dim=1):
            h, c = self.lstm(x, h, c)
            steps.append(self.fc8(h).softmax(dim=1))
        return torch.stack(steps).mean(dim=0)


class EverythingAttention(nn.Module):
    """One block of divided space-time attention over patches of 4 x 4 pixels, and dropout."""

    def __init__(self, classes: int = 4):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv3d(3, 8, (1, 4, 4), stride=(1, 4, 4)))
        self.time = nn.MultiheadAttention(8, 2, batch_first=True)
        self.layer = nn.MultiheadAttention(8, 2, batch_first=True)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(8, classes)

    def forward(self, clip):
        x = self.stem(clip).flatten(3).permute(0, 3, 2, 1)  # (B, P, T, 8)
        rows = x.flatten(0, 1)
        x = x + self.time(rows, rows, rows)[0].view_as(x)
        tokens = x.transpose(1, 2).flatten(0, 1)
        tokens = torch.cat([tokens.new_ones(len(tokens), 1, 8), tokens], dim=1)
        tokens = tokens + self.layer(tokens, tokens, tokens)[0]
        return self.fc(self.dropout(tokens[:, 0]).unflatten(0, (len(clip), -1)).mean(dim=1))


def tiny_a(inplace: bool = False) -> TinyA:
    """TinyA with the golden weights, in eval mode."""
    model = TinyA(inplace)
    with np.load(GOLDEN / "tinya_weights.npz") as weights:
        model.load_state_dict({name: torch.from_numpy(weights[name]) for name in weights.files})
    return model.eval()


def golden_clip(name: str) -> torch.Tensor:
    """A clip of clips.npz, (1, 3, T, H, W), normalised in float32 step by step as the goldens were."""
    frames = golden("clips")[name].astype(np.float32) / np.float32(255)
    frames = (frames - np.float32(GOLDEN_MEAN)) / np.float32(GOLDEN_STD)
    return torch.from_numpy(frames).permute(3, 0, 1, 2).unsqueeze(0).contiguous()


def golden(file: str) -> dict[str, np.ndarray]:
    """All arrays of tests/golden/<file>.npz."""
    with np.load(GOLDEN / f"{file}.npz") as arrays:
        return {name: arrays[name] for name in arrays.files}


def seeded(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model in eval mode with weights drawn from the seed, so that no test depends on another."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.5, generator=generator)
    return model.eval()


def clips(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Standard normal clips of that shape."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)
