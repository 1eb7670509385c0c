"""Writes a table as LaTeX: an environment with one tabular a block. It needs booktabs and graphicx."""

import re
from itertools import groupby

from vxbench.errors import printable
from vxbench.tables.render.text import beside, block_title, blocks, interval, last_lines, number, sample
from vxbench.tables.table import STATES, Row, Table

PREAMBLE = r"\usepackage{booktabs,graphicx}"
MARKS = {"": "{}", "best": r"\textbf{{{}}}", "second": r"\underline{{{}}}"}
# Scales a tabular that is wider than the text, and no other.
SHRINK = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
LONG_NOTES = ("Clips", "Clips without a value", "Given but not in this table")  # listed in the .md and .csv
COUNT = re.compile(r"[^:]+: \d+ clips? (in \d+ cells?;|skipped,)")  # in a long note the line that counts
SIGNS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$", "|": r"$|$",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "τ": r"$\tau$", "Δ": r"$\Delta$", "≥": r"$\geq$",
    "≤": r"$\leq$", "−": "$-$", "–": "--", "✓": r"$\surd$", "✗": r"$\times$", "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "·": r"$\cdot$", "×": r"$\times$",
}  # fmt: skip


def render(table: Table) -> str:
    """The table environment, to be read in with \\input."""
    lines = [
        f"% {_name(table.key)}, profile {_name(table.profile.name)}. In the preamble: {PREAMBLE}",
        r"\begin{table}[t]",
        r"\centering",
        rf"\caption{{{' '.join(escape(line) + '.' for line in (table.title, table.subtitle) if line)}}}",
        rf"\label{{tab:{_name(table.key).replace('_', '-')}}}",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{3pt}",
    ]
    for indices in blocks(table):
        lines += [SHRINK, *_tabular(table, indices), r"}\par\medskip"]
    return "\n".join([*lines, *_notes(table), r"\end{table}", ""])


def escape(text: str) -> str:
    """Text on one line with everything special to LaTeX spelled out, signs outside ASCII included."""
    return "".join(SIGNS.get(sign, sign) for sign in printable(" ".join(str(text).split())))


def _tabular(table: Table, indices: list[int]) -> list[str]:
    columns = "".join("r" * len(_pair(table, i, "", "")) for i in indices)
    lines = [rf"\begin{{tabular}}{{@{{}}l{columns}@{{}}}}", r"\toprule", *_head(table, indices), r"\midrule"]
    lines += [_line(table, row, indices) for row in table.main]
    for kind in ("added", "control"):
        rows = [_line(table, row, indices) for row in table.of_kind(kind)]
        lines += [r"\midrule", *rows] if rows else []
    lines.append(r"\midrule")
    for name, texts in last_lines(table):
        cells = [cell for i in indices for cell in _pair(table, i, escape(texts[i]), "")]
        lines.append(_row([escape(name), *cells]))
    return [*lines, r"\bottomrule", r"\end{tabular}"]


def _head(table: Table, indices: list[int]) -> list[str]:
    """The groups over a rule each, then the columns."""
    first, rules, at = [""], [], 2
    for name, group in groupby(indices, key=lambda i: table.columns[i].group):
        width = sum(len(_pair(table, i, "", "")) for i in group)
        first.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(name)}}}")
        rules.append(rf"\cmidrule(lr){{{at}-{at + width - 1}}}")
        at += width
    second = ["Method" if table.layout.rows_are == "methods" else "Model"]
    second += [cell for i in indices for cell in _pair(table, i, escape(table.columns[i].heading), "paper")]
    grouped = block_title(table, indices) or len(first) > 2
    return [_row(first), "".join(rules), _row(second)] if grouped else [_row(second)]


def _line(table: Table, row: Row, indices: list[int]) -> str:
    cells = [escape(row.display)]
    for i in indices:
        entry, column = table.entries[row.key][i], table.columns[i]
        own = escape(STATES.get(entry.state, ""))
        if entry.measured:
            mean = MARKS[entry.mark].format(escape(number(entry.estimate.mean, column.decimals)))
            spread = escape(interval(entry, column.decimals) + sample(column, entry))
            own = rf"{mean} {{\scriptsize {spread}}}"
        cells += _pair(table, i, own, escape(beside(column, entry)))
    return _row(cells)


def _pair(table: Table, index: int, own: str, paper: str) -> list[str]:
    return [own, paper] if table.columns[index].printed else [own]


def _row(cells: list[str]) -> str:
    r"""A line of a tabular; a [ or * at its head would be taken for an argument of the \\ before it."""
    guard = "{}" if cells[0].startswith(("[", "*")) else ""
    return guard + " & ".join(cells) + r" \\"


def _name(key: str) -> str:
    """A key where LaTeX takes no escapes: in a comment or a label."""
    return re.sub(r"[^\w.-]+", "-", key)


def _notes(table: Table) -> list[str]:
    """The notes as running text; of the lists of clips only the count."""
    lines = [r"\begin{minipage}{\linewidth}\scriptsize"]
    for title, entries in table.notes:
        shown = [e for e in entries if COUNT.match(e)] if title in LONG_NOTES else entries
        if shown:
            lines.append(rf"\textit{{{escape(title)}.}} {escape(' '.join(map(_sentence, shown)))}\par")
    return [*lines, r"\end{minipage}"]


def _sentence(line: str) -> str:
    return line if line.endswith((".", "!", "?")) else line + "."
