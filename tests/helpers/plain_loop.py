"""The perturbation family written out slowly from the papers: two loops to check the one in loop.py against.

`slow_run` is float64 and naive: every sum as printed. `plain_run` is what autograd and torch.optim make of the same
text: it fixes the order of operations, so that float32 runs can be compared to the last bit.
"""

import math

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, unfold

from vxbench.explainers.perturbation.mask import Geometry

COLDNESS = 20.0


def plain_mask(seed, height, width, step, sigma, coldness=COLDNESS):
    """Pixel by pixel: seed i = floor(u / step) + k - P, centre margin + step i, is zero outside the grid."""

    def axis(size):
        g = Geometry(size, step, sigma)
        pixel = torch.arange(g.out)[:, None]
        index = pixel // step + torch.arange(2 * g.radius + 1) - g.padding
        return index, (pixel - (g.margin + step * index)).double() / sigma, g.seed

    rows, dy, h = axis(height)
    columns, dx, w = axis(width)
    z = torch.hypot(dy[:, None, :, None], dx[None, :, None, :])  # (out_h, out_w, 2R+1, 2R+1)
    kappa = torch.exp(-2 * (z - 0.5).clamp(min=0) ** 2)
    inside = ((rows >= 0) & (rows < h))[:, None, :, None] & ((columns >= 0) & (columns < w))[None, :, None, :]
    window = seed[:, rows.clamp(0, h - 1)[:, None, :, None], columns.clamp(0, w - 1)[None, :, None, :]]
    value = (window * inside * kappa).flatten(3)
    return (value * torch.softmax(coldness * value, dim=3)).sum(dim=3)


# The naive run, one clip, float64.


def slow_run(model, clip, target, area, updates, step, sigma, band=None, lr=0.05) -> list[Tensor]:
    """Seeds (T, h, w) before each update. clip: (3, T, H, W). band: (r_l, r_h) of F-EP, None for EP-3D."""
    _, frames, height, width = clip.shape
    rows, columns = Geometry(height, step, sigma), Geometry(width, step, sigma)
    levels = blurred(clip)
    seed, velocity, seen = torch.ones(frames, rows.seed, columns.seed, dtype=torch.float64), None, []
    for _ in range(updates):
        seen.append(seed)
        seed = seed.clone().requires_grad_()
        padded = plain_mask(seed, height, width, step, sigma)
        mask = padded[:, rows.margin : rows.margin + height, columns.margin : columns.margin + width]
        kept = sum((1 - (7 * mask - i).abs()).clamp(min=0) * level for i, level in enumerate(levels))
        p = model(kept[None]).softmax(dim=1)[0, target]
        ranked = padded.flatten().sort(stable=True).values
        wanted = torch.arange(len(ranked)) >= int(len(ranked) * (1 - area))
        energy = -100 * torch.log(p) + 300 * ((ranked - wanted.double()) ** 2).sum() / len(ranked)
        (gradient,) = torch.autograd.grad(energy, seed)
        if band:
            gradient = torch.from_numpy(modulated(gradient.numpy(), *band))
        velocity = gradient if velocity is None else 0.9 * velocity + 0.1 * gradient
        seed = (seed.detach() - lr * velocity).clamp(0, 1)
    return seen


def blurred(clip) -> list[Tensor]:
    """Eight levels, sigma 20 (1 - l / 7), zero outside the frame."""
    levels = []
    for level in range(8):
        sigma, frames = 20 * (1 - level / 7), clip.numpy()
        for axis in (-2, -1) if sigma else ():
            radius = math.ceil(4 * sigma)
            frames = gaussian_filter1d(frames, sigma, axis=axis, mode="constant", cval=0, radius=radius)
        levels.append(torch.from_numpy(frames))
    return levels


def modulated(g, r_l, r_h):
    """IDCT(A DCT(g)) + IDCT(B DCT(g)), frequency by frequency: A and B are the paper's, whose indices start at 1."""
    result = np.zeros_like(g)
    for index in np.ndindex(*g.shape):
        one_based = [i + 1 for i in index]
        low = all(i <= math.floor(r_l * n + 1e-9) for i, n in zip(one_based, g.shape, strict=True))
        in_box = all(i <= math.floor((1 - r_h) * n + 1e-9) for i, n in zip(one_based, g.shape, strict=True))
        wave = cosines(index, g.shape)
        result += (low + (not in_box)) * (g * wave).sum() * wave
    return result


