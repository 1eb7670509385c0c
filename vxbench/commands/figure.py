"""Makes figures of the papers."""

import traceback
from importlib import import_module
from pathlib import Path

from omegaconf import DictConfig

from vxbench.commands.common import DONE, FAILED, Parser, is_override, one_line, override, parser, refuse, run_command
from vxbench.config import check_choices, options
from vxbench.errors import ClipError, NotApplicable, NotUnderstood, UserError, did_you_mean, first_line
from vxbench.files import check_writable, write_whole

ABOUT = """\
Makes figures of the papers in results/figures/: those named, else all. Each computes the maps that it shows; fep_4 and
fep_5 draw what a table and a sweep left. The config is that of `vxbench run +figure=<name>`."""
EXAMPLES = ("", "fep_2 fep_6", "fep_6 figure.clip=<id> model=tsm", "aosa_4 profile=smoke")


def main(argv: list[str] | None = None) -> int:
    """Runs `vxbench figure`; its exit status."""
    return run_command(lambda: _figures(_page().parse_intermixed_args(argv).words))


def _page() -> Parser:
    page, known = parser("figure", ABOUT, EXAMPLES), ", ".join(options("figure"))
    keys = "keys of conf/run.yaml, and `figure.<key>` of conf/figure/<name>.yaml"
    page.add_argument("words", nargs="*", metavar="figure | key=value", help=f"{known}; overrides of {keys}")
    return page


def _figures(words: list[str]) -> int:
    from vxbench.figures.common import composed, files_of

    overrides = [override(word) for word in words if is_override(word)]
    keys = wanted([word for word in words if not is_override(word)])
    check_choices(overrides)
    configs = {key: composed(key, overrides) for key in keys}
    for config in configs.values():
        check_writable("paths.results", *files_of(config))
    made = [make(key, config) for key, config in configs.items()]
    return DONE if all(made) else FAILED


def wanted(keys: list[str]) -> list[str]:
    """The figures asked for, or all that there are.

    Raises:
        NotUnderstood: no such figure; the message names the nearest.
    """
    known = options("figure")
    for key in keys:
        if key not in known:
            raise NotUnderstood(f"figure {key} does not exist{did_you_mean(key, known)}")
    return keys or known


def make(key: str, config: DictConfig) -> bool:
    """Makes one figure and names its files; says in one line why it cannot be made. Returns whether it was."""
    try:
        paths = draw(config)
    except (UserError, ClipError, NotApplicable) as error:
        refuse(f"{key}: {first_line(error)}")
        return False
    except Exception as error:
        refuse(f"{key}: {type(error).__name__}: {one_line(error)} (see {_trace(key, config)})")
        return False
    print("\n".join(f"wrote {path}" for path in paths), flush=True)
    return True


def draw(config: DictConfig) -> list[Path]:
    """Makes the figure of a config by the module of its key, or the one that `figure.draw` names; the files written."""
    name = config.figure.get("draw", config.figure.key)
    return import_module(f"vxbench.figures.{name}").make(config)


def _trace(key: str, config: DictConfig) -> Path:
    """The file to which the traceback of the exception at hand was written."""
    path = Path(config.paths.results) / "figures" / f"{key}.traceback.txt"
    write_whole(path, traceback.format_exc().encode(errors="backslashreplace"))
    return path
