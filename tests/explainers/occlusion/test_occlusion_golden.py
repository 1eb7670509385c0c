"""AOSA stage by stage against the released code, each stage from the saved output of the one before, then whole.

Integer stages (frames, grey, tracks, masks) must agree to the bit. Scores are probabilities of a float32 network:
1e-5. Maps are linear in them: 1e-4 of the map's range.
"""

from functools import cache

import numpy as np
import pytest
import torch
from helpers.toys import GOLDEN_MEAN, GOLDEN_STD, GOLDEN_TARGET, golden, tiny_a

from vxbench.explainers.normalise import normalise
from vxbench.explainers.occlusion.aosa import AOSA, AOSAApprox, scores_and_gradients
from vxbench.explainers.occlusion.base import masked_scores, released
from vxbench.explainers.occlusion.motion import (
    anchors_of,
    eight_bit,
    farneback,
    field_of,
    follow,
    gray_frames,
    neighbours_of,
    similarities,
    tubes,
)
from vxbench.explainers.occlusion.osa import cuboids
from vxbench.network import whole_scores

pytestmark = pytest.mark.slow

MEAN, STD = ([255 * v for v in values] for values in (GOLDEN_MEAN, GOLDEN_STD))
TARGET = torch.tensor([GOLDEN_TARGET["big"]])
SHAPE = (16, 112, 112)
CLIPS = ["big", "letterbox"]
KINDS = {"single": 0, "stacked": 3}

files = {name: cache(lambda name=name: golden(f"aosa_{name}")) for name in CLIPS}


@cache
def frames_of(name: str) -> np.ndarray:
    """The 8-bit clip; `letterbox` is `big` with black bars of 14 rows."""
    frames = golden("clips")["big"].copy()
    if name == "letterbox":
        frames[:, :14] = frames[:, 98:] = 0
    return frames


@cache
def clip_of(name: str) -> torch.Tensor:
    """Normalised in float32, step by step as the released runs did."""
    clip = (frames_of(name).astype(np.float32) / np.float32(255) - np.float32(GOLDEN_MEAN)) / np.float32(GOLDEN_STD)
    return torch.from_numpy(clip).permute(3, 0, 1, 2).unsqueeze(0).contiguous()


@cache
def masks_of(name: str, kind: str):
    """Our masks, from the saved displacements' likeness and the clip's own tracks."""
    tracks = AOSA(MEAN, STD).tracks_of(released_frames(name))
    near = neighbours_of(similarities(files[name]()["displacement"]), KINDS[kind])
    return tubes(tracks, near, 16, SHAPE[1:])


def released_frames(name: str) -> np.ndarray:
    return eight_bit(clip_of(name), MEAN, STD)[0].numpy()


def digest(array: np.ndarray) -> list[float]:
    array = np.asarray(array, np.float64)
    return [array.sum(), array.mean(), np.sqrt((array**2).sum()), array.max(), array.min()]


def unpacked(masks: np.ndarray) -> np.ndarray:
    return np.unpackbits(masks, axis=1)[:, : np.prod(SHAPE)].reshape(-1, *SHAPE) == 0


def assert_map(got: torch.Tensor, arrays: dict, prefix: str, close: float = 1e-4):
    """Every frame by its digest, one frame by its values; `close` in shares of the map's range."""
    got, expected = got[0].double().numpy(), arrays[f"{prefix}_map_raw_digest"]
    span = expected[:, 3].max() - expected[:, 4].min()
    assert span > 0
    unit = np.array([112 * 112, 1, 112, 1, 1])  # of sum, mean, L2 norm, max, min
    error = np.abs(np.array([digest(frame) for frame in got]) - expected) / unit
    assert error.max() <= close * span
    assert np.abs(got[6] - arrays[f"{prefix}_map_frame6"]).max() <= close * span


# Clip -> frames -> grey -> flow.


@pytest.mark.parametrize("name", CLIPS)
def test_frames_are_truncated_to_the_bit(name):
    got, expected = released_frames(name), files[name]()["roundtrip_digest"]
    assert [*digest(got), got.argmax()] == expected.tolist()
    assert 0.35 < (got != frames_of(name)).mean() < 0.55  # one level too low


