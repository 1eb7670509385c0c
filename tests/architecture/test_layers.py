"""Imports in vxbench/ go down its layers and never in a circle, wherever in a file they stand."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter

from helpers.paths import ROOT

LAYERS = (  # from the bottom; what stands in one line does not import each other
    {"errors", "pickles"},
    {"files", "stop"},
    {"device", "ranges", "fact", "plain_yaml", "targets", "words"},
    {"datasets", "network", "config"},
    {"models", "explainers"},
    {"metrics"},
    {"runner"},
    {"tables", "costs", "training"},
    {"sweeps"},
    {"figures"},
    {"page", "own_video"},
    {"commands"},
    {"__main__"},
)
HEIGHT = {part: height for height, parts in enumerate(LAYERS) for part in parts}
HEAVY = {"hydra", "omegaconf", "mmaction", "mmengine", "wandb", "decord", "pandas"}
HEAVY |= {"av", "captum", "matplotlib", "scipy"}


def _name(path) -> str:
    """Dotted name of a module; a package's is that of its __init__."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {_name(path): path for path in (ROOT / "vxbench").rglob("*.py")}


@cache
def _imports(module: str) -> set[str]:
    """Modules of vxbench that a module imports by name, also inside functions and under TYPE_CHECKING.

    A package that Python runs on the way to one of its modules is not among them. So an __init__ may offer what its
    modules define, but none of these may import the package itself.
    """
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}, line {node.lineno}: a relative import"
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= parts & MODULES.keys() | ({node.module} if parts - MODULES.keys() else set())
    return found & MODULES.keys()


def _part(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_part_has_a_layer():
    assert {_part(module) for module in MODULES} - {""} <= HEIGHT.keys()


def test_an_import_goes_down():
    pairs = [(module, used) for module in MODULES for used in _imports(module) if _part(module) and _part(used)]
    crossing = [(module, used) for module, used in pairs if _part(module) != _part(used)]
    assert crossing
    assert not [f"{a} imports {b}" for a, b in crossing if HEIGHT[_part(b)] >= HEIGHT[_part(a)]]


def test_no_imports_make_a_circle():
    try:
        TopologicalSorter({module: _imports(module) for module in MODULES}).prepare()
    except CycleError as error:
        raise AssertionError(" <- ".join(error.args[1])) from None


def test_explainers_and_metrics_load_nothing_heavy():
    code = "import sys, vxbench.explainers, vxbench.metrics; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = {module.partition(".")[0] for module in done.stdout.split()}
    assert "vxbench" in loaded
    assert not loaded & HEAVY
