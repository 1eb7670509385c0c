"""The axes of the layer that a class activation map reads: known by their sizes or said, never guessed."""

import pytest
import torch
from helpers.configs import composed
from helpers.toys import FrameWise, clips, seeded
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from vxbench.config import build
from vxbench.errors import UserError
from vxbench.explainers.cam import GradCAM, GradCAMPlusPlus, SaliencyTubes, to_grid

SHAPE = (2, 3, 6, 16, 20)  # maps of 8 x 10 cells
TARGET = torch.tensor([1, 3])
EXPLAINERS = [GradCAM, GradCAMPlusPlus, SaliencyTubes]


def laid_out(maps: torch.Tensor, layout: str) -> torch.Tensor:
    """Channels (B, K, T', h, w) as a layer of that kind gives them."""
    rows = maps.transpose(1, 2).flatten(0, 1)  # (B T', K, h, w)
    return {
        "3D, channels last": lambda: maps.movedim(1, -1),
        "frames, channels last": lambda: rows.movedim(1, -1),
        "frames, patch tokens": lambda: rows.flatten(2).transpose(1, 2),
        "all frames, patch tokens": lambda: maps.flatten(2).transpose(1, 2),
    }[layout]()


def back(given: torch.Tensor, layout: str, size: torch.Size) -> torch.Tensor:
    """Undoes `laid_out`."""
    count, channels, frames, height, width = size
    grid = {"3D": (count, frames), "frames": (count * frames,), "all frames": (count, frames)}[layout.split(",")[0]]
    return given.reshape(*grid, height, width, channels).reshape(count, frames, height, width, channels).movedim(-1, 1)


class LaidOut(FrameWise):
    """FrameWise whose maps pass through a layer in another layout."""

    def __init__(self, layout: str):
        super().__init__()
        self.layout, self.layer = layout, nn.Identity()

    def forward(self, clip):
        maps = self.features(clip.transpose(1, 2).flatten(0, 1)).unflatten(0, (len(clip), -1)).transpose(1, 2)
        maps = back(self.layer(laid_out(maps, self.layout)), self.layout, maps.shape)
        return self.fc(maps.mean(dim=(2, 3, 4)))


@pytest.mark.parametrize("explainer", EXPLAINERS)
@pytest.mark.parametrize(
    ("layout", "said"),
    [
        ("3D, channels last", "channels_last"),
        ("frames, channels last", "channels_last"),
        ("frames, patch tokens", "patch_tokens"),
        ("all frames, patch tokens", "patch_tokens"),
    ],
)
def test_a_layout_is_refused_in_one_line_until_it_is_said(explainer, layout, said):
    plain, network, clip = seeded(FrameWise()).double(), seeded(LaidOut(layout)).double(), clips(*SHAPE).double()
    network.load_state_dict(plain.state_dict())
    with pytest.raises(UserError, match=rf"model\.cam_layout={said}") as caught:
        explainer("layer", token_order="frame_major")(network, clip, TARGET)
    assert "\n" not in str(caught.value)
    network.cam_layout, network.token_order = said, "frame_major"
    if explainer is GradCAMPlusPlus and layout in ("3D, channels last", "all frames, patch tokens"):
        plain = Volume(plain)  # it sums over what the layer sees at once
    expected = explainer("features")(plain, clip, TARGET)
    torch.testing.assert_close(explainer("layer")(network, clip, TARGET), expected)
    assert (expected.flatten(1).amax(dim=1) > 0).all()


class Volume(nn.Module):
    """FrameWise with its maps given as volumes, (B, K, T', h, w)."""

    def __init__(self, network: FrameWise):
        super().__init__()
        self.network, self.features, self.fc = network, nn.Identity(), network.fc

    def forward(self, clip):
        maps = self.network.features(clip.transpose(1, 2).flatten(0, 1)).unflatten(0, (len(clip), -1))
        return self.fc(self.features(maps.transpose(1, 2)).mean(dim=(2, 3, 4)))


