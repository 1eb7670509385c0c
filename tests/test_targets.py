"""A config builds what configs are for, and a user's own classes where `allow` names them; nothing else of vxbench."""

import re

import pytest
from helpers.configs import composed
from helpers.paths import CONF
from omegaconf import OmegaConf

from vxbench.config import build, class_of
from vxbench.errors import UserError
from vxbench.targets import check_targets

HARMFUL = (  # functions and classes of vxbench that unpickle, write, fetch or run what they are given
    "vxbench.datasets.pool._unpacked",
    "vxbench.datasets.pool.DecodePool",
    "vxbench.runner.store.Store",
    "vxbench.runner.store.Store.note",
    "vxbench.models.fetch._first",
    "vxbench.models.fetch.obtain",
    "vxbench.files.write_whole",
    "vxbench.commands.run.run",
    "vxbench.config.build",
    "vxbench.models.loading._Ignored",
    "vxbench.explainers.base.Explainer.explain",
)


def named_in_conf():
    """Every `_target_` that a file of conf/ has for vxbench to build; Hydra itself builds what is below `hydra`."""
    found = {}
    for path in CONF.rglob("*.yaml"):
        config = OmegaConf.to_container(OmegaConf.load(path))
        config.pop("hydra", None)
        if "hydra" not in path.parts:
            found |= dict.fromkeys(re.findall(r"'_target_': '(vxbench[\w.]+)'", str(config)))
    return list(found)


@pytest.mark.parametrize("target", named_in_conf())
def test_what_conf_names_is_allowed(target):
    config = OmegaConf.create({"allow": [], "node": {"_target_": target}})
    check_targets(config, config.node, "node")


@pytest.mark.parametrize("target", HARMFUL)
def test_no_other_function_or_class_of_vxbench_is(target):
    config = composed(f"+explainer.inner={{_target_: {target}}}", "++allow=[my_nets]")
    with pytest.raises(UserError, match=rf"^explainer\.inner\._target_ = {target} is not allowed; of vxbench a config"):
        build(config, "explainer")
    with pytest.raises(UserError, match="is not allowed"):
        class_of(config, target, "metric")


@pytest.mark.parametrize("target", ["os.system", "posix.system", "builtins.eval", "subprocess.run", "hydra.utils.call"])
def test_there_is_no_hint_to_allow_what_no_config_needs(target):
    with pytest.raises(UserError) as caught:
        build(composed(f"explainer._target_={target}"), "explainer")
    assert "is not allowed; no config needs" in str(caught.value)
    assert "allow=" not in str(caught.value)


@pytest.mark.parametrize("module", ["os", "posix", "builtins", "os.path", "hydra", "vxbench", "vxbench.runner"])
def test_it_is_refused_in_allow_itself(module):
    """So that a hint cannot lead in a circle, and no later target finds it open."""
    with pytest.raises(UserError, match=rf"^allow = {module} is refused: .*; name modules of your own$"):
        build(composed(f"++allow=[{module}]"), "explainer")


def test_a_module_of_one_s_own_is_no_way_to_what_it_imports(tmp_path, monkeypatch):
    (tmp_path / "way_out.py").write_text("from os import system\nfrom vxbench.files import write_whole\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name, origin in (("system", "posix.system"), ("write_whole", "vxbench.files.write_whole")):
        with pytest.raises(UserError, match=rf"way_out\.{name} \({origin}\) is not allowed; [^']*$"):
            build(composed(f"explainer._target_=way_out.{name}", "++allow=[way_out]"), "explainer")


def test_what_is_checked_is_what_is_built(tmp_path, monkeypatch):
    """A package may have an attribute and a module of one name: Hydra takes the attribute."""
    package = tmp_path / "two_faced"
    package.mkdir()
    (package / "__init__.py").write_text("from os import system as face\n")
    (package / "face.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=r"two_faced\.face \(posix\.system\) is not allowed"):
        build(composed("explainer._target_=two_faced.face", "++allow=[two_faced]"), "explainer")
