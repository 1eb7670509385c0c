"""Weights go in whole or not at all, whatever the file they come in."""

import hashlib
import re
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from safetensors.torch import save_file
from torch import nn

from vxbench.errors import UserError
from vxbench.models import digest, load_checkpoint
from vxbench.models.checkpoints import WEIGHTS, load_body, locate, read_weights
from vxbench.models.loading import FORMATS


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


def test_names_of_another_project_are_answered_with_how_to_say_so(weights, tmp_path):
    torch.save({f"net.{name}": value for name, value in weights.items()}, tmp_path / "w.pth")
    hint = f"model.checkpoint={{file: {tmp_path}/w.pth, format: torchvision | 3d_resnets | stp_vgg16lstm}}"
    with pytest.raises(UserError, match=re.escape(hint)):
        load_checkpoint(Small(), tmp_path / "w.pth")
    torch.save({"body.weight": weights["body.weight"]}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="3 missing") as caught:
        load_checkpoint(Small(), tmp_path / "w.pth")
    assert "format" not in str(caught.value)


def test_two_weights_of_one_name_are_refused(weights, tmp_path):
    torch.save(weights | {"module.body.bias": torch.ones(5)}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"holds some weights twice, with and without the prefix `module\."):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize(
    "name", ["~nobody-of-this-name/w.pth", "w" * 300, "a\0b.pth", "pkg:../checkpoints.py", "pkg:/etc/hosts"]
)
def test_a_name_that_no_file_can_have_is_one_line(name):
    with pytest.raises(UserError, match=r"^checkpoint ") as caught:
        locate(name)
    assert "\n" not in str(caught.value)


def test_an_address_is_told_where_it_may_be_given():
    with pytest.raises(UserError, match=r"https://a\.b/c\.pth is an address: give .*url: https://a\.b/c\.pth"):
        locate("https://a.b/c.pth")


def test_a_failed_load_changes_nothing(weights, tmp_path):
    model = Small()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.save(weights | {"extra": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(UserError):
        load_checkpoint(model, tmp_path / "w.pth")
    assert same(model, before)


def test_another_number_of_classes_is_recognised(weights, tmp_path):
    torch.save(weights, tmp_path / "w.pth")
    words = r"it holds 3 classes, the model has 7 \(model\.num_classes.*cls_head\.weight 3x5 for 7x5"
    with pytest.raises(UserError, match=words):
        load_checkpoint(Small(classes=7), tmp_path / "w.pth")


@pytest.mark.parametrize("broken", [{"body.weight": torch.zeros(6, 4)}, {"cls_head.weight": torch.zeros(3, 6)}])
def test_other_misfits_are_not_taken_for_a_number_of_classes(broken, weights, tmp_path):
    torch.save(weights | broken, tmp_path / "w.pth")
    with pytest.raises(UserError, match="of another shape") as caught:
        load_checkpoint(Small(classes=7), tmp_path / "w.pth")
    assert "classes" not in str(caught.value)


def test_the_first_three_of_many_names_are_given(tmp_path):
    torch.save({f"w{i}": torch.zeros(1) for i in range(5)}, tmp_path / "w.pth")
    missing = r"4 missing \(body\.weight, body\.bias, cls_head\.weight, \.\.\.\)"
    with pytest.raises(UserError, match=rf"{missing}; 5 unexpected \(w0, w1, w2, \.\.\.\)"):
        load_checkpoint(Small(), tmp_path / "w.pth")


def test_whole_numbers_are_no_weights(weights, tmp_path):
    torch.save(weights | {"body.bias": torch.zeros(5, dtype=torch.long)}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"1 of another kind of number \(body\.bias\)"):
        load_checkpoint(Small(), tmp_path / "w.pth")


@pytest.mark.parametrize("dtype", [torch.half, torch.bfloat16, torch.double])
def test_other_precisions_are_rounded_to_the_models(dtype, weights, tmp_path):
    torch.save({name: value.to(dtype) for name, value in weights.items()}, tmp_path / "w.pth")
    model = Small()
    load_checkpoint(model, tmp_path / "w.pth")
    assert same(model, {name: value.to(dtype).float() for name, value in weights.items()})


class Normed(Small):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(5)
        self.norm2 = nn.BatchNorm1d(5)


def test_files_without_batch_counters_are_complete(tmp_path):
    """PyTorch before 0.4.1 had none."""
    weights = {name: value + 1 for name, value in Normed().state_dict().items() if "num_batches" not in name}
    torch.save(weights, tmp_path / "w.pth")
    model = Normed()
    load_checkpoint(model, tmp_path / "w.pth")
    assert torch.equal(model.norm.running_mean, torch.ones(5))
    load_body(model, tmp_path / "w.pth")


def test_files_with_some_batch_counters_lack_the_others(tmp_path):
    weights = Normed().state_dict()
    weights.pop("norm2.num_batches_tracked")
    torch.save(weights, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"1 missing \(norm2\.num_batches_tracked\)"):
        load_checkpoint(Normed(), tmp_path / "w.pth")


def official(project, weights) -> dict:
    """What the published files of a project hold: the weights, and what training left beside them."""
    model = Small()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()  # fills the optimizer's state
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 3])
    assert isinstance(scheduler.state_dict()["milestones"], Counter)
    history = HistoryBuffer([1.0, 2.0], [1, 1])
    return {
        "torchvision": OrderedDict(weights),
        "3D-ResNets": {
            "epoch": 200,
            "arch": "resnet-50",
            "state_dict": OrderedDict((f"module.{name}", value) for name, value in weights.items()),
            "optimizer": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(),
        },
        "mmengine": {
            "meta": {"epoch": 3, "cfg": "text", "seed": None, "dataset_meta": {}, "hook_msgs": {"best": "x.pth"}},
            "state_dict": weights,
            "message_hub": {
                "log_scalars": OrderedDict(loss=history),
                "runtime_info": OrderedDict(lr=np.float64(0.1), n=np.arange(3), kind=np.dtype("f4")),
                "resumed_keys": OrderedDict(loss=True),
            },
            "optimizer": optimizer.state_dict(),
            "param_schedulers": [scheduler.state_dict()],
        },
    }[project]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("project", ["torchvision", "3D-ResNets", "mmengine"])
