"""Attention Rollout on networks that call their attention modules in other ways, or have none."""

import copy

import pytest
import torch
from helpers.toys import Everything, GapFC, clips, seeded
from torch import nn

from vxbench.errors import NotApplicable, UserError
from vxbench.explainers.rollout import AttentionRollout

TARGET = torch.tensor([1, 3])


class Divided(nn.Module):
    """One block of divided attention in plain torch, calling its modules in `way`."""

    def __init__(self, way="keywords"):
        super().__init__()
        self.way = way
        self.embed = nn.Linear(3 * 4 * 4, 8)
        self.time = nn.MultiheadAttention(8, 2, batch_first=True)
        self.space = nn.MultiheadAttention(8, 2, batch_first=True)
        self.fc = nn.Linear(8, 4)

    def attend(self, module, x):
        if self.way == "keywords":
            return module(query=x, key=x, value=x, need_weights=False)[0]
        return module(x, x, x, None, False)[0]

    def forward(self, clip):
        batch, _, frames = clip.shape[:3]
        patches = clip.unfold(3, 4, 4).unfold(4, 4, 4)  # (B, 3, T, h, w, 4, 4)
        x = self.embed(patches.permute(0, 3, 4, 2, 1, 5, 6).flatten(1, 2).flatten(3))  # (B, P, T, 8)
        x = x + self.attend(self.time, x.flatten(0, 1)).view_as(x)
        x = x.transpose(1, 2).flatten(0, 1)  # (B T, P, 8)
        x = torch.cat([x.new_ones(len(x), 1, 8), x], dim=1)
        x = x + self.attend(self.space, x)
        return self.fc(x[:, 0].unflatten(0, (batch, frames)).mean(dim=1))


@pytest.mark.parametrize("way", ["keywords", "positions"])
def test_weights_come_also_where_the_network_does_not_want_them(way):
    net, clip = seeded(Divided(way)), clips(2, 3, 6, 8, 12)
    saliency = AttentionRollout("time", "space")(net, clip, TARGET)
    assert saliency.shape == (2, 6, 8, 12)
    (_, temporal), (_, spatial) = AttentionRollout("time", "space", residual=0).attentions(net, clip)
    assert temporal.shape == (2, 6, 6, 6)
    assert spatial.shape == (2, 6, 7, 7)
    row = torch.einsum("btp,bptu->bup", spatial[:, :, 0, 1:] / 6, temporal)
    pure = AttentionRollout("time", "space", residual=0).coarse_map(net.eval(), clip)
    torch.testing.assert_close(pure.detach(), row.view(2, 6, 2, 3).detach())


def test_it_takes_one_forward_pass_of_chunks_without_gradients():
    net, clip, seen = seeded(Divided()), clips(5, 3, 6, 8, 12), []
    net.register_forward_pre_hook(lambda module, args: seen.append((len(args[0]), torch.is_grad_enabled())))
    AttentionRollout("time", "space", chunk=2)(net, clip, torch.zeros(5, dtype=torch.int64))
    assert seen == [(2, False), (2, False), (1, False)]


def test_it_can_be_used_again_and_copied_whether_or_not_gradients_are_on():
    net, clip, rollout = seeded(Divided()), clips(2, 3, 6, 8, 12), AttentionRollout("time", "space")
    first = rollout(net, clip, TARGET)
    assert first.dtype == torch.float32
    assert not first.requires_grad
    rollout(net, clip.flip(2), TARGET)
    assert torch.equal(rollout(net, clip, TARGET), first)
    with torch.no_grad():
        assert torch.equal(copy.deepcopy(rollout)(net, clip, TARGET), first)


def test_two_frames_a_token_are_enlarged_in_time():
    class Tubelets(Divided):
        def forward(self, clip):
            return super().forward(clip[:, :, ::2])

    saliency = AttentionRollout("time", "space")(seeded(Tubelets()), clips(2, 3, 6, 8, 12), TARGET)
    assert saliency.shape == (2, 6, 8, 12)
    assert torch.equal(saliency[:, ::2], saliency[:, 1::2])


class Twice(Divided):
    def attend(self, module, x):
        return super().attend(module, super().attend(module, x))


class Idle(Divided):
    def attend(self, module, x):
        return x


@pytest.mark.parametrize(
    ("network", "patterns", "reason"),
    [
        (Everything, (None, None), "the classifier has no attention blocks"),
        (Divided, ("time", None), "the classifier has no attention blocks"),
        (Twice, ("time", "space"), "attention 'time' runs 2 times in a forward pass, not once"),
        (Idle, ("time", "space"), "attention 'time' runs 0 times"),
        (Divided, ("space", "time"), r"attentions disagree on \(patches, frames\)"),
    ],
)
def test_a_network_without_such_attention_is_not_applicable(network, patterns, reason):
    with pytest.raises(NotApplicable, match=reason) as caught:
        AttentionRollout(*patterns)(seeded(network()), clips(2, 3, 5, 8, 12), TARGET)
    assert "\n" not in str(caught.value)


def test_the_model_s_key_is_in_the_reason():
    model = seeded(GapFC())
    model.key = "r3d"
    with pytest.raises(NotApplicable, match=r"^r3d has no attention blocks"):
        AttentionRollout(None, None)(model, clips(2, 3, 6, 8, 10), TARGET)


@pytest.mark.parametrize(
    ("patterns", "reason"),
    [
        (("tim", "space"), "temporal = 'tim' matches no module of the classifier; did you mean time"),
        (("time", "spaces.*"), r"spatial = .* matches no module of the classifier; did you mean space"),
        (("time", "embed"), "spatial: embed is a Linear, not an nn.MultiheadAttention"),
    ],
)
def test_a_wrong_pattern_is_named_in_one_line(patterns, reason):
    with pytest.raises(UserError, match=reason) as caught:
        AttentionRollout(*patterns)(seeded(Divided()), clips(2, 3, 5, 8, 12), TARGET)
    assert "\n" not in str(caught.value)
