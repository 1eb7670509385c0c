"""What every metric says it costs is what it asks of the network, and so for the explainers that some of them run."""

import pytest
import torch
from helpers.configs import composed
from helpers.counting import Counter
from helpers.paths import CONF
from helpers.toys import Everything, clips, seeded
from hydra.utils import instantiate
from omegaconf import OmegaConf

from vxbench.explainers import EP3D, RISE, Gradients
from vxbench.explainers.base import Passes
from vxbench.metrics import DeletionInsertion, MinimumPreservationRatio
from vxbench.metrics.base import Batch, Metric
from vxbench.metrics.sanity import SanityCheck
from vxbench.metrics.timing import GenerationTime

NAMES = sorted(path.stem for path in (CONF / "metric").glob("*.yaml"))
T, H, W = SHAPE = (4, 14, 18)
STAGES = [{"layer": ["layer"]}, {"fc": ["fc"]}]  # the first has a batch norm, so every stage is calibrated
FEW = {"sigma": 5, "iterations": 2}
NOTHING = Passes()


def build(name: str) -> list[Metric]:
    config = composed(f"metric={name}", "explainer=gradients")
    OmegaConf.set_struct(config, False)
    config.model.stages, config.profile.iterations = STAGES, 2
    config.table = {"settings": {"sigma": 5}}
    return [instantiate(node, _convert_="all") for node in config.metric.values()]


def batch_of(count: int, seed: int) -> Batch:
    target = torch.arange(count) % 4
    boxes = torch.zeros(count, *SHAPE, dtype=torch.bool)
    boxes[:, :, 2:7, 3:9] = True
    whole = torch.ones(count, T, dtype=torch.bool)
    return Batch(clips(count, 3, *SHAPE, seed=seed), target, target, boxes=boxes, annotated=whole, action=whole)


def counted(metric: Metric) -> Passes:
    """All that is asked for two batches, of 3 clips and of 2, with what comes before the first."""
    model = seeded(Everything())
    counter = Counter(model.fc)
    if metric.calibration:
        metric.prepare(model, clips(metric.calibration, 3, *SHAPE, seed=9))
    for count in (3, 2):
        metric(model, batch_of(count, seed=count), torch.rand(count, *SHAPE))
    return counter.passes(clips=1)


def said(metric: Metric) -> Passes | None:
    once = metric.passes(SHAPE)
    return None if once is None else metric.passes_before(SHAPE) + once * 5


@pytest.mark.parametrize("name", NAMES)
def test_what_it_says_is_what_it_asks(name):
    for metric in build(name):
        assert said(metric) in (None, counted(metric))


class Silent(Gradients):
    """An explainer that does not say what it costs."""

    def passes(self, shape):
        return None


class SilentSearch(EP3D):
    def passes(self, shape):
        return None


@pytest.mark.parametrize(
    "metric",
    [
        Metric(),
        GenerationTime(Silent()),
        SanityCheck(Silent(), STAGES),
        MinimumPreservationRatio(SilentSearch(**FEW)),
    ],
    ids=lambda metric: type(metric).__name__,
)
def test_what_is_not_said_is_not_known(metric):
    assert metric.passes(SHAPE) is None


def test_warming_up_costs_what_the_explainer_costs():
    assert GenerationTime(Silent()).passes_before(SHAPE) is None
    assert Metric().passes_before(SHAPE) == NOTHING


@pytest.mark.parametrize(
    ("metric", "before", "per_clip"),
    [
        (DeletionInsertion(steps=4), NOTHING, Passes(9)),
        (DeletionInsertion(steps=4, start="zero"), NOTHING, Passes(8)),
        (MinimumPreservationRatio(EP3D(**FEW), [0.1, 0.5, 1.0]), NOTHING, Passes(5, 4)),
        (MinimumPreservationRatio(EP3D(combine="extremal", **FEW), [0.1, 0.5, 1.0]), NOTHING, Passes(5, 4)),
        (MinimumPreservationRatio(EP3D(mode="dual", **FEW), [0.1, 1.0]), NOTHING, Passes(5, 4)),
        (GenerationTime(Gradients(), warmup=0), NOTHING, Passes(1, 1)),
        (GenerationTime(RISE(masks=5), warmup=2, batch=3), Passes(10), Passes(5)),
        (SanityCheck(Gradients(), STAGES, bn="keep"), NOTHING, Passes(3, 3)),
        (SanityCheck(Gradients(), STAGES, calibration=6), Passes(12), Passes(3, 3)),
        (SanityCheck(RISE(masks=5), STAGES[:1], calibration=6), Passes(6), Passes(10)),
    ],
)
def test_options_that_change_the_cost(metric, before, per_clip):
    assert metric.passes_before(SHAPE) == before
    assert metric.passes(SHAPE) == per_clip
    assert counted(metric) == said(metric)


def test_stages_without_batch_norm_are_not_calibrated():
    metric = SanityCheck(Gradients(), STAGES[::-1], calibration=6)  # of fc alone there is nothing to calibrate
    assert said(metric) == Passes(12 + 15, 15)
    assert counted(metric) == Passes(6 + 15, 15)
