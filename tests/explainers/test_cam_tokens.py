"""Grad-CAM on tokens: a transformer's layer is the same channels on the same grid, laid out otherwise."""

import pytest
import torch
from helpers.toys import FrameWise, clips, seeded
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vxbench.errors import NotApplicable, UserError
from vxbench.explainers.cam import GradCAM, GradCAMPlusPlus, grid_of, to_grid

SHAPE = (2, 3, 6, 8, 10)  # maps of 4 x 5 cells: an odd side, and not a square
TARGET = torch.tensor([1, 3])


class Tokenised(FrameWise):
    """FrameWise whose maps pass through a layer as tokens, `layout` of them, each row led by a class token.

    The class token counts in the scores, so a map that mistook it for a patch would differ.
    """

    def __init__(self, layout: str = "frames"):
        super().__init__()
        self.layout = layout
        self.tokens, self.after = nn.Identity(), nn.Identity()
        self.lead = nn.Parameter(torch.zeros(5))

    def forward(self, clip):
        maps = self.features(clip.transpose(1, 2).flatten(0, 1))  # (B T, K, h, w)
        patches = maps.flatten(2).transpose(1, 2)
        if self.layout != "frames":
            patches = patches.unflatten(0, (len(clip), -1))  # (B, T, P, K)
            patches = (patches.transpose(1, 2) if self.layout == "patch_major" else patches).flatten(1, 2)
        lead = self.lead.expand(len(patches), 1, -1)
        tokens = self.tokens(torch.cat([lead, patches], dim=1))
        features = tokens[:, 1:].mean(dim=1) + tokens[:, 0].square()
        self.after(tokens)
        return self.fc(features).unflatten(0, (len(clip), -1)).mean(dim=1)


def same_weights(layout):
    """The network on tokens and the one on maps, with the same convolution and head."""
    tokens, plain = seeded(Tokenised(layout)).double(), seeded(FrameWise()).double()
    plain.load_state_dict(tokens.state_dict(), strict=False)
    return tokens, plain


@pytest.mark.parametrize("layout", ["frames", "patch_major", "frame_major"])
@pytest.mark.parametrize("weights", ["per_step", "global"])
def test_tokens_give_the_map_of_the_channels_they_are(layout, weights):
    tokens, plain = same_weights(layout)
    clip = clips(*SHAPE, dtype=torch.float64)
    order = "frame_major" if layout == "frame_major" else "patch_major"
    got = GradCAM("tokens", weights, token_order=order)(tokens, clip, TARGET)
    torch.testing.assert_close(got, GradCAM("features", weights)(plain, clip, TARGET))
    assert (got.flatten(1).amax(1) > 0).all()


@pytest.mark.parametrize("layout", ["frames", "patch_major"])
def test_gradcam_pp_sums_over_what_the_layer_sees_at_once(layout):
    """A frame's patches where rows are frames, all patches of all frames where they come together."""
    model, clip = seeded(Tokenised(layout)).double(), clips(*SHAPE, dtype=torch.float64)
    # The head is linear, so G is W[y] over the number of tokens that are averaged.
    with torch.no_grad():
        a = model.features(clip.transpose(1, 2).flatten(0, 1)).unflatten(0, (2, 6)).transpose(1, 2)
    g = (model.fc.weight.detach()[TARGET] / a[0, 0].numel())[:, :, None, None, None].expand_as(a)
    over = (3, 4) if layout == "frames" else (2, 3, 4)
    share = g**2 / (2 * g**2 + a.sum(over, keepdim=True) * g**3 + 1e-6)
    share[g <= 0] = 0
    expected = ((g.relu() * share).sum(over, keepdim=True) * a).sum(dim=1).relu()
    explainer = GradCAMPlusPlus("tokens", token_order="patch_major")
    torch.testing.assert_close(explainer.coarse_map(model, clip, TARGET), expected)


def test_the_wrong_order_of_joint_tokens_is_another_map():
    """Guards the test above: on this clip patches and frames cannot be mistaken for one another."""
    model, clip = seeded(Tokenised("patch_major")), clips(*SHAPE)
    maps = [GradCAM("tokens", token_order=order)(model, clip, TARGET) for order in ("patch_major", "frame_major")]
    assert (maps[0] - maps[1]).abs().max() > 0.1 * maps[0].max()


@settings(max_examples=30)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 5), st.integers(3, 9), st.data())
def test_tokens_find_their_place(clip_count, frames, h, w, side, data):
    """Any clip whose sides the patches fit, leftover pixels included; every cell holds its own number."""
    extra = data.draw(st.integers(0, side - 1)), data.draw(st.integers(0, side - 1))
    clip = torch.zeros(clip_count, 3, frames, h * side + extra[0], w * side + extra[1])
    expected = torch.arange(clip_count * frames * h * w).view(clip_count, 1, frames, h, w)
    by_frame = expected.reshape(clip_count * frames, h * w, 1)
    patch_major = expected.flatten(3).transpose(2, 3).reshape(clip_count, -1, 1)
    frame_major = expected.reshape(clip_count, -1, 1)
    for tokens, order in ((by_frame, "patch_major"), (patch_major, "patch_major"), (frame_major, "frame_major")):
        led = torch.cat([torch.full_like(tokens[:, :1], -1), tokens], dim=1)
        assert torch.equal(to_grid(led, clip, order, (h, w)), expected)
        if grid_of(h * w, *clip.shape[3:]) == (h, w):  # leftover pixels may leave room for other patches
            assert torch.equal(to_grid(led, clip, order), expected)


