"""Decoded frames to the clip a classifier takes."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def to_clip(
    frames: np.ndarray | Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    device: torch.device | str = "cpu",
) -> Tensor:
    """(frames - mean) / std: uint8 (B, T, H, W, 3), RGB 0-255 -> float32 (B, 3, T, H, W) on device.

    mean and std are per channel, in units of 0-255. Bytes cross to the device, not floats.
    """
    frames = torch.as_tensor(frames)
    if frames.dtype != torch.uint8 or frames.ndim != 5 or frames.shape[-1] != 3:
        raise ValueError(f"frames are {frames.dtype} {tuple(frames.shape)}, not uint8 (B, T, H, W, 3)")
    clip = frames.to(device).permute(0, 4, 1, 2, 3).float()
    shape = (1, 3, 1, 1, 1)
    return (clip - clip.new_tensor(mean).view(shape)).div_(clip.new_tensor(std).view(shape)).contiguous()
