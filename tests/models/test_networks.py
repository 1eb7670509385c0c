"""Backbones of our own: what they are beside mmaction2's, and that a factored convolution stands for a whole one."""

from math import prod

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from vxbench.models.mmaction import registry
from vxbench.models.networks.resnets import factored, mid_channels

STRIDES = {"spatial_strides": (1, 2, 2, 2), "temporal_strides": (1, 2, 2, 2)}
NARROW = {"base_channels": 4, "pretrained2d": False, "with_pool2": False, "conv1_kernel": (3, 3, 3), **STRIDES}


def backbone(kind, depth, **changes):
    torch.manual_seed(0)
    network = registry().build({"type": kind, "depth": depth, **NARROW, **changes})
    network.eval()  # mmaction2's return None
    return network


def size(module):
    return sum(parameter.numel() for parameter in module.parameters())


@given(st.integers(1, 700), st.integers(1, 700), st.tuples(*[st.integers(1, 9)] * 3))
def test_mid_channels_are_the_most_that_need_no_more_weights_than_a_whole_convolution(inplanes, planes, kernel):
    def weights(between):
        return kernel[1] * kernel[2] * inplanes * between + kernel[0] * between * planes

    between = mid_channels(nn.Conv3d(inplanes, planes, kernel, device="meta"))
    assert weights(between) <= prod(kernel) * inplanes * planes < weights(between + 1)


sizes = st.tuples(*[st.integers(1, 3)] * 3)


@given(kernel=sizes, stride=sizes, padding=sizes)
def test_a_factored_convolution_has_the_output_size_of_the_whole(kernel, stride, padding):
    conv = nn.Conv3d(2, 3, kernel, stride, padding, bias=False)
    clip = torch.zeros(1, 2, 7, 8, 9)
    assert factored(conv, 4)(clip).shape == conv(clip).shape


def test_a_factored_convolution_is_the_whole_one_where_that_separates():
    """A kernel that is a product of one in space and one in time; positive values, which the ReLU lets pass."""
    space, time = torch.rand(1, 1, 1, 3, 3), torch.rand(1, 1, 3, 1, 1)
    conv = nn.Conv3d(1, 1, 3, stride=2, padding=1, bias=False)
    two_steps = factored(conv, 1).eval()
    with torch.no_grad():
        conv.weight.copy_(space * time)
        two_steps.conv_s.weight.copy_(space)
        two_steps.conv_t.weight.copy_(time)
    two_steps.bn_s.eps = 0
    clip = torch.rand(2, 1, 7, 9, 11)
    # 1e-5: float32 sums of 27 positive products of order one, in another order
    torch.testing.assert_close(two_steps(clip), conv(clip), rtol=1e-5, atol=1e-5)


def test_the_stem_pool_of_r3d_sees_three_frames_and_halves_their_number():
    stock, ours = backbone("ResNet3d", 18), backbone("HaraResNet3d", 18)
    assert list(stock.state_dict()) == list(ours.state_dict())
    frames = torch.zeros(1, 1, 8, 4, 4)
    frames[:, :, 3] = 1
    assert stock.maxpool(frames)[0, 0, :, 0, 0].tolist() == [0, 0, 0, 1, 0, 0, 0, 0]
    assert ours.maxpool(frames)[0, 0, :, 0, 0].tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("kind", "depth", "plain"),
    [
        ("TorchvisionResNet2Plus1d", 18, ["downsample"]),
        ("HaraResNet2Plus1d", 18, ["downsample"]),
        ("HaraResNet2Plus1d", 50, ["conv1", "conv3", "downsample"]),
    ],
)
def test_which_convolutions_are_in_two_steps(kind, depth, plain):
    network = backbone(kind, depth, inflate_style="3x3x3")
    blocks = [block for stage in range(1, 5) for block in getattr(network, f"layer{stage}")]
    modules = [(name, child) for block in blocks for name, child in block.named_children() if hasattr(child, "conv")]
    for name, module in modules:
        assert isinstance(module.conv, nn.Conv3d) == (name in plain)
    assert {name for name, _ in modules} == {"conv1", "conv2", "downsample"} | ({"conv3"} if depth == 50 else set())
    assert isinstance(network.conv1.conv, nn.Sequential)


@pytest.mark.parametrize(
    ("kind", "depths"),
    [("TorchvisionResNet2Plus1d", [18, 34]), ("HaraResNet2Plus1d", [18, 34, 50, 101, 152])],
)
def test_only_depths_that_the_source_has_are_built(kind, depths):
    for depth in (18, 34, 50, 101, 152):
        if depth not in depths:
            with pytest.raises(KeyError, match=f"invalid depth {depth}"):
                backbone(kind, depth)
    assert list(registry().get(kind).arch_settings) == depths


@pytest.mark.parametrize(
    ("kind", "depth"), [("HaraResNet3d", 18), ("HaraResNet2Plus1d", 50), ("TorchvisionResNet2Plus1d", 18)]
)
@torch.no_grad()
def test_random_weights_are_drawn_for_every_convolution(kind, depth):
    """init_weights reaches the convolutions put in place of mmaction2's: Kaiming's normal, by the fan out."""
    network = backbone(kind, depth, base_channels=16, zero_init_residual=False)
    network.init_weights()
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv3d):
            fan_out = module.out_channels * module.weight[0, 0].numel()
            # a sample's spread is off by 1 / sqrt(2 n) of itself; five times that, for some 70 convolutions
            bound = 5 / (2 * module.weight.numel()) ** 0.5
            assert float(module.weight.std()) * (fan_out / 2) ** 0.5 == pytest.approx(1, abs=bound), name
