"""Writes the tables of vxbench/models/weights/README.md from the records of the weights and from conf/experiment/."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vxbench.config import conf_dir, options
from vxbench.errors import UserError
from vxbench.files import write_whole
from vxbench.models.checkpoints import WEIGHTS

PAGE = WEIGHTS / "README.md"
TESTED_ON = ("shuffled", "still", "background")  # columns of controls
BLOCK = "<!-- {name}: made by `make docs`, do not edit -->\n"
END = "<!-- end of {name} -->"


def write_page(path: Path = PAGE) -> Path:
    """Brings the tables of the page at `path` up to date and returns it.

    Raises:
        UserError: the page lacks the place of a table.
    """
    write_whole(path, page(path.read_text(encoding="utf-8")).encode())
    return path


def page(text: str) -> str:
    """The page `text` with its tables made anew; what stands around them is kept.

    Raises:
        UserError: as write_page.
    """
    for name, lines in (("weights", accuracy_table()), ("experiments", experiment_table())):
        text = _replaced(text, name, "\n".join(lines))
    return text


def accuracy_table() -> Iterator[str]:
    """Lines of the table of accuracies: a row a file of weights, as its record states it."""
    yield f"| file | top-1 | top-5 | {' | '.join(TESTED_ON)} | test clips | data digest | digest |"
    yield f"|{'---|' * (6 + len(TESTED_ON))}"
    for record in records():
        scores = record["accuracy"]
        cells = [record["weights"], *(_percent(scores["test"][key]) for key in ("top1", "top5"))]
        cells += [_percent(scores[control]["top1"]) if control in scores else "" for control in TESTED_ON]
        yield f"| {' | '.join([*cells, str(record['test_clips']), record['data_digest'], record['digest']])} |"


def experiment_table() -> Iterator[str]:
    """Lines of the table of trainings: a row an experiment, as the comment at its head describes it."""
    yield "| `+experiment=` | what is trained |"
    yield "|---|---|"
    for name in options("experiment"):
        yield f"| `{name}` | {about(conf_dir() / 'experiment' / f'{name}.yaml')} |"


def records() -> list[dict[str, Any]]:
    """The records of all weights that ship, by their files' names."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(WEIGHTS.glob("*.json"))]


def about(path: Path) -> str:
    """The comment at the head of a file of conf/, without Hydra's own."""
    head = re.match(r"# @package .*\n((?:# .*\n)+)", path.read_text(encoding="utf-8"))
    return " ".join(line.removeprefix("# ") for line in head[1].splitlines()) if head else ""


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _replaced(text: str, name: str, table: str) -> str:
    begin, end = BLOCK.format(name=name), END.format(name=name)
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise UserError(f"{PAGE}: there is no place for the table of {name}: {begin.strip()} ... {end}")
    return f"{before}{begin}{table}\n{end}{after}"
