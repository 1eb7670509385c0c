"""Combinations of a sweep that are not run: those that no entry of `only` fits, and shares whose sum exceeds 1."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vxbench.errors import UserError

SLACK = 1e-9  # 0.7 + 0.3 may exceed 1 by rounding
RULES = ("table", "sweep")  # nodes that may hold `only` and `sum_at_most_one`


def left_out(config: DictConfig, choices: Mapping[str, str]) -> str:
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
