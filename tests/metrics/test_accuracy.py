import pytest
import torch
from helpers.toys import clips, seeded
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from vxbench.metrics import Batch, TopK
from vxbench.metrics.accuracy import within_top


class Table(nn.Module):
    """Scores of the clip whose first value is i: row i."""

    def __init__(self, table):
        super().__init__()
        self.table = nn.Parameter(torch.tensor(table, dtype=torch.float32))

    def forward(self, clip):
        return self.table[clip[:, 0, 0, 0, 0].long()]


def batch(labels) -> Batch:
    clip = torch.arange(len(labels), dtype=torch.float32).view(-1, 1, 1, 1, 1).expand(-1, 3, 2, 4, 4)
    label = torch.tensor(labels)
    return Batch(clip, target=(label + 1) % 3, label=label)


SALIENCY = torch.zeros(1)
RISING = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_the_label_counts_and_not_the_class_explained(chunk):
    labels = [6, 5, 2, 1, 0]
    scores = TopK(chunk)(Table([RISING] * 5), batch(labels), SALIENCY)
    assert scores["top1"].tolist() == [1, 0, 0, 0, 0]
    assert scores["top5"].tolist() == [1, 1, 1, 0, 0]
    assert not scores.reasons


@given(st.integers(0, 2**31), st.integers(1, 8), st.integers(1, 8))
def test_against_a_sort(seed, classes, k):
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(4, (5, classes), generator=generator).float()  # many ties
    label = torch.randint(classes, (5,), generator=generator)
    order = scores.sort(dim=1, descending=True, stable=True).indices  # of equal ones the lower class first
    assert torch.equal(within_top(scores, label, k), (order[:, :k] == label[:, None]).any(dim=1))


def test_equal_scores_are_not_all_right():
    scores = TopK()(Table([[1.0] * 10] * 10), batch(list(range(10))), SALIENCY)
    assert scores["top1"].sum() == 1
    assert scores["top5"].sum() == 5


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_output_that_is_not_finite_is_no_answer(value):
    scores = TopK()(Table([RISING, [value, *RISING[1:]]]), batch([6, 6]), SALIENCY)
    for key in ("top1", "top5"):
        assert scores[key][0] == 1
        assert scores[key][1].isnan()
        assert scores.reasons[key] == {1: "the network's output is not finite"}
    assert not within_top(torch.tensor([[float("nan"), 1.0]]), torch.tensor([0]), 1)


def test_top5_of_five_classes_says_nothing():
    scores = TopK()(Table([RISING[:5]] * 2), batch([4, 0]), SALIENCY)
    assert scores["top1"].tolist() == [1, 0]
    assert scores["top5"].isnan().all()
    assert scores.reasons == {"top5": dict.fromkeys((0, 1), "of 5 classes, one is always among the top 5")}
    six = TopK()(Table([RISING[:6]] * 2), batch([4, 0]), SALIENCY)
    assert six["top5"].tolist() == [1, 0]


def test_the_network_is_asked_in_eval_mode_and_left_as_it_was():
    model = seeded(nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(3 * 2 * 4 * 4, 6)))
    some = Batch(clips(4, 3, 2, 4, 4), torch.zeros(4, dtype=torch.long), torch.arange(4))
    model.train()
    first, second = (TopK()(model, some, SALIENCY) for _ in range(2))
    assert torch.equal(first["top1"], second["top1"])
    assert model.training
    assert all(weight.grad is None and weight.requires_grad for weight in model.parameters())
