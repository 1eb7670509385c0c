"""Reads weight files safely, renames other projects' weights, and checks that they fit a model."""

import io
import mmap
import pickle
import re
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from vxbench.errors import UserError, did_you_mean
from vxbench.pickles import PickleRefused, TooMuch, measure

Weights = Mapping[str, Tensor]
Rules = Sequence[tuple[str, str]]  # (pattern of a layer's name, what takes its place)

NAMED = 3  # keys that an error message names at most
COUNTER = "num_batches_tracked"
UNPACKED = 100  # times its size that a zip file may have unpacked; torch does not compress, and weights hardly shrink
ZIP = b"PK\x03\x04"  # by which torch knows a zip file
LEGACY_PICKLES = 5  # at the head of a torch file that is no zip

# What mmengine's Runner pickles beside the weights: its logs. None of these is ever called or made; the real getattr
# could fetch anything, and numpy's dtypes and arrays trust the bytes they are made from.
IGNORED = (
    "builtins.getattr",
    "mmengine.logging.history_buffer.HistoryBuffer",
    "numpy.ndarray",
    "numpy.dtype",
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
)

# Rules from the names of other projects to those of our recognizers; see `converted`.
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
RESNETS_3D = (  # a block's layers and the stem's are named alike
    *COMMON,
    (r"(layer\d\.\d+\.)?(conv\d)_([st])\.", r"backbone.\1\2.conv.conv_\3."),
    (r"(layer\d\.\d+\.)?bn(\d)_s\.", r"backbone.\1conv\2.conv.bn_s."),
    (r"(layer\d\.\d+\.)?bn(\d)(_t)?\.", r"backbone.\1conv\2.bn."),
    (r"(layer\d\.\d+\.)?(conv\d)\.", r"backbone.\1\2.conv."),
)
STP_VGG16LSTM = ((r"lstm1\.(\w+)\.", r"lstm.\1."), (r"fc8_final\.", "fc8."))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Reads the tensors of a .safetensors or a torch file, by name, without `state_dict` level and `module.` prefix.

    Nothing that a pickle may hold is run. The tensors are on the CPU.

    Raises:
        UserError: not a file of weights, damaged, two of one name, or a pickle that asks for more than tensors.
    """
    content = _content(path)
    content = content.get("state_dict", content) if isinstance(content, Mapping) else content
    if not isinstance(content, Mapping) or not content or not all(map(_is_weight, content.values())):
        raise UserError(f"checkpoint {path} holds no state_dict of tensors")
    weights = {str(name).removeprefix("module."): value for name, value in content.items()}
    if len(weights) < len(content):
        raise UserError(f"checkpoint {path} holds some weights twice, with and without the prefix `module.`")
    return weights


def _is_weight(value) -> bool:
    """Whether value is a tensor with plain numbers in it; pickles hold meta, sparse, nested and quantised ones too."""
    plain = isinstance(value, Tensor) and value.device.type == "cpu" and value.layout == torch.strided
    return plain and not value.is_quantized and not value.is_nested


def _content(path: Path):
    try:
        return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    except Exception as err:  # what damaged bytes make the readers raise is theirs to choose
        raise UserError(f"checkpoint {path} {_failure(err)}") from err


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def _read_pickle(path: Path):
    refuse_bombs(path)
    inert = [(_Ignored, name) for name in IGNORED]
    with warnings.catch_warnings(), torch.serialization.safe_globals(inert):
        warnings.simplefilter("ignore")  # advice on other ways to save the file
        return torch.load(path, map_location="cpu", weights_only=True)


def refuse_bombs(path: Path) -> None:
    """Refuses a torch file that would keep torch's own safe reader busy for ever, or fill the memory.

    Damage is left to that reader, which stops where this one does.

    Raises:
        TooMuch: it would. OSError, RuntimeError: it cannot be opened.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content[: len(ZIP)] != ZIP:
            _measure(content, LEGACY_PICKLES)
            return
    _refuse_zip_bomb(path)
    _measure(io.BytesIO(torch._C.PyTorchFileReader(str(path)).get_record("data.pkl")), 1)


def _measure(content: io.BytesIO | mmap.mmap, pickles: int) -> None:
    try:
        for _ in range(pickles):
            measure(content)
    except TooMuch:
        raise
    except PickleRefused:
        return


