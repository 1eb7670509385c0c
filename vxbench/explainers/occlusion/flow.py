"""From a normalised clip to the motion in it: 8-bit frames, grey frames, optical flow."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vxbench.errors import UserError
from vxbench.ranges import one_of

FRAMES = ("truncated", "rounded")
GRAY = ("bgr_on_rgb", "rgb")
EIGHT_BIT = 0.01  # values of 0-255 this near to whole numbers were 8-bit: float32 moves them by 1e-4 at most


def eight_bit(clip: Tensor, mean: Sequence[float], std: Sequence[float], how: str = "truncated") -> Tensor:
    """The frames a clip was made of: (B, 3, T, H, W) -> (B, T, H, W, 3) uint8 RGB.

    mean and std per channel in units of 0-255, as the clip was normalised with.
    rounded: the nearest whole number. truncated: the released arithmetic to the bit, float32 and in units of 0-1, from
    8-bit frames to normalised ones and back. It lands just below the whole number for about half of the values, which
    come out one too low. Which ones hangs on the last bit, so a clip of 8-bit frames is normalised anew in that
    arithmetic: how the clip at hand was normalised does not matter.
    """
    one_of("frames", how, FRAMES)
    shape = (1, 3, 1, 1, 1)
    mean, std = (torch.tensor(v, dtype=torch.float64, device=clip.device).view(shape) / 255 for v in (mean, std))
    pixels = (clip.double() * std + mean) * 255
    if how == "truncated":
        mean, std = mean.float(), std.float()
        whole = (pixels - pixels.round()).abs().flatten(1).amax(1) < EIGHT_BIT
        anew = (pixels.round().float() / 255 - mean) / std
        clip = torch.where(whole.view(-1, 1, 1, 1, 1), anew, clip.float())
        pixels = ((clip - (-mean / std)) / (1 / std)) * 255
    else:
        pixels = pixels.round()
    return pixels.clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 4, 1)


def gray_frames(frames: np.ndarray, how: str = "bgr_on_rgb") -> np.ndarray:
    """(T, H, W, 3) uint8 RGB -> (T, H, W) uint8.

    bgr_on_rgb: red and blue swap their weights, as released. rgb: .299, .587, .114.
    """
    one_of("gray", how, GRAY)
    cv2 = _opencv()
    code = cv2.COLOR_BGR2GRAY if how == "bgr_on_rgb" else cv2.COLOR_RGB2GRAY
    return np.stack([cv2.cvtColor(np.ascontiguousarray(frame), code) for frame in frames])


def farneback(gray: np.ndarray) -> np.ndarray:
    """Dense flow from each frame to the next (Farneback 2003): (T, H, W) uint8 -> (T - 1, H, W, 2) float32, (x, y).

    Raises:
        UserError: OpenCV cannot work on these frames.
    """
    cv2 = _opencv()
    options = {"pyr_scale": 0.5, "levels": 3, "winsize": 15, "iterations": 3}
    options |= {"poly_n": 5, "poly_sigma": 1.2, "flags": 0}
    flow = np.zeros((len(gray) - 1, *gray.shape[1:], 2), np.float32)
    try:
        for t in range(len(flow)):
            flow[t] = cv2.calcOpticalFlowFarneback(gray[t], gray[t + 1], None, **options)
    except cv2.error as error:
        height, width = gray.shape[1:]
        cause = " ".join(str(error).split())
        raise UserError(f"the optical flow of {height} x {width} frames failed: {cause}") from error
    return flow


def _opencv():
    try:
        import cv2
    except ImportError as error:
        raise UserError("AOSA needs OpenCV for the optical flow: pip install opencv-python-headless") from error
    return cv2