@given(st.integers(1, 3), st.integers(1, 32), st.integers(8, 56), st.integers(8, 56), st.integers(64, 2048), st.data())
def test_channels_that_come_last_are_never_taken_for_a_width(count, steps, h, w, channels, data):
    """The network has more channels than the clip has columns, or a map of all frames more rows than it has frames."""
    stride, frames = data.draw(st.sampled_from([4, 8, 16])), steps * data.draw(st.sampled_from([1, 2, 4]))
    assume(channels > w * stride or h > frames)
    clip = torch.zeros(1, 1, 1, 1, 1).expand(count, 3, frames, h * stride, w * stride)
    last = torch.zeros(1).expand(count, steps, h, w, channels)
    with pytest.raises(UserError, match="channels_last"):
        to_grid(last, clip)
    assert to_grid(last, clip, layout="channels_last").shape == (count, channels, steps, h, w)
    if channels > w * stride:
        with pytest.raises(UserError, match="channels_last"):
            to_grid(last.reshape(count * steps, h, w, channels), clip)


@given(st.sampled_from([1, 2, 4, 8]), st.sampled_from([4, 8, 16, 32]), st.integers(32, 230), st.integers(32, 230))
def test_grids_of_strided_layers_are_taken(by_time, stride, height, width):
    """Padded or not, whatever is left over at the edges."""
    frames = 16
    clip = torch.zeros(1, 1, 1, 1, 1).expand(1, 3, frames, height, width)
    for lost in (0, 1):  # rounded down, or up
        h, w = ((size + lost * (stride - 1)) // stride for size in (height, width))
        maps = torch.zeros(1).expand(1, 300, frames // by_time, h, w)
        assert to_grid(maps, clip) is maps


def test_a_layer_that_works_along_its_last_axis_does_not_have_channels_first():
    """Its sizes could be those of channels first: 8 channels, 8 x 8 cells, 8 steps."""
    network = nn.Sequential()
    network.add_module("layer", nn.LayerNorm(8))
    explainer, clip = GradCAM("layer"), torch.zeros(2, 3, 8, 16, 16)
    maps = torch.zeros(2, 8, 8, 8, 8)
    with pytest.raises(UserError, match=r"'layer' .* is a LayerNorm, which works along its last axis"):
        explainer.on_grid(network, maps, clip)
    network.cam_layout = "channels_first"
    assert explainer.on_grid(network, maps, clip) is maps


def test_what_is_said_must_be_a_layout_and_fit():
    network = nn.Sequential(nn.Identity())
    explainer, clip = GradCAM("0"), torch.zeros(2, 3, 8, 16, 16)
    for said, message in [("last", "model.cam_layout = last is not one of"), ("tokens", "gives .* set another")]:
        network.cam_layout = said
        with pytest.raises(UserError, match=message):
            explainer.on_grid(network, torch.zeros(2, 8, 8, 8, 8), clip)
    network.cam_layout = "channels_first"  # believed, though a stride of 8 goes down and one of 1 across
    assert explainer.on_grid(network, torch.zeros(2, 5, 8, 2, 16), clip).shape == (2, 5, 8, 2, 16)


def test_the_order_of_tokens_has_no_default_for_a_network_of_one_s_own():
    assert composed("explainer=gradcam", "model=custom", "model.network._target_=x").explainer.token_order is None
    network = nn.Sequential(nn.Identity())
    with pytest.raises(UserError, match=r"set model\.token_order to patch_major .* or frame_major") as caught:
        GradCAM("0").on_grid(network, torch.zeros(2, 1 + 6 * 20, 5), torch.zeros(2, 3, 6, 16, 20))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", ["timesformer", "tsm"])
def test_the_papers_networks_say_their_own(model):
    config = composed(f"model={model}", "explainer=gradcam", "model.checkpoint=null", "model.num_classes=4")
    assert config.explainer.token_order == "patch_major"
    assert build(config, "model").token_order == ("patch_major" if model == "timesformer" else None)