@pytest.mark.parametrize(
    ("patches", "height", "width", "expected"),
    [
        (196, 224, 224, (14, 14)),
        (280, 224, 320, (14, 20)),
        (49, 112, 119, (7, 7)),
        (1, 8, 8, (1, 1)),
        (6, 9, 6, (3, 2)),
    ],
)
def test_square_patches_are_counted(patches, height, width, expected):
    assert grid_of(patches, height, width) == expected


def test_a_grid_that_cannot_be_told_is_asked_for():
    tokens = torch.zeros(12, 1 + 18, 5)
    clip = torch.zeros(2, 3, 6, 8, 10)
    with pytest.raises(
        UserError, match=r"18 tokens are no grid of square patches on 8x10 pixels: set grid to \[h, w\]"
    ):
        to_grid(tokens, clip)
    assert to_grid(tokens, clip, grid=(3, 6)).shape == (2, 5, 6, 3, 6)


def test_the_grid_tells_how_many_steps_joint_tokens_have():
    """Two frames a token: 3 steps of 4 x 5 patches in a clip of 6 frames."""
    clip = torch.zeros(2, 3, 6, 8, 10)
    assert to_grid(torch.zeros(2, 1 + 60, 5), clip, "patch_major", (4, 5)).shape == (2, 5, 3, 4, 5)
    assert to_grid(torch.zeros(2, 1 + 120, 5), clip, "frame_major").shape == (2, 5, 6, 4, 5)


@pytest.mark.parametrize(
    ("tokens", "grid", "error", "reason"),
    [
        ((13, 21, 5), None, NotApplicable, "13 feature maps do not divide among 2 clips"),
        ((40, 5, 5), None, NotApplicable, r"40 rows of tokens are no frames of 2 clips of 6"),
        ((2, 20, 5), None, UserError, "19 tokens do not divide among 6 frames"),
        ((12, 21, 5), (3, 6), UserError, r"grid = \[3, 6\] has 18 cells for 20 tokens"),
        ((2, 121, 5), (7, 7), UserError, r"grid = \[7, 7\] has 49 cells for 60 tokens"),
    ],
)
def test_tokens_that_do_not_fit_are_named_in_one_line(tokens, grid, error, reason):
    with pytest.raises(error, match=reason) as caught:
        to_grid(torch.zeros(tokens), torch.zeros(2, 3, 6, 8, 10), "patch_major", grid)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("grid", [7, "77", [7], [7, 0], [7.0, 7], [1, 2, 3]])
def test_a_grid_is_two_whole_numbers(grid):
    with pytest.raises(UserError, match="grid"):
        GradCAM("tokens", grid=grid)


class LeadOnly(Tokenised):
    """Only the class token reaches the head, as after a transformer's last block."""

    def forward(self, clip):
        maps = self.features(clip.transpose(1, 2).flatten(0, 1)).flatten(2).transpose(1, 2)
        tokens = self.tokens(torch.cat([maps.mean(dim=1, keepdim=True), maps], dim=1))
        return self.fc(tokens[:, 0]).unflatten(0, (len(clip), -1)).mean(dim=1)


@pytest.mark.parametrize("explainer", [GradCAM, GradCAMPlusPlus])
def test_patches_that_reach_no_head_have_no_map(explainer):
    with pytest.raises(NotApplicable, match="of layer 'tokens' only the class token reaches the score"):
        explainer("tokens")(seeded(LeadOnly()), clips(*SHAPE), TARGET)


def test_a_score_that_is_flat_everywhere_is_a_flat_map():
    """A saturated softmax: no gradient anywhere is a matter of the clip, not of the layer."""
    model = seeded(Tokenised())
    with torch.no_grad():
        model.fc.bias.copy_(torch.tensor([0.0, 1e4, 0, 0]))
    saliency = GradCAM("tokens", score="prob")(model, clips(*SHAPE), torch.tensor([1, 1]))
    assert not saliency.any()


@pytest.mark.identity(30)
@pytest.mark.parametrize("layout", ["frames", "patch_major"])
@pytest.mark.parametrize("explainer", [GradCAM, GradCAMPlusPlus])
def test_a_batch_of_tokens_is_its_clips(layout, explainer):
    model, clip = seeded(Tokenised(layout)).double(), clips(8, *SHAPE[1:], dtype=torch.float64)
    target = torch.arange(8) % 4
    model.token_order = "patch_major"  # as a classifier has it
    together = explainer("tokens")(model, clip, target)
    torch.testing.assert_close(explainer("tokens", chunk=3)(model, clip, target), together)
    for i in range(8):
        alone = explainer("tokens")(model, clip[i : i + 1], target[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone)
