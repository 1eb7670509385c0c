"""Converted weights compute what they computed: each network against a plain one with the source's own names."""

import pytest
import torch
from helpers.configs import composed
from helpers.source_networks import (
    HaraBasicBlock,
    HaraBottleneck,
    HaraFactoredBasicBlock,
    HaraFactoredBottleneck,
    HaraResNet,
    HaraResNet2Plus1d,
    r2plus1d_18,
    r3d_18,
)
from hydra.utils import instantiate
from safetensors.torch import save_file

from vxbench.errors import UserError
from vxbench.models import load_checkpoint
from vxbench.models.loading import FORMATS, converted

pytestmark = pytest.mark.slow

CLASSES = 7
SOURCES = {
    "torchvision r2plus1d_18": ("torchvision", lambda: r2plus1d_18(CLASSES), "r2plus1d", {}),
    "torchvision r3d_18": (
        "torchvision",
        lambda: r3d_18(CLASSES),
        "r2plus1d",
        {"backbone": {"type": "ResNet3d"}},
    ),
    "3D-ResNets R3D-18": (
        "3d_resnets",
        lambda: HaraResNet(18, HaraBasicBlock, CLASSES),
        "r3d",
        {"backbone": {"depth": 18}, "cls_head": {"in_channels": 512}},
    ),
    "3D-ResNets R3D-34": (
        "3d_resnets",
        lambda: HaraResNet(34, HaraBasicBlock, CLASSES),
        "r3d",
        {"backbone": {"depth": 34}, "cls_head": {"in_channels": 512}},
    ),
    "3D-ResNets R3D-50": ("3d_resnets", lambda: HaraResNet(50, HaraBottleneck, CLASSES), "r3d", {}),
    "3D-ResNets R(2+1)D-50": (
        "3d_resnets",
        lambda: HaraResNet2Plus1d(50, HaraFactoredBottleneck, CLASSES),
        "r2plus1d_50",
        {},
    ),
    "3D-ResNets R(2+1)D-34": (
        "3d_resnets",
        lambda: HaraResNet2Plus1d(34, HaraFactoredBasicBlock, CLASSES),
        "r2plus1d_50",
        {"backbone": {"depth": 34}, "cls_head": {"in_channels": 512}},
    ),
}


def ours(model, overrides=None):
    """The paper-sized model of the configuration, of CLASSES classes."""
    config = composed("profile=paper", f"model={model}", "model.checkpoint=null", f"model.num_classes={CLASSES}")
    for part, values in (overrides or {}).items():
        config.model.overrides[part].update(values)
    return instantiate(config.model)


