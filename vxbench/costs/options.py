"""Checks the options that the parts of the benchmark share, before anything is timed."""

import argparse
from collections.abc import Iterable, Sequence

from vxbench.config import options
from vxbench.device import check_device
from vxbench.errors import NotUnderstood, did_you_mean
from vxbench.ranges import whole


def every_model() -> list[str]:
    """All models that need nothing from the user."""
    return [name for name in options("model") if name != "custom"]


def check_names(option: str, names: Iterable[str], known: Sequence[str]) -> None:
    """Raises NotUnderstood for a name that is not known."""
    for name in names:
        if name not in known:
            raise NotUnderstood(f"--{option} {name} is unknown{did_you_mean(name, known)}")


def check_counts(given: argparse.Namespace, *names: str) -> None:
    """Raises OutOfRange for an option that is below 1."""
    for name in names:
        whole(f"--{name}", getattr(given, name), 1)


def check_networks(given: argparse.Namespace, *counts: str) -> None:
    """Refuses what a timing of networks cannot be given: device, models and counts.

    Raises:
        UserError: the first that is wrong.
    """
    check_device(given.device)
    check_names("models", given.models, every_model())
    check_counts(given, "batch", *counts)
