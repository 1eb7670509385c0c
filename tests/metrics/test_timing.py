"""Nothing here measures speed: the clock is a fake one, and what happens between two looks at it is recorded."""

from inspect import signature

import pytest
import torch
from helpers.configs import composed
from helpers.toys import GapFC, clips, seeded
from hydra.utils import instantiate
from omegaconf import OmegaConf

from vxbench.errors import OutOfRange
from vxbench.explainers import SmoothGrad
from vxbench.explainers.base import Explainer
from vxbench.metrics import timing
from vxbench.metrics.base import Batch
from vxbench.metrics.timing import GenerationTime, synchronise


class Recorder(Explainer):
    """Writes down what it is given and takes as many seconds as the first value of the clip."""

    def __init__(self, clock):
        super().__init__()
        self.clock = clock

    def explain(self, classifier, clip, target, context):
        self.clock.events.append("explain")
        self.clock.now += clip[0, 0, 0, 0, 0].item()
        draws = [torch.rand((), generator=generator).item() for generator in context.generators]
        boxes = None if context.boxes is None else context.boxes.clone()
        self.clock.calls.append((clip.clone(), target.clone(), draws, boxes))
        return clip[:, 0]


class Clock:
    def __init__(self):
        self.now, self.events, self.calls = 1000.0, [], []

    def perf_counter(self):
        self.events.append("clock")
        return self.now

    def synchronise(self, device):
        self.events.append("wait")


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(timing.time, "perf_counter", clock.perf_counter)
    monkeypatch.setattr(timing, "synchronise", clock.synchronise)
    return clock


@pytest.fixture
def batch():
    clip = torch.zeros(3, 3, 2, 4, 4)
    clip[:, 0, 0, 0, 0] = torch.tensor([0.5, 2.0, 8.0])
    target = torch.tensor([2, 0, 1])
    boxes = clips(3, 2, 4, 4) > 0
    generators = [torch.Generator().manual_seed(40 + i) for i in range(3)]
    return Batch(clip, target, target, boxes=boxes, generators=generators)


ANY, NETWORK = torch.zeros(3, 2, 4, 4), torch.nn.Identity()
TIMED = ["wait", "clock", "explain", "wait", "clock"]


def test_the_device_is_waited_for_before_each_look_at_the_clock(clock, batch):
    scores = GenerationTime(Recorder(clock), warmup=0)(NETWORK, batch, ANY)
    assert clock.events == 3 * TIMED
    assert scores["seconds"].tolist() == [0.5, 2.0, 8.0]
    assert scores.reasons == {}


def test_warm_ups_happen_once_and_do_not_count(clock, batch):
    metric = GenerationTime(Recorder(clock), warmup=3)
    first = metric(NETWORK, batch, ANY)
    assert clock.events == 3 * ["explain"] + 3 * TIMED
    assert first["seconds"].tolist() == [0.5, 2.0, 8.0]
    clock.events.clear()
    assert metric(NETWORK, batch, ANY)["seconds"].tolist() == [0.5, 2.0, 8.0]
    assert clock.events == 3 * TIMED


def test_every_clip_is_alone_with_what_is_its_own(clock, batch):
    GenerationTime(Recorder(clock), warmup=2)(NETWORK, batch, ANY)
    expected = [torch.rand((), generator=torch.Generator().manual_seed(40 + i)).item() for i in range(3)]
    for index, (clip, target, draws, boxes) in zip([0, 0, 0, 1, 2], clock.calls, strict=True):
        assert torch.equal(clip, batch.clip[index : index + 1])
        assert target.tolist() == [batch.target[index]]
        assert draws == [expected[index]]  # also after the warm-ups, and what others drew
        assert torch.equal(boxes, batch.boxes[index : index + 1])


def test_the_batch_s_generators_are_neither_used_nor_asked(clock, batch):
    for generator in batch.generators:
        torch.rand(5, generator=generator)
    states = [generator.get_state() for generator in batch.generators]
    GenerationTime(Recorder(clock), warmup=0)(NETWORK, batch, ANY)
    assert [draws for _, _, draws, _ in clock.calls] == [
        [torch.rand((), generator=torch.Generator().manual_seed(40 + i)).item()] for i in range(3)
    ]
    assert all(torch.equal(g.get_state(), s) for g, s in zip(batch.generators, states, strict=True))


def test_without_generators_or_boxes(clock, batch):
    batch.generators = batch.boxes = None
    GenerationTime(Recorder(clock), warmup=0)(NETWORK, batch, ANY)
    seed_0 = torch.rand((), generator=torch.Generator().manual_seed(0)).item()
    assert [(draws, boxes) for _, _, draws, boxes in clock.calls] == 3 * [([seed_0], None)]


def test_cuda_and_mps_are_waited_for(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device=None: asked.append(str(device)))
    monkeypatch.setattr(torch.mps, "synchronize", lambda: asked.append("mps"))
    for name in ("cuda:1", "mps", "cpu"):
        synchronise(torch.device(name))
    assert asked == ["cuda:1", "mps"]


def test_the_device_waited_for_is_the_clip_s(monkeypatch, batch):
    asked = []
    monkeypatch.setattr(timing, "synchronise", asked.append)
    GenerationTime(Recorder(Clock()), warmup=0)(NETWORK, batch, ANY)
    assert asked == 6 * [batch.clip.device]


def test_a_real_explainer_takes_some_time_and_leaves_the_classifier_as_it_was():
    model = seeded(GapFC()).train()
    batch = Batch(clips(2, 3, 4, 8, 8), torch.tensor([0, 1]), torch.tensor([0, 1]))
    scores = GenerationTime(SmoothGrad(samples=2), warmup=1)(model, batch, torch.zeros(2, 4, 8, 8))
    assert scores["seconds"].shape == (2,)
    assert (scores["seconds"] > 0).all()
    assert all(module.training for module in model.modules())
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"warmup": -1}, "warmup = -1 is not a whole number"), ({"batch": 0}, "batch = 0 is not a whole number")],
)
def test_a_wrong_setting_is_one_clear_line(settings, message):
    with pytest.raises(OutOfRange, match=message):
        GenerationTime(Recorder(Clock()), **settings)


def test_the_config_has_every_setting_and_times_as_the_paper_did():
    node = composed("metric=seconds", "explainer=smoothgrad").metric.time
    assert node._target_ == "vxbench.metrics.GenerationTime"
    settings = {name: value.default for name, value in signature(GenerationTime).parameters.items()}
    given = {name: value for name, value in OmegaConf.to_container(node, resolve=True).items() if name != "_target_"}
    assert given.keys() == settings.keys()
    assert (given["warmup"], given["batch"]) == (settings["warmup"], 400)
    assert isinstance(instantiate(node.explainer), SmoothGrad)  # the cell's own


def test_the_batch_of_masks_is_set_for_the_timed_runs_alone():
    explainer = SmoothGrad(samples=2, chunk=5)
    assert GenerationTime(explainer, batch=400).explainer.chunk == 400
    assert GenerationTime(explainer).explainer.chunk == explainer.chunk == 5
