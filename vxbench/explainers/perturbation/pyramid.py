"""Perturbs a clip: blurs or fades it at several strengths, which a mask mixes voxel by voxel."""

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from vxbench.ranges import above, one_of, whole

KINDS = ("blur", "fade")


class Pyramid:
    """A clip at L levels, from 0 (fully perturbed) to L - 1 (the clip itself).

    clip: (B, C, T, H, W). `blur`: level l is the clip blurred per frame by a Gaussian of
    max_sigma * (1 - l / (L - 1)) pixels, zero padding, so borders fade to the mean colour.
    `fade`: level l is l / (L - 1) times the clip.

    Source: extremal perturbations (Fong et al. 2019), as released with STEP (Li et al. 2021).
    """

    def __init__(self, clip: Tensor, kind: str = "blur", levels: int = 8, max_sigma: float = 20.0):
        one_of("perturbation", kind, KINDS)
        whole("levels", levels, 2)
        above("max_sigma", max_sigma, 0)
        shares = torch.linspace(0, 1, levels, dtype=clip.dtype)
        steps = [blur(clip, (1 - share) * max_sigma) if kind == "blur" else clip * share for share in shares]
        self.levels = torch.stack(steps, dim=1)  # (B, L, C, T, H, W)

    def apply(self, mask: Tensor) -> Tensor:
        """Mixes neighbouring levels: mask 1 keeps the clip, 0 takes level 0. Differentiable in the mask.

        mask: (B, T, H, W) in [0, 1]; where it is NaN so is the result. Returns (B, C, T, H, W).
        """
        top = self.levels.shape[1] - 1
        position = mask * top
        lower = position.detach().floor().clamp(0, top)
        share = (position - lower)[:, None]
        return (1 - share) * self._pick(lower) + share * self._pick((lower + 1).clamp(max=top))

    def _pick(self, level: Tensor) -> Tensor:
        index = level.nan_to_num().long()[:, None, None].expand(-1, 1, self.levels.shape[2], -1, -1, -1)
        return self.levels.gather(1, index)[:, 0]


def blur(clip: Tensor, sigma: float | Tensor) -> Tensor:
    """Blurs every frame of clip (..., H, W) by a Gaussian of sigma pixels; sigma 0 is the identity.

    Its half-width is ceil(4 sigma), its sum 1, its padding zero. Rows come first, then columns.
    """
    if sigma == 0:
        return clip
    taps = _gaussian(torch.as_tensor(sigma, dtype=clip.dtype)).to(clip.device)
    half = len(taps) // 2
    frames = clip.reshape(-1, 1, *clip.shape[-2:])
    frames = conv2d(frames, taps.view(1, 1, -1, 1), padding=(half, 0))
    return conv2d(frames, taps.view(1, 1, 1, -1), padding=(0, half)).view(clip.shape)


def _gaussian(sigma: Tensor) -> Tensor:
    """The taps, in sigma's precision and by TorchRay's arithmetic: last bits decide which voxels rank higher."""
    half = math.ceil(4 * sigma)
    offset = torch.arange(-half, half + 1, dtype=sigma.dtype)
    offset /= torch.tensor(math.sqrt(2), dtype=sigma.dtype) * sigma + torch.finfo(sigma.dtype).eps
    taps = torch.exp(-offset * offset)
    return taps / taps.sum()