@pytest.mark.parametrize("name", ["big", "small0", "small1"])
def test_rounded_frames_are_the_clip_s_own(name):
    frames = golden("clips")[name]
    pixels = (frames / 255 - np.array(GOLDEN_MEAN)) / np.array(GOLDEN_STD)
    clip = torch.from_numpy(pixels).permute(3, 0, 1, 2).unsqueeze(0)
    for given in (clip, clip.float()):
        assert np.array_equal(eight_bit(given, MEAN, STD, "rounded")[0].numpy(), frames)


@pytest.mark.parametrize("name", CLIPS)
def test_gray_frames(name):
    gray = gray_frames(released_frames(name))
    if name == "big":
        assert np.array_equal(gray, files["big"]()["gray_u8"])
    else:
        assert [*digest(gray), gray.argmax()] == files["letterbox"]()["gray_digest"].tolist()


def test_flow():
    """Same OpenCV arithmetic, float32; 1e-3 px is far below what rounds an anchor elsewhere."""
    arrays = files["big"]()
    assert np.abs(farneback(arrays["gray_u8"])[:, ::4, ::4] - arrays["flow_every4"]).max() < 1e-3


def test_flow_with_black_bars():
    flow = farneback(gray_frames(released_frames("letterbox")))
    unit = np.array([2 * 112 * 112, 1, np.sqrt(2) * 112, 1, 1])
    error = np.array([digest(frame) for frame in flow]) - files["letterbox"]()["flow_digest"]
    assert np.abs(error / unit).max() < 1e-3


# Flow -> tracks -> neighbours -> masks.


@pytest.mark.parametrize("name", CLIPS)
def test_tracks(name):
    arrays, frames = files[name](), released_frames(name)
    field = field_of(frames)
    assert (field.rows == (16, 96)) == arrays["letter_box"]
    y, x = anchors_of(*SHAPE[1:], 8, field.start)
    tracks = follow(farneback(gray_frames(frames)), y, x, field)
    assert np.abs(tracks.displacement - arrays["displacement"]).max() < 1e-3
    assert np.array_equal((tracks.y * tracks.alive).T, arrays["s8_track_y"])
    assert np.array_equal((tracks.x * tracks.alive).T, arrays["s8_track_x"])


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("ties", ["index", "released"])
def test_neighbours(name, ties):
    """The released float32 cosines and ours choose the same three for every anchor, in the same order."""
    arrays = files[name]()
    got = neighbours_of(similarities(arrays["displacement"]), 3, ties)
    assert np.array_equal(got, arrays["s8_neighbours"])


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("kind", KINDS)
def test_masks(name, kind):
    hidden = masks_of(name, kind).hidden().numpy()
    assert np.array_equal(hidden, unpacked(files[name]()[f"s8_{kind}_masks_packed"]))


def test_masks_of_cuboids():
    arrays = files["big"]()
    centres = (range(0, 16, 4), range(0, 112, 16), range(0, 112, 16))
    hidden = cuboids(SHAPE, centres, 16, 8).hidden().numpy()
    assert np.array_equal(hidden, unpacked(arrays["simple_s16c16_t4c8_masks_packed"]))


def test_masks_of_the_true_frames():
    arrays, explainer = files["big"](), AOSA(MEAN, STD, frames="rounded")
    assert np.abs(explainer.tracks_of(frames_of("big")).displacement - arrays["exactframes_displacement"]).max() < 1e-3
    hidden = explainer.masks(clip_of("big"), None).hidden().numpy()
    assert np.array_equal(hidden, unpacked(arrays["exactframes_s8_stacked_masks_packed"]))


