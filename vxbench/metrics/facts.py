"""Collects what every metric class declares of its keys, for tables, plots, sweeps and the page.

`vxbench.metrics` declares its own when it is imported, a metric from elsewhere when its module is.
"""

from dataclasses import dataclass, replace

from vxbench.errors import UserError
from vxbench.fact import Fact

ANY = "*"  # ends a key that stands for all keys of that beginning; in words it stands for the rest of the key


@dataclass(frozen=True)
class _Declared:
    fact: Fact
    by: str


_declared: dict[str, _Declared] = {}


def declare(metric: type) -> None:
    """Adds the facts of a metric class. One that is defined again under its own name replaces what it declared.

    Raises:
        UserError: a fact of a key that the class does not return, or one that another class declares otherwise.
    """
    by = f"{metric.__module__}.{metric.__qualname__}"
    facts = vars(metric).get("facts", {})
    for key, known in facts.items():
        if metric.keys and key not in metric.keys:
            raise UserError(f"{by} declares facts of {key!r}, which is none of its keys {', '.join(metric.keys)}")
        other = _declared.get(key)
        if other and other.by != by and other.fact != known:
            raise UserError(f"{by} and {other.by} declare {key!r} differently; give one of the two keys another name")
    _declared.update({key: _Declared(known, by) for key, known in facts.items()})


def fact(key: str) -> Fact:
    """What is declared of a key, by itself or by its longest beginning; else its name alone, without a direction."""
    if key in _declared:
        return _declared[key].fact
    fitting = [known for known in _declared if known.endswith(ANY) and key.startswith(known[:-1])]
    if not fitting:
        return Fact(name=key)
    longest = max(fitting, key=len)
    known, rest = _declared[longest].fact, key[len(longest) - 1 :]
    return replace(known, name=known.name.replace(ANY, rest), short=known.short.replace(ANY, rest))
