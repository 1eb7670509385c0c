"""Fitting: it learns, it can be interrupted anywhere, and what cannot work is refused in one line."""

import os
import pickle
import signal
import time

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from torch import nn

from vxbench.datasets.base import ClipRef
from vxbench.datasets.view import Sampler
from vxbench.errors import ClipError, UserError
from vxbench.models.classifier import InputSpec
from vxbench.runner.tracker import NoTracker
from vxbench.training.augment import Augmentation
from vxbench.training.clips import SkippedClips, TestClips, TrainingClips, failing_workers
from vxbench.training.fit import Fit, _batches, cross_entropy, fit, sound_kernels
from vxbench.training.outcome import accuracy
from vxbench.training.resume import STATE

pytestmark = pytest.mark.slow

FRAMES, SIZE, CLASSES = 4, 8, 6
REFS = [ClipRef(f"clip{i}", "nowhere", i % CLASSES) for i in range(24)]
SAMPLER = Sampler("centre", FRAMES)
ONE_CYCLE = [{"type": "OneCycleLR", "eta_max": 1e-2, "convert_to_iter_based": True}]
STEPS = [{"type": "StepLR", "step_size": 2, "gamma": 0.1}]


class Toy(nn.Module):
    """What `fit` needs of a Classifier, with dropout and batch norm, so that state and draws matter."""

    key, outputs = "toy", "logits"
    input = InputSpec(FRAMES, SIZE, SIZE, mean=[110.0] * 3, std=[58.0] * 3)

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv3d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm3d(8)
        self.drop = nn.Dropout(0.2)
        self.fc = nn.Linear(8, CLASSES)

    def forward(self, clip):
        return self.fc(self.drop(self.norm(self.conv(clip)).relu().mean(dim=(2, 3, 4))))


def toy() -> Toy:
    torch.manual_seed(0)
    return Toy()


def coloured(ref, pick):
    """The class is in the strength of three colours; some noise of the clip's own."""
    times = pick(20)
    levels = [40 + 170 * (ref.label + 1 >> bit & 1) for bit in range(3)]
    noise = np.random.default_rng(int(ref.id.removeprefix("clip"))).integers(-30, 30, (20, SIZE, SIZE, 3))
    return (np.array(levels) + noise)[times].clip(0, 255).astype(np.uint8)


def clips(read=coloured) -> TrainingClips:
    return TrainingClips(REFS, read, SAMPLER, Augmentation(shift=2, gain=(0.9, 1.1)))


def how(folder, **changes) -> Fit:
    plain = {"epochs": 6, "batch_size": 8, "optimizer": {"type": "AdamW", "lr": 1e-2}, "param_scheduler": ONE_CYCLE}
    return Fit(folder, **plain | changes)


def scores(model) -> dict:
    return accuracy(model, TestClips(REFS, coloured, SAMPLER))


def fitted(folder, model=None, read=coloured, tracker=None, **changes) -> nn.Module:
    model = model or toy()
    fit(model, clips(read), lambda: scores(model), how(folder, **changes), tracker)
    return model


def equal(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def interrupted(folder, after: int, **changes) -> None:
    """A run that ends in the middle, when clip number `after` is read."""
    count = iter(range(10**6))

    def failing(ref, pick):
        if next(count) == after:
            raise KeyboardInterrupt
        return coloured(ref, pick)

    with pytest.raises(KeyboardInterrupt):
        fitted(folder, read=failing, **changes)


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"optimizer": {"type": "SGD", "lr": 0.05, "momentum": 0.9}, "param_scheduler": STEPS, "label_smoothing": 0.1},
        {"amp": "bf16"},
    ],
    ids=["adamw_one_cycle", "sgd_steps", "bf16"],
)
@pytest.mark.parametrize("after", [5, 24 * 3, 24 * 3 + 12])  # in the first epoch, between two, in the fourth
def test_an_interrupted_run_ends_with_the_same_bits(tmp_path, recipe, after):
    whole = fitted(tmp_path / "whole", **recipe)
    interrupted(tmp_path / "cut", after, **recipe)
    resumed = fitted(tmp_path / "cut", resume=True, **recipe)
    assert equal(whole, resumed)
    assert not equal(whole, fitted(tmp_path / "other", **recipe | {"seed": 1}))


