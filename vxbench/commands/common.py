"""Runs a command: its page of help, its exit status, and one line on stderr for whatever is wrong."""

import argparse
import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import NoReturn, TextIO

from vxbench.errors import ClipError, Missing, NotApplicable, NotUnderstood, UserError, printable
from vxbench.files import clear_scratch
from vxbench.stop import Stopped, check_stopped, stoppable

DONE, FAILED, NOT_UNDERSTOOD, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
STATUSES = f"""\
exit status:
  {DONE}  done
  {FAILED}  understood, but something failed or is missing
  {NOT_UNDERSTOOD}  the command line was not understood
  {INTERRUPTED}  stopped by Ctrl-C
  {TERMINATED}  stopped by SIGTERM"""
KEPT = "what was computed is kept, run again for the rest"
# Nothing is shown in a window: neither here nor in a worker, whatever a notebook or a desktop has set.
os.environ["MPLBACKEND"] = "Agg"
_by_us = False  # whether HYDRA_FULL_ERROR is set because Hydra runs, and not by the user


class Parser(argparse.ArgumentParser):
    """A command's parser, which raises NotUnderstood where argparse would print its usage and exit."""

    def parse_known_args(self, args=None, namespace=None):
        """Names an unknown option before argparse takes its value for a word of its own."""
        known = list(self._option_string_actions)
        for word in sys.argv[1:] if args is None else args:
            name = word.partition("=")[0]
            if name.startswith("--") and not any(option.startswith(name) for option in known):
                near = get_close_matches(name, known, n=1, cutoff=0.75)
                self.error(f"unrecognized arguments: {name}{f'; did you mean {near[0]}?' if near else ''}")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        raise NotUnderstood(f"{message}; {self.prog} --help says what there is")


class _Page(argparse.HelpFormatter):
    """Keeps the lines of the examples, and adds to an option its default where that says something."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith("examples:") else super()._fill_text(text, width, indent)

    def _get_help_string(self, action: argparse.Action) -> str:
        default = action.default
        if not action.option_strings or default is None or default is False or default == argparse.SUPPRESS:
            return action.help
        return f"{action.help} (default: {' '.join(default) if isinstance(default, (tuple, list)) else default})"


def parser(name: str, about: str, examples: Sequence[str]) -> Parser:
    """The parser of `vxbench <name>`, whose page says what it does and ends with examples and the exit statuses.

    examples: the words that follow `vxbench <name>`.
    """
    shown = "\n".join(f"  vxbench {name} {words}".rstrip() for words in examples)
    return Parser(
        prog=f"vxbench {name}", description=about, epilog=f"examples:\n{shown}\n\n{STATUSES}", formatter_class=_Page
    )


def add_overrides(page: Parser, config: str = "run", texts: Collection[str] = ()) -> None:
    """Lets key=value words set keys of conf/<config>.yaml; they become `overrides`. texts: see `mended`."""
    where = f"sets a key of conf/{config}.yaml, or picks an option of a group: a file of conf/<group>/"
    keys = f"`vxbench {config} --cfg job` prints all keys" if config != "explain" else "docs/explain.md has more"
    page.add_argument(
        "overrides", nargs="*", type=partial(override, texts=texts), metavar="key=value", help=f"{where}; {keys}"
    )


def override(word: str, texts: Collection[str] = ()) -> str:
    """The word, mended, if it may be an override of Hydra; argparse's error otherwise."""
    from vxbench.words import mended

    if not is_override(word):
        raise argparse.ArgumentTypeError(f"{word} is not key=value")
    return mended(word, texts)


def is_override(word: str) -> bool:
    """Whether a word sets a key or, with ~, takes one away."""
    return "=" in word or word.startswith("~")


def hydra_parser(name: str, about: str, examples: Sequence[str], config: str) -> Parser:
    """The parser of a command that Hydra runs on conf/<config>.yaml, with Hydra's options."""
    page = parser(name, about, examples)
    add_overrides(page, config)
    mode, hidden = page.add_mutually_exclusive_group(), {"help": argparse.SUPPRESS}
    mode.add_argument("-m", "--multirun", action="store_true", help="run every combination of values given with commas")
    mode.add_argument("-c", "--cfg", choices=("job", "hydra", "all"), help="print the config in place of running it")
    mode.add_argument("-i", "--info", nargs="?", const="all", metavar="WHAT", help="print what Hydra composes it from")
    mode.add_argument("-r", "--run", action="store_true", **hidden)
    mode.add_argument("-sc", "--shell-completion", action="store_true", **hidden)
    page.add_argument("-p", "--package", metavar="KEY", help="with --cfg: this node alone")
    page.add_argument("--resolve", action="store_true", help="with --cfg: interpolations resolved")
    page.add_argument("-cd", "--config-dir", metavar="FOLDER", help="a further folder of configs, of your own")
    page.add_argument("-cn", "--config-name", **hidden)
    page.add_argument("-cp", "--config-path", **hidden)
    page.add_argument("--experimental-rerun", **hidden)
    page.add_argument("--hydra-help", action="store_true", help="Hydra's own page of help")
    return page


