"""Reading weights: safetensors, and torch's pickles without running what a pickle may hold."""

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from vxbench.errors import UserError


def read_weights(path: Path) -> dict[str, Tensor]:
    """{name: tensor on the CPU} of a .safetensors or a torch file, without `state_dict` level and `module.` prefix.

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
    """Whether value is a tensor with plain numbers in it: pickles hold meta, sparse, nested and quantised ones too."""
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
    inert = [(_Ignored, name) for name in IGNORED]
    with warnings.catch_warnings(), torch.serialization.safe_globals(inert):
        warnings.simplefilter("ignore")  # advice on other ways to save the file
        return torch.load(path, map_location="cpu", weights_only=True)


class _Ignored:
    """Takes the place of all that a checkpoint may mention besides tensors: made of anything, does nothing."""

    def __new__(cls, *_):
        return super().__new__(cls)

    def __init__(self, *_):
        pass

    def __setstate__(self, state):
        pass


# What mmengine's Runner pickles beside the weights: its logs. None of these is ever called or made; the real getattr
# could fetch anything, and numpy's dtypes and arrays trust the bytes they are made from.
IGNORED = (
    "builtins.getattr",
    "mmengine.logging.history_buffer.HistoryBuffer",
    "numpy.ndarray",
    "numpy.dtype",
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
)


def _failure(err: Exception) -> str:
    said = str(err) or type(err).__name__
    if asked := re.search(r"GLOBAL (\S+)", said):
        return f"is refused: to be loaded it asks for {asked[1]}, which weights do not need and which could run code"
    if isinstance(err, pickle.UnpicklingError) or "weights_only" in said:
        return "is refused: it is no plain file of weights, and unpickling it could run code"
    return f"cannot be read: {said.splitlines()[0]}"
