"""From decoded clips to rows: what a metric is given, and what the store keeps of what it says."""

import numpy as np
import pytest
import torch
from helpers.toys import GapFC, seeded

from vxbench.datasets.base import Clip, ClipRef
from vxbench.errors import UserError
from vxbench.explainers import Gradients, SmoothGrad
from vxbench.metrics import SanityCheck
from vxbench.metrics.base import Metric, Scores
from vxbench.models.classifier import InputSpec
from vxbench.runner.batch import BatchScorer, present

REFS = [ClipRef(f"Class/{i}", None, i % 2) for i in range(4)]


class Recorder(Metric):
    """A random number a clip, from its generator; remembers what it was given."""

    keys = ("draw",)

    def __init__(self):
        self.prepared, self.batches = [], []

    def prepare(self, classifier, clips):
        self.prepared.append(clips)

    def __call__(self, classifier, batch, saliency):
        self.batches.append(batch)
        draw = torch.stack([torch.rand((), generator=generator) for generator in batch.generators])
        hot = batch.action.sum(dim=1) if batch.action is not None else torch.ones(len(draw))
        curve = draw[:, None].expand(-1, 3)
        return Scores({"draw": draw}, weights={"draw": hot}, groups={"draw": batch.label}, curves={"draw": curve})


def decoded(seed, action=None):
    frames = np.random.default_rng(seed).integers(0, 256, (4, 12, 10, 3), dtype=np.uint8)
    return Clip(frames, action=action)


def computer(**metrics):
    classifier = seeded(GapFC())
    classifier.input = InputSpec(4, 12, 10, mean=(114, 115, 116), std=(57, 58, 59))
    return BatchScorer(classifier, Gradients(), metrics, "cpu", seed=3, target="label", chunk=8)


def draws(rows):
    return dict(zip(rows["clip"], rows.value, strict=True))


def test_a_metric_draws_the_same_whatever_else_runs_and_however_clips_are_batched():
    loaded = [decoded(i) for i in range(4)]
    together = draws(computer(m=Recorder())(REFS, loaded).rows)
    second = computer(m=Recorder())
    alone = draws(second(REFS[2:], loaded[2:]).rows)
    beside = computer(other=Recorder(), m=Recorder())(REFS, loaded).rows
    assert alone == {clip: together[clip] for clip in alone}
    assert draws(beside.iloc[4:]) == together
    assert draws(beside.iloc[:4]) == together  # no metric draws from another's generators
    assert len(set(together.values())) == 4


def test_a_metric_that_explains_again_repeats_a_random_map():
    machine = computer(m=SanityCheck(SmoothGrad(samples=2), [{"fc": ["fc"]}], bn="keep"))
    machine.explainer = SmoothGrad(samples=2)
    rows = machine(REFS[:2], [decoded(0), decoded(1)]).rows
    original = rows[rows.metric == "rank_original"].value
    assert original.tolist() == pytest.approx([1, 1], abs=1e-12)  # rounding of a correlation


def test_weights_groups_and_curves_reach_the_rows():
    action = np.array([False, True, True, False])
    rows = computer(m=Recorder())(REFS, [decoded(i, action) for i in range(4)]).rows
    assert rows.weight.tolist() == [2.0] * 4
    assert rows.group.tolist() == [0, 1, 0, 1]
    assert all(curve == [value] * 3 for curve, value in zip(rows.curve, rows.value, strict=True))


def test_calibration_clips_are_normalised_and_reach_that_metric_alone():
    metric, other = Recorder(), Recorder()
    machine = computer(m=metric, other=other)
    machine.prepare(metric, [decoded(i) for i in range(2)])
    machine(REFS[:1], [decoded(0)])
    assert not other.prepared
    [clips] = metric.prepared
    assert len(clips) == 2
    assert torch.equal(clips[:1], metric.batches[0].clip)


def test_a_clip_without_boxes_takes_none_from_its_batch():
    metric = Recorder()
    boxed = decoded(0)
    boxed.boxes, boxed.annotated = np.ones((4, 12, 10), bool), np.ones(4, bool)
    computer(m=metric)(REFS[:2], [decoded(1), boxed])
    assert metric.batches[0].boxes.flatten(1).all(dim=1).tolist() == [False, True]
    assert metric.batches[0].boxes[0].sum() == 0
    assert metric.batches[0].annotated.tolist() == [[False] * 4, [True] * 4]


def test_the_predicted_class_is_found_a_chunk_at_a_time():
    machine, seen = computer(m=Recorder()), []
    machine.target, machine.chunk = "predicted", 3
    machine.classifier.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    machine.batch(REFS, [decoded(i) for i in range(4)])
    assert seen == [3, 1]


@pytest.mark.choice("target.class")
def test_the_class_explained_is_the_label_or_what_the_model_predicts():
    machine, loaded = computer(m=Recorder()), [decoded(i) for i in range(4)]
    assert machine(REFS, loaded).rows.target.tolist() == [ref.label for ref in REFS]
    machine.target = "predicted"
    rows = machine(REFS, loaded).rows
    with torch.no_grad():
        predicted = machine.classifier(present(machine.classifier, loaded, "cpu")).argmax(dim=1)
    assert rows.target.tolist() == predicted.tolist()
    assert rows.target.tolist() != rows.label.tolist()


class Hungry(Gradients):
    """Fails as torch does on the CPU, for more clips than fit."""

    def __init__(self, room, what=RuntimeError):
        super().__init__()
        self.room, self.what = room, what

    def explain(self, classifier, clip, target, context):
        if len(clip) > self.room:
            if self.what is RuntimeError:
                torch.empty(10**15)
            raise self.what("no room")
        return super().explain(classifier, clip, target, context)


@pytest.mark.parametrize("what", [RuntimeError, MemoryError, torch.OutOfMemoryError])
def test_a_batch_that_does_not_fit_is_halved(what):
    machine, loaded = computer(m=Recorder()), [decoded(i) for i in range(4)]
    expected = draws(machine(REFS, loaded).rows)
    machine.explainer = Hungry(1, what)
    assert draws(machine(REFS, loaded).rows) == expected


def test_a_clip_that_does_not_fit_is_a_failure_row():
    machine = computer(m=Recorder())
    machine.explainer = Hungry(0)
    rows = machine(REFS[:2], [decoded(0), decoded(1)]).rows
    assert rows.status.tolist() == ["failed", "failed"]
    assert rows.reason.str.startswith("out_of_memory: ").all()


def test_another_error_is_not_taken_for_a_lack_of_memory():
    machine = computer(m=Recorder())
    machine.explainer = Hungry(0, ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        machine(REFS[:2], [decoded(0), decoded(1)])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (lambda scores: dict(scores), "Recorder gave dict; a metric gives Scores"),
        (lambda scores: Scores({"other": scores["draw"]}), "Recorder gave 'other', which is none of its keys draw"),
        (lambda scores: Scores({"draw": scores["draw"][:, None]}), r"Recorder gave draw of shape \(4, 1\)"),
    ],
)
def test_what_is_no_score_is_told_with_its_metric(given, said, monkeypatch):
    right = Recorder.__call__
    monkeypatch.setattr(Recorder, "__call__", lambda self, *arguments: given(right(self, *arguments)))
    with pytest.raises(UserError, match=said):
        computer(m=Recorder())(REFS, [decoded(i) for i in range(4)])
