"""Reading weights: safetensors, and the .pth files of mmaction2 without running what a pickle may hold."""

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vxbench.errors import UserError

PACKAGED = "pkg:"  # prefix of the names of weights that ship with vxbench
WEIGHTS = Path(__file__).parent / "weights"
NAMED = 3  # how many keys an error message names


def locate(checkpoint: str | Path) -> Path:
    """The file behind a checkpoint's name; `pkg:<file>` is one that ships with vxbench."""
    name = str(checkpoint)
    return WEIGHTS / name.removeprefix(PACKAGED) if name.startswith(PACKAGED) else Path(name).expanduser()


def digest(path: str | Path) -> str:
    """First 16 hex digits of a file's SHA-256."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def load_checkpoint(model: nn.Module, checkpoint: str | Path, where_to_get: str = "") -> Path:
    """Loads weights into model, strictly, and returns the file they came from.

    Raises:
        UserError: the file is missing (`where_to_get` is appended), not a checkpoint or unsafe, or does not
            fit the model key for key and shape for shape.
    """
    path = _existing(checkpoint, where_to_get)
    weights = read_weights(path)
    _check_fit(model.state_dict(), weights, path)
    model.load_state_dict(weights)
    return path


def load_body(model: nn.Module, checkpoint: str | Path) -> None:
    """Loads all but the head (`cls_head`), which keeps the weights it has: the start of fine-tuning.

    Raises:
        UserError: as load_checkpoint.
    """
    path = _existing(checkpoint)
    body = {name: value for name, value in read_weights(path).items() if not name.startswith("cls_head.")}
    head = {name: value for name, value in model.state_dict().items() if name.startswith("cls_head.")}
    _check_fit(model.state_dict(), body | head, path)
    model.load_state_dict(body | head)


def read_weights(path: Path) -> dict[str, Tensor]:
    """{name: tensor} of a .safetensors or a torch file, without `state_dict` level and `module.` prefix."""
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    content = content.get("state_dict", content) if isinstance(content, Mapping) else content
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise UserError(f"checkpoint {path} holds no state_dict of tensors")
    return {name.removeprefix("module."): value for name, value in content.items()}


def _existing(checkpoint: str | Path, where_to_get: str = "") -> Path:
    path = locate(checkpoint)
    if not path.is_file():
        hint = f"; {where_to_get}" if where_to_get else ""
        raise UserError(f"checkpoint {path} does not exist{hint}")
    return path


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as err:
        raise UserError(f"checkpoint {path} is not a safetensors file: {_first_line(err)}") from err


def _read_pickle(path: Path):
    try:
        with torch.serialization.safe_globals(_mmengine_globals()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as err:
        raise UserError(
            f"checkpoint {path} is refused: it is no plain file of weights, and unpickling it could run code"
        ) from err
    except (RuntimeError, EOFError, KeyError, ValueError) as err:
        raise UserError(f"checkpoint {path} cannot be read: {_first_line(err)}") from err


class _Ignored:
    """Takes the place of mmengine's HistoryBuffer, whose content nobody here reads."""

    def __setstate__(self, state):
        pass


def _no_getattr(*_):
    """Takes the place of getattr, which mmengine's files mention; the real one could call anything."""


def _mmengine_globals() -> list:
    """What mmengine's own checkpoints pickle besides tensors, harmless as listed here."""
    rebuild, scalar = np.ndarray((0,)).__reduce__()[0], np.float64(0).__reduce__()[0]
    renamed = [
        (function, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for function, name in ((rebuild, "_reconstruct"), (scalar, "scalar"))
    ]
    dtypes = [type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "u1", "?")]
    return [
        (_no_getattr, "builtins.getattr"),
        (_Ignored, "mmengine.logging.history_buffer.HistoryBuffer"),
        *renamed,
        np.ndarray,
        np.dtype,
        *dtypes,
    ]


def _check_fit(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], path: Path) -> None:
    missing = [name for name in wanted if name not in given]
    unexpected = [name for name in given if name not in wanted]
    reshaped = [
        f"{name} {_shape(given[name])} for {_shape(wanted[name])}"
        for name in wanted
        if name in given and given[name].shape != wanted[name].shape
    ]
    faults = [
        f"{len(names)} {what} ({', '.join(names[:NAMED])}{', ...' if len(names) > NAMED else ''})"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", reshaped))
        if names
    ]
    if faults:
        head = reshaped and not missing and not unexpected and all("cls_head" in name for name in reshaped)
        advice = "; it was trained for another number of classes: set model.num_classes" if head else ""
        raise UserError(f"checkpoint {path} does not fit the model: {'; '.join(faults)}{advice}")


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _first_line(err: Exception) -> str:
    return (str(err) or type(err).__name__).splitlines()[0]
