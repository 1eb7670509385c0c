"""Digests of code that is not of the released vxbench: what changes them, and what does not."""

import re
import sys

import pytest
from helpers.configs import composed
from helpers.paths import CONF
from omegaconf import OmegaConf

from vxbench.config import class_of
from vxbench.errors import UserError
from vxbench.runner import code
from vxbench.runner.code import RELEASED, code_digests

MINE = "from vxbench.explainers.controls import Random\nfrom {package} import halves\nclass Mine(Random): ...\n"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """package(**sources): the digest of my_pkg.mine.Mine with these files of my_pkg besides its own."""
    monkeypatch.syspath_prepend(tmp_path)

    def digest(place="my_pkg", **sources) -> str:
        folder = tmp_path / place
        folder.mkdir(exist_ok=True)
        files = {"__init__": "", "mine": MINE.format(package="my_pkg"), "halves": "from . import deep\n", "deep": ""}
        for name, source in (files | sources).items():
            (folder / f"{name}.py").write_text(source)
        for name in [name for name in sys.modules if name.split(".")[0] == "my_pkg"]:
            del sys.modules[name]
        code._digest.cache_clear()
        config = composed("allow=[my_pkg]", "+explainer.inner={_target_: my_pkg.mine.Mine}")
        return code_digests(config)["my_pkg.mine.Mine"]

    return digest


def test_what_conf_names_is_released_and_nothing_else():
    text = "\n".join(path.read_text() for path in CONF.rglob("*.yaml"))
    named = set(re.findall(r"_target_: *(vxbench\.(?:explainers|metrics|models|datasets)[\w.]*)", text))
    assert {class_of(OmegaConf.create(), target, "any").__module__ for target in named} == RELEASED


def test_released_classes_have_no_digest():
    assert code_digests(composed("explainer=step", "metric=sanity")) == {}


def test_a_change_anywhere_in_what_the_class_stands_on_changes_it(package):
    first = package()
    assert package() == first
    for changed in ("mine", "halves", "deep", "__init__"):
        assert package(**{changed: {"mine": MINE.format(package="my_pkg")}.get(changed, "") + "x = 1\n"}) != first
    assert package() == first


def test_what_the_class_does_not_import_does_not_matter(package):
    assert package(unused="x = 1\n") == package()


def test_imports_inside_functions_and_optional_ones_are_followed(package):
    hidden = "def late():\n    import my_pkg.deep\ntry:\n    import absent_everywhere\nexcept ImportError: ...\n"
    assert package(halves=hidden, deep="a = 1\n") != package(halves=hidden, deep="a = 2\n")


def test_code_without_a_file_is_refused(package, monkeypatch):
    monkeypatch.setattr(code, "_source", lambda module: b"")
    with pytest.raises(UserError, match=r"the source of my_pkg\.mine is nowhere"):
        package()


def test_an_installed_class_is_told_by_its_file_and_its_version(monkeypatch):
    config = composed("allow=[captum]", "+explainer.inner={_target_: captum.attr.Saliency}")
    code._digest.cache_clear()
    [first] = code_digests(config).values()
    monkeypatch.setattr(code, "version", lambda name: f"{name} 99")
    code._digest.cache_clear()
    assert code_digests(config) != {"captum.attr.Saliency": first}
    code._digest.cache_clear()
