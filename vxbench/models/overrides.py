"""Telling a misspelt override of mmaction2's model config from one that means something."""

import inspect
from collections.abc import Mapping

from torch import nn

from vxbench.errors import UserError
from vxbench.hints import did_you_mean


def check_overrides(path: str, node: Mapping, overrides: Mapping, models) -> None:
    """Every override is a key of the config's node or a parameter of the class the node names.

    Parts whose class is not in the registry `models` (mmcv's layers) are left to the builder. A part with `_delete_`
    set takes the node's place, so the node's keys are not known to it.

    Raises:
        UserError: names the first override that is neither, with the nearest names.
    """
    node = {} if overrides.get("_delete_") else node
    kind = overrides.get("type", node.get("type"))
    cls = models.get(kind) if isinstance(kind, str) else None
    if isinstance(kind, str) and cls is None:
        return
    known = set(node) | parameters(cls) | {"type", "_delete_"}
    for name, value in overrides.items():
        if name not in known:
            raise UserError(f"{path}.{name} is not known{did_you_mean(name, known)}")
        if isinstance(value, Mapping):
            below = node.get(name)
            check_overrides(f"{path}.{name}", below if isinstance(below, Mapping) else {}, value, models)


def parameters(cls: type | None) -> set[str]:
    """Names of the constructor's parameters, with those that **kwargs hands on to the bases; none of None."""
    bases = inspect.getmro(cls) if cls is not None else ()
    own = [base for base in bases if "__init__" in vars(base) and base not in (nn.Module, object)]
    names = {name for base in own for name in inspect.signature(base.__init__).parameters}
    return names - {"self", "args", "kwargs"}
