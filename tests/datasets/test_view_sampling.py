from functools import lru_cache

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from vxbench.datasets.view import SAMPLERS, Sampler
from vxbench.errors import OutOfRange
from vxbench.models.mmaction import registry


@pytest.mark.choice("data.sampling")
@pytest.mark.parametrize(
    ("name", "n", "frames", "expected"),
    [
        ("centre", 8, 4, [1, 3, 5, 7]),
        ("centre", 10, 4, [1, 3, 6, 8]),
        ("last", 10, 4, [3, 5, 7, 9]),  # r = 2: 9, 7, 5, 3 reversed
        ("last", 101, 16, [10, 16, 22, 28, 34, 40, 46, 52, 58, 64, 70, 76, 82, 88, 94, 100]),
        ("first", 10, 4, [2, 4, 6, 8]),  # 0, 2, 4, 6, 8: the last four
        ("first", 8, 4, [0, 2, 4, 6]),
        ("window", 10, 4, [0, 1, 2, 3]),
        ("window", 3, 7, [0, 1, 2, 0, 1, 2, 0]),
        ("last", 3, 6, [0, 0, 1, 1, 2, 2]),  # too short: repeated evenly
        ("first", 1, 3, [0, 0, 0]),
        ("centre", 4, 4, [0, 1, 2, 3]),
        ("last", 4, 4, [0, 1, 2, 3]),
        ("first", 4, 4, [0, 1, 2, 3]),
        ("window", 4, 4, [0, 1, 2, 3]),
        ("dense", 4, 4, [0, 1, 2, 3]),
        ("dense", 10, 4, [3, 4, 5, 6]),
        ("dense", 3, 4, [0, 1, 2, 0]),
    ],
)
def test_indices(name, n, frames, expected):
    assert Sampler(name, frames)(n).tolist() == expected


@given(st.sampled_from(sorted(SAMPLERS)), st.integers(1, 2000), st.integers(1, 64))
def test_there_are_always_t_frames_of_the_video(name, n, frames):
    picked = Sampler(name, frames)(n)
    assert picked.shape == (frames,)
    assert picked.min() >= 0
    assert picked.max() < n


@given(st.sampled_from(["centre", "last", "first"]), st.integers(1, 2000), st.integers(1, 64))
def test_order_is_kept_and_nothing_repeats_unless_it_must(name, n, frames):
    steps = np.diff(Sampler(name, frames)(n))
    assert (steps >= (1 if n >= frames else 0)).all()


@given(st.integers(0, 1000), st.sampled_from([1, 2, 4, 8, 16, 32]))
def test_centre_is_its_own_mirror_image_for_an_odd_number_of_frames(half, frames):
    n = 2 * half + 1
    picked = Sampler("centre", frames)(n)
    assert (picked + picked[::-1] == n - 1).all()


@pytest.mark.parametrize(
    ("name", "n", "interval", "expected"),
    [
        ("window", 10, 3, [0, 3, 6, 9]),
        ("window", 8, 3, [0, 3, 6, 1]),  # starts over
        ("dense", 14, 3, [2, 5, 8, 11]),  # ten frames from first to last, two spare before and two after
        ("dense", 10, 3, [0, 3, 6, 9]),
        ("dense", 8, 3, [0, 3, 6, 1]),
    ],
)
def test_intervals(name, n, interval, expected):
    assert Sampler(name, 4, interval)(n).tolist() == expected


@given(st.integers(1, 500), st.integers(2, 40), st.integers(1, 12))
def test_dense_is_the_one_test_clip_of_mmaction2(n, frames, interval):
    """For T >= 2: mmaction2 samples single frames for 2D recognisers by another rule."""
    theirs = sample_frames(frames, interval).transform({"total_frames": n, "start_index": 0})["frame_inds"]
    assert Sampler("dense", frames, interval)(n).tolist() == theirs.tolist()


@lru_cache
def sample_frames(frames, interval):
    registry()
    from mmaction.datasets.transforms import SampleFrames

    return SampleFrames(clip_len=frames, frame_interval=interval, num_clips=1, test_mode=True)


@given(st.sampled_from(["window", "dense"]), st.integers(1, 500), st.integers(1, 40), st.integers(1, 12))
def test_frames_in_a_row_are_the_interval_apart_and_start_over(name, n, frames, interval):
    picked = Sampler(name, frames, interval)(n)
    assert ((np.diff(picked) - interval) % n == 0).all()
    if (frames - 1) * interval < n:
        assert (np.diff(picked) == interval).all()


@given(st.integers(1, 500), st.integers(2, 40), st.integers(1, 12))
def test_dense_leaves_as_much_before_as_behind(n, frames, interval):
    picked = Sampler("dense", frames, interval)(n)
    if (frames - 1) * interval < n:
        assert n - 1 - picked[-1] - picked[0] in (0, 1)


@given(st.integers(1, 2000), st.integers(1, 64))
def test_last_and_first_keep_their_ends_and_their_even_step(n, frames):
    assume(n >= frames)
    last, first = (Sampler(name, frames)(n) for name in ("last", "first"))
    assert last[-1] == n - 1
    assert (np.diff(last) == n // frames).all()
    assert (np.diff(first) == n // frames).all()
    assert (first % (n // frames) == 0).all()
    assert first[-1] + n // frames >= n  # the next would be outside


def test_unknown_name_and_bad_number_are_refused():
    with pytest.raises(OutOfRange, match="sampling = middle is not one of last, first, centre, window"):
        Sampler("middle", 8)
    with pytest.raises(OutOfRange, match="frames = 0"):
        Sampler("centre", 0)
