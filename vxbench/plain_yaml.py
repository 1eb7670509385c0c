"""Keeps the YAML files of configs to what a config may be: plain values, and no more of them than the file looks like.

A few lines of aliases of aliases stand for more values than there is memory, and OmegaConf copies each. What is wrong
with a file is one line, whoever has it read.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps

import yaml
from omegaconf import _utils

from vxbench.errors import NotUnderstood, first_line

VALUES = 100_000  # in a file, each counted as often as an alias repeats it; the largest of conf/ has some hundred


def keep_plain() -> None:
    """Has OmegaConf, and with it Hydra, read every file in this way."""
    if not hasattr(_utils.get_yaml_loader, "__wrapped__"):
        _utils.get_yaml_loader = _guarded(_utils.get_yaml_loader)


def _guarded(loader_of: Callable[[], type]) -> Callable[[], type]:
    @wraps(loader_of)
    def guarded() -> type:
        class Loader(loader_of()):
            def __init__(self, stream):
                with _one_line(getattr(stream, "name", "a config")):
                    super().__init__(stream)

            def get_single_node(self):
                node = super().get_single_node()
                _weight(node, {})
                return node

            def get_single_data(self):
                with _one_line(self.name):
                    return super().get_single_data()

        return Loader

    return guarded


@contextmanager
def _one_line(name: str) -> Iterator[None]:
    """Says what is wrong with a file, its name and the place in it."""
    try:
        yield
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise NotUnderstood(f"{name}, line {mark.line + 1}: {error.problem or error.context}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise NotUnderstood(f"{name}: {first_line(error)}") from error
    except RecursionError as error:
        raise NotUnderstood(f"{name}: its lists and mappings are too deep in one another") from error


def _weight(node: yaml.Node | None, known: dict[int, int]) -> int:
    """Counts the values of a node, repeated ones each time. known: weights of nodes that were counted, by identity."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        known[id(node)] = VALUES + 1  # so that one that holds itself is too heavy
        parts = [part for entry in node.value for part in (entry if isinstance(entry, tuple) else (entry,))]
        known[id(node)] = 1 + sum(_weight(part, known) for part in parts)
    if known[id(node)] > VALUES:
        raise yaml.MarkedYAMLError(problem=f"more than {VALUES} values, with aliases", problem_mark=node.start_mark)
    return known[id(node)]
