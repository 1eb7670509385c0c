"""Says what the `_target_`s of a config may name: the classes that configs are for, and a user's own."""

import sys
from collections.abc import Collection, Iterator
from typing import Any

from hydra._internal.utils import _locate
from omegaconf import DictConfig, ListConfig, OmegaConf

from vxbench.errors import NotUnderstood, UserError, first_line

OF_CONFIGS = (  # what the configs in conf/ are for: of vxbench these, and the classes that have one of them as a base
    "vxbench.explainers.base.Explainer",
    "vxbench.metrics.base.Metric",
    "vxbench.datasets.base.VideoDataset",
    "vxbench.models.build.build_classifier",
    "vxbench.runner.tracker.NoTracker",
    "vxbench.training.augment.Augmentation",
)
NEVER = {*sys.stdlib_module_names, "hydra", "omegaconf", "vxbench"}  # they run commands, write files, or build the rest
HYDRAS = ("hydra._internal.core_plugins.", "hydra.experimental.callbacks.", "hydra_plugins.", "vxbench.commands.run.")
LOGGING = ("logging.StreamHandler", "logging.FileHandler", "logging.NullHandler", "colorlog.ColoredFormatter")
BUILT = ("launcher", "sweeper", "callbacks", "job_logging", "hydra_logging")  # nodes that Hydra builds from its own
MAKERS = ("_target_", "()", "class", "factory")  # keys whose values these call
KINDS = "explainers, metrics, data sets, networks, trackers and augmentations"


def check_targets(config: DictConfig, node: Any, key: str) -> None:
    """Checks every `_target_` in a node, which `key` names in messages.

    It must lead to a class or a function that vxbench's configs are for, or that a module of the config's `allow`
    defines: a module's own imports are no way out.

    Raises:
        UserError: it does not, or cannot be imported.
    """
    allowed = _allowed(config)
    for place, target in _named(node, key, ("_target_",)):
        if not _begins(target, ("vxbench", *allowed)):
            raise _refusal(place, target, target)
        found = resolved(place, target)
        origin = _origin(target, found)
        if not (_is_of_configs(found) or _begins(origin, allowed)):
            raise _refusal(place, target, origin)


def check_hydra(node: DictConfig) -> None:
    """Checks that Hydra's own node names nothing but plugins of Hydra, the end of vxbench's runs and plain logging.

    Raises:
        NotUnderstood: it does.
    """
    built = OmegaConf.masked_copy(node, list(BUILT))
    built._set_parent(node._get_parent())  # for its interpolations
    for place, maker in _named(built, "hydra", MAKERS):
        if not (maker.startswith(HYDRAS) or maker in LOGGING):
            raise NotUnderstood(f"{place} names {maker}, which is not Hydra's own; no file of configs may have it run")


def resolved(key: str, target: str) -> Any:
    """What a `_target_` that is allowed leads to, by Hydra's own way of looking: what is checked is what will be built.

    Raises:
        UserError: it cannot be imported; the message says where Python looks if it found nothing.
    """
    try:
        return _locate(target)
    except Exception as error:  # a module may raise anything when it is imported
        raise UserError(_not_imported(key, target, error.__cause__ or error)) from error


def _not_imported(place: str, target: str, reason: BaseException) -> str:
    """One line: which `_target_` it is, what its import said, and where Python looks if it found nothing."""
    absent = isinstance(reason, ModuleNotFoundError) and reason.name == target.split(".")[0]
    hint = "; put its folder on PYTHONPATH, as in PYTHONPATH=. vxbench run ..." if absent else ""
    return f"{place}._target_ = {target} cannot be imported: {first_line(reason)}{hint}"


def _allowed(config: DictConfig) -> tuple[str, ...]:
    """Modules and names of the user's own that a `_target_` may begin with."""
    given = OmegaConf.select(config, "allow", default=[])
    if not isinstance(given, list | ListConfig) or not all(
        isinstance(name, str) and name.strip(". ") for name in given
    ):
        raise UserError(f"allow = {given} is not a list of modules, such as allow=[my_nets]")
    names = tuple(name.rstrip(".") for name in given)
    for name in names:
        if _never(name):
            raise UserError(f"allow = {name} is refused: {_never(name)}; name modules of your own")
    return names


def _named(node: Any, key: str, names: Collection[str]) -> Iterator[tuple[str, str]]:
    """What a node and all below it have under these names, with the key of the node that has it."""
    if isinstance(node, DictConfig):
        for name in node:
            if name in names:
                yield key, str(node[name])
            elif not OmegaConf.is_missing(node, name):
                yield from _named(node[name], f"{key}.{name}", names)
    elif isinstance(node, ListConfig):
        for index, item in enumerate(node):
            yield from _named(item, f"{key}[{index}]", names)


def _refusal(place: str, target: str, origin: str) -> UserError:
    alias = f" ({origin})" if origin != target else ""
    advice = _never(origin) or f"if you trust it: 'allow=[{origin.partition('.')[0]}]'"
    return UserError(f"{place}._target_ = {target}{alias} is not allowed; {advice}")


def _never(name: str) -> str:
    """Why `allow` may not have a name; "" where it may."""
    top = name.partition(".")[0]
    if top == "vxbench":
        return f"of vxbench a config builds {KINDS} alone"
    return f"no config needs {top}, of which some functions run whatever they are given" if top in NEVER else ""


def _begins(target: str, allowed: tuple[str, ...]) -> bool:
    return any(target == name or target.startswith(f"{name}.") for name in allowed)


def _origin(target: str, found: Any) -> str:
    """Module and name under which the class or function is defined that target leads to."""
    try:
        return f"{found.__module__}.{found.__qualname__}"
    except AttributeError as error:
        raise UserError(f"_target_ = {target} is neither a class nor a function") from error


def _is_of_configs(found: Any) -> bool:
    """Whether it is vxbench's own and one of OF_CONFIGS, or a class of one."""
    bases = {f"{base.__module__}.{base.__qualname__}" for base in getattr(found, "__mro__", (found,))}
    return str(found.__module__).startswith("vxbench.") and not bases.isdisjoint(OF_CONFIGS)