@torch.no_grad()
def stirred(network):
    """Norms and head away from where they start, so that each of their tensors counts; in eval mode."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            for tensor, low, high in (
                (module.weight, 0.5, 1.5),
                (module.running_var, 0.01, 2),  # small enough for the norms' eps to show
                (module.bias, -0.5, 0.5),
                (module.running_mean, -0.5, 0.5),
            ):
                tensor.uniform_(low, high, generator=generator)
    return network.eval()


@pytest.mark.parametrize("source", SOURCES)
def test_logits_are_those_of_the_source(source):
    format, build, model, overrides = SOURCES[source]
    plain, classifier = stirred(build()), ours(model, overrides)
    classifier.recognizer.load_state_dict(converted(plain.state_dict(), format))
    assert_same_logits(classifier, plain)


def test_files_of_parallel_runs_are_unwrapped(tmp_path):
    """The 3D-ResNets write them so: `module.` before every name, and the state of the run beside the weights."""
    plain, classifier = stirred(HaraResNet(50, HaraBottleneck, CLASSES)), ours("r3d")
    parallel = {f"module.{name}": value for name, value in plain.state_dict().items()}
    torch.save({"state_dict": parallel, "epoch": 200, "arch": "resnet-50"}, tmp_path / "save_200.pth")
    load_checkpoint(classifier.recognizer, {"file": str(tmp_path / "save_200.pth"), "format": "3d_resnets"})
    assert_same_logits(classifier, plain)


@torch.no_grad()
def assert_same_logits(classifier, plain):
    clip = torch.randn(1, 3, 9, 50, 38, generator=torch.Generator().manual_seed(1))  # odd sizes show every padding
    expected = plain(clip)
    # 1e-5 of the logits' range: the same sums in float32, which another order of adding may round differently
    atol = 1e-5 * float(expected.max() - expected.min())
    torch.testing.assert_close(classifier(clip), expected, rtol=0, atol=atol)


@pytest.mark.parametrize("format", ["torchvision", "3d_resnets"])
def test_no_tensor_is_changed_or_dropped(format):
    weights = (
        r2plus1d_18(CLASSES) if format == "torchvision" else HaraResNet(18, HaraBasicBlock, CLASSES)
    ).state_dict()
    assert [id(value) for value in converted(weights, format).values()] == [id(value) for value in weights.values()]


@pytest.mark.parametrize("format", FORMATS)
def test_a_name_of_no_format_is_kept(format):
    names = ["unknown.weight", "layer1.0.conv1.extra.weight", "backbone.conv1.conv.weight", "myfc.weight", "fc"]
    assert list(converted(dict.fromkeys(names), format)) == names


def test_mmaction2_names_stay():
    weights = ours("r3d").recognizer.state_dict()
    assert list(converted(weights, "mmaction2")) == list(weights)


@pytest.mark.parametrize("stem", ["plain", "two steps"])
def test_torchvision_stems_differ_by_their_number_of_layers(stem):
    plain = ["stem.0.weight", "stem.1.bias"]
    given = plain if stem == "plain" else [*plain, "stem.3.weight", "stem.4.bias"]
    expected = {
        "plain": ["backbone.conv1.conv.weight", "backbone.conv1.bn.bias"],
        "two steps": [
            "backbone.conv1.conv.conv_s.weight",
            "backbone.conv1.conv.bn_s.bias",
            "backbone.conv1.conv.conv_t.weight",
            "backbone.conv1.bn.bias",
        ],
    }
    assert list(converted(dict.fromkeys(given), "torchvision")) == expected[stem]


@pytest.mark.parametrize(
    ("format", "names"),
    [
        ("3d_resnets", ["layer1.0.bn2.weight", "layer1.0.bn2_t.weight"]),
        ("torchvision", ["fc.bias", "cls_head.fc_cls.bias"]),
    ],
)
def test_two_tensors_of_one_place_are_refused(format, names):
    with pytest.raises(UserError, match=f"holds {names[0]} and {names[1]}, which are one tensor"):
        converted(dict.fromkeys(names), format)


def loading(recognizer, weights, format, path):
    save_file(weights, path)
    load_checkpoint(recognizer, {"file": str(path), "format": format})


def test_shortcuts_of_type_a_fail_by_name(tmp_path):
    """They have no parameters, so such a file lacks those of type B."""
    source = HaraResNet(50, HaraBottleneck, CLASSES).state_dict()
    weights = {name: value for name, value in source.items() if "downsample" not in name}
    recognizer = ours("r3d").recognizer
    with pytest.raises(UserError, match=r"missing \(backbone\.layer1\.0\.downsample\.conv\.weight"):
        loading(recognizer, weights, "3d_resnets", tmp_path / "a.safetensors")


def test_the_wrong_format_fails_by_name(tmp_path):
    weights, recognizer = r2plus1d_18(CLASSES).state_dict(), ours("r2plus1d").recognizer
    with pytest.raises(UserError, match=r"missing \(backbone.*unexpected \(layer1\.0\.conv1\.0"):
        loading(recognizer, weights, "3d_resnets", tmp_path / "w.safetensors")


def test_an_unknown_format_names_the_known():
    with pytest.raises(UserError, match=r"format = torch_vision is not one of mmaction2.*did you mean torchvision\?"):
        converted({}, "torch_vision")
