"""What stands below a table: how to read it, every clip and cell without a number, settings, doubts."""

from collections import Counter

from vxbench.report.cells import CellResult, Profile
from vxbench.report.published import display_names, doubts
from vxbench.report.statistics import LEVEL, MIN_RANKED, RESAMPLES, SEED
from vxbench.report.table import STATES, Column, Row, Table

ABBREVIATIONS = {
    "dc": "DC: ",
    "accuracy": "Acc.: ",
    "stc": "STC: ",
    "area_above_tau": "Area ≥ τ: ",
    "s_pt": "S-PT: ",
    "t_pt": "T-PT: ",
    "deletion": "del.: ",
    "insertion": "ins.: ",
}
NAMED = 3  # cells named in a line before it says how many more
STC_NORMS = {
    "recall": "the share of the boxes' pixels where the map is at least τ",
    "precision": "the share of the map's pixels of at least τ that lie in a box",
    "iou": "intersection over union of the boxes and the map's pixels of at least τ",
    "count": "the number of box pixels where the map is at least τ",
}
PROTOCOLS = {
    "described": "scored as the papers describe it",
    "released": "scored as the authors' released code does it, its defects included",
}


def notes(table: Table, cells: list[CellResult], strangers: list[CellResult]) -> list[tuple[str, list[str]]]:
    """[(heading, lines)], no section empty. cells: those in the table; strangers: those with no place."""
    ran = [cell for cell in cells if cell.ran]
    sections = [
        ("How to read it", _reading(table)),
        ("Clips", _clips(table, ran)),
        ("Clips without a value", _skipped(ran)),
        ("Degenerate maps", _degenerate(table)),
        ("Cells without a number", _empty(table)),
        ("Printed without a number", _blanks(table)),
        ("Settings", [_protocol(table.profile), *table.profile.settings]),
        ("Doubts about the printed numbers", doubts(table.key)),
        ("Given but not in this table", [cell.name for cell in strangers]),
    ]
    return [(heading, lines) for heading, lines in sections if lines]


def _protocol(profile: Profile) -> str:
    return f"protocol = {profile.protocol}: {PROTOCOLS.get(profile.protocol, 'defined elsewhere')}"


def _reading(table: Table) -> list[str]:
    lines = [
        f"Mean over clips with its {LEVEL:.0%} interval: percentile bootstrap, {RESAMPLES:,} resamples of "
        f"the clips, seed {SEED}. On how many clips: the line 'clips (n)', unless the cell says it.",
        "Best value bold, second best underlined, by the values as shown and among the paper's rows only; "
        "ties share the mark.",
        _beside(table),
        "Kendall's τ in the last line: tau-b between the measured and the paper's column over the paper's "
        f"rows; a dash where fewer than {MIN_RANKED} rows can be compared or a column is constant.",
        _metrics(table),
    ]
    if any(column.metric == "stc" for column in table.columns):
        lines.append(_stc(table))
    return lines


def _beside(table: Table) -> str:
    beside = "Beside it the paper's number and, in brackets, measured minus paper"
    doubtful = "; † a printed number in doubt, see below" if _has_doubt(table) else ""
    if not table.profile.comparable:
        return f"{beside}. The two are not comparable: the paper's stands for the ranking only{doubtful}."
    return f"{beside}; ✓ the paper's number lies in the interval, ✗ it does not (both as shown){doubtful}."


def _has_doubt(table: Table) -> bool:
    entries = [entry for row in table.rows for entry in table.entries[row.key]]
    return any(entry.published and "doubt=" in entry.published.note for entry in entries)


def _metrics(table: Table) -> str:
    """The unit, and each metric in words with its direction."""
    names = display_names("metrics") | {"area_above_tau": "share of the map at or above τ, without a direction"}
    texts = {}
    for column in table.columns:
        arrow = {True: " (higher is better)", False: " (lower is better)", None: ""}[column.higher_is_better]
        texts[column.metric] = ABBREVIATIONS.get(column.metric, "") + names[column.metric] + arrow
    unit = {"percent": "percent", "fraction": "fractions", "seconds": "seconds"}[table.layout.unit]
    return f"In {unit}. {'; '.join(texts.values())}."


def _stc(table: Table) -> str:
    profile = table.profile
    what = STC_NORMS.get(profile.stc_norm, profile.stc_norm)
    line = f"STC = {what}, τ = {profile.stc_tau:g} (norm = {profile.stc_norm}; the paper states no divisor)."
    if profile.stc_norm == "recall":
        line += " A map of ones scores 100, so read it with the column beside it."
    return line


