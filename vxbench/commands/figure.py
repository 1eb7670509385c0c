"""`python scripts/figure.py fep_2 [overrides]`: figures of the papers; all of them when none is named."""

import argparse
import sys
import traceback
from importlib import import_module
from pathlib import Path

from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vxbench.config import check_choices, options
from vxbench.errors import ClipError, NotApplicable, UserError, did_you_mean, first_line
from vxbench.figures.common import composed

MISTAKES = (UserError, ClipError, NotApplicable, HydraException, OmegaConfBaseException)


def main(argv: list[str] | None = None) -> None:
    """Entry point. Exit status 0: all made; 1: some could not be; 2: the command could not be understood."""
    words = _parser().parse_args(argv).words
    overrides = [word for word in words if "=" in word]
    try:
        keys = wanted([word for word in words if "=" not in word])
        check_choices(overrides)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    made = [make(key, overrides) for key in keys]
    sys.exit(0 if all(made) else 1)


def wanted(keys: list[str]) -> list[str]:
    """The figures asked for, or all that there are.

    Raises:
        UserError: no such figure; the message names the nearest.
    """
    known = options("figure")
    for key in keys:
        if key not in known:
            raise UserError(f"figure {key} does not exist{did_you_mean(key, known)}")
    return keys or known


def make(key: str, overrides: list[str]) -> bool:
    """Makes one figure and names its files; says in one line why it cannot be made. Returns whether it was."""
    config = None
    try:
        config = composed(key, overrides)
        paths = import_module(f"vxbench.figures.{key}").make(config)
    except MISTAKES as error:
        print(f"error: {key}: {first_line(error)}", file=sys.stderr, flush=True)
        return False
    except Exception as error:
        note = f" (see {_trace(key, config)})" if config is not None else ""
        print(f"error: {key}: {type(error).__name__}: {first_line(error)}{note}", file=sys.stderr, flush=True)
        return False
    print("\n".join(f"wrote {path}" for path in paths), flush=True)
    return True


def _trace(key: str, config: DictConfig) -> Path:
    """Where the traceback of the exception at hand was written."""
    path = Path(config.paths.results) / "figures" / f"{key}.traceback.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(traceback.format_exc())
    return path


def _parser() -> argparse.ArgumentParser:
    known = ", ".join(options("figure"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", metavar="figure | key=value", help=f"figures ({known}) and overrides")
    return parser
