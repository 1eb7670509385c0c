"""What a network gives is looked at before anything is computed from it, and a line says what is wrong with it."""

import pytest
import torch
from helpers.configs import composed
from helpers.odd_networks import CALLS, overrides
from helpers.toys import GapFC, clips, seeded
from torch import nn
from torch.nn import functional as F

from vxbench.errors import UserError
from vxbench.models.classifier import Classifier, InputSpec
from vxbench.runner import first_batch
from vxbench.runner.assemble import Assembled
from vxbench.runner.first_batch import look_at
from vxbench.runner.job import run_cell
from vxbench.runner.one_clip import open_clip

SPEC = InputSpec(4, 12, 10, mean=(114, 115, 116), std=(57, 58, 59))
CLASSES = 4


class Altered(GapFC):
    """GapFC between something done to its clip and something done to its scores."""

    def before(self, clip):
        return clip

    def after(self, scores):
        return scores

    def forward(self, clip):
        return self.after(super().forward(self.before(clip)))


def altered(before=None, after=None, **methods):
    """An instance of Altered with these functions of a clip and of scores."""
    functions = {"before": before, "after": after} | methods
    return type("Net", (Altered,), {k: staticmethod(f) for k, f in functions.items() if f})()


class BatchStatistics(GapFC):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm3d(5, track_running_stats=False)

    def forward(self, clip):
        return self.fc(self.norm(self.features(clip)).relu().mean(dim=(2, 3, 4)))


class Stateful(GapFC):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, clip):
        self.calls += 1
        return super().forward(clip) * (1 + 1e-3 * self.calls)


def shifted(clip):
    """Takes a part of the channels from the clip before, as TSM's shift does where frames are no whole clips."""
    return torch.cat([clip[:, :1].roll(1, 0), clip[:, 1:]], dim=1)


RANDOM = "differently at a second pass"
MIXED = "differently alone than among others"
ALTERS = "alters the clip it is given"
REFUSED = {
    "in place": (lambda: altered(lambda x: x.sub_(0.1)), ALTERS),
    "in place, a part": (lambda: altered(lambda x: x[:, :, -1:].mul_(1.001) is not None and x), ALTERS),
    "in place, behind autograd": (lambda: altered(lambda x: x.data.clamp_(-1, 1)), ALTERS),
    "relu in place": (lambda: altered(lambda x: F.relu(x, inplace=True)), ALTERS),
    "dropout": (lambda: altered(after=lambda y: F.dropout(y, 0.5)), RANDOM),
    "a little noise": (lambda: altered(lambda x: x + 1e-2 * torch.randn_like(x)), RANDOM),
    "a state": (Stateful, RANDOM),
    "batch statistics": (BatchStatistics, MIXED),
    "a clip's neighbour": (lambda: altered(shifted), MIXED),
    "the batch's mean": (lambda: altered(after=lambda y: y - 0.01 * y.mean(dim=0)), MIXED),
    "a softmax over clips": (lambda: altered(after=lambda y: y.softmax(dim=0)), MIXED),
    "softmax": (lambda: altered(after=lambda y: y.softmax(dim=1)), "set model.outputs=probs if they are prob"),
    "a mean of softmaxes": (
        lambda: altered(after=lambda y: (y.softmax(dim=1) + (2 * y).softmax(dim=1)) / 2),
        "model.outputs=logits to have a softmax taken",
    ),
    "classes": (lambda: altered(after=lambda y: y.argsort(dim=1)), r"gives torch\.int64, not floating-point scores"),
    "nothing finite": (lambda: altered(after=lambda y: y / 0), "no finite scores for any of the first"),
    "NaN weights": (lambda: altered(after=lambda y: y * torch.nan), r"check model\.checkpoint"),
    "a row too few": (lambda: altered(after=lambda y: y[:-1]), r"set model\.num_classes, or mend the network"),
    "a class too few": (lambda: altered(after=lambda y: y[:, :-1]), r"set model\.num_classes, or mend the network"),
}
FINE = {
    "plain": GapFC,
    "in eval mode": lambda: nn.Sequential(GapFC(), nn.BatchNorm1d(CLASSES), nn.Dropout(0.5)),
    "in place on a copy": lambda: altered(lambda x: x.clone().sub_(0.1)),
    "log_softmax": lambda: altered(after=lambda y: y.log_softmax(dim=1)),
    "not negative": lambda: altered(after=lambda y: y.relu() + 0.1),
    "all zero": lambda: altered(after=lambda y: 0 * y),
    "a large offset": lambda: altered(after=lambda y: y + 1e4),
    "bf16": lambda: altered(after=lambda y: y.bfloat16()),
    "float64": lambda: GapFC().double(),
}


