"""What training shows the network, and that the controls take away the actor or the order and nothing else."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vxbench.datasets.base import ClipRef
from vxbench.datasets.mini.actors import unpacked
from vxbench.datasets.mini.ucf import CLASSES, scene
from vxbench.datasets.view import SAMPLERS, Sampler
from vxbench.errors import ClipError, OutOfRange
from vxbench.training.augment import Augmentation, random_moments, random_pick, random_window, recoloured, shifted
from vxbench.training.clips import ORDERS, TestClips, TrainingClips, batches, without_actors

seeds = st.integers(0, 2**32 - 1)
CENTRE = Sampler("centre", 8)
PLAIN = Augmentation()


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


@given(st.integers(1, 100), st.integers(1, 16), st.integers(1, 8), seeds)
def test_a_random_window_is_in_a_row_and_starts_over_only_in_a_short_video(n, frames, interval, seed):
    times = random_window(n, frames, interval, np.random.default_rng(seed))
    assert times.shape == (frames,)
    assert ((times >= 0) & (times < n)).all()
    steps = np.diff(times)
    if (frames - 1) * interval < n:
        assert (steps == interval).all()
    else:
        assert (steps % n == interval % n).all()


def test_random_windows_start_everywhere_a_whole_one_fits():
    random = np.random.default_rng(0)
    starts = {int(random_window(20, 4, 5, random)[0]) for _ in range(300)}
    assert starts == set(range(5))
    assert not any(random_window(4, 4, 5, random)[0] for _ in range(50))


@pytest.mark.parametrize("name", SAMPLERS)
def test_training_takes_frames_as_far_apart_as_the_benchmark(name):
    sampler = Sampler(name, frames=8, interval=2)
    picked = [random_pick(sampler, np.random.default_rng(seed))(160) for seed in range(50)]
    assert len({tuple(times) for times in picked}) > 1
    spans = np.array([times[-1] - times[0] for times in picked])
    expected = np.ptp(sampler(160))
    assert abs(spans.mean() - expected) <= 160 / 8  # a segment: of that length moments are free
    if name in ("window", "dense"):
        assert (spans == expected).all()


@given(seeds)
def test_a_shift_moves_all_frames_alike(seed):
    picture = np.random.RandomState(seed).randint(0, 256, (20, 24, 3)).astype(np.uint8)
    moved = shifted(np.stack([picture] * 3), 6, np.random.default_rng(seed))
    assert moved.shape == (3, 20, 24, 3)
    assert (moved == moved[:1]).all()
    # the middle stays in view under any shift: somewhere within +-6 pixels it is found again
    middle = picture[8:12, 10:14]
    windows = [moved[0, y : y + 4, x : x + 4] for y in range(2, 15) for x in range(4, 17)]
    assert any((window == middle).all() for window in windows)


@given(seeds)
def test_recolouring_is_the_same_in_every_frame_and_keeps_the_order_of_brightness(seed):
    ramp = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, None, :, None], (2, 1, 256, 3))
    changed = recoloured(ramp, (0.8, 1.2), (-20, 20), np.random.default_rng(seed))
    assert changed.dtype == np.uint8
    assert (changed[0] == changed[1]).all()
    assert (np.diff(changed.astype(int), axis=2) >= 0).all()


def test_an_augmentation_of_nothing_changes_nothing():
    clip = np.random.RandomState(0).randint(0, 256, (2, 6, 8, 3)).astype(np.uint8)
    assert (PLAIN(clip, np.random.default_rng(0)) == clip).all()


def test_a_flip_mirrors_half_of_the_clips_left_to_right():
    clip = np.random.RandomState(0).randint(0, 256, (2, 6, 8, 3)).astype(np.uint8)
    flip, random = Augmentation(flip=True), np.random.default_rng(0)
    mirrored = [bool((flip(clip, random) == clip[:, :, ::-1]).all()) for _ in range(200)]
    plain = [bool((flip(clip, random) == clip).all()) for _ in range(200)]
    # 200 fair draws lie within 60..140 but for one time in 10^8
    assert 60 < sum(mirrored) < 140
    assert 60 < sum(plain) < 140


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"shift": -1}, "shift = -1"),
        ({"flip": 0.5}, "flip = 0.5"),
        ({"gain": (1.2, 0.8)}, r"gain\[1\] = 0.8"),
        ({"offset": (0,)}, "offset = .* is not a pair"),
    ],
)
def test_a_wrong_augmentation_is_refused(setting, message):
    with pytest.raises(OutOfRange, match=message):
        Augmentation(**setting)


@pytest.mark.parametrize("name", CLASSES[::3])
def test_without_its_actors_a_scene_is_unchanged_elsewhere(name):
    drawn = scene(0, name, group=2, clip=1)
    times = [0, len(drawn) // 2, len(drawn) - 1]
    empty = without_actors(0, f"{name}/v_{name}_g02_c01", lambda n: times)
    for t, bare in zip(times, empty, strict=True):
        full = unpacked(drawn.frame(t))
        inside = np.zeros((240, 320), bool)
        for x, y, w, h in (mover.box(t) for mover in drawn.movers[1:]):
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
    clips = TestClips(REFS, ramp_reader, CENTRE)
    assert len(clips) == 4
    assert clips[0][0].shape == (8, 16, 16, 3)
    assert clips[0][0][:, 0, 0, 0].tolist() == [2, 7, 12, 17, 22, 27, 32, 37]
    assert [label for _, label in clips] == [0, 1, 2, 3]


def test_shuffling_permutes_the_frames_always_in_the_same_way():
    plain, one, again = (
        list(TestClips(REFS, ramp_reader, CENTRE, control)) for control in (None, "shuffled", "shuffled")
    )
    assert all((a == b).all() for (a, _), (b, _) in zip(one, again, strict=True))
    assert len({tuple(clip[:, 0, 0, 0]) for clip, _ in one}) > len(REFS)  # orders differ between clips
    assert [label for _, label in one] == [label for _, label in plain] * ORDERS
    for i, (clip, _) in enumerate(one):
        assert (np.sort(clip, axis=0) == plain[i % len(plain)][0]).all()


def test_a_still_clip_is_its_first_frame():
    for clip, _ in TestClips(REFS, ramp_reader, CENTRE, "still"):
        assert clip.shape == (8, 16, 16, 3)
        assert (clip == 2).all()


@pytest.mark.parametrize("in_memory", [True, False])
def test_training_clips_are_drawn_from_torchs_generator(in_memory):
    clips = TrainingClips(REFS, ramp_reader, CENTRE, PLAIN, in_memory=in_memory)
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
        clips = TrainingClips(REFS, counting, CENTRE, Augmentation(shift=2), in_memory=in_memory)
        samples.append([clips[1][0] for _ in range(3)])
    assert len(calls) == 1 + 3
    assert all((kept == read).all() for kept, read in zip(*samples, strict=True))
    calls.clear()
    kept = TestClips(REFS, counting, CENTRE, in_memory=True)
    assert (kept[2][0] == kept[2][0]).all()
    assert len(calls) == 1


def missing(ref, pick):
    raise ClipError("missing", f"{ref.id} is not there")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_clip_that_cannot_be_read_crosses_from_a_worker_whole(workers):
    clips = TrainingClips(REFS, missing, CENTRE, PLAIN)
    [batch] = batches(clips, 4, workers)
    assert [clip.id for clip in batch["unreadable"]] == [ref.id for ref in REFS]
    error = batch["unreadable"][0].error
    assert (error.kind, error.message) == ("missing", "a/0 is not there")


@pytest.mark.parametrize("workers", [0, 1])
def test_the_next_clip_that_can_be_read_stands_in(workers):
    def read(ref, pick):
        return missing(ref, pick) if ref.id in ("a/0", "a/3") else ramp_reader(ref, pick)

    clips = TrainingClips(REFS, read, CENTRE, PLAIN, stand_in=True)
    [batch] = batches(clips, 4, workers)
    assert batch["labels"].tolist() == [1, 1, 2, 1]  # after the last comes the first, which cannot be read either
    assert [clip.id for clip in batch["unreadable"]] == ["a/0", "a/3", "a/0"]
    assert batch["frames"].shape == (4, 8, 16, 16, 3)
    shown = [tuple(clip[:, 0, 0, 0].tolist()) for clip in batch["frames"]]
    assert len({shown[0], shown[1], shown[3]}) == 3  # each at its own moments
