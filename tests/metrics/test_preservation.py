import math
from inspect import signature

import pytest
import torch
from helpers.configs import composed
from helpers.toys import Everything, GapFC, clips, seeded
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from torch import nn

from vxbench.errors import OutOfRange
from vxbench.explainers.base import Context
from vxbench.explainers.cam import GradCAM
from vxbench.explainers.perturbation import EP3D, STEP
from vxbench.explainers.perturbation.loop import PerturbationExplainer
from vxbench.explainers.perturbation.pyramid import Pyramid
from vxbench.metrics.base import Batch
from vxbench.metrics.preservation import MinimumPreservationRatio

KEY = "min_preservation_ratio"
GRID = (0.05, 0.2, 0.5, 0.8, 1.0)
SMALL = {"step": 4, "sigma": 5, "iterations": 4, "lr": 0.1, "max_sigma": 4}
SHAPE = (3, 4, 12, 16)  # channels, frames, rows, columns


def ep3d(**settings):
    return EP3D(**SMALL | settings)


def make_batch(count=8, seed=5, generators=True):
    """The class explained is the predicted one, so a little is not always enough. In float64: no rounding decides."""
    own = [torch.Generator().manual_seed(100 + i) for i in range(count)] if generators else None
    clip = 3 * clips(count, *SHAPE, seed=seed, dtype=torch.float64)
    with torch.no_grad():
        target = seeded(GapFC()).double()(clip).argmax(dim=1)
    return Batch(clip, target, target, generators=own)


def rows(batch, index):
    """Some clips of a batch, each with the generator that is its own."""
    own = batch.generators and [batch.generators[i] for i in index]
    return Batch(batch.clip[index], batch.target[index], batch.label[index], generators=own)


@pytest.fixture(scope="module")
def model():
    return seeded(GapFC()).double()


@pytest.fixture
def batch():
    return make_batch()


def ratios(metric, model, batch):
    return metric(model, batch, torch.zeros(len(batch.clip), *SHAPE[1:]))[KEY]


class Scripted(PerturbationExplainer):
    """Keeps the scores it is told, (B, A), whatever the clip."""

    def __init__(self, kept):
        super().__init__()
        self.kept = kept

    def per_area(self, classifier, clip, target, context):
        assert len(self.areas) == self.kept.shape[1]
        return None, self.kept


class Telling(nn.Module):
    """p_0 is the clip's first value."""

    outputs = "probs"

    def forward(self, clip):
        first = clip[:, 0, 0, 0, 0]
        return torch.stack([first, 1 - first], dim=1)


def scripted(kept, whole, **settings):
    """Scores of clips whose masks keep p_y = kept (B, A) of whole (B,)."""
    kept, whole = torch.as_tensor(kept, dtype=torch.float64), torch.as_tensor(whole, dtype=torch.float64)
    clip = whole.view(-1, 1, 1, 1, 1).expand(-1, 3, 2, 2, 2)
    target = torch.zeros(len(clip), dtype=torch.long)
    metric = MinimumPreservationRatio(Scripted(kept), **settings)
    return metric(Telling(), Batch(clip, target, target), torch.zeros(len(clip), 2, 2, 2))


def test_the_smallest_share_that_is_enough():
    kept = [[0.1, 0.5, 0.4, 0.9], [0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.5, 0.5], [0.4, 0.4, 0.4, 0.5]]
    scores = scripted(kept, [0.5, 0.5, 0.5, 0.5], grid=GRID)
    assert scores[KEY].tolist() == [0.2, 1.0, 0.05, 0.8]  # reaching it exactly is enough; none: the whole clip
    assert scores.reasons == {}
    assert scores.curves[KEY].tolist() == [[*row, 0.5] for row in kept]


shares = st.integers(0, 20).map(lambda k: k / 20)