def classifier(network, **settings):
    """The network in a classifier that is in training mode, which `look_at` must leave as it is."""
    made = Classifier(seeded(network), CLASSES, SPEC, **settings)
    return made.train()


def batch(count, dtype=torch.float32):
    return clips(count, 3, 4, 12, 10, dtype=dtype)


def seen(network):
    """Collects the numbers of clips of the network's forward passes."""
    counts = []
    network.register_forward_pre_hook(lambda module, args: counts.append(len(args[0])))
    return counts


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("name", REFUSED)
def test_a_network_that_is_no_function_of_one_clip_to_scores_is_refused_in_one_line(name, count):
    make, message = REFUSED[name]
    if "finite" in message + name or "NaN" in name:
        count = max(2, count)  # of a single clip it may be a matter of the clip
    network, clip = classifier(make()), batch(count)
    counts, before = seen(network), clip.clone()
    with pytest.raises(UserError, match=message) as caught:
        look_at(network, clip, chunk=8)
    assert "\n" not in str(caught.value)
    assert torch.equal(clip, before)
    assert len(counts) <= 3


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("name", FINE)
def test_any_other_is_seen_in_three_passes_and_left_as_it_was(name, count):
    network = classifier(FINE[name]())
    state = {key: value.clone() for key, value in network.state_dict().items()}
    counts, dtype = seen(network), torch.float64 if name == "float64" else torch.float32
    assert look_at(network, batch(count, dtype), chunk=4)
    assert counts == [min(4, max(2, count))] * 2 + [1]
    assert sum(counts) == first_batch.passes(count, chunk=4).forward
    assert all(module.training for module in network.modules())
    assert not any(module._forward_hooks for module in network.modules())
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


def test_a_network_that_sees_one_clip_at_a_time_need_not_take_more():
    for network in (classifier(BatchStatistics()), classifier(GapFC())):
        counts = seen(network)
        assert look_at(network, batch(5), chunk=1)
        assert counts == [1, 1]
        assert first_batch.passes(5, chunk=1).forward == 2


@pytest.mark.parametrize("bad", [[0], [4], [0, 1, 2, 3]])
def test_clips_that_are_not_finite_are_no_fault_of_the_network_among_others(bad):
    clip = batch(5)
    clip[bad, 0, 0, 0, 0] = 77

    def overflowing(x, y):
        return y.masked_fill((x[:, 0, 0, 0, 0] == 77)[:, None], torch.inf)

    network = classifier(GapFC())
    network.recognizer.register_forward_hook(lambda module, args, output: overflowing(args[0], output))
    assert look_at(network, clip, chunk=8)
    if bad == [0]:  # a single one tells nothing, and the next batch is to be looked at
        assert not look_at(network, clip[:1], chunk=8)


@pytest.mark.parametrize("said", ["outputs", "attribute"])
def test_what_is_said_of_the_outputs_must_fit(said):
    def build(outputs, after):
        network = altered(after=after)
        if said == "attribute":
            network.outputs = outputs
        return classifier(network, **({"outputs": outputs} if said == "outputs" else {}))

    assert look_at(build("probs", lambda y: y.softmax(dim=1)), batch(3), 8)
    assert look_at(build("logits", lambda y: y.softmax(dim=1)), batch(3), 8)  # an odd wish, but said
    for after in (None, lambda y: y.log_softmax(dim=1), lambda y: y.sigmoid(), lambda y: 100 * y.softmax(dim=1)):
        with pytest.raises(UserError, match=r"said to give probabilities .* set model\.outputs=logits"):
            look_at(build("probs", after), batch(3), 8)