def _refuse_zip_bomb(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as file:
            unpacked = sum(part.file_size for part in file.infolist())
    except Exception as error:  # what a damaged directory makes zipfile raise is its to choose
        raise RuntimeError(f"it is a damaged zip file ({error})") from error
    if unpacked > UNPACKED * path.stat().st_size:
        raise TooMuch(f"unpacked it would be {unpacked / 1e9:.1f} GB")


class _Ignored:
    """Stands for all that a checkpoint may mention besides tensors: it is made of anything and does nothing."""

    def __new__(cls, *_):
        return super().__new__(cls)

    def __init__(self, *_):
        pass

    def __setstate__(self, state):
        pass


def _failure(err: Exception) -> str:
    said = str(err) or type(err).__name__
    if isinstance(err, TooMuch):
        return f"is refused: {said}"
    if asked := re.search(r"GLOBAL (\S+)", said):
        return f"is refused: to be loaded it asks for {asked[1]}, which weights do not need and which could run code"
    if isinstance(err, pickle.UnpicklingError) or "weights_only" in said:
        return "is refused: it is no plain file of weights, and unpickling it could run code"
    return f"cannot be read: {said.splitlines()[0]}"


def converted(weights: Weights, format: str) -> dict[str, Tensor]:
    """Renames a file's tensors to the names of our recognizers; no tensor is changed, none is dropped.

    Formats: `mmaction2`, names as they are; `torchvision`, its r3d_18 and r2plus1d_18; `3d_resnets`, the resnet and
    resnet2p1d of kenshohara/3D-ResNets-PyTorch with shortcuts of type B; `stp_vgg16lstm`, the VGG16LSTM of
    shinkyo0513/Spatio-Temporal-Perturbations-for-Video-Attribution.

    Raises:
        UserError: unknown format, or two tensors of one new name.
    """
    if format not in FORMATS:
        raise UserError(
            f"checkpoint format = {format} is not one of {', '.join(FORMATS)}{did_you_mean(format, FORMATS)}"
        )
    return FORMATS[format](weights)


def _renamed(weights: Weights, rules: Rules) -> dict[str, Tensor]:
    sources: dict[str, str] = {}
    for name in weights:
        if (other := sources.setdefault(_new_name(name, rules), name)) != name:
            raise UserError(f"checkpoint holds {other} and {name}, which are one tensor by the rules of its format")
    return {new: weights[name] for new, name in sources.items()}


def _new_name(name: str, rules: Rules) -> str:
    for pattern, replacement in rules:
        if match := re.fullmatch(rf"{pattern}(?P<tensor>\w+)", name):
            return match.expand(replacement) + match["tensor"]
    return name


def _torchvision(weights: Weights) -> dict[str, Tensor]:
    """Renames torchvision's weights; only the stem of R(2+1)D has a fourth layer, `stem.3`."""
    stem = TORCHVISION_STEM_2PLUS1D if "stem.3.weight" in weights else TORCHVISION_STEM
    return _renamed(weights, (*TORCHVISION, *stem))


FORMATS: dict[str, Callable[[Weights], dict[str, Tensor]]] = {
    "mmaction2": dict,
    "torchvision": _torchvision,
    "3d_resnets": partial(_renamed, rules=RESNETS_3D),
    "stp_vgg16lstm": partial(_renamed, rules=STP_VGG16LSTM),
}


def with_counters(wanted: Weights, given: Weights) -> dict[str, Tensor]:
    """The given weights, with the model's own batch counters if they have not a single one.

    Files older than PyTorch 0.4.1 have none, nor have those converted from other libraries. The counter has no part
    in a network with running averages of fixed momentum, neither in evaluation nor in training.
    """
    if any(name.endswith(COUNTER) for name in given):
        return dict(given)
    return {name: value for name, value in wanted.items() if name.endswith(COUNTER)} | dict(given)


def check_weights(wanted: Weights, given: Weights, path: Path, format: str = "mmaction2") -> None:
    """Checks that given has the names, shapes and kinds of number of wanted.

    path, format: the file and whose names it was said to have, for messages.

    Raises:
        UserError: it has not.
    """
    faults = {
        "missing": [name for name in wanted if name not in given],
        "unexpected": [name for name in given if name not in wanted],
        "of another shape": [_reshaped(name, wanted, given) for name in misfits(wanted, given)],
        "of another kind of number": [name for name in wanted if name in given and _kinds_differ(name, wanted, given)],
    }
    said = [_counted(names, fault) for fault, names in faults.items() if names]
    if said:
        only_shapes = [fault for fault, names in faults.items() if names] == ["of another shape"]
        words = _classes(wanted, given) if only_shapes else ""
        hint = _other_names(path, format) if faults["unexpected"] else ""
        raise UserError(f"checkpoint {path} does not fit the model: {words}{'; '.join(said)}{hint}")


def misfits(wanted: Weights, given: Weights) -> list[str]:
    """Names that both have, in different shapes."""
    return [name for name in wanted if name in given and given[name].shape != wanted[name].shape]


def _other_names(path: Path, format: str) -> str:
    if format != "mmaction2":
        return f"; its names were taken for those of format: {format}"
    formats = " | ".join(name for name in FORMATS if name != "mmaction2")
    return f"; if its names are another project's, say whose: model.checkpoint={{file: {path}, format: {formats}}}"


def _classes(wanted: Weights, given: Weights) -> str:
    """Error text for a head of another number of classes, told by one layer that differs in its outputs alone."""
    names = misfits(wanted, given)
    layers = {name.rpartition(".")[0] for name in names}
    shapes = [(given[name].shape, wanted[name].shape) for name in names]
    if len(layers) > 1 or any(len(held) != len(has) or held[1:] != has[1:] for held, has in shapes):
        return ""
    held, has = shapes[0]
    return f"it holds {held[0]} classes, the model has {has[0]} (model.num_classes, as many as the data set has); "


def _reshaped(name: str, wanted: Weights, given: Weights) -> str:
    return f"{name} {_shape(given[name])} for {_shape(wanted[name])}"


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _kinds_differ(name: str, wanted: Weights, given: Weights) -> bool:
    """Whether one holds real numbers and the other does not; half and double precision are one kind."""
    return given[name].is_floating_point() != wanted[name].is_floating_point()


def _counted(names: list[str], fault: str) -> str:
    return f"{len(names)} {fault} ({', '.join(names[:NAMED])}{', ...' if len(names) > NAMED else ''})"