def test_resuming_a_finished_run_trains_no_more(tmp_path):
    whole = fitted(tmp_path)
    read = []

    def counting(ref, pick):
        read.append(ref)
        return coloured(ref, pick)

    assert equal(whole, fitted(tmp_path, read=counting, resume=True))
    assert not read


def test_without_resume_a_run_begins_anew(tmp_path):
    whole = fitted(tmp_path)
    assert equal(whole, fitted(tmp_path))


def test_a_run_is_neither_resumed_nor_replaced_with_other_settings(tmp_path):
    fitted(tmp_path, settings={"recipe.lr": 0.1, "seed": 0})
    kept = (tmp_path / STATE).read_bytes()
    for resume in (True, False):
        with pytest.raises(UserError, match=r"recipe.lr=0.1, not 0.2; .*work_dir"):
            fitted(tmp_path, settings={"recipe.lr": 0.2, "seed": 0}, resume=resume)
    assert (tmp_path / STATE).read_bytes() == kept


@pytest.mark.parametrize("layer", ["fc", "extra"])  # of another shape, or not known to the state
def test_a_state_of_another_model_is_refused(tmp_path, layer):
    fitted(tmp_path)
    other = toy()
    setattr(other, layer, nn.Linear(8, CLASSES + 1))
    with pytest.raises(UserError, match="is of another model") as error:
        fitted(tmp_path, other, resume=True)
    assert "\n" not in str(error.value)


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("kind", ["damaged", "malicious", "foreign", "list", "folder"])
def test_a_state_that_training_did_not_write_is_refused(tmp_path, kind):
    fitted(tmp_path)
    proof = tmp_path / "executed"
    if kind == "damaged":
        (tmp_path / STATE).write_bytes((tmp_path / STATE).read_bytes()[:1000])
    elif kind == "malicious":
        (tmp_path / STATE).write_bytes(pickle.dumps(Evil(proof)))
    elif kind == "folder":
        (tmp_path / STATE).unlink()
        (tmp_path / STATE).mkdir()
    else:
        torch.save([1] if kind == "list" else {"settings": "{}"}, tmp_path / STATE)
    with pytest.raises(UserError, match="cannot be resumed"):
        fitted(tmp_path, resume=True)
    assert not proof.exists()


@pytest.mark.parametrize("amp", [False, "bf16"])
def test_it_learns(tmp_path, amp):
    before = scores(toy())["top1"]
    after = scores(fitted(tmp_path, amp=amp, epochs=30))
    assert before < 0.5
    assert after == {"top1": 1.0, "top5": 1.0}


def test_bf16_is_of_the_forward_pass_in_training_alone(tmp_path):
    model, seen = toy(), set()
    model.conv.register_forward_hook(lambda module, _, output: seen.add((module.training, output.dtype)))
    fitted(tmp_path, model, amp="bf16")
    assert seen == {(True, torch.bfloat16), (False, torch.float32)}
    assert all(weight.dtype == torch.float32 for weight in model.parameters())
    assert not model.training