def test_a_network_in_low_precision_is_measured_by_that_precision():
    """Its scores alone and among others may differ by bfloat16's rounding, also where they are float32 in the end."""

    def rounded(y):  # as if another kernel had summed for the batch: a unit in the last place of bfloat16 more
        return (y * (1 + 2**-7 * (len(y) > 1))).float()

    class Low(GapFC):
        def forward(self, clip):
            with torch.autocast("cpu", torch.bfloat16):
                return rounded(super().forward(clip))

    assert look_at(classifier(Low()), batch(3), 8)
    with pytest.raises(UserError, match=MIXED):
        look_at(classifier(altered(after=rounded)), batch(3), 8)


def test_the_name_of_the_network_leads_the_line():
    with pytest.raises(UserError, match=r"^mine alters"):
        look_at(classifier(altered(lambda x: x.sub_(0.1)), key="mine"), batch(2), 8)


# In a run.


@pytest.fixture
def cell(tmp_path, mini_data):
    """cell(deed, *settings): the parts of a cell of four clips with an odd network."""

    def assemble(deed, *settings):
        where = (f"paths.data={mini_data}", f"paths.results={tmp_path}", "profile=smoke", "shard.count=2")
        words = overrides(deed, *where, "explainer=gradients", "metric=topk", *settings)
        CALLS.clear()
        choices = {"model": "custom", "dataset": "ucf101_24", "explainer": "gradients"}
        return Assembled(composed(*words), choices)

    return assemble


@pytest.mark.slow
@pytest.mark.parametrize(
    ("deed", "message"),
    [
        ("alters its clip", ALTERS),
        ("is random", RANDOM),
        ("mixes clips", MIXED),
        ("gives probabilities", r"set model\.outputs=probs"),
    ],
)
def test_a_cell_of_such_a_network_is_refused_before_its_first_row(cell, deed, message):
    with pytest.raises(UserError, match=message):
        run_cell(cell(deed))
    assert len(CALLS) <= 3
    assert cell(deed).store.done() == set()


@pytest.mark.slow
def test_a_look_costs_three_passes_of_a_batch_and_a_cell_that_goes_on_is_not_looked_at(cell):
    first = cell("nothing", "runner.batch_size=2")
    outcome = run_cell(first)
    assert outcome.computed == 4
    assert CALLS == [2, 2, 1] + 2 * [2, 2, 2]  # the look; of each batch the prediction, the gradient and the metric
    rest = cell("nothing", "runner.batch_size=2", "shard.index=1")
    assert run_cell(rest).computed == 4
    assert CALLS == 2 * [2, 2, 2]


@pytest.mark.slow
def test_what_is_said_of_its_outputs_is_believed_from_then_on(cell):
    said = {outputs: cell("gives probabilities", f"model.outputs={outputs}") for outputs in ("probs", "logits")}
    assert [run_cell(parts).failed_clips for parts in said.values()] == [0, 0]


@pytest.mark.slow
def test_a_network_that_cannot_run_is_the_cell_s_matter_and_not_the_clips(cell):
    parts = cell("runs in half")
    with pytest.raises(RuntimeError, match="Half"):
        run_cell(parts)
    assert len(parts.store.rows()) == 0


@pytest.mark.slow
def test_a_clip_of_one_s_own_is_explained_by_no_such_network(mini_data, tmp_path):
    parts = Assembled(composed(*overrides("is random", f"paths.data={mini_data}", "profile=smoke")))
    with pytest.raises(UserError, match=RANDOM):
        open_clip(parts)
