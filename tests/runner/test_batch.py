"""From decoded clips to rows: what a metric is given, and what the store keeps of what it says."""

import numpy as np
import pytest
import torch
from helpers.faulty_explainers import Failing
from helpers.scoring import REFS, Recorder, computer, decoded, draws

from vxbench.errors import ClipError, NotApplicable, OutOfRange, UserError
from vxbench.explainers import SmoothGrad
from vxbench.metrics import SanityCheck
from vxbench.metrics.base import Scores
from vxbench.runner.batch import present


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


@pytest.mark.parametrize("target", ["label", "predicted"])
def test_the_predicted_class_is_found_a_chunk_at_a_time(target):
    machine, seen = computer(m=Recorder()), []
    machine.target, machine.chunk, machine.trusted, machine._looked = target, 3, True, True
    machine.classifier.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    machine.batch(REFS, [decoded(i) for i in range(4)])
    assert seen == [3, 1]


@pytest.mark.choice("target.class")
def test_the_class_explained_is_the_label_or_what_the_model_predicts():
    machine, loaded = computer(m=Recorder()), [decoded(i) for i in range(4)]
    labels = machine(REFS, loaded).rows
    assert labels.target.tolist() == [ref.label for ref in REFS]
    machine.target = "predicted"
    rows = machine(REFS, loaded).rows
    with torch.no_grad():
        predicted = machine.classifier(present(machine.classifier, loaded, "cpu")).argmax(dim=1)
    assert rows.target.tolist() == rows.predicted.tolist() == labels.predicted.tolist() == predicted.tolist()
    assert rows.target.tolist() != rows.label.tolist()


def failing(clips, **settings):
    """A scorer of seed 0, and the four clips, some of which make its explainer fail."""
    machine = computer(m=Recorder())
    machine.seed, machine.explainer = 0, Failing([REFS[i].id for i in clips], **settings)
    return machine, [decoded(i) for i in range(4)]


ERRORS = [
    (RuntimeError("no luck"), "error: RuntimeError: no luck"),
    (ZeroDivisionError(), "error: ZeroDivisionError"),
    (IndexError("first\nsecond"), "error: IndexError: first"),
    (torch.linalg.LinAlgError("singular"), "error: _LinAlgError: singular"),
    (ClipError("nan_map", "NaN"), "nan_map: NaN"),
]


@pytest.mark.parametrize(("error", "reason"), ERRORS)
def test_a_clip_that_fails_is_a_row_and_the_others_of_its_batch_are_explained(error, reason):
    machine, loaded = failing([])
    expected = draws(machine(REFS, loaded).rows)
    machine, _ = failing([2], error=lambda words: error)
    rows = machine(REFS, loaded).rows
    failed = rows[rows.status == "failed"]
    assert failed["clip"].tolist() == [REFS[2].id]
    assert failed.reason.tolist() == [reason]
    assert draws(rows[rows.status == "ok"]) == {clip: value for clip, value in expected.items() if clip != REFS[2].id}


def test_a_batch_that_fails_once_is_computed(tmp_path):
    machine, loaded = failing([2], unless=tmp_path / "failed", once=True)
    assert set(machine(REFS, loaded).rows.status) == {"ok"}
    assert (tmp_path / "failed").exists()


def test_a_batch_of_which_every_clip_fails_is_rows_where_others_have_been_scored():
    machine, loaded = failing([2, 3])
    assert set(machine(REFS[:2], loaded[:2]).rows.status) == {"ok"}
    assert machine(REFS[2:], loaded[2:]).rows.reason.tolist() == 2 * ["error: RuntimeError: no luck"]
    resumed = failing([2, 3])[0]
    resumed.trusted = True
    assert set(resumed(REFS[2:], loaded[2:]).rows.status) == {"failed"}


@pytest.mark.parametrize("error", [RuntimeError, ZeroDivisionError, TypeError])
def test_what_every_clip_of_the_first_batch_raises_is_no_matter_of_the_clips(error):
    machine, loaded = failing(range(4), error=error)
    with pytest.raises(error, match="no luck"):
        machine(REFS, loaded)


@pytest.mark.parametrize("error", [UserError, OutOfRange, NotApplicable, KeyboardInterrupt])
def test_what_no_other_batch_would_mend_is_not_tried_again(error):
    machine, loaded = failing([3], error=error)
    machine.trusted = True
    with pytest.raises(error):
        machine(REFS, loaded)


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
