"""Weights go in whole or not at all, and reading a file runs nothing that is in it."""

import pickle

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from safetensors.torch import save_file
from torch import nn

from vxbench.errors import UserError
from vxbench.models import build_classifier, digest, load_checkpoint
from vxbench.models.checkpoints import WEIGHTS, load_body, locate, read_weights


class Small(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.body = nn.Linear(4, 5)
        self.cls_head = nn.Linear(5, classes)


@pytest.fixture
def weights():
    torch.manual_seed(3)
    return Small().state_dict()


def same(model, weights):
    return all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("wrap", [lambda w: w, lambda w: {"state_dict": w, "meta": {"epoch": 3}}])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_torch_files_are_unwrapped(wrap, prefix, weights, tmp_path):
    torch.save(wrap({prefix + name: value for name, value in weights.items()}), tmp_path / "w.pth")
    model = Small()
    assert load_checkpoint(model, tmp_path / "w.pth") == tmp_path / "w.pth"
    assert same(model, weights)


def test_safetensors_round_trip(weights, tmp_path):
    save_file(weights, tmp_path / "w.safetensors")
    model = Small()
    load_checkpoint(model, tmp_path / "w.safetensors")
    assert same(model, weights)


def test_mmengine_runner_files_are_read(weights, tmp_path):
    """The Runner pickles its message hub (HistoryBuffer, numpy arrays and scalars) beside the weights."""
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    content = {
        "state_dict": weights,
        "message_hub": {"loss": history},
        "lr": np.float64(0.1),
        "n": np.arange(3),
    }
    torch.save(content, tmp_path / "epoch_1.pth")
    model = Small()
    load_checkpoint(model, tmp_path / "epoch_1.pth")
    assert same(model, weights)


class Touch:
    """Unpickling it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


class GetAttr:
    """The way round an allow-list that holds getattr: fetch what is dangerous from a harmless object."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return getattr, (self.path, "touch")


@pytest.mark.parametrize("bait", [Touch, GetAttr])
def test_a_pickle_that_runs_code_is_refused(bait, weights, tmp_path):
    target = tmp_path / "owned"
    torch.save({"state_dict": weights, "extra": bait(target)}, tmp_path / "bad.pth")
    with pytest.raises(UserError, match=r"bad\.pth is refused") as caught:
        load_checkpoint(Small(), tmp_path / "bad.pth")
    assert "\n" not in str(caught.value)
    assert not target.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_plain_pickle_is_refused(weights, tmp_path):
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps(Touch(tmp_path / "owned")))
    with pytest.raises(UserError, match=r"bad\.pkl (is refused|cannot be read)"):
        read_weights(tmp_path / "bad.pkl")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", ["cut.pth", "cut.safetensors"])
def test_a_truncated_file_is_named(name, weights, tmp_path):
    path = tmp_path / name
    save_file(weights, path) if path.suffix == ".safetensors" else torch.save(weights, path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match=name) as caught:
        read_weights(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["empty.pth", "empty.safetensors"])
def test_an_empty_file_is_named(name, tmp_path):
    (tmp_path / name).touch()
    with pytest.raises(UserError, match=name):
        read_weights(tmp_path / name)


def test_missing_and_unexpected_weights_are_counted_and_named(weights, tmp_path):
    weights.pop("body.bias")
    torch.save(weights | {"extra": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"1 missing \(body\.bias\); 1 unexpected \(extra\)"):
        load_checkpoint(Small(), tmp_path / "w.pth")


def test_a_failed_load_changes_nothing(weights, tmp_path):
    model = Small()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.save(weights | {"extra": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(UserError):
        load_checkpoint(model, tmp_path / "w.pth")
    assert same(model, before)


def test_another_number_of_classes_is_recognised(weights, tmp_path):
    torch.save(weights, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"cls_head\.weight 3x5 for 7x5.*set model\.num_classes"):
        load_checkpoint(Small(classes=7), tmp_path / "w.pth")


def test_fine_tuning_starts_from_everything_but_the_head(weights, tmp_path):
    torch.save({"state_dict": weights}, tmp_path / "w.pth")
    model = Small(classes=7)
    head = model.cls_head.weight.clone()
    load_body(model, tmp_path / "w.pth")
    assert torch.equal(model.body.weight, weights["body.weight"])
    assert torch.equal(model.cls_head.weight, head)


def test_fine_tuning_from_another_network_is_refused(weights, tmp_path):
    weights.pop("body.bias")
    torch.save(weights, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"1 missing \(body\.bias\)"):
        load_body(Small(), tmp_path / "w.pth")


def test_a_file_without_weights_is_refused(tmp_path):
    torch.save({"state_dict": {"a": 1}}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="no state_dict of tensors"):
        read_weights(tmp_path / "w.pth")


def test_a_missing_file_says_where_its_weights_are_got(tmp_path):
    config = "r2plus1d/r2plus1d_r34_8xb8-8x8x1-180e_kinetics400-rgb"
    spec = {"frames": 8, "height": 32, "width": 32, "mean": [0.0] * 3, "std": [1.0] * 3}
    with pytest.raises(UserError, match=r"no\.pth does not exist.*https://download\.openmmlab\.com/\S+r2plus1d_r34"):
        build_classifier(config, 400, spec, checkpoint=tmp_path / "no.pth")


def test_packaged_names_lie_beside_the_code():
    assert locate("pkg:mini_tsm.safetensors") == WEIGHTS / "mini_tsm.safetensors"


def test_the_digest_is_the_head_of_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert digest(tmp_path / "file") == "ba7816bf8f01cfea"  # FIPS 180-4, example "abc"
