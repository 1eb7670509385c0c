"""Saliency Tubes: what the map is, and the networks that have one."""

import pytest
import torch
from helpers.toys import Everything, FrameWise, GapFC, Linear, clips, golden_clip, seeded, tiny_a
from torch import nn

from vxbench.errors import NotApplicable, OutOfRange, UserError
from vxbench.explainers.cam import GradCAM, SaliencyTubes

SHAPE = (2, 3, 6, 8, 10)
TARGET = torch.tensor([1, 3])


def double(model):
    return seeded(model).double(), clips(*SHAPE, dtype=torch.float64)


class PerStep(GapFC):
    """Every time step is scored, (B, T', K) rows, and the scores averaged."""

    def forward(self, clip):
        return self.fc(self.features(clip).mean(dim=(3, 4)).transpose(1, 2)).mean(dim=1)


def channels(model, clip):
    """A (B, K, T', h, w)."""
    with torch.no_grad():
        if isinstance(model, FrameWise):
            maps = model.features(clip.transpose(1, 2).flatten(0, 1))
            return maps.unflatten(0, (len(clip), -1)).transpose(1, 2)
        return model.features(clip)


@pytest.mark.parametrize("network", [GapFC, FrameWise, PerStep])
@pytest.mark.parametrize("seed", range(3))
def test_the_map_is_the_head_s_weights_on_the_channels(network, seed):
    model, clip = seeded(network(), seed).double(), clips(*SHAPE, seed=seed, dtype=torch.float64)
    a, expected = channels(model, clip), 0
    for k in range(a.shape[1]):
        expected = expected + model.fc.weight.detach()[TARGET, k, None, None, None] * a[:, k]
    got = SaliencyTubes("features").coarse_map(model, clip, TARGET)
    torch.testing.assert_close(got, expected)
    assert got.min() < 0 < got.max()


def test_the_map_s_mean_is_the_score_without_its_bias():
    model, clip = tiny_a(), golden_clip("small0")
    for target in torch.arange(10):
        saliency = SaliencyTubes("layer3").coarse_map(model, clip, target[None])
        with torch.no_grad():
            score = (model(clip) - model.fc.bias)[0, target]
        torch.testing.assert_close(saliency.mean(), score, rtol=1e-4, atol=1e-5)


@pytest.mark.identity(15)
@pytest.mark.parametrize("network", [GapFC, FrameWise, PerStep])
@pytest.mark.parametrize("weights", ["per_step", "global"])
def test_gradcam_of_the_logit_is_the_positive_part_over_the_cells(network, weights):
    model, clip = double(network())
    tubes = SaliencyTubes("features").coarse_map(model, clip, TARGET)
    gradcam = GradCAM("features", weights).coarse_map(model, clip, TARGET)
    torch.testing.assert_close(gradcam, tubes.relu() / tubes[0].numel())


class Softmax(GapFC):
    outputs = "probs"

    def forward(self, clip):
        return super().forward(clip).softmax(dim=1)


@pytest.mark.identity(15)
@pytest.mark.parametrize(("network", "score"), [(GapFC, "prob"), (Softmax, "logit"), (Softmax, "prob")])
def test_gradcam_of_the_probability_weighs_by_p_y_w_y_minus_the_mean_weights(network, score):
    """A network that returns probabilities is differentiated as it is."""
    model, clip = double(network())
    a, head = channels(model, clip), model.fc.weight.detach()
    p = GapFC.forward(model, clip).softmax(dim=1).detach()
    weights = p.gather(1, TARGET[:, None]) * (head[TARGET] - p @ head)
    expected = torch.einsum("bk,bkthw->bthw", weights, a).relu() / a[0, 0].numel()
    torch.testing.assert_close(GradCAM("features", score=score).coarse_map(model, clip, TARGET), expected)
    assert expected.any()


def test_a_network_that_returns_probabilities_of_a_linear_head_has_tubes():
    plain, clip = double(GapFC())
    softmax = seeded(Softmax()).double()
    maps = [SaliencyTubes("features")(model, clip, TARGET) for model in (plain, softmax)]
    torch.testing.assert_close(*maps)


@pytest.mark.choice("tubes.relu")
@pytest.mark.parametrize("upsample", ["bilinear", "spline3"])
def test_relu_cuts_the_map_at_zero_and_does_nothing_else(upsample):
    model, clip = double(GapFC())
    plain, cut = (SaliencyTubes("features", relu=relu, upsample=upsample) for relu in (False, True))
    before = plain.coarse_map(model, clip, TARGET)
    torch.testing.assert_close(cut.coarse_map(model, clip, TARGET), before.relu(), rtol=0, atol=0)
    assert before.min() < 0
    assert plain(model, clip, TARGET).min() < 0
    assert cut(model, clip, TARGET).min() == 0  # a spline undershoots


# Networks that are not pooling and one linear head.


class Two(GapFC):
    """Two linear layers after the pooling."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(4, 4)

    def forward(self, clip):
        return self.last(super().forward(clip))


class Wide(GapFC):
    """Two linear layers of the same width."""

    def __init__(self):
        super().__init__()
        self.fc, self.last = nn.Linear(5, 5), nn.Linear(5, 4)

    def forward(self, clip):
        return self.last(super().forward(clip))


class MaxPool(GapFC):
    def forward(self, clip):
        return self.fc(self.features(clip).amax(dim=(2, 3, 4)))


class Flat(GapFC):
    """The head reads every cell."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(5 * 3 * 4 * 5, 4)

    def forward(self, clip):
        return self.fc(self.features(clip).flatten(1))


