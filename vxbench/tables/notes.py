"""Writes what stands below a table: how to read it, every clip and cell without a number, settings, doubts."""

from collections import Counter

from vxbench.errors import SHOWN
from vxbench.tables.orders import Orders, orders
from vxbench.tables.published import Blank, Value, display_names, doubts
from vxbench.tables.render.text import counted, doubt, interval, number, span
from vxbench.tables.results import CellResult, RunInfo
from vxbench.tables.statistics import LEVEL, MIN_RANKED, RESAMPLES, SEED, least_p
from vxbench.tables.table import STATES, Column, Entry, Row, Table

NAMED = 3  # reversed orders, or cells, named in a line before it says how many more


def real_differences(table: Table) -> list[str]:
    """One line a column: its rows from the best on, numbered, and which of them are really ahead of which."""
    lines = []
    for index, column in enumerate(table.columns):
        ahead = _ahead(table, index)
        if ahead:
            lines.append(f"{column.name}: {_ranked(table, ahead)}. {_who_leads(ahead) or _nobody(table, index)}")
    return lines


def _ahead(table: Table, index: int) -> dict[str, set[str]]:
    """{row: the rows it is really ahead of} of the rows compared in a column, the best mean first."""
    better = table.columns[index].higher_is_better
    pairs = [pair for pair in table.pairs if pair.column == index]
    means = {row: table.entries[row][index].estimate.mean for pair in pairs for row in (pair.a, pair.b)}
    found = {row: set() for row in sorted(means, key=means.get, reverse=bool(better))}
    for pair in pairs:
        leader = pair.ahead(better)
        if leader:
            found[leader].add(pair.b if leader == pair.a else pair.a)
    return found


def _ranked(table: Table, ahead: dict[str, set[str]]) -> str:
    names = {row.key: row.display for row in table.rows}
    return ", ".join(f"{place} {names[row]}" for place, row in enumerate(ahead, 1))


def _who_leads(ahead: dict[str, set[str]]) -> str:
    """ "Ahead: 1 of 3–8; 2, 3 of 6–8.", or "" where no row leads another."""
    places = {row: place for place, row in enumerate(ahead, 1)}
    leaders: dict[str, list[int]] = {}
    for row, behind in ahead.items():
        if behind:
            leaders.setdefault(span(sorted(places[other] for other in behind)), []).append(places[row])
    if not leaders:
        return ""
    return "Ahead: " + "; ".join(f"{span(rows)} of {behind}" for behind, rows in leaders.items()) + "."


def _nobody(table: Table, index: int) -> str:
    """Why no row leads: nothing to see, or too few clips to see it, whatever their values."""
    pairs = [pair for pair in table.pairs if pair.column == index]
    clips = max(pair.difference.n for pair in pairs)
    if least_p(clips) * len(pairs) < 1 - LEVEL:
        return "None is ahead of another."
    return f"No telling: {counted(clips, 'clip')} cannot decide {counted(len(pairs), 'pair')}."


def printed_orders(table: Table) -> list[str]:
    """One line a column, and one for all of them: how many orders the paper prints and what became of them."""
    if not table.pairs:
        return []
    found = {index: orders(table, index) for index, column in enumerate(table.columns) if column.compared}
    found = {index: those for index, those in found.items() if those.printed}
    lines = [f"{table.columns[index].name}: {_counts([those], _named(table, those))}" for index, those in found.items()]
    return lines if len(lines) < 2 else [*lines, f"All columns: {_counts(list(found.values()))}"]


def _named(table: Table, those: Orders) -> str:
    """Which orders are reversed, in brackets."""
    names = {row.key: row.display for row in table.rows}
    named = [f"{names[a]} before {names[b]}" for a, b in those.reversed[:NAMED]]
    more = [f"{len(those.reversed) - NAMED} more"] if len(those.reversed) > NAMED else []
    return f" ({', '.join(named + more)})" if named else ""


def _counts(found: list[Orders], named: str = "") -> str:
    count = {name: sum(len(getattr(those, name)) for those in found) for name in vars(found[0])}
    missing = f", {count['missing']} not measured" if count["missing"] else ""
    return (
        f"{sum(count.values())} printed; {count['confirmed']} confirmed, {count['reversed']} reversed{named}, "
        f"{count['undecided']} undecided{missing}"
    )


def either_assignment(table: Table) -> list[str]:
    """Two rows whose names the paper's text lost, each beside both printed numbers."""
    names = {row.key: row.display for row in table.rows}
    lines = []
    for index, column in enumerate(table.columns):
        for row, other in zip(table.layout.either, reversed(table.layout.either), strict=True):
            own, exchanged = table.entries[row][index], table.entries[other][index]
            if own.measured and own.published:
                beside = _both(table, column, own, own.published, exchanged.published)
                lines.append(f"{column.name}, {names[row]}: {beside}")
    return lines


