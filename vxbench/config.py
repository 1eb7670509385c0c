"""Composes configs from conf/, refuses unknown options, and builds what a `_target_` names."""

import pickle
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.config_repository import CachingConfigRepository
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vxbench.errors import NotUnderstood, OutOfRange, UserError, did_you_mean, first_line
from vxbench.plain_yaml import keep_plain
from vxbench.targets import check_hydra, check_targets, resolved
from vxbench.words import explained

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
NESTED = ("model/size", "hydra/launcher", *GROUPS)
CLOSED = ("paths", "runner", "shard")  # nodes with no other keys than conf/run.yaml has
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
    with understood(overrides, name), config_loader():
        if multirun:
            how = {"run_mode": RunMode.MULTIRUN, "from_shell": False, "with_log_configuration": False}
            return GlobalHydra.instance().hydra.compose_config(name, overrides, **how)
        return hydra.compose(name, overrides, return_hydra_config=with_hydra)


@contextmanager
def understood(words: Sequence[str], name: str) -> Iterator[None]:
    """Says in words of our own what Hydra does not understand of these, as it composes conf/<name>.yaml in the block.

    Raises:
        NotUnderstood: that.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        raise NotUnderstood(f"a file of configs is not text in UTF-8: {error}") from error
    except HydraException as error:
        if line := explained(error, words, lambda node: _keys(node, words, name)):
            raise NotUnderstood(line) from error
        raise


def _keys(node: str, words: Sequence[str], name: str) -> list[str]:
    """The keys of a node, with the groups at the root, under those of the words that choose a group's option."""
    chosen = [word for word in words if word.partition("=")[0].lstrip("+") in GROUPS and "," not in word]
    with config_loader():
        config = hydra.compose(name, chosen)
    found = OmegaConf.select(config, node) if node else config
    return [*map(str, found), *(() if node else NESTED)] if isinstance(found, DictConfig) else []


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
        _check_key(override)
        key, _, value = override.lstrip("+").partition("=")
        group = key.removeprefix(SWEPT).split("@")[0]
        if group not in (*GROUPS, *PLUGINS):
            continue
        for name in _names(value):
            _check_name(group, name)
        if group == "hydra/launcher" and value.startswith("ray") and not find_spec("ray"):
            raise NotUnderstood(f"{override}: Ray is not installed; docs/cluster.md says how")


def _check_key(word: str) -> None:
    """Refuses a key that no config has, which Hydra adds where a + stands before it, and nobody reads."""
    key = word.partition("=")[0].lstrip("+~")
    top, *below = re.split(r"[./@:]", key)
    if word.startswith("-") or not ("=" in word or word.startswith("~")):
        return
    known = _primary_keys()
    if top not in known:
        raise NotUnderstood(f"{word}: the config has no {top}{did_you_mean(top, known)}")
    if top in CLOSED and below and below[0] not in known[top]:
        raise NotUnderstood(f"{word}: {top} has no {below[0]}{did_you_mean(below[0], known[top])}")


@cache
def _primary_keys() -> dict[str, list[str]]:
    """The keys of the config of any command, each with the keys below it that conf/run.yaml and its like have."""
    keys: dict[str, list[str]] = {group: [] for group in (*GROUPS, "scale", "hydra", "weights", "select")}
    for path in conf_dir().glob("*.yaml"):
        for key, node in OmegaConf.load(path).items_ex(resolve=False):
            keys[str(key)] = list(node) if isinstance(node, DictConfig) else []
    return keys


def _names(value: str) -> list[str]:
    """Options in the value of an override: one or several; none of a path, or where Hydra computes them."""
    found = re.fullmatch(r"""(?:choice\()?["']?([^()/$"']*)["']?\)?""", value)
    names = found[1].split(",") if found else []
    return [name.strip() for name in names if name.strip() not in ("", "null")]


def _check_name(group: str, name: str) -> None:
    known = options(group)
    if group == "metric" and name in FORMER_METRICS:
        raise NotUnderstood(f"metric={name} is called metric={FORMER_METRICS[name]}")
    if group == "metric" and name not in known and (holding := _metrics_with(name)):
        raise NotUnderstood(f"metric={name} is a value that others give: {' or '.join(holding)}")
    if name not in known:
        raise NotUnderstood(f"{group}={name} does not exist{did_you_mean(name, known)}")


def _metrics_with(key: str) -> list[str]:
    """The words that choose a metric among whose values one has this name."""
    nodes = {option: compose([f"metric={option}"]) for option in options("metric")}
    return [
        f"metric={option}"
        for option, config in nodes.items()
        if any(key == name or key in build(config, f"metric.{name}").keys for name in config.metric)
    ]


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
