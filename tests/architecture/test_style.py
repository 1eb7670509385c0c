"""Files stay short, docstrings are sentences, and tests stand alone."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from helpers.paths import ROOT

PRODUCT = sorted((ROOT / "vxbench").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LONGEST = 450
HALF = {"Of", "By", "In", "As", "That", "Until", "Where"}  # with which a docstring that is no sentence begins
DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _place(path: Path, line: int = 1) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def _docstrings(path: Path) -> Iterator[tuple[str, str]]:
    """Place and first line of each docstring."""
    for node in ast.walk(_tree(path)):
        if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)):
            yield _place(path, getattr(node, "lineno", 1)), text.splitlines()[0]


def test_no_file_is_long():
    assert not [_place(path) for path in PRODUCT if len(path.read_text().splitlines()) > LONGEST]


def test_no_docstring_is_half_a_sentence():
    said = [pair for path in [*PRODUCT, *TESTS] for pair in _docstrings(path)]
    assert not [f"{place} {text}" for place, text in said if text.split()[0] in HALF]


def test_every_module_says_in_a_sentence_what_it_does():
    said = {path: ast.get_docstring(_tree(path)) or "" for path in PRODUCT}
    heads = {path: text.split("\n\n")[0] for path, text in said.items()}
    ended = {path for path, head in heads.items() if head[:1].isupper() and head.endswith((".", "?"))}
    assert not [_place(path) for path in PRODUCT if path not in ended]


def test_no_test_imports_another():
    tests = {path.stem for path in TESTS if path.stem.startswith("test_")} | {"conftest"}
    modules = [(path, node) for path in TESTS for node in ast.walk(_tree(path))]
    names = [(path, node.module) for path, node in modules if isinstance(node, ast.ImportFrom)]
    names += [(path, alias.name) for path, node in modules if isinstance(node, ast.Import) for alias in node.names]
    assert not [f"{_place(path)} imports {name}" for path, name in names if (name or "").split(".")[-1] in tests]
