"""What a table needs on disk, checked before its first cell: everything missing is said at once."""

from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vxbench.errors import UserError
from vxbench.runner.config import build, conf_dir, first_line
from vxbench.runner.left_out import keys_of_rules, left_out
from vxbench.runner.weights import weights_file

DECIDE_FILES = ("model", "dataset", "weights", "scale", "paths")  # a sweep over another key needs no other files


def missing_files(key: str, profile: str, overrides: list[str]) -> list[str]:
    """One line for each data set and checkpoint that the cells of table `key` need and that cannot be had.

    With `download=true` among the overrides absent checkpoints are fetched here, before any cell is computed.

    Raises:
        UserError: the overrides cannot be composed.
    """
    try:
        configs = cells(key, profile, overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(f"{key}: {first_line(error)}") from error
    problems = [*_problems(lambda config: build(config, "dataset"), configs), *_problems(weights_file, configs)]
    return list(dict.fromkeys(problems))


def cells(key: str, profile: str, overrides: list[str]) -> list[DictConfig]:
    """The configs of table `key`'s cells, one for each combination of what decides which files are needed."""
    return [config for _, config in _composed(key, profile, overrides, DECIDE_FILES)]


def jobs(key: str, profile: str, overrides: list[str]) -> list[tuple[list[str], DictConfig]]:
    """Overrides and config of every cell of table `key`, as its multirun makes them; those left out are not there.

    The configs hold Hydra's own node, so that `hydra.runtime.choices` names the group options chosen.
    """
    return list(_composed(key, profile, overrides, None))


def _composed(
    key: str, profile: str, overrides: list[str], sweeps: Iterable[str] | None
) -> Iterator[tuple[list[str], DictConfig]]:
    chosen = [f"+table={key}", f"profile={profile}", *(o for o in overrides if not o.startswith("-"))]
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        [once] = combinations(chosen, (), loader)
        table = compose("run", once, return_hydra_config=True)
        swept = [f"{name}={value}" for name, value in table.hydra.sweeper.params.items()]
        own = [override for override in chosen if not override.startswith("hydra")]
        names = None if sweeps is None else {*sweeps, *(name.split(".")[0] for name in keys_of_rules(table))}
        for job in combinations([*swept, *own], names, loader):
            config = compose("run", job, return_hydra_config=True)
            if not left_out(config, config.hydra.runtime.choices):
                yield job, config


def combinations(
    overrides: list[str], sweeps: Iterable[str] | None, loader: ConfigLoader | None = None
) -> list[list[str]]:
    """The overrides of each job, as Hydra's sweeper makes them: a later override of a key takes an earlier one's place.

    sweeps: first words of the keys that are swept, None: of all; of other sweeps the first value is taken. loader:
    knows the names that a glob() stands for.
    """
    values = {}
    for override in OverridesParser.create(loader).parse_overrides(overrides):
        name = override.get_key_element()
        if not override.is_sweep_override():
            values[name] = [override.input_line]
            continue
        every = [f"{name}={value}" for value in override.sweep_string_iterator()]
        wanted = sweeps is None or override.key_or_group.split(".")[0] in sweeps
        values[name] = every if wanted else every[:1]
    return [list(job) for job in product(*values.values())]


def _problems(check: Callable[[DictConfig], Any], configs: list[DictConfig]) -> Iterable[str]:
    for config in configs:
        try:
            check(config)
        except UserError as error:
            yield str(error)