@given(st.lists(st.tuples(st.lists(shares, min_size=4, max_size=4), shares), min_size=1, max_size=4), shares)
def test_against_the_definition(cases, slack):
    kept, whole = zip(*cases, strict=True)
    got = scripted(list(kept), list(whole), grid=GRID, slack=slack)[KEY].tolist()
    for value, row, p in zip(got, kept, whole, strict=True):
        assert value == min([a for a, q in zip(GRID, row, strict=False) if q >= p - slack], default=1.0)


def test_against_masks_optimised_one_by_one(model, batch):
    """One run of the explainer for each clip and share, and one pass over the clip that its mask keeps."""
    got = ratios(MinimumPreservationRatio(ep3d(), GRID), model, batch)
    for i in range(8):
        x, y = batch.clip[i : i + 1], batch.target[i : i + 1]
        p = model(x).softmax(1)[0, y]
        enough = []
        for share in GRID[:-1]:
            mask = ep3d(areas=(share,), combine="sum_tr")(model, x, y).double()
            kept = Pyramid(x, max_sigma=SMALL["max_sigma"]).apply(mask)
            enough += [share] if model(kept).softmax(1)[0, y] >= p else []
        assert got[i] == min(enough, default=1.0)
    assert len(set(got.tolist())) >= 3  # the example decides something


@pytest.mark.choice("ratio.grid")
def test_the_grid_says_where_to_look(model, batch):
    """Masks do not feel what else is in the grid: on a part of it the ratio is the smallest of that part."""
    fine = MinimumPreservationRatio(ep3d(), GRID)(model, batch, batch.clip[:, 0])
    coarse = MinimumPreservationRatio(ep3d(), (1, 0.5, 0.2))(model, batch, batch.clip[:, 0])
    curve = fine.curves[KEY]
    torch.testing.assert_close(coarse.curves[KEY], curve[:, [1, 2, 4]], rtol=1e-9, atol=1e-12)
    enough = curve >= curve[:, -1:]
    for i in range(8):
        assert coarse[KEY][i] == min(a for a, e in zip(GRID, enough[i], strict=True) if e and a in (0.2, 0.5, 1))
    assert (coarse[KEY] >= fine[KEY]).all()
    assert (coarse[KEY] != fine[KEY]).any()


@pytest.mark.choice("ratio.grid")
def test_the_default_grid():
    expected = [0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
    assert MinimumPreservationRatio(ep3d()).grid == expected


@pytest.mark.choice("ratio.slack")
def test_slack_lowers_the_score_to_be_reached_and_nothing_else(model, batch):
    curves, values = [], []
    for slack in (0, 0.02, 0.1, 1):
        scores = MinimumPreservationRatio(ep3d(), GRID, slack)(model, batch, batch.clip[:, 0])
        curve = scores.curves[KEY]
        enough = curve >= curve[:, -1:] - slack
        assert scores[KEY].tolist() == [min(a for a, e in zip(GRID, row, strict=True) if e) for row in enough]
        curves.append(curve)
        values.append(scores[KEY])
    assert all(torch.equal(curve, curves[0]) for curve in curves)
    assert (torch.stack(values).diff(dim=0) <= 0).all()
    assert (values[1] != values[0]).any()
    assert values[-1].tolist() == [GRID[0]] * 8


class Constant(nn.Module):
    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.tensor([0.3, -0.7, 1.1, 0.2]))

    def forward(self, clip):
        return self.bias.expand(len(clip), 4)


@pytest.mark.identity(27)
@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_a_constant_classifier_needs_the_smallest_share(chunk):
    batch = make_batch()
    batch.clip = batch.clip.float()
    for explainer in (ep3d(chunk=chunk), STEP(kernel=(2, 3, 3), **SMALL, chunk=chunk)):
        got = ratios(MinimumPreservationRatio(explainer, (0.3, 0.07, 1)), Constant(), batch)
        assert got.tolist() == [0.07] * 8


class Only(nn.Module):
    """Scores class 0 high on one clip, bit by bit, and lower on all others."""

    def __init__(self, clip):
        super().__init__()
        self.clip = clip

    def forward(self, clip):
        off = (clip - self.clip).flatten(1).abs().sum(dim=1)
        return torch.stack([-off, 0 * off], dim=1)


