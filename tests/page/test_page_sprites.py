"""Frames, maps and outlines come back as they were."""

import io

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from vxbench.page.gallery import columns, frames_image, map_image, outline, sheet

SHAPES = st.tuples(st.integers(1, 10), st.integers(1, 7), st.integers(1, 7))


def cut(grid: np.ndarray, count: int, height: int, width: int) -> list[np.ndarray]:
    """What the page's script does with a sheet."""
    corners = [(i // columns(count) * height, i % columns(count) * width) for i in range(count)]
    return [grid[top : top + height, left : left + width] for top, left in corners]


@given(SHAPES.flatmap(lambda shape: arrays(np.uint8, (*shape, 3))))
def test_a_sheet_holds_every_frame_in_order(frames):
    assert all(np.array_equal(a, b) for a, b in zip(cut(sheet(frames), *frames.shape[:3]), frames, strict=True))


@settings(max_examples=30)
@given(SHAPES.flatmap(lambda shape: arrays(np.float32, shape, elements=st.floats(0, 1, width=32))))
def test_a_map_is_exact_to_half_a_level(saliency):
    grid = np.asarray(Image.open(io.BytesIO(map_image(saliency))).convert("RGB"))[..., 0] / 255
    pieces = np.stack(cut(grid, *saliency.shape))
    assert np.abs(pieces - saliency).max() <= 0.5 / 255 + 1e-6  # rounding to 8 bits, and float32


def test_frames_keep_their_colours_nearly():
    frames = np.zeros((3, 32, 32, 3), np.uint8)
    frames[..., 0], frames[..., 2] = 200, 40
    decoded = np.asarray(Image.open(io.BytesIO(frames_image(frames))).convert("RGB")).astype(int)
    first = cut(decoded, 3, 32, 32)[0]
    assert np.abs(first[4:-4, 4:-4] - frames[0, 4:-4, 4:-4]).max() <= 8  # flat colour; WebP's YUV rounds a few levels


def filled(segments: list[int], height: int, width: int) -> np.ndarray:
    """Even-odd filling along rows: a pixel is inside if an odd number of upright edges lies left of it."""
    crossings = np.zeros((height, width + 1), int)
    for x0, y0, x1, y1 in np.reshape(segments, (-1, 4)):
        if x0 == x1:
            crossings[y0:y1, x0] += 1
    return np.cumsum(crossings, axis=1)[:, :-1] % 2 == 1


@given(st.tuples(st.integers(1, 7), st.integers(1, 7)).flatmap(lambda shape: arrays(bool, shape)))
def test_an_outline_encloses_its_mask(mask):
    assert np.array_equal(filled(outline(mask), *mask.shape), mask)
    turned = np.reshape(outline(mask), (-1, 2))[:, ::-1].ravel().tolist()
    assert np.array_equal(filled(turned, *mask.T.shape), mask.T)  # the level edges, likewise


def test_a_rectangle_has_four_segments():
    mask = np.zeros((6, 8), bool)
    mask[1:4, 2:7] = True
    found = {tuple(segment) for segment in np.reshape(outline(mask), (-1, 4)).tolist()}
    assert found == {(2, 1, 7, 1), (2, 4, 7, 4), (2, 1, 2, 4), (7, 1, 7, 4)}
