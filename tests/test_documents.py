"""docs/ says what the code does: every choice and every identity has its test, and choices.md is as generated."""

import ast
import re

import pytest
from helpers.paths import ROOT

from vxbench.commands.docs import markdown, problems, read, sources

CHOICES = read(ROOT / "docs/choices.yaml")


def marked(name: str) -> set:
    """Arguments of every @pytest.mark.<name>(...) in the tests."""
    found = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == f"pytest.mark.{name}":
                found |= {argument.value for argument in node.args}
    return found


def test_choices_md_is_what_the_configs_and_choices_yaml_make():
    path = ROOT / "docs/choices.yaml"
    assert (ROOT / "docs/choices.md").read_text(encoding="utf-8") == markdown(CHOICES, sources(path)), "say make docs"


@pytest.mark.parametrize("choice", CHOICES, ids=lambda choice: choice.key)
def test_a_choice_is_what_conf_and_code_say(choice):
    assert problems(choice) == []


def test_every_choice_has_a_test_and_every_marker_a_choice():
    assert marked("choice") == {choice.key for choice in CHOICES}


def test_every_identity_has_a_test():
    listed = re.findall(r"^(\d+)\. ", (ROOT / "docs/identities.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(number) for number in listed] == list(range(1, 32))
    assert marked("identity") == set(range(1, 32))


def test_every_fault_has_its_promise_and_its_test():
    """Rows of docs/reliability.md: the number, and the first sentence of the test's docstring."""
    page = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| [^|]+ \| (.+?) \| \[.+\]\(\.\./(.+)\) \|$", page, re.MULTILINE)
    assert [int(number) for number, _, _ in rows] == list(range(1, 35))
    for number, promise, path in rows:
        said = " ".join(ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8"))).split())
        assert path.startswith(f"tests/faults/test_{int(number):02d}_")
        assert said.startswith(promise)
