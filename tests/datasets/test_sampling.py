import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vxbench.datasets.sampling import SAMPLERS, Sampler
from vxbench.errors import OutOfRange


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


def test_unknown_name_and_bad_number_are_refused():
    with pytest.raises(OutOfRange, match="sampling = middle is not one of last, first, centre, window"):
        Sampler("middle", 8)
    with pytest.raises(OutOfRange, match="frames = 0"):
        Sampler("centre", 0)