# Masks -> scores -> map.


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("kind", KINDS)
def test_scores(name, kind):
    """Every twelfth mask."""
    arrays, every = files[name](), slice(None, None, 12)
    got = masked_scores(tiny_a(), clip_of(name), TARGET, masks_of(name, kind)[every], 8)
    assert np.abs(got.numpy() - arrays[f"s8_{kind}_scores"][every]).max() < 1e-5
    whole = whole_scores(tiny_a(), clip_of(name), TARGET, 8)
    assert abs(whole.item() - arrays["prob"][TARGET]) < 1e-5


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("kind", KINDS)
def test_map_of_the_saved_scores(name, kind):
    arrays, prefix = files[name](), f"s8_{kind}"
    masked, whole = (torch.from_numpy(arrays[key]) for key in (f"{prefix}_scores", "prob"))
    got = released(masks_of(name, kind), masked, whole[TARGET])
    assert_map(got, arrays, prefix)
    low, high = arrays[f"{prefix}_map_norm_minmax"]
    norm = low + (high - low) * normalise(got, "minmax")[0][0, 7].numpy()
    assert np.abs(norm - arrays[f"{prefix}_map_norm_frame7"]).max() < 1e-4 * (high - low)


def test_map_of_the_saved_scores_on_the_true_frames():
    arrays, prefix = files["big"](), "exactframes_s8_stacked"
    masks = AOSA(MEAN, STD, frames="rounded").masks(clip_of("big"), None)
    masked, whole = (torch.from_numpy(arrays[key]) for key in (f"{prefix}_scores", "prob"))
    assert_map(released(masks, masked, whole[TARGET]), arrays, prefix)


def test_from_the_clip_to_the_map():
    explainer, arrays = AOSA(MEAN, STD, stride=16, hole=32, chunk=16), files["big"]()
    masks = explainer.masks(clip_of("big"), None)
    assert np.array_equal(masks.hidden().numpy(), unpacked(arrays["s16c32_stacked_masks_packed"]))
    masked, whole = explainer.scores(tiny_a(), clip_of("big"), TARGET, masks)
    assert np.abs(masked.numpy() - arrays["s16c32_stacked_scores"]).max() < 1e-5
    assert_map(explainer.combine(masks, masked, whole), arrays, "s16c32_stacked")


# AOSA-approx. One pass gives all scores, so these run from the clip.


@pytest.mark.parametrize("name", CLIPS)
def test_gradient_of_the_probability(name):
    _, gradient = scores_and_gradients(tiny_a(), clip_of(name), TARGET, 8)
    got = np.array([digest(gradient[0, :, t].numpy()) for t in range(16)])
    expected = files[name]()["approx_gradient_digest"]
    unit = np.array([3 * 112 * 112, 1, np.sqrt(3) * 112, 1, 1])
    assert (np.abs(got - expected) / unit).max() < 1e-5 * expected[:, 3].max()


APPROX = [("big", "stacked", window) for window in (0, 4, 9, 16)]
APPROX += [("big", "single", 0), ("big", "single", 9), ("letterbox", "stacked", 0)]


@pytest.mark.parametrize(("name", "kind", "window"), APPROX)
def test_approx(name, kind, window):
    arrays, prefix = files[name](), f"s8_approx_{kind}_cond{window}"
    options = {"cond": window > 0, "mu": f"box{window or 4}", "relu": False}
    explainer = AOSAApprox(mean=MEAN, std=STD, k=KINDS[kind], **options)
    masks = explainer.masks(clip_of(name), None)
    masked, whole = explainer.scores(tiny_a(), clip_of(name), TARGET, masks)
    assert np.abs(masked.numpy() - arrays[f"{prefix}_scores"]).max() < 1e-5
    assert_map(explainer.combine(masks, masked, whole), arrays, prefix)


def test_approx_adjusted():
    """On this clip no estimate lies outside the fences, in the release neither."""
    arrays = files["big"]()
    explainer = AOSAApprox(mean=MEAN, std=STD, cond=False, relu=False, adjust="simple")
    masked, _ = explainer.scores(tiny_a(), clip_of("big"), TARGET, masks_of("big", "stacked"))
    assert np.abs(masked.numpy() - arrays["s8_approx_stacked_adjust_simple_scores"]).max() < 1e-5
