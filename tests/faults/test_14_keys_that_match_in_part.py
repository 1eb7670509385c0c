"""Weights of which a part alone fits are refused in one line that names what does not; the network stays as it was."""

import pytest
import torch
from helpers.source_networks import HaraBottleneck, HaraResNet
from safetensors.torch import save_file
from torch import nn

from vxbench.errors import UserError
from vxbench.models.checkpoints import load_checkpoint


class Small(nn.Module):
    """A body with a norm, and a head of three classes."""

    def __init__(self):
        super().__init__()
        self.body, self.norm, self.head = nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)


WEIGHTS = Small().state_dict()
HEAD = {"head.weight": torch.zeros(7, 5), "head.bias": torch.zeros(7)}
FAULTS = {
    "half is missing": (lambda w: {k: v for k, v in w.items() if k.startswith("body")}, r"6 missing \(norm\.weight, "),
    "one is missing": (lambda w: {k: v for k, v in w.items() if k != "head.bias"}, r"1 missing \(head\.bias\)$"),
    "one too many": (lambda w: w | {"neck.weight": torch.zeros(2)}, r"1 unexpected \(neck\.weight\)"),
    "half has a prefix": (
        lambda w: {f"backbone.{k}" if "norm" in k else k: v for k, v in w.items()},
        r"5 missing \(norm\..*; 5 unexpected \(backbone\.norm\..*format: torchvision \| 3d_resnets",
    ),
    "another case": (lambda w: {k.title(): v for k, v in w.items()}, "8 missing .*; 9 unexpected"),
    "a transposed matrix": (
        lambda w: w | {"body.weight": w["body.weight"].T.contiguous()},
        r"1 of another shape \(body\.weight 4x5 for 5x4\)",
    ),
    "another head": (lambda w: w | HEAD, r"it holds 7 classes, the model has 3 .*2 of another shape"),
    "a shape that would broadcast": (lambda w: w | {"body.bias": torch.zeros(1)}, r"body\.bias 1 for 5"),
    "whole numbers": (lambda w: w | {"body.bias": torch.zeros(5, dtype=torch.int32)}, r"another kind of number \(body"),
    "some counters": (lambda w: {k: v for k, v in w.items() if "running" not in k}, r"2 missing \(norm\.running_mean"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_nothing_of_such_a_file_is_loaded(fault, ending, tmp_path):
    spoil, message = FAULTS[fault]
    path, network = tmp_path / f"w.{ending}", Small()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    (torch.save if ending == "pth" else save_file)(spoil(dict(WEIGHTS)), path)
    with pytest.raises(UserError, match=message) as caught:
        load_checkpoint(network, path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_what_is_of_the_other_release_of_a_network_is_named_and_its_format_not_asked_for_again(tmp_path):
    """The first commit of the 3D-ResNets' R(2+1)D has one convolution in its stem, the published weights have two."""
    network, path = HaraResNet(50, HaraBottleneck, 3), tmp_path / "w.pth"
    torch.save(network.state_dict(), path)
    with pytest.raises(
        UserError, match=r"unexpected \(.*; its names were taken for those of format: 3d_resnets$"
    ) as caught:
        load_checkpoint(Small(), {"file": str(path), "format": "3d_resnets"})
    assert "say whose" not in str(caught.value)


def test_all_of_a_whole_file_is_loaded(tmp_path):
    network, path = Small(), tmp_path / "w.safetensors"
    save_file(WEIGHTS, path)
    load_checkpoint(network, path)
    assert all(torch.equal(value, WEIGHTS[name]) for name, value in network.state_dict().items())