def _clips(table: Table, ran: list[CellResult]) -> list[str]:
    failures: dict[tuple[str, str, str], list[CellResult]] = {}
    for cell in ran:
        for clip, reason in zip(cell.failures["clip"], cell.failures["reason"], strict=True):
            failures.setdefault((cell.dataset, clip, reason), []).append(cell)
    lines = []
    for dataset in sorted({cell.dataset for cell in ran}):
        there = [cell for cell in ran if cell.dataset == dataset]
        lines.append(_count_line(dataset, there, [key for key in failures if key[0] == dataset]))
        for key in sorted(key for key in failures if key[0] == dataset):
            lines.append(f"{key[1]}: {key[2]} ({_where(failures[key], there)})")
    return lines


def _count_line(dataset: str, there: list[CellResult], failed: list[tuple[str, str, str]]) -> str:
    clips = {clip for cell in there for clip in cell.rows["clip"]}
    kinds = Counter(kind for kind, _ in {(reason.split(":")[0], clip) for _, clip, reason in failed})
    counts = ", ".join(f"{kinds[kind]} {kind}" for kind in sorted(kinds))
    lost = f"{len({clip for _, clip, _ in failed})} failed: {counts}" if failed else "none failed"
    return f"{dataset}: {len(clips)} clips in {len(there)} cells; {lost}."


def _where(cells: list[CellResult], there: list[CellResult]) -> str:
    if len(cells) == len(there):
        return "the only cell" if len(there) == 1 else f"all {len(there)} cells"
    named = ", ".join(f"{cell.row} on {cell.model}" for cell in cells[:NAMED])
    more = f" and {len(cells) - NAMED} more" if len(cells) > NAMED else ""
    return f"{len(cells)} of {len(there)} cells: {named}{more}"


def _skipped(ran: list[CellResult]) -> list[str]:
    """One line per metric and reason: NaN is left out of the mean, and said."""
    groups: dict[tuple[str, str, str], list[tuple[str, CellResult]]] = {}
    for cell in ran:
        lost = cell.scored[cell.scored["value"].isna()]
        for clip, metric, reason in zip(lost["clip"], lost["metric"], lost["reason"], strict=True):
            groups.setdefault((cell.dataset, metric, reason or "no reason given"), []).append((clip, cell))
    lines = []
    for (dataset, metric, reason), found in sorted(groups.items(), key=lambda item: item[0]):
        cells = list({id(cell): cell for _, cell in found}.values())
        there = [cell for cell in ran if cell.dataset == dataset]
        clips = len({clip for clip, _ in found})
        lines.append(f"{metric}: {clips} clip{'s' * (clips > 1)} skipped, {reason} ({_where(cells, there)})")
    return lines


def _degenerate(table: Table) -> list[str]:
    lines = {}
    for row in table.rows:
        for column, entry in zip(table.columns, table.entries[row.key], strict=True):
            if entry.degenerate:
                where, maps = _place(table, row, column), entry.estimate.n + entry.estimate.skipped
                lines.setdefault(where, f"{where}: {entry.degenerate} of {maps} maps constant")
    return list(lines.values())


def _empty(table: Table) -> list[str]:
    """One line per cell of the run and reason, however many columns it leaves empty."""
    lines = {}
    for row in table.rows:
        entries = table.entries[row.key]
        everywhere = len({(entry.state, entry.reason) for entry in entries}) == 1
        for column, entry in zip(table.columns, entries, strict=True):
            if not entry.measured:
                where = row.display if everywhere else _place(table, row, column)
                reason = "" if entry.reason == STATES[entry.state] else f" ({entry.reason})"
                lines[f"{where}: {STATES[entry.state]}{reason}"] = None
    return list(lines)


def _blanks(table: Table) -> list[str]:
    lines = {}
    for (row, model, _, _), blank in table.layout.blanks.items():
        where = f"{table.layout.rows[row]} on {_model(model)}"
        lines[f"{where}: the paper prints {blank.printed!r}; {blank.reason}"] = None
    return list(lines)


def _place(table: Table, row: Row, column: Column) -> str:
    many = len({other.dataset for other in table.columns}) > 1
    dataset = f", {_dataset(column.dataset)}" if many else ""
    return f"{row.display} on {_model(column.model)}{dataset}" if column.model else f"{row.display}{dataset}"


def _model(key: str) -> str:
    return display_names("models").get(key, key)


def _dataset(key: str) -> str:
    return display_names("datasets").get(key, key)
