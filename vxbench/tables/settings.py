"""What a table says of how it was made: its title, and the settings below it."""

from collections.abc import Iterable

from omegaconf import DictConfig, OmegaConf

from vxbench.runner.outcome import Outcome
from vxbench.runner.store import CLIPS
from vxbench.tables.record import TableRun
from vxbench.tables.results import CellResult, RunInfo

SELECTED = ("r_l", "r_h")  # of the table's settings; `table.selected` says where they are from
# Overrides that need no line: the title or another line says them, or they change no number, with all keys below.
SAID = ("table", "profile", "table.selected")
NOT_WORTH_A_LINE = ("paths", "device", "download", "runner", "shard", "tracker")


def profile_of(config: DictConfig, outcomes: list[Outcome]) -> RunInfo:
    """What the table says of how it was made. With random weights it is never comparable with the paper."""
    stc, title = config.metric.get("stc", {}), config.profile.title
    random = ", ".join(sorted({outcome.network for outcome in outcomes if outcome.random}))
    return RunInfo(
        name=config.profile.name,
        title_line=f"random weights of {random}, else {title}" if random else title,
        comparable=config.profile.comparable and not random,
        settings=[*settings(config), *networks_used(outcomes), *clips_used(outcomes)],
        protocol=config.protocol.name,
        stc_norm=stc.get("norm", "recall"),
        stc_tau=stc.get("tau", 0.5),
    )


def settings(config: DictConfig) -> list[str]:
    """Lines below the table: what the paper leaves open or fixes, as it was run, and what the command changed."""
    profile, selected, changed = config.profile, config.table.get("selected"), " ".join(given(config))
    effort = f"perturbation methods: {profile.iterations} iterations, STEP's core term after {profile.core_start}"
    values = OmegaConf.to_container(config.table.get("settings") or OmegaConf.create(), resolve=True)
    fixed = "; ".join(f"{key} {_said(value)}" for key, value in values.items() if not (selected and key in SELECTED))
    return [
        f"explained class: {config.target}; {effort}; seed {config.seed}",
        *([f"fixed by the table: {fixed}"] if fixed else []),
        *([selected] if selected else []),
        *([f"given: {changed}"] if changed else []),
    ]


def given(config: DictConfig) -> list[str]:
    """Overrides of the command that may change what the table shows; those of Hydra's own keys are not among them."""
    names = {override: override.lstrip("+~").partition("=")[0] for override in config.hydra.overrides.task}
    return [o for o, name in names.items() if name not in SAID and name.partition(".")[0] not in NOT_WORTH_A_LINE]


def networks_used(outcomes: list[Outcome]) -> list[str]:
    """The networks that were explained on each data set, and their weights."""
    said: dict[str, set[str]] = {}
    for outcome in outcomes:
        if outcome.weights:
            weights = "random weights" if outcome.random else f"weights {outcome.weights}"
            said.setdefault(outcome.dataset, set()).add(f"{outcome.network} ({weights})")
    return [f"networks on {dataset}: {', '.join(sorted(names))}" for dataset, names in sorted(said.items())]


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
        listed = set(record.store(outcome).read_note(CLIPS).splitlines()) if cell.ran else set()
        there = listed & set(cell.rows["clip"])
        if there < listed:
            lacking.setdefault((len(there), len(listed)), []).append(cell.name)
    return [f"incomplete: {n} of {m} clips of {', '.join(names)}" for (n, m), names in sorted(lacking.items())]


def _said(value: object) -> str:
    """As in "r2plus1d 0.5, tsm 0.5"; what is inside another in brackets."""
    if not isinstance(value, dict):
        return str(value)
    inner = (f"({_said(v)})" if isinstance(v, dict) else _said(v) for v in value.values())
    return ", ".join(f"{k} {text}" for k, text in zip(value, inner, strict=True))
