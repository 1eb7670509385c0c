"""Reads from config and cells what a table says of how it was made: its title, its layout, the settings below it."""

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vxbench.config import class_of
from vxbench.errors import UserError, did_you_mean
from vxbench.metrics import Metric
from vxbench.runner.outcome import Outcome
from vxbench.runner.store import Store
from vxbench.tables.published import layout, tables
from vxbench.tables.record import TableRun
from vxbench.tables.results import CellResult, RunInfo
from vxbench.tables.spec import KNOWN, TableSpec, checked_spec

OTHERS = ("key", "settings", "only", "rows", "selected", "alone", "sum_at_most_one")  # keys of a table's config
SELECTED = ("r_l", "r_h")  # of the table's settings; `table.selected` says where they are from
# Overrides that need no line: the title or another line says them, or they change no number, with all keys below.
SAID = ("table", "profile", "table.selected")
NEUTRAL = ("dataset.root", "dataset.cache", "model.display", "explainer.chunk")
# Overrides that pick rows and columns, or that a line of their own says: the title stays true.
PICKS = ("model", "dataset", "explainer", "metric", "protocol", "target", "seed", "allow")
# Beginnings of overrides after which data, checkpoints or sizes are not the paper's.
UNLIKE = ("profile.", "scale", "model.", "weights.", "dataset.per_class", "explainer.iterations")
NOT_WORTH_A_LINE = ("paths", "device", "download", "force", "runner", "shard", "tracker")
GUESSED = 0.01  # probability from which on a network's top-1 is told to be that of guesses

MetricUse = tuple[type[Metric], dict[str, Any]]  # a class and the options it was made with


def spec_of(config: DictConfig) -> TableSpec:
    """What the config's `table` says of rows and columns.

    Raises:
        UserError: a key that there is not, or a value that is none of its kind.
    """
    known = (*KNOWN, *OTHERS)
    if unknown := [name for name in config.table if name not in known]:
        raise UserError(f"table.{unknown[0]} is no key of a table{did_you_mean(unknown[0], known)}")
    given = {name: config.table[name] for name in KNOWN if config.table.get(name) is not None}
    return checked_spec({name: OmegaConf.to_object(v) if OmegaConf.is_config(v) else v for name, v in given.items()})


def metrics_of(config: DictConfig, outcomes: Iterable[Outcome], results: Path) -> list[MetricUse]:
    """The metrics that scored the cells, each class once for every set of options, in the order of the configs.

    Raises:
        UserError: one that cannot be imported here, or that the config's `allow` has not.
    """
    stores = [Store(results / "cells" / outcome.cell) for outcome in outcomes if outcome.cell]
    identities = [store.identity() for store in stores]
    nodes = {json.dumps(n, sort_keys=True): n for identity in identities for n in identity.get("metric", {}).values()}
    found = [(class_of(config, node["_target_"], "metric"), node) for node in nodes.values()]
    classes = [(metric, node) for metric, node in found if isinstance(metric, type) and issubclass(metric, Metric)]
    return [(metric, _options(node)) for metric, node in classes]


def _options(node: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in node.items() if name != "_target_"}


def with_facts(key: str, spec: TableSpec, metrics: Iterable[MetricUse], cells: Iterable[CellResult]) -> TableSpec:
    """The spec with the facts of all keys of the table `key` and its cells, in the order their metrics name them."""
    there = {metric for cell in cells for metric in cell.scored["metric"]}
    named = [name for metric, _ in metrics for name in metric.keys if name in there]
    printed = [column.metric for column in layout(key).columns] if key in tables() else []
    known = dict.fromkeys([*named, *sorted(there), *printed, *spec.also])
    return replace(spec, facts={name: spec.fact(name) for name in known})


def described(metrics: Iterable[MetricUse]) -> dict[str, str]:
    """{key: how it was computed}, where the metrics say so; where their options differ, one sentence after another."""
    found: dict[str, list[str]] = {}
    for metric, options in metrics:
        for key, line in metric.describe(**options).items():
            found.setdefault(key, []).append(line)
    return {key: " ".join(dict.fromkeys(lines)) for key, lines in found.items()}


def profile_of(config: DictConfig, outcomes: list[Outcome], metrics: Iterable[MetricUse] = ()) -> RunInfo:
    """What the table says of how it was made.

    With random weights, or other weights or sizes than the profile's, it is never comparable with the paper.
    """
    title, said = config.profile.title, changed(config)
    unlike = any(override.lstrip("+~").startswith(UNLIKE) for override in said)
    title = f"{title}, but with {' '.join(said)}" if said else title
    random = ", ".join(sorted({outcome.network for outcome in outcomes if outcome.random}))
    return RunInfo(
        name=config.profile.name,
        title_line=f"random weights of {random}, else {title}" if random else title,
        comparable=config.profile.comparable and not random and not unlike,
        settings=[*near_chance(outcomes), *settings(config), *networks_used(outcomes), *clips_used(outcomes)],
        protocol=config.protocol.name,
        described=described(metrics),
    )


def settings(config: DictConfig) -> list[str]:
    """Lines below the table: what the paper leaves open or fixes, as it was run, and what the command changed."""
    profile, selected, said = config.profile, config.table.get("selected"), " ".join(given(config))
    effort = f"perturbation methods: {profile.iterations} iterations, STEP's core term after {profile.core_start}"
    values = fixed(config).items()
    kept = "; ".join(f"{key} {_said(value)}" for key, value in values if not (selected and key in SELECTED))
    return [
        f"explained class: {config.target}; {effort}; seed {config.seed}",
        *([f"fixed by the table: {kept}"] if kept else []),
        *([selected] if selected else []),
        *([f"given: {said}"] if said else []),
    ]


