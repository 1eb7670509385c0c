"""Which clips of each class a table uses."""

import hashlib
from collections import defaultdict

from vxbench.datasets.base import ClipRef
from vxbench.errors import OutOfRange
from vxbench.ranges import one_of, whole

DRAWS = ("seeded", "first")


def draw(
    refs: list[ClipRef], classes: list[str], per_class: int | None, rule: str = "seeded", seed: int = 0
) -> list[ClipRef]:
    """`per_class` clips of each class, or all if it is None; sorted by id.

    rule: `seeded` ranks clips by a hash of seed and id, so that the draw is the same everywhere; `first` by id.

    Raises:
        OutOfRange: a class has fewer clips, or the rule is unknown.
    """
    one_of("draw", rule, DRAWS)
    if per_class is None:
        return sorted(refs, key=lambda ref: ref.id)
    whole("per_class", per_class, 1)
    by_class = defaultdict(list)
    for ref in refs:
        by_class[ref.label].append(ref)
    for label, members in by_class.items():
        if len(members) < per_class:
            few = f"{classes[label]} has only {len(members)} clips in this split"
            raise OutOfRange(f"per_class = {per_class}, but {few}")
    key = (lambda ref: ref.id) if rule == "first" else (lambda ref: _rank(seed, ref.id))
    drawn = [ref for members in by_class.values() for ref in sorted(members, key=key)[:per_class]]
    return sorted(drawn, key=lambda ref: ref.id)


def _rank(seed: int, id: str) -> str:
    return hashlib.sha256(f"{seed}/{id}".encode()).hexdigest()
