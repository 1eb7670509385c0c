"""Weights of other projects under the names that mmaction2's recognizers give theirs.

A checkpoint's format is stated beside it (`format` in conf/weights), never guessed from what is in it. A name that its
format does not know is kept as it is, so the strict load that follows reports it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from torch import Tensor

from vxbench.errors import UserError
from vxbench.hints import did_you_mean

Weights = Mapping[str, Tensor]
Rules = Sequence[tuple[str, str]]  # (pattern of a layer's name, what takes its place)

COMMON = (
    (r"fc\.", "cls_head.fc_cls."),
    (r"(layer\d\.\d+)\.downsample\.0\.", r"backbone.\1.downsample.conv."),
    (r"(layer\d\.\d+)\.downsample\.1\.", r"backbone.\1.downsample.bn."),
)
TORCHVISION = (
    *COMMON,
    (r"(layer\d\.\d+\.conv\d)\.0\.0\.", r"backbone.\1.conv.conv_s."),  # (2+1)D: space, norm, ReLU, time
    (r"(layer\d\.\d+\.conv\d)\.0\.1\.", r"backbone.\1.conv.bn_s."),
    (r"(layer\d\.\d+\.conv\d)\.0\.3\.", r"backbone.\1.conv.conv_t."),
    (r"(layer\d\.\d+\.conv\d)\.0\.", r"backbone.\1.conv."),
    (r"(layer\d\.\d+\.conv\d)\.1\.", r"backbone.\1.bn."),
)
STP_VGG16LSTM = ((r"lstm1\.(\w+)\.", r"lstm.\1."), (r"fc8_final\.", "fc8."))
TORCHVISION_STEM = (
    (r"stem\.0\.", "backbone.conv1.conv."),
    (r"stem\.1\.", "backbone.conv1.bn."),
)
TORCHVISION_STEM_2PLUS1D = (
    (r"stem\.0\.", "backbone.conv1.conv.conv_s."),
    (r"stem\.1\.", "backbone.conv1.conv.bn_s."),
    (r"stem\.3\.", "backbone.conv1.conv.conv_t."),
    (r"stem\.4\.", "backbone.conv1.bn."),
)
RESNETS_3D = (
    *COMMON,
    (r"conv1\.", "backbone.conv1.conv."),
    (r"bn1\.", "backbone.conv1.bn."),
    (r"(layer\d\.\d+)\.(conv\d)_([st])\.", r"backbone.\1.\2.conv.conv_\3."),
    (r"(layer\d\.\d+)\.bn(\d)_s\.", r"backbone.\1.conv\2.conv.bn_s."),
    (r"(layer\d\.\d+)\.bn(\d)_t\.", r"backbone.\1.conv\2.bn."),
    (r"(layer\d\.\d+)\.conv(\d)\.", r"backbone.\1.conv\2.conv."),
    (r"(layer\d\.\d+)\.bn(\d)\.", r"backbone.\1.conv\2.bn."),
)


def converted(weights: Weights, format: str) -> dict[str, Tensor]:
    """{name in our recognizer: tensor} of a file's {name: tensor}; no tensor is changed, none is dropped.

    Formats: `mmaction2`, names as they are; `torchvision`, its r3d_18 and r2plus1d_18; `3d_resnets`, the resnet and
    resnet2p1d of kenshohara/3D-ResNets-PyTorch with shortcuts of type B; `stp_vgg16lstm`, the VGG16LSTM of
    shinkyo0513/Spatio-Temporal-Perturbations-for-Video-Attribution.

    Raises:
        UserError: unknown format.
    """
    if format not in FORMATS:
        raise UserError(
            f"checkpoint format = {format} is not one of {', '.join(FORMATS)}{did_you_mean(format, FORMATS)}"
        )
    return FORMATS[format](weights)


def _renamed(weights: Weights, rules: Rules) -> dict[str, Tensor]:
    return {_new_name(name, rules): value for name, value in weights.items()}


def _new_name(name: str, rules: Rules) -> str:
    for pattern, replacement in rules:
        if match := re.fullmatch(rf"{pattern}(?P<tensor>\w+)", name):
            return match.expand(replacement) + match["tensor"]
    return name


def _torchvision(weights: Weights) -> dict[str, Tensor]:
    """Its networks number the layers of their stems alike: only R(2+1)D's has a fourth, `stem.3`."""
    stem = TORCHVISION_STEM_2PLUS1D if "stem.3.weight" in weights else TORCHVISION_STEM
    return _renamed(weights, (*TORCHVISION, *stem))


FORMATS: dict[str, Callable[[Weights], dict[str, Tensor]]] = {
    "mmaction2": dict,
    "torchvision": _torchvision,
    "3d_resnets": partial(_renamed, rules=RESNETS_3D),
    "stp_vgg16lstm": partial(_renamed, rules=STP_VGG16LSTM),
}
