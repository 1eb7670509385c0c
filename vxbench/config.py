"""Composes configs from conf/, refuses unknown options, and builds what a `_target_` names."""

import pickle
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.config_repository import CachingConfigRepository
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vxbench.errors import NotUnderstood, OutOfRange, UserError, did_you_mean, first_line
from vxbench.plain_yaml import keep_plain
from vxbench.targets import check_hydra, check_targets, resolved

GROUPS = (
    *("model", "dataset", "explainer", "metric", "table", "sweep", "figure"),
    *("profile", "protocol", "recipe", "experiment", "tracker"),
)
FORMER_METRICS = {
    "fep": "dc_acc_stc",
    "fep_dauc": "dc_acc_stc_deletion",
    "dauc": "deletion",
    "aosa": "deletion_insertion",
    "spt": "spatial_pointing",
    "tpt": "temporal_pointing",
    "step_ratio": "preservation",
    "time": "seconds",
}
SWEPT = "hydra.sweeper.params."  # before a group in a table's sweep
FURTHER_CONFIGS = ("--config-dir", "-cd", "hydra.searchpath=")  # beginnings of words that name folders of configs
PLUGINS = {"hydra/launcher": ("basic", "joblib", "ray", "submitit_local", "submitit_slurm")}  # options besides conf/'s


def _visible_gpus() -> int:
    """Number of GPUs, for conf/hydra/launcher/gpus.yaml; torch is imported where it is asked for alone."""
    from vxbench.device import visible_gpus

    return visible_gpus()


OmegaConf.register_new_resolver("visible_gpus", _visible_gpus, replace=True)
keep_plain()


def conf_dir() -> Path:
    """conf/ of the checkout, or the copy inside an installed package."""
    package = Path(__file__).resolve().parent
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"


class _ReadOnce(CachingConfigRepository):
    """Hydra's files of conf/, each read once in a process: reading them is half the time of composing.

    They are kept pickled: that copies a config in a quarter of the time that deepcopy takes.
    """

    def __init__(self, delegate):
        self.delegate, self.cache = delegate, {}

    def __deepcopy__(self, memo: dict) -> "_ReadOnce":
        """A twin that shares what was read; Hydra composes with a copy."""
        twin = _ReadOnce(deepcopy(self.delegate, memo))
        twin.cache = self.cache
        return twin

    def load_config(self, config_path: str) -> ConfigResult | None:
        """The file's config, as a copy: Hydra makes the nodes it is given part of what it composes."""
        if config_path not in self.cache:
            self.cache[config_path] = pickle.dumps(self.delegate.load_config(config_path))
        return pickle.loads(self.cache[config_path])

    def initialize_sources(self, config_search_path) -> None:
        """Other folders (`hydra.searchpath`) may hold other files under the same names."""
        self.cache = {}
        super().initialize_sources(config_search_path)


_repository: _ReadOnce | None = None


@contextmanager
def config_loader() -> Iterator[ConfigLoader]:
    """Hydra's loader of conf/: the one that runs, as at the end of a multirun, else one for this block."""
    global _repository
    if GlobalHydra.instance().is_initialized():
        yield GlobalHydra.instance().config_loader()
        return
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        _repository = _repository or _ReadOnce(loader.repository)
        loader.repository = _repository
        yield loader


def compose(overrides: list[str], name: str = "run", with_hydra: bool = False, multirun: bool = False) -> DictConfig:
    """conf/<name>.yaml with these overrides.

    with_hydra: whether Hydra's own node stays in it. multirun: overrides that sweep are kept in Hydra's node and set
    nothing, as in the config that a multirun ends with.

    Raises:
        HydraException, OmegaConfBaseException, NotUnderstood: an override that fits nothing, a file that is no config.
    """
    try:
        with config_loader():
            if multirun:
                how = {"run_mode": RunMode.MULTIRUN, "from_shell": False, "with_log_configuration": False}
                return GlobalHydra.instance().hydra.compose_config(name, overrides, **how)
            return hydra.compose(name, overrides, return_hydra_config=with_hydra)
    except UnicodeDecodeError as error:
        raise NotUnderstood(f"a file of configs is not text in UTF-8: {error}") from error


def check_further(words: Sequence[str], overrides: list[str], name: str) -> None:
    """Checks what a further folder of configs has Hydra itself build: its launchers and callbacks, not vxbench's parts.

    words: of the command line. overrides: those that compose what Hydra will run on them.

    Raises:
        NotUnderstood: something that is not Hydra's own.
    """
    if any(word.startswith(FURTHER_CONFIGS) for word in words):
        check_hydra(compose(overrides, name, multirun=True).hydra)


def options(group: str) -> list[str]:
    """Names that a config group offers."""
    own = (path.stem for path in (conf_dir() / group).glob("*.yaml"))
    return sorted([*own, *PLUGINS.get(group, ())])


def key_of(config: DictConfig, group: str) -> str:
    """The name of the run's table or sweep: its `key`, else that of its file in conf/; "" where it is none."""
    if group not in config:
        return ""
    return OmegaConf.select(config, f"{group}.key") or dict(config.hydra.runtime.choices).get(group) or ""


def check_choices(overrides: list[str]) -> None:
    """Raises NotUnderstood for a group override that names no option, with the nearest one or that of a former name.

    Where a folder of further configs is given, Hydra alone knows what there is, and says so.
    """
    if any(word.startswith(FURTHER_CONFIGS) for word in overrides):
        return
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        group = key.removeprefix(SWEPT).split("@")[0]
        if group not in (*GROUPS, *PLUGINS):
            continue
        for name in _names(value):
            _check_name(group, name)
        if group == "hydra/launcher" and value.startswith("ray") and not find_spec("ray"):
            raise NotUnderstood(f"{override}: Ray is not installed; docs/cluster.md says how")


def _names(value: str) -> list[str]:
    """Options in the value of an override: one or several; none of a path, or where Hydra computes them."""
    found = re.fullmatch(r"""(?:choice\()?["']?([^()/$"']*)["']?\)?""", value)
    names = found[1].split(",") if found else []
    return [name.strip() for name in names if name.strip() not in ("", "null")]


def _check_name(group: str, name: str) -> None:
    known = options(group)
    if group == "metric" and name in FORMER_METRICS:
        raise NotUnderstood(f"metric={name} is called metric={FORMER_METRICS[name]}")
    if name not in known:
        raise NotUnderstood(f"{group}={name} does not exist{did_you_mean(name, known)}")


def build(config: DictConfig, key: str, **extra: Any) -> Any:
    """Instantiates the object that config node `key` describes.

    The config's `allow` adds modules, or single names in them, to what a `_target_` may name, see `check_targets`.

    Raises:
        UserError: a `_target_` that is not allowed or cannot be imported, or a value its class refuses; the message
            names the key.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    node = OmegaConf.select(config, key)
    if not isinstance(node, DictConfig) or not node.get("_target_"):
        raise UserError(f"{key} has no _target_, which says what class it is")
    check_targets(config, node, key)
    try:
        return instantiate(node, _convert_="all", **extra)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, OutOfRange):
            raise UserError(f"{key}.{cause}") from error
        if isinstance(cause, UserError):
            raise cause from error
        raise UserError(f"{key}: {cause or first_line(error)}") from error


def class_of(config: DictConfig, target: str, key: str) -> Any:
    """What a `_target_` of the node `key` names, imported if it is allowed.

    Raises:
        UserError: it is not, or cannot be imported.
    """
    check_targets(config, OmegaConf.create({"_target_": target}), key)
    return resolved(key, target)