def cosines(index, shape):
    """sqrt(8 / (T h w)) times the product of c cos((2 t + 1) a pi / (2 T)) over the axes, c = 1/sqrt(2) at a = 0."""
    wave = math.sqrt(8 / math.prod(shape)) * np.ones(shape)
    for axis, (frequency, n) in enumerate(zip(index, shape, strict=True)):
        line = [math.cos((2 * t + 1) * frequency * math.pi / (2 * n)) for t in range(n)]
        c = 1 / math.sqrt(2) if frequency == 0 else 1.0
        wave = wave * np.reshape([c * value for value in line], [-1 if a == axis else 1 for a in range(3)])
    return wave


# The plain run, a batch, in the clip's precision: EP-3D, or EP-2D with evenly.


def plain_run(model, clip, target, area, updates, step, sigma, evenly=False) -> list[Tensor]:
    """Seeds (N, T, h, w) before each update. clip: (N, 3, T, H, W)."""
    batch, _, frames, height, width = clip.shape
    rows, columns = Geometry(height, step, sigma), Geometry(width, step, sigma)
    kappa, levels = weights(rows, columns), pyramid(clip)
    seed = torch.ones(batch * frames, 1, rows.seed, columns.seed)
    descent, seen = torch.optim.SGD([seed], lr=0.05, momentum=0.9, dampening=0.9), []
    for _ in range(updates):
        seen.append(seed.detach().clone().view(batch, frames, rows.seed, columns.seed))
        seed.requires_grad_()
        padded = spread(seed, kappa, rows, columns)
        mask = padded[:, rows.margin : rows.margin + height, columns.margin : columns.margin + width]
        place = 7 * mask.unflatten(0, (batch, 1, frames))
        lower = place.detach().floor()
        share = place - lower
        low, high = (levels.gather(0, k.long().expand_as(clip)[None])[0] for k in (lower, (lower + 1).clamp(max=7)))
        p = model((1 - share) * low + share * high).softmax(dim=1).gather(1, target[:, None])[:, 0]
        ranked = padded.reshape(batch, frames if evenly else 1, -1).sort(dim=2, stable=True).values
        wanted = torch.ones(ranked.shape[2])
        wanted[: int(len(wanted) * (1 - area))] = 0
        energy = -torch.log(p) * 100 + ((ranked - wanted) ** 2).mean(dim=2).mean(dim=1) * 300
        descent.zero_grad()
        energy.sum().backward()
        descent.step()
        seed = descent.param_groups[0]["params"][0]
        seed.data.clamp_(0, 1)
    return seen


def weights(rows: Geometry, columns: Geometry) -> Tensor:
    """(windows, out_h, out_w)."""

    def axis(g):
        pixel = torch.arange(g.out)
        seeds = pixel // g.step + torch.arange(2 * g.radius + 1)[:, None] - g.padding
        return (pixel - g.margin - g.step * seeds).float()

    distance = (axis(rows)[:, None, :, None] ** 2 + axis(columns)[None, :, None, :] ** 2).sqrt()
    return torch.exp(-2 * (distance / rows.sigma - 0.5).clamp(min=0) ** 2).flatten(0, 1)


def spread(seed, kappa, rows: Geometry, columns: Geometry) -> Tensor:
    """(N, 1, h, w) -> (N, out_h, out_w)."""
    size = (2 * rows.radius + 1, 2 * columns.radius + 1)
    cells = unfold(seed, size, padding=(rows.padding, columns.padding)).unflatten(2, (rows.mid, columns.mid))
    pixels = interpolate(cells, scale_factor=float(rows.step), mode="nearest")[..., : rows.out, : columns.out]
    value = kappa * pixels
    return (value * torch.softmax(COLDNESS * value, dim=1)).sum(dim=1).clamp(0, 1)


def pyramid(clip) -> Tensor:
    """(8, N, 3, T, H, W), float32."""
    return torch.stack([smooth(clip, (1 - share) * 20) for share in torch.linspace(0, 1, 8)])


def smooth(clip, sigma):
    half = math.ceil(4 * sigma)
    taps = torch.arange(-half, half + 1) / (torch.tensor(math.sqrt(2)) * sigma + torch.finfo(torch.float32).eps)
    taps = torch.exp(-taps * taps)
    taps = (taps / taps.sum()).view(1, 1, -1, 1)
    images = conv2d(clip.flatten(0, 2)[:, None], taps, padding=(half, 0))
    return conv2d(images, taps.mT, padding=(0, half)).view(clip.shape)
