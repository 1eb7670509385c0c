"""TODO."""

import sys

from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from vxbench.config import check_choices, compose, options
from vxbench.errors import ClipError, NotApplicable, UserError, first_line
from vxbench.own_video.explain import run, warn

USAGE = (
    "python scripts/explain.py video=my.mp4 [model=tsm] [explainer=fep] [key=value ...], keys as in conf/explain.yaml"
)


def main(argv: list[str] | None = None) -> int:
    """Exit status 0: done; 1: it cannot be explained, one line says why; 2: the command could not be understood."""
    words = sys.argv[1:] if argv is None else argv
    if {"-h", "--help"} & set(words):
        print(USAGE)
        return 0
    try:
        config, choices = composed(words)
    except (UserError, HydraException, OmegaConfBaseException) as error:
        return _refused(error, 2)
    try:
        run(config, choices)
    except (UserError, ClipError, NotApplicable, OSError, HydraException, OmegaConfBaseException) as error:
        return _refused(error, 1)
    except KeyboardInterrupt:
        return _refused("stopped", 1)
    return 0


def _refused(why: Exception | str, status: int) -> int:
    warn(why if isinstance(why, str) else first_line(why))
    return status


def composed(words: list[str]) -> tuple[DictConfig, dict[str, str]]:
    """The config, and the group options chosen. Without `dataset=` the model is one of the classes it has weights for.

    Raises:
        UserError: no video, or an option that does not exist. HydraException: other words that make no config.
    """
    words = [_quoted(word) for word in words]
    check_choices(words)
    if not any(word.startswith("video=") for word in words):
        raise UserError(f"no video; {USAGE}")
    config = _compose(words)
    known = [labels for labels in config.weights if labels in options("dataset")]
    given = any(word.startswith("dataset=") for word in words)
    if known and not given and config.dataset.labels not in known:
        config = _compose([*words, f"dataset={known[0]}"])
    choices = dict(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
    return config, choices


def _compose(words: list[str]) -> DictConfig:
    return compose(words, "explain", with_hydra=True)


def _quoted(word: str) -> str:
    """Names of files and classes as they are, whatever Hydra's grammar makes of their characters."""
    key, _, value = word.partition("=")
    return f"{key}={QuotedString(value, Quote.single).with_quotes()}" if key in ("video", "target") else word
