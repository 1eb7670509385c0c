"""Clips that cannot be read, and batches whose workers come to nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from vxbench.errors import ClipError, UserError
from vxbench.ranges import one_of

RULES = ("refuse", "leave_out")
NAMED = 5  # clips


@dataclass(frozen=True)
class Unreadable:
    """A clip that cannot be read, in place of its frames: an exception would not cross from a worker whole."""

    id: str
    error: ClipError


class LeftOut:
    """What becomes of clips that cannot be read. rule: `refuse` ends the run at the first; `leave_out` notes them.

    Raises:
        OutOfRange: another rule.
    """

    def __init__(self, rule: str = "refuse"):
        self.rule = one_of("unreadable", rule, RULES)
        self.ids: list[str] = []

    def sift(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """frames and labels of a batch as `collate` makes it.

        Raises:
            ClipError: a clip cannot be read and the rule is `refuse`.
        """
        for clip in batch["unreadable"]:
            if self.rule == "refuse":
                raise clip.error
            if clip.id not in self.ids:
                self.ids.append(clip.id)
                print(f"left out: {clip.id}: {clip.error.message}", flush=True)
        return {key: batch[key] for key in ("frames", "labels")}

    def record(self) -> dict[str, Any]:
        """Number and first names of the clips that were left out."""
        return {"clips": len(self.ids), "first": sorted(self.ids)[:NAMED]}


@contextmanager
def failing_workers() -> Iterator[None]:
    """A worker of torch's DataLoader that is killed or gives nothing in time is one line.

    Raises:
        UserError: that line.
    """
    try:
        yield
    except RuntimeError as error:
        said = str(error).partition("\n")[0]
        if not said.startswith("DataLoader "):
            raise
        raise UserError(
            f"decoding ended: {said.split('. ')[0]}; see timeout_s and the free memory; resume=true goes on"
        ) from error