class Scaled(GapFC):
    """Something follows the head."""

    def forward(self, clip):
        return super().forward(clip).tanh()


class MeanProbs(FrameWise):
    """Probabilities are averaged over the frames, not scores."""

    outputs = "probs"

    def forward(self, clip):
        maps = self.features(clip.transpose(1, 2).flatten(0, 1))
        scores = self.fc(maps.mean(dim=(2, 3)))
        return scores.softmax(dim=1).unflatten(0, (len(clip), -1)).mean(dim=1)


class Recurrent(MeanProbs):
    """A CNN-RNN: the head runs once a step, and remembers."""

    def forward(self, clip):
        maps = self.features(clip.transpose(1, 2).flatten(0, 1)).mean(dim=(2, 3)).unflatten(0, (len(clip), -1))
        state, steps = 0, []
        for step in maps.unbind(dim=1):
            state = 0.5 * state + step
            steps.append(self.fc(state).softmax(dim=1))
        return torch.stack(steps).mean(dim=0)


class Late(GapFC):
    """A linear layer that is not the head comes last in the list of modules."""

    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(5, 4)


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (Two, "head 'last' reads 4 features, not the 5 channels of layer 'features'"),
        (Wide, "head 'last' does not read the global average of layer 'features'"),
        (MaxPool, "head 'fc' does not read the global average of layer 'features'"),
        (Flat, "head 'fc' reads 300 features, not the 5 channels of layer 'features'"),
        (Scaled, "the class scores are not those of the linear head 'fc'"),
        (MeanProbs, "the class scores are not those of the linear head 'fc'"),
        (Recurrent, "head 'fc' runs 6 times in a forward pass"),
        (Late, "head 'spare' runs 0 times in a forward pass"),
    ],
)
def test_another_network_is_not_applicable_and_says_why(network, reason):
    model, clip = seeded(network()), clips(*SHAPE)
    with pytest.raises(NotApplicable, match=reason):
        SaliencyTubes("features")(model, clip, TARGET)


def test_a_linear_layer_under_another_one_is_no_head():
    with pytest.raises(NotApplicable, match="the class scores are not those of the linear head 'fc'"):
        SaliencyTubes("features", head="fc")(seeded(Two()), clips(*SHAPE), TARGET)


def test_gradcam_reads_a_network_of_frames_and_a_recurrent_head():
    """What Saliency Tubes refuse: one map a frame, and later frames weigh less, as fewer steps see them."""
    model, clip = double(Recurrent())
    coarse = GradCAM("features").coarse_map(model, clip.clone(), TARGET)
    assert coarse.shape == (2, 6, 4, 5)
    assert (coarse.flatten(1).amax(1) > 0).all()
    alone = GradCAM("features").coarse_map(model, clip[1:], TARGET[1:])
    torch.testing.assert_close(coarse[1:], alone)


def test_an_earlier_layer_is_not_what_the_head_averages():
    with pytest.raises(NotApplicable, match="head 'fc' reads 32 features, not the 16 channels of layer 'layer2'"):
        SaliencyTubes("layer2")(tiny_a(), golden_clip("small0"), torch.tensor([8]))


def test_a_head_that_is_not_the_last_linear_layer_can_be_named():
    model, clip = seeded(Late()), clips(*SHAPE)
    expected = torch.einsum("bk,bkthw->bthw", model.fc.weight.detach()[TARGET], channels(model, clip))
    torch.testing.assert_close(SaliencyTubes("features", head="fc").coarse_map(model, clip, TARGET), expected)


def test_a_network_without_a_linear_layer_is_not_applicable():
    with pytest.raises(NotApplicable, match="the classifier has no linear head"):
        SaliencyTubes("features")(seeded(Linear(torch.zeros(4, *SHAPE[1:]))), clips(*SHAPE), TARGET)


def test_a_head_that_is_not_linear_is_refused():
    with pytest.raises(UserError, match=r"head = 'features' is a Sequential, not an nn.Linear"):
        SaliencyTubes("features", head="features")(seeded(GapFC()), clips(*SHAPE), TARGET)
    with pytest.raises(UserError, match=r"head = 'fd' is not in the classifier; did you mean fc"):
        SaliencyTubes("features", head="fd")(seeded(GapFC()), clips(*SHAPE), TARGET)


@pytest.mark.parametrize("value", ["yes", None, 2])
def test_relu_is_true_or_false(value):
    with pytest.raises(OutOfRange, match="relu"):
        SaliencyTubes("features", relu=value)


def test_it_asks_for_no_gradient_and_leaves_no_hook():
    model, clip = seeded(Everything()), clips(*SHAPE)
    asked = []
    model.fc.register_forward_hook(lambda module, inputs, output: asked.append(output.requires_grad))
    SaliencyTubes("layer")(model, clip, TARGET)
    assert asked == [False]
    assert [len(module._forward_hooks) for module in (model.layer, model.fc)] == [0, 1]
    with pytest.raises(NotApplicable):
        SaliencyTubes("stem")(model, clip, TARGET)
    assert [len(module._forward_hooks) for module in (model.stem, model.fc)] == [0, 1]


@pytest.mark.identity(30)
@pytest.mark.parametrize("network", [GapFC, FrameWise])
def test_a_batch_is_its_clips(network):
    model, clip = seeded(network()).double(), clips(8, *SHAPE[1:], dtype=torch.float64)
    target = torch.arange(8) % 4
    together = SaliencyTubes("features")(model, clip, target)
    torch.testing.assert_close(SaliencyTubes("features", chunk=3)(model, clip, target), together)
    for i in range(8):
        alone = SaliencyTubes("features")(model, clip[i : i + 1], target[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone)
