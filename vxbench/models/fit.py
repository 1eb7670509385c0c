"""Whether weights fit a model: key for key, shape for shape."""

from pathlib import Path

from torch import Tensor

from vxbench.errors import UserError
from vxbench.models.convert import FORMATS, Weights

NAMED = 3  # how many keys an error message names
COUNTER = "num_batches_tracked"


def with_counters(wanted: Weights, given: Weights) -> dict[str, Tensor]:
    """given, with the model's own batch counters if given has not a single one.

    Files older than PyTorch 0.4.1 have none, nor have those converted from other libraries. The counter has no part
    in a network with running averages of fixed momentum, neither in evaluation nor in training.
    """
    if any(name.endswith(COUNTER) for name in given):
        return dict(given)
    return {name: value for name, value in wanted.items() if name.endswith(COUNTER)} | dict(given)


def check_fit(wanted: Weights, given: Weights, path: Path) -> None:
    """Raises UserError unless given has the names, shapes and kinds of number of wanted; path names the file."""
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
        hint = _other_names(path) if faults["unexpected"] else ""
        raise UserError(f"checkpoint {path} does not fit the model: {words}{'; '.join(said)}{hint}")


def _other_names(path: Path) -> str:
    formats = " | ".join(name for name in FORMATS if name != "mmaction2")
    return f"; if its names are another project's, say whose: model.checkpoint={{file: {path}, format: {formats}}}"


def misfits(wanted: Weights, given: Weights) -> list[str]:
    """Names that both have, in different shapes."""
    return [name for name in wanted if name in given and given[name].shape != wanted[name].shape]


def _classes(wanted: Weights, given: Weights) -> str:
    """The words for a head of another number of classes: one layer that differs in its outputs alone."""
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
    """Whether one is of real numbers and the other is not; half and double precision are one kind."""
    return given[name].is_floating_point() != wanted[name].is_floating_point()


def _counted(names: list[str], fault: str) -> str:
    return f"{len(names)} {fault} ({', '.join(names[:NAMED])}{', ...' if len(names) > NAMED else ''})"
