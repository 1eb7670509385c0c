"""Makes holes that follow the motion: tracks anchors along the optical flow and finds those that move alike.

Arrays of N anchors are numpy; (y, x) for positions, (x, y) for flow, as OpenCV has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vxbench.errors import UserError
from vxbench.explainers.occlusion.holes import Holes, around
from vxbench.ranges import one_of

FRAMES = ("truncated", "rounded")
GRAY = ("bgr_on_rgb", "rgb")
LETTERBOX = ("scaled", "off", "released_112")
TIES = ("index", "released")
EIGHT_BIT = 0.01  # values of 0-255 this near to whole numbers were 8-bit: float32 moves them by 1e-4 at most
DARK = 500_000 / (16 * 6 * 112 * 3)  # 15.5, the mean below which rows count as black bars
SAME = 12  # decimals in which similarities are compared: equal ones differ by rounding


@dataclass(frozen=True)
class Field:
    """The places where anchors may be, both ends included: rows `start` at first, `rows` and `columns` later on."""

    start: tuple[float, float]
    rows: tuple[float, float]
    columns: tuple[float, float]


@dataclass(frozen=True)
class Tracks:
    """Anchors over time, which go on being recorded after their death.

    y, x: (T, N) int64, held inside the frame. alive: (T, N) bool. displacement: (T - 1, 2, N) float32, the flow
    (x, y) at the anchor.
    """

    y: np.ndarray
    x: np.ndarray
    alive: np.ndarray
    displacement: np.ndarray


def eight_bit(clip: Tensor, mean: Sequence[float], std: Sequence[float], how: str = "truncated") -> Tensor:
    """Recovers the frames (B, T, H, W, 3) uint8 RGB that a normalised clip (B, 3, T, H, W) was made of.

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
    """Converts frames (T, H, W, 3) uint8 RGB to grey, (T, H, W) uint8.

    bgr_on_rgb: red and blue swap their weights, as released. rgb: .299, .587, .114.
    """
    one_of("gray", how, GRAY)
    cv2 = _opencv()
    code = cv2.COLOR_BGR2GRAY if how == "bgr_on_rgb" else cv2.COLOR_RGB2GRAY
    return np.stack([cv2.cvtColor(np.ascontiguousarray(frame), code) for frame in frames])