def hydra_words(page: Parser, argv: Sequence[str] | None) -> list[str]:
    """The words of a command line, once its page has found each to be understood: overrides, then Hydra's options."""
    words = sys.argv[1:] if argv is None else list(argv)
    given = page.parse_intermixed_args(words)
    if given.resolve and not given.cfg:
        page.error("--resolve goes with --cfg alone")
    from vxbench.words import mended

    return [*given.overrides, *(word for word in words if mended(word) not in given.overrides)]


def composable(words: Sequence[str]) -> list[str]:
    """Overrides that compose what Hydra will run on these words: its folder of further configs as a search path."""
    overrides = [word for word in words if is_override(word) and not word.startswith("-")]
    flags = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    flags.add_argument("-cd", "--config-dir")
    folder = flags.parse_known_args([word for word in words if word not in overrides])[0].config_dir
    return [*overrides, *([f"hydra.searchpath=['file://{Path(folder).resolve()}']"] if folder else [])]


def run_hydra(task: Callable, config: str, words: Sequence[str]) -> None:
    """Has Hydra run a task, a function of a module, on conf/<config>.yaml under these words.

    Raises:
        HydraException, OmegaConfBaseException, NotUnderstood: words that fit nothing. Whatever a launcher raises.
    """
    import hydra

    from vxbench.config import check_choices, check_further, conf_dir, understood

    check_choices(words)
    check_further(words, composable(words), config)
    with _command_line(words), understood(words, config):
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=config)(task)()


@contextmanager
def _command_line(words: Sequence[str]) -> Iterator[None]:
    """Gives Hydra the words, and has it raise errors, where it would print several lines."""
    global _by_us
    before, _by_us = sys.argv, not show_traceback()
    sys.argv = [sys.argv[0], *words]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        sys.argv = before
        if _by_us:
            del os.environ["HYDRA_FULL_ERROR"]
        _by_us = False


def show_traceback() -> bool:
    """Whether the user asked, by HYDRA_FULL_ERROR, for the traceback of an error instead of its line."""
    return "HYDRA_FULL_ERROR" in os.environ and not _by_us


@contextmanager
def understanding(mistake: type[UserError] = UserError) -> Iterator[None]:
    """Makes a mistake that is raised in its block, where the command line is read, a NotUnderstood."""
    try:
        yield
    except mistake as error:
        raise NotUnderstood(str(error)) from error


def run_command(action: Callable[[], int | None], stopped: str = "") -> int:
    """The exit status of a command, DONE where its action returns none; a mistake is one line on stderr.

    stopped: what to tell the user who stops it, by Ctrl-C or a signal.
    """
    with stoppable(), _print_anything():
        clear_scratch()
        try:
            return _done(action)
        except SystemExit as ended:  # a page of help was printed
            return int(ended.code or DONE)
        except KeyboardInterrupt as error:
            clear_scratch()  # of workers that a launcher has killed
            status = error.status if isinstance(error, Stopped) else INTERRUPTED
            return refuse("; ".join(filter(None, [str(error) or "stopped", stopped])), status)
        except Exception as error:
            if isinstance(error.__cause__, UserError) and not isinstance(error, UserError):
                error = error.__cause__  # raised where Hydra resolved an interpolation
            status = _status_of(error)
            if status is None or show_traceback():
                raise
            return refuse(str(error) if isinstance(error, Missing) else one_line(error), status)


def _done(action: Callable[[], int | None]) -> int:
    try:
        return action() or DONE
    except Exception:
        check_stopped()  # the error may be what a library made of the signal
        raise


class _Printable:
    """A stream to which only text goes: a name in it commands no terminal. rich, which does, goes round it."""

    def __init__(self, stream: TextIO):
        self.rich_proxied_file = stream
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # signs that the terminal's encoding lacks

    def write(self, text: str) -> int:
        self.rich_proxied_file.write(printable(text))
        return len(text)

    def __getattr__(self, name: str):
        return getattr(self.rich_proxied_file, name)


@contextmanager
def _print_anything() -> Iterator[None]:
    """Lets any name be printed: what the terminal would not show, or would obey, by its number."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (stream if isinstance(stream, _Printable) else _Printable(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def _status_of(error: Exception) -> int | None:
    """None for an error that vxbench does not raise on purpose."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, (NotUnderstood, HydraException, OmegaConfBaseException)):
        return NOT_UNDERSTOOD
    return FAILED if isinstance(error, (UserError, ClipError, NotApplicable, OSError)) else None


def refuse(why: str, status: int = FAILED) -> int:
    """Says what is wrong, and returns the exit status."""
    print(f"error: {printable(why)}", file=sys.stderr, flush=True)
    return status


def one_line(error: Exception, last: bool = False) -> str:
    """The first two lines of an error's message: Hydra says what to do in its second.

    last: the last line too, which says what stopped a job whose output the message quotes.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join([*lines[:2], *(lines[2:][-1:] if last else [])]) or type(error).__name__