def test_what_projects_publish_is_read(project, zipped, weights, tmp_path):
    torch.save(official(project, weights), tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    model = Small()
    load_checkpoint(model, tmp_path / "w.pth")
    assert same(model, weights)


def test_weights_saved_from_a_gpu_load_on_the_cpu(weights, tmp_path):
    """The file says where each tensor lay; here the word is put in by hand."""
    path = tmp_path / "w.pth"
    torch.save(weights, path, _use_new_zipfile_serialization=False)
    on_cpu, on_gpu = b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0"
    assert path.read_bytes().count(on_cpu) == 1  # later mentions refer to the first
    path.write_bytes(path.read_bytes().replace(on_cpu, on_gpu))
    model = Small()
    load_checkpoint(model, path)
    assert same(model, weights)


@pytest.fixture
def renamed(monkeypatch):
    """A format "shout" whose names are in capitals."""
    monkeypatch.setitem(FORMATS, "shout", lambda weights: {name.lower(): value for name, value in weights.items()})


def test_an_entry_says_the_format_of_its_file(renamed, weights, tmp_path):
    torch.save({name.upper(): value for name, value in weights.items()}, tmp_path / "w.pth")
    entry = {"file": str(tmp_path / "w.pth"), "num_classes": 3}
    with pytest.raises(UserError, match="4 missing"):
        load_checkpoint(Small(), entry)
    for load in (load_checkpoint, load_body):
        model = Small()
        assert load(model, entry | {"format": "shout"}) == tmp_path / "w.pth"
        assert torch.equal(model.body.weight, weights["body.weight"])


def test_an_entry_says_the_hash_of_its_file(weights, tmp_path):
    torch.save(weights, tmp_path / "w.pth")
    found = hashlib.sha256((tmp_path / "w.pth").read_bytes()).hexdigest()
    entry = {"file": str(tmp_path / "w.pth")}
    load_checkpoint(Small(), entry | {"sha256": found})
    for load in (load_checkpoint, load_body):
        with pytest.raises(UserError, match=f"begins with {found[:8]}, the published one with 0123abcd"):
            load(Small(), entry | {"sha256": "0123abcd"})


def test_an_absent_entry_says_where_it_is_published(tmp_path):
    entry = {"file": str(tmp_path / "w.pth"), "url": "https://zoo.example/net.pth", "source": "the zoo"}
    with pytest.raises(UserError) as caught:
        load_checkpoint(Small(), entry)
    assert str(caught.value) == (
        f"checkpoint {tmp_path}/w.pth does not exist (the zoo); put https://zoo.example/net.pth into {tmp_path} "
        "as w.pth; model.checkpoint=null gives random weights"
    )


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


def test_packaged_names_lie_beside_the_code():
    assert locate("pkg:mini_tsm.safetensors") == WEIGHTS / "mini_tsm.safetensors"


def test_the_digest_is_the_head_of_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert digest(tmp_path / "file") == "ba7816bf8f01cfea"  # FIPS 180-4, example "abc"