def test_the_whole_clip_always_succeeds():
    """Even where no mask does, for a mask of area 1 is not 1 everywhere."""
    batch = make_batch(1)
    batch.target = torch.tensor([0])
    scores = MinimumPreservationRatio(ep3d(), GRID)(Only(batch.clip), batch, batch.clip[:, 0])
    assert scores[KEY].tolist() == [1.0]
    assert (scores.curves[KEY][0, :-1] < 0.5).all()
    assert scores.curves[KEY][0, -1] == 0.5


def test_no_mask_is_sought_for_the_whole_clip():
    areas = []

    class Spy(EP3D):
        def optimise(self, classifier, clip, target, area, generators):
            areas.extend(area.tolist())
            return super().optimise(classifier, clip, target, area, generators)

    ratios(MinimumPreservationRatio(Spy(**SMALL), GRID), seeded(GapFC()).double(), make_batch(2))
    assert sorted(areas) == sorted(2 * GRID[:-1])


def test_it_scores_the_class_explained(model, batch):
    first = ratios(MinimumPreservationRatio(ep3d(), GRID), model, batch)
    batch.label = (batch.label + 1) % 4
    assert torch.equal(ratios(MinimumPreservationRatio(ep3d(), GRID), model, batch), first)
    batch.target = (batch.target + 1) % 4
    assert not torch.equal(ratios(MinimumPreservationRatio(ep3d(), GRID), model, batch), first)


class Softmaxed(nn.Module):
    outputs = "probs"

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, clip):
        return self.network(clip).softmax(1)


def test_probabilities_are_taken_as_they_are(model, batch):
    metric = MinimumPreservationRatio(ep3d(), GRID)
    logits, probs = (metric(m, batch, batch.clip[:, 0]).curves[KEY] for m in (model, Softmaxed(model)))
    torch.testing.assert_close(probs, logits, rtol=1e-9, atol=1e-12)  # float64


def test_a_clip_does_not_feel_its_batch_its_place_or_the_chunk(model, batch):
    """With shuffled ties, so that draws count too; their effect is below."""
    metric = MinimumPreservationRatio(ep3d(ties="shuffle"), GRID)
    together = metric(model, batch, batch.clip[:, 0])
    for index in ([0], [3], [7], [5, 2, 6]):
        some = metric(model, rows(batch, index), batch.clip[index, 0])
        torch.testing.assert_close(some.curves[KEY], together.curves[KEY][index], rtol=1e-9, atol=1e-12)
        assert torch.equal(some[KEY], together[KEY][index])
    chunked = MinimumPreservationRatio(ep3d(ties="shuffle", chunk=3), GRID)(model, batch, batch.clip[:, 0])
    torch.testing.assert_close(chunked.curves[KEY], together.curves[KEY], rtol=1e-9, atol=1e-12)


def test_what_was_explained_or_drawn_before_does_not_matter(model, batch):
    metric = MinimumPreservationRatio(ep3d(ties="shuffle"), GRID)
    curve = metric(model, batch, batch.clip[:, 0]).curves[KEY]
    GradCAM("features")(model, batch.clip, batch.target, generators=batch.generators)
    for generator in batch.generators:
        torch.rand(7, generator=generator)
    states = [generator.get_state() for generator in batch.generators]
    again = metric(model, batch, torch.ones_like(batch.clip[:, 0]))
    assert torch.equal(again.curves[KEY], curve)
    assert all(torch.equal(g.get_state(), s) for g, s in zip(batch.generators, states, strict=True))
    batch.generators = [torch.Generator().manual_seed(i) for i in range(8)]
    assert not torch.equal(metric(model, batch, batch.clip[:, 0]).curves[KEY], curve)


def test_without_generators_every_clip_draws_from_seed_0(model):
    batch = make_batch(2, generators=False)
    metric = MinimumPreservationRatio(ep3d(ties="shuffle"), GRID)
    got = metric(model, batch, batch.clip[:, 0]).curves[KEY]
    batch.generators = [torch.Generator().manual_seed(0) for _ in range(2)]
    assert torch.equal(metric(model, batch, batch.clip[:, 0]).curves[KEY], got)


