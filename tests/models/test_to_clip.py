import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vxbench.models import to_clip

MEAN, STD = [110.0, 100.0, 96.0], [58.0, 56.0, 55.0]


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_each_channel_has_its_own_mean_and_std(batch, time, side, seed):
    frames = np.random.RandomState(seed).randint(0, 256, (batch, time, side, side + 1, 3)).astype(np.uint8)
    clip = to_clip(frames, MEAN, STD)
    assert clip.shape == (batch, 3, time, side, side + 1)
    assert clip.dtype == torch.float32
    assert clip.is_contiguous()
    for channel in range(3):
        expected = (frames[..., channel].astype(np.float64) - MEAN[channel]) / STD[channel]
        # 1e-6: one float32 rounding of a quotient below 5
        np.testing.assert_allclose(clip[:, channel].numpy(), expected, atol=1e-6)


def test_the_mean_colour_becomes_zero():
    frames = np.broadcast_to(np.uint8([110, 100, 96]), (1, 2, 3, 3, 3)).copy()
    assert not to_clip(frames, MEAN, STD).any()


@pytest.mark.parametrize("frames", [np.zeros((1, 2, 3, 3, 3)), np.zeros((2, 3, 3, 3), np.uint8)])
def test_anything_but_a_batch_of_bytes_is_refused(frames):
    with pytest.raises(ValueError, match="not uint8"):
        to_clip(frames, MEAN, STD)
