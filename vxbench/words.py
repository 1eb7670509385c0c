"""Reads words of a command line: names of files as they are, a line for each word that Hydra does not understand."""

import os
import re
from collections.abc import Callable, Collection

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException

from vxbench.errors import did_you_mean

# Nodes to which keys may be added, as whoever reads them refuses those that it does not know.
OPEN = re.compile(r"(model\.(network|overrides)|dataset|explainer|metric\.\w+|recipe\.\w+|hydra)\.")
_PARSER = OverridesParser.create()


def mended(word: str, texts: Collection[str] = ()) -> str:
    """The override, its value in quotes where it is a file's name that Hydra's grammar would read as something else.

    It is one where it names a file that is there, where a folder is asked for (`paths`), and where the grammar does not
    know what it is. texts: keys whose values are text whatever they look like.
    """
    key, sign, value = word.partition("=")
    if sign and (key in texts or _is_name(key, value, _parsed(word))):
        return f"{key}={quoted(value)}"
    return word


def quoted(text: str) -> str:
    """The text as it is, whatever Hydra's grammar makes of its characters."""
    return QuotedString(text.replace("${", r"\${"), Quote.single).with_quotes()


def _is_name(key: str, value: str, parsed: Override | None) -> bool:
    if parsed is None:
        return not re.fullmatch(r"\[.*\]|\{.*\}", value)
    read = parsed.value()
    if "${" in value:
        return os.path.exists(value)
    if read == value or isinstance(parsed._value, QuotedString) or value in ("", "null"):
        return False
    if os.path.exists(value):
        return parsed.is_sweep_override() or not isinstance(read, int | float)
    return key.lstrip("+").startswith("paths.") and "\\" not in value  # with which Hydra's own signs are escaped


def _parsed(word: str) -> Override | None:
    try:
        return _PARSER.parse_override(word)
    except HydraException:
        return None


def explained(error: HydraException, words: Collection[str], keys_of: Callable[[str], list[str]]) -> str | None:
    """One line on what is wrong with the words, in place of Hydra's advice; None where its own will do.

    keys_of: gives the keys that a node has, "" for the root.
    """
    if several := re.match(r"Ambiguous value for argument '(.*)'", str(error)):
        return _on_several(several[1])
    if unknown := re.match(r"Could not override '(.*?)'", str(error)):
        return _on_unknown(unknown[1], words, keys_of)
    return None


def _on_several(word: str) -> str:
    key, _, value = word.partition("=")
    listed = f", {key}=[{value}] is one list" if "." in key or key == "areas" else ""
    return f"{word} has several values: -m runs each{listed}, and a name with a comma is one in quotes: \"{key}='...'\""


def _on_unknown(key: str, words: Collection[str], keys_of: Callable[[str], list[str]]) -> str:
    """An unknown key is most often a misspelt one, which added to the config would be read by nobody."""
    word = next((word for word in words if word.partition("=")[0] == key), key)
    parent, _, name = key.rpartition(".")
    while parent and not keys_of(parent):  # it is misspelt itself
        parent, _, name = parent.rpartition(".")
    near = did_you_mean(name, dict.fromkeys(keys_of(parent)))
    added = f"; +{word} adds it" if OPEN.match(key) and "did you mean" not in near else ""
    return f"{word}: {parent or 'the config'} has no {name}{near}{added}"