def farneback(gray: np.ndarray) -> np.ndarray:
    """Computes the dense flow (T - 1, H, W, 2) float32, as (x, y), from each frame (T, H, W) uint8 to the next.

    Source: Farneback 2003.

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


def field_of(frames: np.ndarray, letterbox: str = "scaled") -> Field:
    """The field of anchors: the whole frame, or less where the clip (T, H, W, 3) uint8 has black bars.

    scaled: the released numbers as shares of the height. released_112: as they are, in pixels of 112 x 112
    clips. off: no bars are looked for.
    """
    one_of("letterbox", letterbox, LETTERBOX)
    height, width = frames.shape[1:3]
    unit = 1 if letterbox == "released_112" else height / 112
    bottom, right = (111, 111) if letterbox == "released_112" else (height - 1, width - 1)
    if letterbox == "off" or not _has_bars(frames, letterbox):
        return Field((0, height - 1), (0, bottom), (0, right))
    return Field((12 * unit, 100 * unit), (16 * unit, 96 * unit), (0, right))


def _has_bars(frames: np.ndarray, letterbox: str) -> bool:
    deep = 3 if letterbox == "released_112" else max(1, round(3 * frames.shape[1] / 112))
    bars = np.concatenate([frames[:, :deep], frames[:, -deep:]], axis=1)
    if letterbox == "released_112":
        return bars.sum(dtype=np.int64) < 500_000
    return bars.mean(dtype=np.float64) < DARK


def anchors_of(height: int, width: int, stride: int, start: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The places y and x (N,) of a grid that begins at stride // 2, without rows outside `start`; y varies slower.

    Raises:
        UserError: no anchor is left.
    """
    y, x = np.mgrid[stride // 2 : height : stride, stride // 2 : width : stride].reshape(2, -1)
    kept = (start[0] <= y) & (y <= start[1])
    if not kept.any():
        raise UserError(f"stride = {stride} leaves no anchor on frames of {height} x {width}")
    return y[kept], x[kept]


def follow(flow: np.ndarray, y: np.ndarray, x: np.ndarray, field: Field) -> Tracks:
    """Moves anchors (N,) along the flow (T - 1, H, W, 2), to whole pixels inside the frame.

    An anchor dies for good when its unrounded position leaves the field.
    """
    height, width = flow.shape[1:3]
    alive = np.ones(len(y), bool)
    path, displacement = [(y, x, alive)], np.zeros((len(flow), 2, len(y)), np.float32)
    for t, one in enumerate(flow):
        displacement[t] = one[y, x].T
        precision = np.float32 if t else np.float64  # as numpy's promotion has it in the released code
        to_x, to_y = (position.astype(precision) + d for position, d in zip((x, y), displacement[t], strict=True))
        alive = alive & _within(to_y, field.rows) & _within(to_x, field.columns)
        y = np.round(to_y).clip(0, height - 1).astype(np.int64)
        x = np.round(to_x).clip(0, width - 1).astype(np.int64)
        path.append((y, x, alive))
    return Tracks(*(np.stack(part) for part in zip(*path, strict=True)), displacement)


def _within(value: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    return (ends[0] <= value) & (value <= ends[1])


def steps_between(tracks: Tracks) -> np.ndarray:
    """Differences of the anchors' positions from frame to frame, (T - 1, 2, N), as (x, y)."""
    return np.stack([np.diff(tracks.x, axis=0), np.diff(tracks.y, axis=0)], axis=1)


def similarities(displacement: np.ndarray, dtype: type = np.float64) -> np.ndarray:
    """Cosines of the anchors' displacements over time (Uchiyama et al., eq. 1): (T - 1, 2, N) -> (N, N).

    0 for an anchor that never moves. dtype: the released code's is float32.
    """
    vectors = displacement.reshape(-1, displacement.shape[-1]).T.astype(dtype)
    length = np.linalg.norm(vectors, axis=1) + dtype(1e-10)
    return vectors @ vectors.T / length / length[:, None]


def neighbours_of(similarity: np.ndarray, k: int, ties: str = "index") -> np.ndarray:
    """The k anchors most like each, (N, N) -> (N, k), least like first; at most the N - 1 others.

    index: never itself; among equals the lower index is more alike. released: an anchor's likeness to itself is
    0, and numpy's argsort decides among equals: with fewer than k positive likenesses, itself or any may enter.
    """
    one_of("ties", ties, TIES)
    count = len(similarity)
    similarity = similarity.copy()
    if ties == "released":
        np.fill_diagonal(similarity, 0)
        return np.argsort(similarity, axis=1)[:, count - min(k, count - 1) :]
    np.fill_diagonal(similarity, -np.inf)
    order = np.argsort(-similarity.round(SAME), axis=1, kind="stable")
    return order[:, : min(k, count - 1)][:, ::-1]


def tubes(
    tracks: Tracks,
    neighbours: np.ndarray,
    hole: int,
    size: tuple[int, int],
    device: torch.device | str = "cpu",
) -> Holes:
    """Makes one mask per anchor: squares of side `hole` around it and its neighbours (N, K), on the frames they live.

    size: (H, W).
    """
    y, x, alive = (torch.from_numpy(array).T.to(device) for array in (tracks.y, tracks.x, tracks.alive))
    rows, columns = around(y, hole, size[0], alive), around(x, hole, size[1], alive)  # (N, T, 2)
    own = torch.arange(len(y), device=device)[:, None]
    who = torch.cat([own, torch.from_numpy(neighbours.copy()).to(device)], dim=1)  # (N, 1 + K)
    return Holes(rows[who], columns[who], torch.zeros_like(own[:, 0]), *size)