def test_the_explainer_given_keeps_its_own_areas(model):
    explainer = ep3d(areas=(0.1, 0.4))
    ratios(MinimumPreservationRatio(explainer, GRID), model, make_batch(1))
    assert explainer.areas == [0.1, 0.4]


def test_it_is_the_explainer_s_own_per_area_masks(model):
    batch = make_batch(2, generators=False)
    curve = MinimumPreservationRatio(ep3d(), GRID)(model, batch, batch.clip[:, 0]).curves[KEY]
    own = [torch.Generator().manual_seed(0) for _ in range(2)]
    _, kept = ep3d(areas=GRID[:-1]).per_area(model, batch.clip, batch.target, Context(own))
    assert torch.equal(curve[:, :-1], kept)


def test_the_classifier_is_left_as_it_was():
    model, batch = seeded(Everything()).double().train(), make_batch(2)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    got = ratios(MinimumPreservationRatio(ep3d(iterations=2), GRID), model, batch)
    assert got.isfinite().all()
    assert all(module.training for module in model.modules())
    assert all(weight.requires_grad and weight.grad is None for weight in model.parameters())
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("kept", "whole", "good"),
    [
        ([[0.5] * 4, [0.5] * 4], [math.nan, 0.5], 1),
        ([[0.5] * 4, [0.5, math.nan, 0.5, 0.5]], [0.5, 0.5], 0),
    ],
)
def test_an_output_that_is_not_finite_is_not_scored_and_says_why(kept, whole, good):
    scores = scripted(kept, whole, grid=GRID)
    assert scores[KEY].isnan().tolist() == [i != good for i in range(2)]
    assert scores[KEY][good] == 0.05
    assert scores.reasons == {KEY: {1 - good: "the network's output is not finite"}}


@settings(max_examples=10)
@given(st.integers(0, 2**31))
def test_it_is_always_one_of_the_grid(seed):
    got = ratios(
        MinimumPreservationRatio(ep3d(iterations=2), (0.1, 0.6, 1)),
        seeded(GapFC(), seed % 9).double(),
        make_batch(2, seed),
    )
    assert set(got.tolist()) <= {0.1, 0.6, 1.0}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"grid": (0.1, 0.5)}, "must hold 1"),
        ({"grid": (1,)}, "and a share below 1"),
        ({"grid": ()}, "must hold 1"),
        ({"grid": 0.1}, "grid = 0.1 must hold 1"),
        ({"grid": (0, 0.1, 1)}, r"grid = 0 is outside \(0, inf\)"),
        ({"grid": (0.1, 1.5)}, r"grid = 1.5 is outside \[0, 1\]"),
        ({"slack": -0.1}, r"slack = -0.1 is outside \[0, 1\]"),
        ({"explainer": GradCAM("features")}, "GradCAM has no mask for a given area"),
        ({"explainer": ep3d(mode="delete")}, "mode = delete never sees the kept clip"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(settings, message):
    with pytest.raises(OutOfRange, match=message):
        MinimumPreservationRatio(**{"explainer": ep3d()} | settings)


def test_the_config_has_every_setting_at_its_default():
    node = composed("metric=preservation", "profile=paper").metric.min_preservation_ratio
    assert node._target_ == "vxbench.metrics.MinimumPreservationRatio"
    settings = {name: value.default for name, value in signature(MinimumPreservationRatio).parameters.items()}
    given = {name: value for name, value in OmegaConf.to_container(node, resolve=True).items() if name != "_target_"}
    assert given.keys() == settings.keys()
    explainer = instantiate(node.explainer)
    assert type(explainer) is EP3D
    assert explainer.iterations == 2000
    metric = MinimumPreservationRatio(**given | {"explainer": explainer})
    assert (metric.grid, metric.slack) == (list(settings["grid"]), settings["slack"])
