"""What training shows the network, and that the controls take away the actor or the order and nothing else."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vxbench.datasets.base import ClipRef
from vxbench.datasets.mini.appearance import unpacked
from vxbench.datasets.mini.motion import CLASSES
from vxbench.datasets.mini.scene import scene
from vxbench.models import to_clip
from vxbench.models.mmaction import registry
from vxbench.models.train_data import (
    ORDERS,
    TestClips,
    TrainingClips,
    collate,
    random_moments,
    recoloured,
    shifted,
)
from vxbench.models.train_readers import without_actors

seeds = st.integers(0, 2**32 - 1)


@given(st.integers(1, 200), st.integers(1, 32), seeds)
def test_random_moments_are_one_of_each_segment(n, frames, seed):
    moments = random_moments(n, frames, np.random.default_rng(seed))
    edges = np.arange(frames + 1) * n / frames
    assert moments.shape == (frames,)
    assert (np.floor(edges[:-1]) <= moments).all()
    assert (moments <= np.ceil(edges[1:])).all()
    assert moments.max() < n


def test_random_moments_visit_every_frame():
    random = np.random.default_rng(0)
    seen = {int(t) for _ in range(300) for t in random_moments(20, 4, random)}
    assert seen == set(range(20))


@given(seeds)
def test_a_shift_moves_all_frames_alike(seed):
    picture = np.random.RandomState(seed).randint(0, 256, (20, 24, 3)).astype(np.uint8)
    moved = shifted(np.stack([picture] * 3), np.random.default_rng(seed))
    assert moved.shape == (3, 20, 24, 3)
    assert (moved == moved[:1]).all()
    # the middle stays in view under any shift: somewhere within +-6 pixels it is found again
    middle = picture[8:12, 10:14]
    windows = [moved[0, y : y + 4, x : x + 4] for y in range(2, 15) for x in range(4, 17)]
    assert any((window == middle).all() for window in windows)


@given(seeds)
def test_recolouring_is_the_same_in_every_frame_and_keeps_the_order_of_brightness(seed):
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, None, :, None], (2, 1, 256, 3))
    changed = recoloured(ramp, np.random.default_rng(seed))
    assert changed.dtype == np.uint8
    assert (changed[0] == changed[1]).all()
    assert (np.diff(changed.astype(int), axis=2) >= 0).all()


@pytest.mark.parametrize("name", CLASSES[::3])
def test_without_its_actors_a_scene_is_unchanged_elsewhere(name):
    drawn = scene(0, name, group=2, clip=1)
    times = [0, len(drawn) // 2, len(drawn) - 1]
    empty = without_actors(0, f"{name}/v_{name}_g02_c01", lambda n: times)
    for t, bare in zip(times, empty, strict=True):
        full = unpacked(drawn.frame(t))
        inside = np.zeros((240, 320), bool)
        for x, y, w, h in (mover.boxes()[t] for mover in drawn.movers[1:]):
            inside[y : y + h, x : x + w] = True
        assert (bare[~inside] == full[~inside]).all()
        # an ellipse fills pi/4 of its box, and hardly a pixel of it has the background's colour
        assert (bare[inside] != full[inside]).any(axis=1).mean() > 0.7


def ramp_reader(ref, pick):
    """Frame t of a video of 40 frames is t everywhere."""
    times = np.asarray(pick(40), dtype=np.uint8)
    return np.broadcast_to(times[:, None, None, None], (len(times), 16, 16, 3)).copy()


REFS = [ClipRef(f"a/{i}", "nowhere", i) for i in range(4)]


def test_test_clips_are_what_the_sampler_says():
    clips = TestClips(REFS, ramp_reader, "centre", 8)
    assert clips.clips.shape == (4, 8, 16, 16, 3)
    assert clips.clips[0, :, 0, 0, 0].tolist() == [2, 7, 12, 17, 22, 27, 32, 37]
    assert clips.labels == [0, 1, 2, 3]


def test_shuffling_permutes_the_frames_always_in_the_same_way():
    plain, one, again = (
        TestClips(REFS, ramp_reader, "centre", 8, control) for control in (None, "shuffled", "shuffled")
    )
    assert (one.clips == again.clips).all()
    assert (one.clips[: len(plain)] != plain.clips).any()
    assert one.labels == plain.labels * ORDERS
    for i, clip in enumerate(one.clips):
        assert (np.sort(clip, axis=0) == plain.clips[i % len(plain)]).all()


def test_a_still_clip_is_its_first_frame():
    still = TestClips(REFS, ramp_reader, "centre", 8, "still")
    assert still.clips.shape == (4, 8, 16, 16, 3)
    assert (still.clips == 2).all()


@pytest.mark.parametrize("in_memory", [True, False])
def test_training_clips_are_drawn_from_torchs_generator(in_memory):
    clips = TrainingClips(REFS, ramp_reader, 8, control=None, in_memory=in_memory)
    torch.manual_seed(0)
    first, second = clips[0][0], clips[0][0]
    torch.manual_seed(0)
    assert (clips[0][0] == first).all()
    assert (first != second).any()
    assert (np.diff(first[:, 0, 0, 0].astype(int)) >= 0).all()  # in the order of time
    assert clips[3][1] == 3


def test_memory_changes_nothing_but_the_number_of_readings():
    calls = []

    def counting(ref, pick):
        calls.append(ref)
        return ramp_reader(ref, pick)

    samples = []
    for in_memory in (True, False):
        torch.manual_seed(5)
        clips = TrainingClips(REFS, counting, 8, control=None, in_memory=in_memory)
        samples.append([clips[1][0] for _ in range(3)])
    assert len(calls) == 1 + 3
    assert all((kept == read).all() for kept, read in zip(*samples, strict=True))


@pytest.mark.parametrize("is_2d", [True, False])
def test_training_normalises_as_the_benchmark_does(is_2d):
    mean, std = [110.0, 100.0, 96.0], [58.0, 56.0, 55.0]
    frames = np.random.RandomState(0).randint(0, 256, (2, 4, 6, 5, 3)).astype(np.uint8)
    preprocess = registry().build(
        {
            "type": "ActionDataPreprocessor",
            "mean": mean,
            "std": std,
            "format_shape": "NCHW" if is_2d else "NCTHW",
        }
    )
    batch = preprocess(collate([(frames[0], 1), (frames[1], 2)], is_2d))
    inputs = batch["inputs"].transpose(1, 2) if is_2d else batch["inputs"][:, 0]
    torch.testing.assert_close(inputs, to_clip(frames, mean, std), rtol=0, atol=1e-6)  # one float32 rounding
    assert [int(sample.gt_label) for sample in batch["data_samples"]] == [1, 2]
