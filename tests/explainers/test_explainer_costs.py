"""What every explainer says it costs is what it asks of the network."""

import pytest
import torch
from helpers.counting import Counter
from helpers.every_explainer import NAMES, NETWORKS, TARGET, H, T, W, build
from helpers.toys import Everything, EverythingRNN, clips, seeded

from vxbench.explainers import AOSA, EP3D, FEP, OSA, RISE, STEP, AOSAApprox, IntegratedGradients, SmoothGrad
from vxbench.explainers.base import Explainer, Passes

SHAPE = (T, H, W)
EIGHT_BIT = {"mean": [114.0, 115.0, 116.0], "std": [57.0, 58.0, 59.0]}
FEW = {"sigma": 5, "iterations": 3}


def counted(explainer, clip, network=Everything) -> Passes:
    model = seeded(network())
    counter = Counter(model.fc, rows=T if network is EverythingRNN else 1)
    explainer(model, clip, TARGET, boxes=torch.ones(3, *SHAPE, dtype=torch.bool))
    return counter.passes(len(clip))


@pytest.fixture
def clip():
    return clips(3, 3, *SHAPE)


@pytest.mark.parametrize("name", NAMES)
def test_what_it_says_is_what_it_asks(name, clip):
    explainer = build(name, chunk=2)  # which does not divide the 3 clips
    said = explainer.passes(SHAPE)
    if said is None:
        pytest.skip(f"{name} does not say what it costs")
    assert counted(explainer, clip, NETWORKS.get(name, Everything)) == said


def test_the_cost_of_an_explainer_that_says_nothing_is_not_known():
    class Silent(Explainer):
        def explain(self, classifier, clip, target, context):
            return clip.mean(dim=1)

    assert Silent().passes(SHAPE) is None


@pytest.mark.parametrize(
    ("explainer", "forward", "backward"),
    [
        (EP3D(areas=(0.1, 0.3), **FEW), 6, 6),
        (EP3D(areas=(0.1, 0.3), combine="single", **FEW), 3, 3),
        (EP3D(areas=(0.1, 0.3), combine="extremal", **FEW), 7, 6),
        (EP3D(combine="extremal", **FEW), 3, 3),
        (EP3D(mode="dual", **FEW), 6, 6),
        (EP3D(areas=(0.1, 0.3), mode="dual", combine="extremal", **FEW), 13, 12),
        (EP3D(mode="delete", **FEW), 3, 3),
        (STEP(core_start=0, **FEW), 3, 3),
        (FEP(step=7, tensor="mask", **FEW), 3, 3),
        (FEP(step=7, term="reward", **FEW), 3, 3),
        (FEP(step=7, tensor="mask", term="reward", **FEW), 3, 3),
        (IntegratedGradients(steps=5, baseline="zero", rule="midpoint"), 5, 5),
        (SmoothGrad(samples=3, variant="variance"), 3, 3),
        (RISE(masks=9), 9, 0),
        (OSA(stride=9, stride_t=3), 3 * 3 * 4 + 1, 0),
        (AOSA(stride=6, hole=4, **EIGHT_BIT), 3 * 5 + 1, 0),  # 3, 9, 15 down; 3, 9, 15, 21, 27 across
        (AOSAApprox(stride=6, hole=4, cond=False, **EIGHT_BIT), 1, 1),
    ],
)
def test_options_that_change_the_cost(explainer, forward, backward, clip):
    assert explainer.passes(SHAPE) == Passes(forward, backward)
    assert counted(explainer, clip) == Passes(forward, backward)


def test_black_bars_make_aosa_cheaper_than_it_says(clip):
    black = -torch.tensor(EIGHT_BIT["mean"]) / torch.tensor(EIGHT_BIT["std"])
    for rows in (slice(0, 2), slice(H - 2, H)):
        clip[..., rows, :] = black[:, None, None, None]
    explainer = AOSA(stride=2, hole=4, **EIGHT_BIT)
    said, asked = explainer.passes(SHAPE), counted(explainer, clip)
    assert asked.forward == said.forward - 2 * (W // 2)  # the rows of anchors at 1 and 19
    assert asked.backward == said.backward == 0


def test_outliers_cost_aosa_approx_two_more_passes_at_most(clip):
    explainer = AOSAApprox(stride=2, hole=4, adjust="simple", **EIGHT_BIT)
    clip[:, :, :, 5:8, 5:8] *= 100  # masks that hide it are outliers
    said, asked = explainer.passes(SHAPE), counted(explainer, clip)
    assert said == Passes(3, 3)
    assert 1 < asked.forward <= said.forward
    assert 1 < asked.backward <= said.backward


def test_passes_add_up():
    assert Passes(1, 2) + Passes(3, 4) == Passes(4, 6)
    assert Passes(1, 2) * 3 == Passes(3, 6)
