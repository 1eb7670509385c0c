"""Picks the clips of each class that a table uses, by seed or by name."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol, TypeVar

from vxbench.errors import OutOfRange, UserError
from vxbench.ranges import one_of, whole

DRAWS = ("seeded", "first")


class Labelled(Protocol):
    """A clip, or its line in a list."""

    @property
    def id(self) -> str: ...

    @property
    def label(self) -> int: ...


Ref = TypeVar("Ref", bound=Labelled)


def choose(
    refs: Sequence[Ref],
    classes: Sequence[str],
    per_class: int | None,
    rule: str = "seeded",
    seed: int = 0,
    source: str = "this split",
) -> list[Ref]:
    """Draws `per_class` clips of each class that has any, all if it is None; sorted by id.

    rule: `seeded` ranks clips by a hash of seed and id, so that the draw is the same everywhere; `first` by id.
    source: the name, in messages, of what the clips are drawn from.

    Raises:
        UserError: there are no clips.
        OutOfRange: a class has fewer clips, or the rule is unknown.
    """
    one_of("draw", rule, DRAWS)
    if not refs:
        raise UserError(f"no clips in {source}; get the data set and its lists anew")
    if per_class is None:
        return sorted(refs, key=lambda ref: ref.id)
    whole("per_class", per_class, 1)
    by_class = defaultdict(list)
    for ref in refs:
        by_class[ref.label].append(ref)
    for label, members in by_class.items():
        if len(members) < per_class:
            few = f"{classes[label]} has only {counted(len(members), 'clip')} in {source}"
            raise OutOfRange(f"per_class = {per_class}, but {few}")
    key = (lambda ref: ref.id) if rule == "first" else (lambda ref: _rank(seed, ref.id))
    drawn = [ref for members in by_class.values() for ref in sorted(members, key=key)[:per_class]]
    return sorted(drawn, key=lambda ref: ref.id)


def describe(drawn: Sequence[Labelled], source: str, per_class: int | None, rule: str = "seeded", seed: int = 0) -> str:
    """One line on the clips `choose` took, such as "120 clips, 5 of each of the 24 classes of ..., drawn by seed 0"."""
    if per_class is None:
        return f"all {counted(len(drawn), 'clip')} of {source}"
    classes = counted(len({ref.label for ref in drawn}), "class")
    share = f"{counted(len(drawn), 'clip')}, {per_class} of each of the {classes} of {source}"
    return f"{share}, the first by name" if rule == "first" else f"{share}, drawn by seed {seed}"


def counted(number: int, noun: str) -> str:
    """Number and noun, such as "1 clip", "2 clips" or "3 classes"."""
    ending = "es" if noun.endswith("s") else "s"
    return f"{number} {noun}" if number == 1 else f"{number} {noun}{ending}"


def _rank(seed: int, id: str) -> str:
    return hashlib.sha256(f"{seed}/{id}".encode()).hexdigest()