def _both(table: Table, column: Column, own: Entry, assigned: Value, exchanged: Value) -> str:
    decimals = column.decimals
    measured = f"{number(own.estimate.mean, decimals)} {interval(own, decimals)}"
    printed = (number(value.value, decimals) for value in (assigned, exchanged))
    return "{}; printed {} as assigned, {} if exchanged".format(measured, *printed)


PROTOCOLS = {
    "described": "scored as the papers describe it",
    "released": "boxes and pointing games as STEP's authors' evaluation code has them, defects included; other metrics "
    "do not depend on it",
}


def notes(table: Table, cells: list[CellResult], strangers: list[CellResult]) -> list[tuple[str, list[str]]]:
    """[(heading, lines)], no section empty. cells: those in the table; strangers: those with no place."""
    ran = [cell for cell in cells if cell.ran]
    sections = [
        ("How to read it", _reading(table)),
        (f"Differences that are real (p < {1 - LEVEL:.2g}, corrected)", real_differences(table)),
        ("The paper's orders", printed_orders(table)),
        ("Either assignment of the two rows in doubt", either_assignment(table)),
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


def _protocol(profile: RunInfo) -> str:
    return f"protocol = {profile.protocol}: {PROTOCOLS.get(profile.protocol, 'defined elsewhere')}"


def _reading(table: Table) -> list[str]:
    lines = [
        f"Mean over clips with its {LEVEL:.0%} interval: percentile bootstrap, {RESAMPLES:,} resamples of "
        f"the clips, seed {SEED}. On how many clips: the line 'clips (n)', unless the cell says it.",
        f"Best value bold, second best underlined, by the values as shown and {_ranked_rows(table)}; "
        "ties share the mark.",
        *([_beside(table)] if table.layout.printed else []),
        *_comparing(table),
        _metrics(table),
    ]
    described = table.profile.described
    lines += dict.fromkeys(described[column.metric] for column in table.columns if column.metric in described)
    if table.layout.ratios_to:
        lines.append(_ratios(table))
    return lines


def _ranked_rows(table: Table) -> str:
    return "among the paper's rows only" if table.layout.printed else "without the controls"


def _beside(table: Table) -> str:
    beside = "Beside it the paper's number and, in brackets, measured minus paper"
    if not table.profile.comparable:
        text = f"{beside}. The two are not comparable: the paper's stands for the ranking only."
    else:
        text = f"{beside}; ✓ the paper's number lies in the interval, ✗ it does not (both as shown)."
    printed = [entry.published for row in table.rows for entry in table.entries[row.key] if entry.published]
    signs = {doubt(value) for value in printed}
    text += " † a printed number in doubt, see below." if "†" in signs else ""
    return text + (" ‡ one in doubt that is marked and not scored." if "‡" in signs else "")


def _comparing(table: Table) -> list[str]:
    """How rows are ranked and told apart."""
    ranking = (
        "Kendall's τ below the rows: tau-b between the measured and the paper's column over the paper's rows, "
        f"with its {LEVEL:.0%} interval from the same resamples of the clips for all rows, widened to τ where that "
        f"lies outside; rows that are not scored are left out; a dash where fewer than {MIN_RANKED} are left or a "
        "column is constant."
    )
    printed = "A printed order is confirmed or reversed where a real difference says so, else undecided. "
    differences = (
        f"A difference of two rows is real where p < {1 - LEVEL:.2g}, corrected for all pairs of the column (Holm). "
        "Over the clips common to both, p is the larger of the paired bootstrap's and of that of Fisher's "
        "randomisation test, which exchanges the two rows' values clip by clip: in all 2^k ways for k clips that "
        f"differ, or in {RESAMPLES:,} drawn ones where these are fewer. So p is at least 2^(1−k). Rows are numbered "
        f"from the best mean on, equal ones in the order of the table. {printed if table.layout.printed else ''}"
        "All pairs: the file that ends in _pairs.csv."
    )
    return [*([ranking] if table.layout.printed else []), *([differences] if table.pairs else [])]


def _ratios(table: Table) -> str:
    name = table.layout.rows[table.layout.ratios_to]
    return (
        f"Seconds depend on the machine: they are not scored, the ratios to {name} are. A ratio is one of means over "
        "the common clips, its interval from the same resamples for both."
    )


def _metrics(table: Table) -> str:
    """The unit, said once where all columns share it, and each metric in words with its direction."""
    columns = {column.metric: column for column in table.columns if not column.ratio_to}
    units = {column.unit for column in columns.values()}
    texts = [_metric(table, column, with_unit=len(units) > 1) for column in columns.values()]
    head = f"In {_many(*units)}. " if len(units) == 1 and any(units) else ""
    return f"{head}{'; '.join(texts)}."


def _metric(table: Table, column: Column, with_unit: bool) -> str:
    """ "DC: Drop in Confidence, in percent (lower is better)"."""
    known = table.spec.fact(column.metric)
    short = f"{known.short}: " if known.short else ""
    unit = f", in {_many(column.unit)}" if with_unit and column.unit else ""
    better = {True: " (higher is better)", False: " (lower is better)", None: ", without a direction"}
    return f"{short}{known.name}{unit}{better[column.higher_is_better]}"


def _many(unit: str) -> str:
    return {"fraction": "fractions"}.get(unit, unit)


def _clips(table: Table, ran: list[CellResult]) -> list[str]:
    """A line a data set, and below it one for each clip that failed, the first few of each kind."""
    failures: dict[tuple[str, str, str], list[CellResult]] = {}
    for cell in ran:
        for clip, reason in zip(cell.failures["clip"], cell.failures["reason"], strict=True):
            failures.setdefault((cell.dataset, clip, reason), []).append(cell)
    lines = []
    for dataset in sorted({cell.dataset for cell in ran}):
        there = [cell for cell in ran if cell.dataset == dataset]
        mine = sorted(key for key in failures if key[0] == dataset)
        lines.append(_count_line(dataset, there, mine))
        named = {key: f"{key[1]}: {key[2]} ({_where(failures[key], there)})" for key in mine}
        lines += _few_of_each_kind(named)
    return lines


def _few_of_each_kind(named: dict[tuple[str, str, str], str]) -> list[str]:
    """The lines, by (data set, clip, reason); of many failures of one kind the first few, and how many more."""
    by_kind: dict[str, list[str]] = {}
    for (_, _, reason), line in named.items():
        by_kind.setdefault(reason.split(":")[0], []).append(line)
    shown = {line for lines in by_kind.values() for line in lines[:SHOWN]}
    more = [f"and {len(lines) - SHOWN} more: {kind}" for kind, lines in by_kind.items() if len(lines) > SHOWN]
    return [line for line in named.values() if line in shown] + more


def _count_line(dataset: str, there: list[CellResult], failed: list[tuple[str, str, str]]) -> str:
    clips = {clip for cell in there for clip in cell.rows["clip"]}
    kinds = Counter(kind for kind, _ in {(reason.split(":")[0], clip) for _, clip, reason in failed})
    counts = ", ".join(f"{kinds[kind]} {kind}" for kind in sorted(kinds))
    lost = f"{len({clip for _, clip, _ in failed})} failed: {counts}" if failed else "none failed"
    return f"{dataset}: {counted(len(clips), 'clip')} in {counted(len(there), 'cell')}; {lost}."


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
        clips = counted(len({clip for clip, _ in found}), "clip")
        lines.append(f"{metric}: {clips} skipped, {reason} ({_where(cells, there)})")
    return lines


def _degenerate(table: Table) -> list[str]:
    lines = {}
    for row in table.rows:
        for column, entry in zip(table.columns, table.entries[row.key], strict=True):
            if entry.degenerate:
                where, maps = _place(table, row, column), entry.estimate.n + entry.estimate.skipped
                lines.setdefault(where, f"{where}: {entry.degenerate} of {counted(maps, 'map')} constant")
    return list(lines.values())


def _empty(table: Table) -> list[str]:
    """One line per cell of the run and reason, however many columns it leaves empty."""
    lines = {}
    for row in table.rows:
        entries = table.entries[row.key]
        everywhere = len({(entry.state, entry.reason) for entry in entries}) == 1
        for column, entry in zip(table.columns, entries, strict=True):
            if not (entry.measured or entry.blank):  # blanks have lines of their own
                where = row.display if everywhere else _place(table, row, column)
                reason = "" if entry.reason == STATES[entry.state] else f" ({entry.reason})"
                lines[f"{where}: {STATES[entry.state]}{reason}"] = None
    return list(lines)


def _blanks(table: Table) -> list[str]:
    """One line per cell of the run that the paper leaves blank, and what stands there."""
    lines: dict[tuple[str, str], str] = {}
    columns = {(c.dataset, c.metric, c.model): i for i, c in enumerate(table.columns)}
    for (row, model, dataset, metric), blank in table.layout.blanks.items():
        entry = table.entries[row][columns[dataset, metric, model]]
        found = "Measured here" if entry.measured else _instead(entry, blank)
        where = f"{table.layout.rows[row]} on {_model(model)}"
        lines.setdefault((where, found), f"{where}: the paper prints {blank.printed!r}; {blank.reason}. {found}")
    return list(lines.values())


def _instead(entry: Entry, blank: Blank) -> str:
    if entry.reason == blank.reason:
        return "Not run here, for the same reason"
    return f"Here: {STATES[entry.state]} ({entry.reason})"


def _place(table: Table, row: Row, column: Column) -> str:
    many = len({other.dataset for other in table.columns}) > 1
    dataset = f", {_dataset(column.dataset)}" if many else ""
    return f"{row.display} on {_model(column.model)}{dataset}" if column.model else f"{row.display}{dataset}"


def _model(key: str) -> str:
    return display_names("models").get(key, key)


def _dataset(key: str) -> str:
    return display_names("datasets").get(key, key)
