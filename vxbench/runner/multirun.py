"""What a table needs on disk, checked before its first cell: everything missing is said at once."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vxbench.config import build, compose, config_loader
from vxbench.errors import UserError, first_line
from vxbench.runner.weights import weights_file

SLACK = 1e-9  # 0.7 + 0.3 may exceed 1 by rounding
RULES = ("table", "sweep")  # nodes that may hold `only` and `sum_at_most_one`


def skip_reason(config: DictConfig, choices: Mapping[str, str]) -> str:
    """Why a combination is not run, or "" if it is.

    choices: the group options chosen. An entry of `only` names group options or keys of the config, each with one
    value or a list of them; a combination is run if it fits one entry whole. The values of the keys listed in
    `sum_at_most_one` are shares of one whole.

    Raises:
        UserError: a rule names a key that does not exist.
    """
    for node in RULES:
        rules = OmegaConf.select(config, node) or {}
        only = rules.get("only")
        if only and not any(_fits(config, choices, entry) for entry in only):
            return f"{node}.only does not list it"
        shares = rules.get("sum_at_most_one")
        if shares and sum(_value(config, choices, key) for key in shares) > 1 + SLACK:
            return f"{' + '.join(shares)} > 1"
    return ""


def keys_of_rules(config: DictConfig) -> set[str]:
    """The names that `only` looks at."""
    entries = [entry for node in RULES for entry in OmegaConf.select(config, f"{node}.only") or []]
    return {name for entry in entries for name in entry}


def _fits(config: DictConfig, choices: Mapping[str, str], entry: Mapping[str, Any]) -> bool:
    return all(_value(config, choices, key) in _listed(wanted) for key, wanted in entry.items())


def _listed(wanted: Any) -> list[Any]:
    return list(wanted) if OmegaConf.is_list(wanted) else [wanted]


def _value(config: DictConfig, choices: Mapping[str, str], key: str) -> Any:
    value = choices[key] if key in choices else OmegaConf.select(config, key)
    if value is None:
        raise UserError(f"a rule on which combinations are run names {key}, which is neither a group nor a key")
    return value


DECIDE_FILES = ("model", "dataset", "weights", "scale", "paths")  # a sweep over another key needs no other files


def missing_files(key: str, profile: str, overrides: list[str]) -> list[str]:
    """One line for each data set and checkpoint that the cells of table `key` need and that cannot be had.

    With `download=true` among the overrides absent checkpoints are fetched here, before any cell is computed.

    Raises:
        UserError: the overrides cannot be composed.
    """
    try:
        configs = file_cells(key, profile, overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(f"{key}: {first_line(error)}") from error
    problems = [*_problems(lambda config: build(config, "dataset"), configs), *_problems(weights_file, configs)]
    return list(dict.fromkeys(problems))


def file_cells(key: str, profile: str, overrides: list[str]) -> list[DictConfig]:
    """The configs of table `key`'s cells, one for each combination of what decides which files are needed."""
    return [config for _, config in _composed(key, profile, overrides, DECIDE_FILES)]


def cells(key: str, profile: str, overrides: list[str]) -> list[tuple[list[str], DictConfig]]:
    """Overrides and config of every cell of table `key`, as its multirun makes them; those left out are not there.

    The configs hold Hydra's own node, so that `hydra.runtime.choices` names the group options chosen.
    """
    return list(_composed(key, profile, overrides, None))


def _composed(
    key: str, profile: str, overrides: list[str], sweeps: Iterable[str] | None
) -> Iterator[tuple[list[str], DictConfig]]:
    chosen = [f"+table={key}", f"profile={profile}", *(o for o in overrides if not o.startswith("-"))]
    with config_loader() as loader:
        [once] = combinations(chosen, (), loader)
        table = compose(once, with_hydra=True)
        swept = [f"{name}={value}" for name, value in table.hydra.sweeper.params.items()]
        own = [override for override in chosen if not override.startswith("hydra")]
        names = None if sweeps is None else {*sweeps, *(name.split(".")[0] for name in keys_of_rules(table))}
        for job in combinations([*swept, *own], names, loader):
            config = compose(job, with_hydra=True)
            if not skip_reason(config, config.hydra.runtime.choices):
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
