"""Lists the cells of a table or sweep, as its multirun makes them, and the files that they lack."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vxbench.config import compose, config_loader, understood
from vxbench.errors import NotUnderstood, UserError, first_line
from vxbench.runner.assemble import Assembled
from vxbench.runner.job import Job
from vxbench.runner.outcome import Outcome

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


def _fits(config: DictConfig, choices: Mapping[str, str], entry: Mapping[str, Any]) -> bool:
    return all(_value(config, choices, key) in _listed(wanted) for key, wanted in entry.items())


def _listed(wanted: Any) -> list[Any]:
    return list(wanted) if OmegaConf.is_list(wanted) else [wanted]


def _value(config: DictConfig, choices: Mapping[str, str], key: str) -> Any:
    value = choices[key] if key in choices else OmegaConf.select(config, key)
    if value is None:
        raise UserError(f"a rule on which combinations are run names {key}, which is neither a group nor a key")
    return value


def cells(what: str, overrides: list[str]) -> list[DictConfig]:
    """The config of every cell of a table or sweep, as its multirun makes them; combinations that are not run are out.

    what: `+table=<name>` or `+sweep=<name>`. The configs hold Hydra's own node, so that `hydra.runtime.choices` names
    the group options chosen. A flag of Hydra's among the overrides counts for nothing.

    Raises:
        NotUnderstood: the overrides cannot be composed.
    """
    try:
        with understood(overrides, "run"):
            return list(_composed([what, *(override for override in overrides if not override.startswith("-"))]))
    except (HydraException, OmegaConfBaseException, NotUnderstood) as error:
        raise NotUnderstood(f"{what.partition('=')[2]}: {first_line(error)}") from error


def _composed(chosen: list[str]) -> Iterator[DictConfig]:
    with config_loader() as loader:
        [once] = combinations(chosen, (), loader)
        params = compose(once, with_hydra=True).hydra.sweeper.params or {}
        swept = [f"{name}={value}" for name, value in params.items()]
        own = [override for override in chosen if not override.startswith("hydra")]
        for job in combinations([*swept, *own], None, loader):
            config = compose(job, with_hydra=True)
            if not skip_reason(config, config.hydra.runtime.choices):
                yield config


def missing_files(cells: Iterable[Assembled]) -> list[str]:
    """One line for each data set and checkpoint that the cells need and that cannot be had.

    With `download=true` absent checkpoints are fetched here, before any cell is computed.
    """
    lines: dict[str, None] = {}
    for part in ("dataset", "weights"):
        for cell in cells:
            try:
                getattr(cell, part)
            except UserError as error:
                lines[str(error)] = None
    return list(lines)


def finished(cells: Iterable[Assembled]) -> list[Outcome] | None:
    """The outcomes of cells of which nothing is left to compute; None if something is, or cannot be had."""
    outcomes = []
    for parts in cells:
        try:
            job = Job(parts.check())
            job.begin()
            done = job.concluded(job.outcome())
            in_part = job.settings.shards > 1 or job.settings.force
            left = in_part or (done.status == "complete" and job.missing_batches())
        except Exception:  # whatever is wrong with one cell, its job will say
            return None
        if left:
            return None
        if done.status == "complete":
            job.compute_missing(live=False)  # none: a tracker has the cell's means
        outcomes.append(done)
    return outcomes


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
