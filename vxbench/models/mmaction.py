"""Gives access to mmaction2: a shim that its 1.2 release needs to be imported, its registry and its own configs.

Importing this module installs the shim and imports nothing of mmaction2, so a spawned worker that unpickles a
classifier has the shim in time.
"""

import importlib.util
import sys
import warnings
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

from vxbench.errors import UserError, did_you_mean

_DRN = "mmaction.models.localizers.drn"


class _MissingDRN(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Stands in for the localizer that the 1.2 wheel imports but does not contain.

    Appended to sys.meta_path, so it is asked only where the real module is missing: a repaired release
    of mmaction2 is used as it is.
    """

    def find_spec(self, name, path=None, target=None):
        if name in (_DRN, f"{_DRN}.drn"):
            return importlib.machinery.ModuleSpec(name, self, is_package=name == _DRN)
        return None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        if module.__name__ == f"{_DRN}.drn":
            module.DRN = type("DRN", (), {})


def _install() -> None:
    if not any(type(finder).__name__ == "_MissingDRN" for finder in sys.meta_path):
        sys.meta_path.append(_MissingDRN())
    warnings.filterwarnings("ignore", message="Fail to import ``MultiScaleDeformableAttention``")


_install()


def names_alone() -> None:
    """Keeps mmengine to what its registries hold: a `type` that none of them has it would import, whatever it is."""
    from mmengine.registry import registry

    registry.get_object_from_string = _not_registered


def _not_registered(name: str) -> NoReturn:
    raise LookupError(name)


@lru_cache(maxsize=1)
def registry():
    """The registry MODELS of mmaction2, filled, with vxbench's own networks in it. Imports mmaction2, for seconds."""
    from mmengine.logging import MMLogger
    from mmengine.registry import init_default_scope

    names_alone()
    init_default_scope("mmaction")
    import mmaction.models  # noqa: F401  (fills the registry)
    from mmaction.registry import MODELS

    import vxbench.models.networks  # noqa: F401  (adds ours)

    MMLogger.get_current_instance().setLevel("WARNING")  # init_weights logs a line per parameter
    return MODELS


def _recognition() -> Path:
    spec = importlib.util.find_spec("mmaction")
    if spec is None:
        raise UserError("mmaction2 is not installed: pip install mmaction2 mmengine mmcv-lite")
    return Path(spec.submodule_search_locations[0]) / ".mim" / "configs" / "recognition"


def config_names() -> list[str]:
    """Names `<arch>/<name>` of the recognition configs that the installed mmaction2 carries."""
    root = _recognition()
    return sorted(str(path.relative_to(root).with_suffix("")) for path in root.glob("*/*.py"))


def read_config(name: str):
    """Reads mmaction2's own config `<arch>/<name>`, as an mmengine Config.

    Raises:
        UserError: no such config.
    """
    from mmengine.config import Config

    names = config_names()
    if name not in names:
        raise UserError(f"model.config = {name} is not a recognition config of mmaction2{did_you_mean(name, names)}")
    return Config.fromfile(_recognition() / f"{name}.py")
