"""What things look like: textured backgrounds, the warm round actor, the cool angular distractor.

A picture is (h, w) uint32: the bytes red, green, blue, 255 of a pixel taken as one number, which copies fast.
"""

import numpy as np

from vxbench.datasets.mini.exact import draw

TEXTURE = (336, 448)  # height, width of a background; the frame shows a moving window of it
Sprite = tuple[np.ndarray, np.ndarray]  # picture (h, w) uint32 and mask (h, w) bool
WINDOWS = (300, 400)  # widths, in pixels of the background, that the 320 columns of a frame may show


def packed(rgb: np.ndarray) -> np.ndarray:
    """(h, w, 3) values 0..255 -> (h, w) uint32."""
    alpha = np.full((*rgb.shape[:2], 1), 255)
    return np.concatenate([rgb, alpha], axis=2).astype(np.uint8).view(np.uint32)[..., 0]


def unpacked(picture: np.ndarray) -> np.ndarray:
    """(..., w) uint32 -> (..., w, 3) uint8 RGB."""
    return np.ascontiguousarray(picture).view(np.uint8).reshape(*picture.shape, 4)[..., :3]


def paste(frame: np.ndarray, sprite: Sprite, x: int, y: int) -> None:
    """Put a sprite, with its upper left corner at x, y, into a frame that holds it whole."""
    picture, mask = sprite
    place = frame[y : y + mask.shape[0], x : x + mask.shape[1]]
    np.copyto(place, picture, where=mask)


def background(random) -> np.ndarray:
    """Two dull colours blended by smooth noise, with stripes across, TEXTURE uint32."""
    blend = _noise(random) + (_stripes(random) - 128) * draw(random, 0, 3) // 8
    blend = np.clip(blend, 0, 255)[..., None]
    dark, light = (_dull(random, *levels) for levels in ((30, 100), (130, 220)))
    return packed((dark * (255 - blend) + light * blend) // 255)


def _dull(random, low: int, high: int) -> np.ndarray:
    """A colour near grey, so that only actor and distractor are vivid."""
    grey = draw(random, low, high)
    return np.array([grey + draw(random, -25, 25) for _ in range(3)])


def _noise(random) -> np.ndarray:
    """Smooth noise of four scales, TEXTURE, 0..255."""
    total = sum(weight * _patches(random, cell) for cell, weight in ((64, 4), (32, 2), (16, 1), (8, 1)))
    return np.clip((total // 8 - 128) * 2 + 128, 0, 255)


def _patches(random, cell: int) -> np.ndarray:
    """Random numbers 0..255 on a grid of `cell` pixels, linear in between."""
    height, width = TEXTURE
    grid = random.randint(0, 256, (height // cell + 2, width // cell + 2))
    y, fy = np.divmod(np.arange(height), cell)
    x, fx = np.divmod(np.arange(width), cell)
    rows = grid[y] * (cell - fy)[:, None] + grid[y + 1] * fy[:, None]
    return (rows[:, x] * (cell - fx) + rows[:, x + 1] * fx) // (cell * cell)


def _stripes(random) -> np.ndarray:
    """A triangle wave in a random direction, TEXTURE, 0..255."""
    y, x = np.mgrid[: TEXTURE[0], : TEXTURE[1]]
    phase = (x * draw(random, -12, 12) + y * draw(random, -12, 12)) % 512
    return np.minimum(phase, 511 - phase)


def window(random) -> tuple[int, int, int]:
    """A place and a size of the moving window: left, top and width in pixels of the background."""
    width = draw(random, *WINDOWS)
    height = width * 3 // 4
    return draw(random, 0, TEXTURE[1] - width - 1), draw(random, 0, TEXTURE[0] - height - 1), width


def seen_through(texture: np.ndarray, left: int, top: int, width: int) -> np.ndarray:
    """The window of the background as a frame, (240, 320) uint32; the nearest pixel is taken."""
    columns = left + np.arange(320) * width // 320
    rows = top + np.arange(240) * width // 320
    return texture[rows].take(columns, axis=1)


def view(texture: np.ndarray, left: int, top: int, height: int, width: int, step: int) -> np.ndarray:
    """(height, width) pixels of the background from left, top on, `step` / 1024 pixels apart; the nearest below."""
    rows, columns = (np.arange(n) * step // 1024 for n in (height, width))
    return texture[top + rows].take(left + columns, axis=1)


def actor(random, half_width: int, half_height: int) -> Sprite:
    """An ellipse with a dark rim, checked or ringed in red, orange and yellow: picture and mask."""
    y, x = np.mgrid[-half_height : half_height + 1, -half_width : half_width + 1]
    radius = (x * half_height) ** 2 + (y * half_width) ** 2  # of 0 .. (half_width * half_height)^2
    edge = (half_width * half_height) ** 2
    one = np.array([draw(random, 200, 255), draw(random, 20, 80), draw(random, 0, 50)])
    two = np.array([draw(random, 225, 255), draw(random, 150, 220), draw(random, 20, 90)])
    cell = draw(random, 7, 12)
    checks = (x // cell + y // cell) % 2 == 0
    circles = radius * 4 // edge % 2 == 0
    pattern = checks if draw(random, 0, 1) else circles
    colours = np.where(pattern[..., None], one, two)
    colours = np.where((radius * 20 > edge * 17)[..., None], one // 3, colours)
    return packed(colours), radius <= edge


def distractor(random) -> Sprite:
    """A square, a diamond, a cross or a triangle in blue, green or violet: picture and mask."""
    half = draw(random, 18, 30)
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    shapes = (
        (abs(x) < half) & (abs(y) < half),
        abs(x) + abs(y) <= half,
        (abs(x) * 3 <= half) | (abs(y) * 3 <= half),
        2 * abs(x) <= y + half,
    )
    mask = shapes[draw(random, 0, len(shapes) - 1)]
    one = np.array([draw(random, 20, 110), draw(random, 60, 200), draw(random, 170, 255)])
    two = one * 2 // 3
    cell = draw(random, 6, 12)
    return packed(np.where(((x + y) // cell % 2 == 0)[..., None], one, two)), mask
