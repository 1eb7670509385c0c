"""Writes docs/choices.md: what the papers leave open, the default, the options and who follows which.

Three sources must agree: docs/choices.yaml says who does what, conf/ holds the defaults, and the code says which
values it accepts.
"""

import copy
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from vxbench.commands.common import DONE, FAILED, parser, refuse, run_command
from vxbench.config import build, compose
from vxbench.errors import UserError
from vxbench.files import write_whole

FILE = Path(__file__).parents[2] / "docs" / "choices.yaml"
ABOUT = """\
Writes docs/choices.md from docs/choices.yaml, conf/ and the code, and refuses to where these disagree. Writes
the tables of vxbench/models/weights/README.md from the records of the weights and conf/experiment."""
BOGUS = "no-such-option"
HEAD = """# Open choices

What the papers leave open or their code does otherwise: a key of the configuration, or a fact each model states; the
default comes first.
Made by `make docs` from docs/choices.yaml and conf/; do not edit.

{sources}
"""


@dataclass(frozen=True)
class Choice:
    """key: its name. at: the configuration's key, under the overrides `given`. options: value -> who does so.

    other: whether values beside the options are accepted.
    """

    key: str
    about: str
    options: dict[Any, str]
    at: str | None = None
    given: tuple[str, ...] = ()
    other: bool = False

    @property
    def config(self) -> DictConfig:
        return _composed(*self.given)

    @property
    def default(self) -> Any:
        value = OmegaConf.select(self.config, self.at)
        return str(OmegaConf.to_container(value)) if OmegaConf.is_config(value) else value

    @property
    def part(self) -> str:
        """The node of the configuration that is built: explainer, dataset or metric.<name>."""
        return ".".join(self.at.split(".")[: 2 if self.at.startswith("metric.") else 1])


def read(path: Path) -> list[Choice]:
    """The choices of a YAML file, in its order."""
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [
        Choice(key, e["about"], e["options"], e.get("at"), tuple(e.get("with", ())), e.get("other", False))
        for key, e in entries.items()
    ]


def problems(choice: Choice) -> list[str]:
    """What the choice's line says and conf/ or the code denies."""
    if choice.at is None:
        return []
    found = []
    if choice.default != next(iter(choice.options)):
        found.append(f"{choice.key}: conf has {choice.at} = {choice.default}, which is not its first option")
    accepted = None if choice.other else accepted_by_code(choice)
    if accepted and set(accepted) != {str(option) for option in choice.options}:
        found.append(f"{choice.key}: the code accepts {', '.join(accepted)}; the line says {list(choice.options)}")
    return found


def accepted_by_code(choice: Choice) -> list[str] | None:
    """What the code names when it refuses a value; None where it names no list, or is not built from that key alone."""
    if choice.part != "explainer" and not choice.part.startswith("metric."):
        return None
    config = copy.deepcopy(choice.config)
    OmegaConf.update(config, choice.at, BOGUS)
    try:
        build(config, choice.part)
    except UserError as error:
        listed = re.search(rf"{BOGUS} is not one of (.*)$", str(error))
        return listed.group(1).split(", ") if listed else None
    return None


def markdown(choices: list[Choice], sources: str) -> str:
    """The whole page."""
    lines = [HEAD.format(sources=sources), "| choice | key | options, default first | |", "| --- | --- | --- | --- |"]
    for choice in choices:
        options = [f"`{_said(value)}` {_cell(source)}" for value, source in choice.options.items()]
        options[0] = f"**{options[0].split('` ')[0]}`** {options[0].split('` ', 1)[1]}"
        others = "other values" if choice.other else ""
        where = f"`{choice.at}`" if choice.at else "the model's configuration"
        where += f" with `{' '.join(choice.given)}`" if choice.given else ""
        lines.append(f"| **{choice.key}** {choice.about} | {where} | {'<br>'.join(options)} | {others} |")
    return "\n".join(lines) + "\n"


def sources(path: Path) -> str:
    """The legend: the comment lines at the head of the file that name papers and code."""
    comments = [line[2:] for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("# ")]
    start = next(i for i, line in enumerate(comments) if line.startswith("[F]"))
    return "\n".join(comments[start:])


def main(argv: list[str] | None = None) -> int:
    """Runs `vxbench docs`; its exit status."""
    page = parser("docs", ABOUT, ("",))
    return run_command(lambda: _write() if page.parse_args(argv) else None)


def _write() -> int:
    if not FILE.is_file():
        raise UserError(f"{FILE} does not exist: this command writes the documents of a checkout")
    choices = read(FILE)
    for line in (wrong := [line for choice in choices for line in problems(choice)]):
        refuse(line)
    if wrong:
        return FAILED
    write_whole(FILE.with_suffix(".md"), markdown(choices, sources(FILE)).encode())
    print(f"wrote {FILE.with_suffix('.md')}: {len(choices)} choices")
    from vxbench.training.shipped import write_page

    print(f"wrote {write_page()}")
    return DONE


@cache
def _composed(*overrides: str) -> DictConfig:
    return compose(list(overrides))


def _said(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
