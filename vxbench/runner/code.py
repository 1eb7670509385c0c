"""Tells code that is not part of the released vxbench by its digest, so that changed code makes another cell.

The released classes' numbers are told by the maths version, and cells of theirs have no digest. Of any other class or
function that a config names, the digest is of the file that defines it and of every file that this one imports,
directly or not, wherever it lies: but not of Python's own modules, of vxbench's or of installed packages. A class of an
installed package is told by its file and the package's version. What code reads besides (data, further configs) is not
looked at.
"""

import ast
import hashlib
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec, resolve_name
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vxbench.config import class_of
from vxbench.errors import UserError

PARTS = ("model", "dataset", "explainer", "metric")
RELEASED = {  # modules that define what conf/ names
    *(f"vxbench.datasets.{name}" for name in ("epic_action", "epic_object", "kinetics", "ucf101", "ucf101_24")),
    *(f"vxbench.explainers.{name}" for name in ("cam.methods", "controls", "excitation", "gradients", "rollout")),
    *(f"vxbench.explainers.occlusion.{name}" for name in ("aosa", "osa", "rise")),
    "vxbench.explainers.perturbation.methods",
    *(f"vxbench.metrics.{name}" for name in ("accuracy", "consistency", "curves", "faithfulness", "pointing")),
    *(f"vxbench.metrics.{name}" for name in ("preservation", "sanity.check", "timing")),
    "vxbench.models.build",
}
INSTALLED = ("site-packages", "dist-packages")


def code_digests(config: DictConfig) -> dict[str, str]:
    """{`_target_`: digest} of what a config names besides released classes.

    Raises:
        UserError: a `_target_` that is not allowed or cannot be imported, or whose source is nowhere.
    """
    parts = {name: OmegaConf.to_container(config[name], resolve=True) for name in PARTS}
    named = {target: key for name, node in parts.items() for key, target in _targets(node, name)}
    found = {target: class_of(config, target, key).__module__ for target, key in sorted(named.items())}
    return {target: _digest(module) for target, module in found.items() if module not in RELEASED}


def _targets(node: Any, key: str) -> Iterator[tuple[str, str]]:
    """The (key, `_target_`) pairs of a node and all below it."""
    below = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in below:
        if name == "_target_" and value != "???":
            yield key, value
        else:
            yield from _targets(value, f"{key}.{name}")


@lru_cache(maxsize=64)
def _digest(module: str) -> str:
    """Digest of a module's own file and of those it stands on."""
    sources, waiting = {}, [module]
    while waiting:
        name = waiting.pop()
        if name not in sources and (name == module or _is_own(name)):
            sources[name] = _source(name)
            waiting += _imports(name, sources[name]) if _is_own(name) else []
    if not sources[module]:
        raise UserError(f"the source of {module} is nowhere, so that its changes could not be told; put it in a file")
    text = [f"{name} {hashlib.sha256(sources[name]).hexdigest()}" for name in sorted(sources)]
    return hashlib.sha256("\n".join([*text, _version(module)]).encode()).hexdigest()[:16]


def _source(module: str) -> bytes:
    """The content of a module's file; b"" where there is none."""
    spec = _spec(module)
    if spec is None or not spec.has_location:
        return b""
    return spec.loader.get_data(spec.origin)


def _spec(module: str):
    if module in sys.modules and getattr(sys.modules[module], "__spec__", None):
        return sys.modules[module].__spec__
    try:
        return find_spec(module)
    except Exception:  # an optional import that is not there, or a package that raises when it is imported
        return None


def _imports(module: str, source: bytes) -> Iterator[str]:
    """Names that may be modules, of everything a source imports, also inside functions, and of the packages around."""
    spec = _spec(module)
    package = module if spec.submodule_search_locations is not None else module.rpartition(".")[0]
    for node in ast.walk(_parsed(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_packages(alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package) if node.level else node.module
            for alias in node.names:
                yield from _with_packages(f"{base}.{alias.name}")


def _parsed(source: bytes) -> ast.AST:
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError):  # compiled code
        return ast.Module([], [])


def _with_packages(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:length]) for length in range(1, len(parts) + 1))


def _is_own(module: str) -> bool:
    """Whether it is neither Python's, vxbench's nor installed."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in ("vxbench", "__main__"):
        return False
    spec = _spec(module)
    return spec is not None and spec.has_location and not any(f"/{name}/" in spec.origin for name in INSTALLED)


def _version(module: str) -> str:
    """The version of the installed package that a module belongs to; "" of vxbench and where it is not installed."""
    top = module.partition(".")[0]
    try:
        return "" if top == "vxbench" or _is_own(module) else version(top)
    except PackageNotFoundError:
        return ""