def test_gradients_in_bf16_are_right_on_the_cpu():
    """The shapes are a mini R3D's, for which oneDNN's were seen to be infinite."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv3d(16, 32, 3, stride=2, padding=1), nn.Conv3d(32, 32, 3, padding=1))
    clip, found = torch.randn(4, 16, 4, 8, 8), {}
    for amp in (False, "bf16"):
        with sound_kernels(torch.device("cpu"), amp), torch.autocast("cpu", torch.bfloat16, enabled=bool(amp)):
            net.zero_grad()
            (net(clip).float() ** 2).mean().backward()
        found[amp] = torch.cat([weight.grad.flatten() for weight in net.parameters()])
    assert torch.backends.mkldnn.enabled
    # bf16 has 8 bits: .4 % a rounding, of which a few add up
    assert (found["bf16"] - found[False]).norm() < 0.02 * found[False].norm()


def test_only_the_named_weights_are_trained(tmp_path):
    before, model = toy(), fitted(tmp_path, trainable=("fc",))
    assert torch.equal(before.conv.weight, model.conv.weight)
    assert not torch.equal(before.fc.weight, model.fc.weight)
    everything = fitted(tmp_path, model, trainable=())  # and it is not forgotten
    assert not torch.equal(before.conv.weight, everything.conv.weight)


class Notes(NoTracker):
    def __init__(self):
        self.notes = []

    def log(self, values):
        self.notes.append(values)


def test_the_tracker_hears_of_every_epoch(tmp_path):
    notes = Notes()
    model = fitted(tmp_path, tracker=notes, epochs=13)
    assert [note["epoch"] for note in notes.notes] == list(range(1, 14))
    validated = [note["epoch"] for note in notes.notes if "test/top1" in note]
    assert validated == [2, 4, 6, 8, 10, 12, 13]
    assert notes.notes[-1]["test/top1"] == scores(model)["top1"]
    rates = [note["lr"] for note in notes.notes]
    assert max(rates) > 5e-3
    assert rates[-1] < 1e-5  # one cycle over all 13 epochs


def test_workers_draw_anew_in_every_epoch(tmp_path):
    loader = _batches(clips(), how(tmp_path, workers=2), torch.device("cpu"))
    assert isinstance(loader.sampler, DefaultSampler)
    torch.manual_seed(0)
    first, second = (np.concatenate([batch["frames"] for batch in loader]) for _ in range(2))
    assert (first != second).reshape(len(first), -1).any(axis=1).all()  # the order is the same, the moments are not


def test_a_missing_clip_ends_training_with_its_reason(tmp_path):
    def read(ref, pick):
        raise ClipError("missing", f"{ref.id} is not there")

    for workers in (0, 1):
        with pytest.raises(ClipError, match="is not there"):
            fitted(tmp_path, read=read, workers=workers)


def broken(*numbers):
    """Reads clips but those of these numbers."""

    def read(ref, pick):
        if int(ref.id.removeprefix("clip")) in numbers:
            raise ClipError("undecodable", f"{ref.id} is broken")
        return coloured(ref, pick)

    return read


@pytest.mark.parametrize("workers", [0, 2])
def test_training_leaves_out_what_cannot_be_read(tmp_path, workers, capsys):
    training = TrainingClips(REFS, broken(3, 23), SAMPLER, Augmentation(), stand_in=True)
    left_out = SkippedClips("leave_out")
    fit(toy(), training, dict, how(tmp_path, epochs=2, workers=workers), left_out=left_out)
    assert left_out.record() == {"clips": 2, "first": ["clip23", "clip3"]}
    assert sorted(capsys.readouterr().out.splitlines()[:2]) == [
        "left out: clip23: clip23 is broken",
        "left out: clip3: clip3 is broken",
    ]


def test_a_batch_of_which_nothing_can_be_read_ends_training(tmp_path):
    training = TrainingClips(REFS, broken(*range(24)), SAMPLER, Augmentation(), stand_in=True)
    with pytest.raises(UserError, match="no clip of a whole batch can be read: clip"):
        fit(toy(), training, dict, how(tmp_path), left_out=SkippedClips("leave_out"))


def test_accuracy_is_of_the_clips_that_can_be_read():
    refs = [ClipRef(f"clip{i}", "nowhere", i % 2) for i in range(4)]
    table = [[9.0, 1.0]] * 256  # always class 0
    left_out = SkippedClips("leave_out")
    found = accuracy(Fixed(table), TestClips(refs, broken(1), SAMPLER), batch_size=1, left_out=left_out)
    assert found["top1"] == pytest.approx(2 / 3)  # of clips 0, 2 and 3; the division of two small integers
    assert left_out.record() == {"clips": 1, "first": ["clip1"]}
    with pytest.raises(UserError, match="none of the 4 test clips can be read"):
        accuracy(Fixed(table), TestClips(refs, broken(*range(4)), SAMPLER), left_out=left_out)


def killed(ref, pick):
    os.kill(os.getpid(), signal.SIGKILL)


def asleep(ref, pick):
    time.sleep(60)


@pytest.mark.parametrize(
    ("read", "message"), [(killed, "exited unexpectedly|is killed"), (asleep, "timed out after 1 s")]
)
def test_a_worker_that_fails_is_one_line(tmp_path, read, message):
    with pytest.raises(UserError, match=message) as error:
        fitted(tmp_path, read=read, workers=1, timeout_s=1 if read is asleep else 60)
    assert "\n" not in str(error.value)


def test_another_error_of_training_is_not_taken_for_a_worker_s():
    with pytest.raises(RuntimeError, match="CUDA"), failing_workers():
        raise RuntimeError("CUDA error")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 25}, "recipe.batch_size = 25 but there are only 24 clips"),
        ({"optimizer": {"type": "Adamm", "lr": 1}}, "recipe.optimizer: .*Adamm"),
        ({"optimizer": {"type": "SGD", "lr": 0.1, "momentun": 0.9}}, "recipe.optimizer: .*momentun"),
        ({"optimizer": {"type": "SGD", "lr": -1}}, "recipe.optimizer: .*learning rate"),
        ({"param_scheduler": [{"type": "StepLr", "step_size": 2}]}, "recipe.param_scheduler: .*StepLr"),
        ({"param_scheduler": [{"type": "StepLR"}]}, "recipe.param_scheduler: .*step_size"),
        ({"trainable": ("layer9",)}, "recipe.trainable names layer9"),
        ({"optimizer": {"type": "SGD", "lr": 1e30}, "param_scheduler": []}, "the loss is not finite"),
    ],
)
def test_what_cannot_work_is_refused(tmp_path, change, message):
    with pytest.raises(UserError, match=message) as error:
        fitted(tmp_path, **change)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_torchs_own_and_takes_probabilities_as_well(smoothing):
    logits = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 6, 3, 3, 1])
    expected = nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    for output, kind in ((logits, "logits"), (logits.softmax(1), "probs")):
        # a few float32 roundings of a sum of 7 terms near 2
        torch.testing.assert_close(cross_entropy(output, labels, kind, smoothing), expected, rtol=1e-6, atol=1e-6)


def test_a_probability_of_zero_has_a_finite_loss():
    assert cross_entropy(torch.tensor([[1.0, 0.0]]), torch.tensor([1]), "probs", 0.0).isfinite()


class Fixed(nn.Module):
    """Scores of a clip are given by its top left pixel's red."""

    input = InputSpec(FRAMES, SIZE, SIZE, mean=[0.0] * 3, std=[1.0] * 3)

    def __init__(self, table):
        super().__init__()
        self.table = nn.Parameter(torch.tensor(table, dtype=torch.float32))

    def forward(self, clip):
        return self.table[clip[:, 0, 0, 0, 0].long()]


def numbered(ref, pick):
    return np.full((FRAMES, SIZE, SIZE, 3), int(ref.id), dtype=np.uint8)


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_accuracy_counts_clips(batch_size):
    refs = [ClipRef(str(i), "nowhere", label) for i, label in enumerate([0, 1, 5])]
    table = [[9, 1, 2, 3, 4, 5], [9, 1, 2, 3, 4, 5], [9, 8, 7, 6, 5, 4]]  # ranks of the labels: 1, 6, 6
    table[1][1] = 8  # now 2
    found = accuracy(Fixed(table), TestClips(refs, numbered, SAMPLER), batch_size)
    assert found == {"top1": 1 / 3, "top5": 2 / 3}


def test_top5_of_five_classes_is_not_given():
    refs = [ClipRef("0", "nowhere", 1)]
    assert accuracy(Fixed([[1, 2, 3, 4, 5]]), TestClips(refs, numbered, SAMPLER)) == {"top1": 0.0, "top5": None}


def test_accuracy_of_clips_that_cannot_be_read_is_refused():
    def read(ref, pick):
        raise ClipError("undecodable", "broken")

    with pytest.raises(ClipError, match="broken"):
        accuracy(Fixed([[1, 2]]), TestClips(REFS, read, SAMPLER))