def fixed(config: DictConfig) -> dict[str, Any]:
    """The table's own settings, without those that the command gave another value."""
    values = OmegaConf.to_container(config.table.get("settings") or OmegaConf.create(), resolve=True)
    for name in map(_name, given(config)):
        path = name.split(".")
        if path[:2] == ["table", "settings"]:
            _drop(values, path[2:])
        elif path[0] == "explainer" and len(path) > 1:
            for key in [key for key in values if key == path[1] or key.endswith(f"_{path[1]}")]:  # aosa_stride, ...
                del values[key]
    return values


def _drop(values: dict[str, Any], path: list[str]) -> None:
    """Takes what lies at a path out of nested dicts, if it is there, and a dict that it leaves empty."""
    below = values.get(path[0]) if path else None
    if len(path) > 1 and isinstance(below, dict):
        _drop(below, path[1:])
    if path and (len(path) == 1 or below == {}):
        values.pop(path[0], None)


def changed(config: DictConfig) -> list[str]:
    """Overrides of the command that make the profile's title untrue, where nobody says it: selected bands are said."""
    bands = tuple(f"table.settings.{name}" for name in SELECTED) if config.table.get("selected") else ()
    return [o for o in given(config) if not _is_said(_name(o)) and not _name(o).startswith(bands)]


def _is_said(name: str) -> bool:
    """Whether an override picks rows and columns, lays the table out or changes no number."""
    lays_out = name.startswith("table.") and not name.startswith("table.settings")
    return lays_out or name in (*PICKS, *NEUTRAL)


def given(config: DictConfig) -> list[str]:
    """Overrides of the command that may change what the table shows; those of Hydra's own keys are not among them."""
    names = {override: _name(override) for override in config.hydra.overrides.task}
    return [o for o, name in names.items() if name not in SAID and name.partition(".")[0] not in NOT_WORTH_A_LINE]


def _name(override: str) -> str:
    """The key or the group that an override sets."""
    return override.lstrip("+~").partition("=")[0]


def networks_used(outcomes: list[Outcome]) -> list[str]:
    """The networks that were explained on each data set, their weights, and how often they are right on its clips."""
    said: dict[str, set[str]] = {}
    for outcome in _networks(outcomes):
        weights = "random weights" if outcome.random else f"weights {outcome.weights}"
        top1 = f", top-1 {outcome.right / outcome.seen:.1%} of {outcome.seen} clips" if outcome.seen else ""
        said.setdefault(outcome.dataset, set()).add(f"{outcome.network} ({weights}{top1})")
    return [f"networks on {dataset}: {', '.join(sorted(names))}" for dataset, names in sorted(said.items())]


def near_chance(outcomes: list[Outcome]) -> list[str]:
    """A warning for each network that is not right more often on the clips than guessing may be: p > GUESSED."""
    return [
        f"warning: {outcome.network} is right on {outcome.right} of {outcome.seen} clips of {outcome.dataset}, no more "
        f"than guesses among {outcome.outputs} classes: do its weights, its classes' numbering and the clips belong "
        "together?"
        for outcome in _networks(outcomes)
        if outcome.seen and outcome.outputs > 1 and not outcome.random and _guessed(outcome) > GUESSED
    ]


def _networks(outcomes: list[Outcome]) -> list[Outcome]:
    """One cell of each network on each data set: that with the most clips whose prediction is known."""
    found: dict[tuple[str, ...], Outcome] = {}
    for outcome in outcomes:
        key = (outcome.dataset, outcome.network, outcome.weights)
        if outcome.weights and outcome.seen >= found.get(key, outcome).seen:
            found[key] = outcome
    return [found[key] for key in sorted(found)]


def _guessed(outcome: Outcome) -> float:
    """The probability that guesses are right as often: the binomial's upper tail."""
    from scipy.special import bdtrc  # scipy.stats takes a second to import

    return float(bdtrc(outcome.right - 1, outcome.seen, 1 / outcome.outputs))


def clips_used(outcomes: list[Outcome]) -> list[str]:
    """Which clips of each data set the table is made of."""
    said = {(outcome.dataset, outcome.selection) for outcome in outcomes if outcome.selection}
    return [f"clips of {dataset}: {selection}" for dataset, selection in sorted(said)]


def incomplete(record: TableRun, cells: Iterable[CellResult]) -> list[str]:
    """A line on the cells that lack clips: another shard's, or those of a run that was cut off.

    cells: the record's, in its order.
    """
    lacking: dict[tuple[int, int], list[str]] = {}
    for outcome, cell in zip(record.outcomes, cells, strict=True):
        listed = set(record.store(outcome).draw() or ()) if cell.ran else set()
        there = listed & set(cell.rows["clip"])
        if there < listed:
            lacking.setdefault((len(there), len(listed)), []).append(cell.name)
    return [f"incomplete: {n} of {m} clips of {', '.join(names)}" for (n, m), names in sorted(lacking.items())]


def _said(value: object) -> str:
    """The text of a setting: "r2plus1d 0.5, tsm 0.5"; what is inside another in brackets."""
    if not isinstance(value, dict):
        return str(value)
    inner = (f"({_said(v)})" if isinstance(v, dict) else _said(v) for v in value.values())
    return ", ".join(f"{k} {text}" for k, text in zip(value, inner, strict=True))
