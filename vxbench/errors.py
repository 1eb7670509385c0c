"""Defines the errors that vxbench raises on purpose.

Each message is one line: what is wrong, where, what to do. Only `Missing` has more.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches

LISTED = 12  # known names in a message, where none is near
# What commands a terminal, hides a text or turns its order about: control characters, marks of direction, surrogates.
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
SHOWN = 5  # things that a message lists, one a line, before it says how many more there are


class UserError(Exception):
    """Something the user can mend: a value, a name, a missing file. Shown as one line, no traceback."""


class Missing(UserError):
    """Things that are not there: a line that stands for itself, then one for each of the first few, and a count."""

    def __init__(self, head: str, things: Iterable[str] = ()):
        super().__init__("\n".join([head, *few(things)]))


class NotUnderstood(UserError):
    """A command line with an option, a name or a value that there is not."""


class OutOfRange(UserError, ValueError):
    """A hyperparameter outside its range; the message names the key, the value and the range."""


class NotApplicable(Exception):
    """An explainer that has no meaning for this model; the table prints a dash and the reason."""


class ClipError(Exception):
    """One clip that cannot be used. The run records it and goes on.

    kind: one of KINDS, the word that results rows carry.
    """

    KINDS = ("missing", "undecodable", "no_annotation", "nan_map", "out_of_memory", "timeout", "error")

    def __init__(self, kind: str, message: str):
        if kind not in self.KINDS:
            raise ValueError(f"kind = {kind!r} is not one of {', '.join(self.KINDS)}")
        super().__init__(message)
        self.kind = kind
        self.message = message

    def __reduce__(self):
        return type(self), (self.kind, self.message)


def printable(text: str) -> str:
    """The text with what would not be seen as it is spelled out, as \\x1b; ends of lines and tabs stay."""
    return _UNSEEN.sub(lambda sign: sign[0].encode("unicode_escape", "surrogatepass").decode(), text)


def few(things: Iterable[str], indent: str = "  ") -> list[str]:
    """The first few things, one a line, and how many more there are."""
    things = list(things)
    more = [f"and {len(things) - SHOWN} more"] if len(things) > SHOWN else []
    return [indent + thing.replace("\n", f"\n{indent}") for thing in [*things[:SHOWN], *more]]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Suggests the nearest known names for a misspelt one: `; did you mean a, b?`, else `; there are a, b, c`."""
    known = list(known)
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    if near:
        return f"; did you mean {', '.join(near)}?"
    return f"; there are {', '.join(known[:LISTED])}{', ...' if len(known) > LISTED else ''}" if known else ""


def first_line(error: BaseException) -> str:
    """The first line of an error's message that says something."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].removesuffix(":") if lines else type(error).__name__
