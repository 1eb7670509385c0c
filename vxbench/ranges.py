"""Checks hyperparameters. A check returns the value, or raises OutOfRange with the key, the value and the range."""

import re
from collections.abc import Iterable
from numbers import Real
from pathlib import Path

from vxbench.errors import OutOfRange


def within(key: str, value: float, low: float, high: float) -> float:
    """The value, if low <= value <= high."""
    if not _is_number(value) or not low <= value <= high:
        raise OutOfRange(f"{key} = {value} is outside [{low:g}, {high:g}]")
    return value


def above(key: str, value: float, low: float) -> float:
    """The value, if it is finite and above low."""
    if not _is_number(value) or not value > low or value == float("inf"):
        raise OutOfRange(f"{key} = {value} is outside ({low:g}, inf)")
    return value


def whole(key: str, value: int, low: int, high: int | None = None) -> int:
    """The value, if it is an integer with low <= value (<= high)."""
    upper = "inf)" if high is None else f"{high}]"
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        raise OutOfRange(f"{key} = {value} is not a whole number in [{low}, {upper}")
    return value


def one_of(key: str, value, options: Iterable):
    """The value, if it is among the options."""
    options = list(options)
    if value not in options:
        raise OutOfRange(f"{key} = {value} is not one of {', '.join(map(str, options))}")
    return value


def local(key: str, path: str | Path) -> Path:
    """The path, if it is no address: nothing but weights is read over the network."""
    if re.match(r"[a-z][a-z0-9+.-]*://", str(path), re.IGNORECASE):
        raise OutOfRange(f"{key} = {path} is an address, which is not read; download it, and give the file or folder")
    return Path(path)


def _is_number(value) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and value == value
