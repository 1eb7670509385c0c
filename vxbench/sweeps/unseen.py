"""Checks that hyperparameters are chosen on clips that no table uses."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vxbench.config import build, compose
from vxbench.datasets.base import ClipRef
from vxbench.errors import UserError
from vxbench.ranges import one_of

PLACES = ("root", "videos", "cache")  # where a data set lies, not which of its clips are tested


@dataclass(frozen=True)
class Tables:
    """The tables of a profile, as described and under one more protocol. allow: see conf/run.yaml."""

    profile: str
    protocol: str
    allow: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: DictConfig) -> "Tables":
        return cls(config.profile.name, config.protocol.name, tuple(config.allow))

    def clips(self, name: str, protocol: str, settings: Mapping[str, Any]) -> list[ClipRef]:
        """Every clip that a table may take of data set `name`: the test split by the project's own settings, whole."""
        own = compose([f"profile={self.profile}", f"protocol={protocol}", f"dataset={name}"]).dataset
        own.update({key: settings[key] for key in PLACES if key in settings})
        if "per_class" in own:
            own.per_class = None
        return self.built(OmegaConf.to_container(own, resolve=True))

    def built(self, settings: Mapping[str, Any]) -> list[ClipRef]:
        """The clips of a data set under these settings."""
        return build(OmegaConf.create({"dataset": dict(settings), "allow": list(self.allow)}), "dataset").clips


def check_held_out(tables: Tables, name: str, settings: Mapping[str, Any]) -> list[ClipRef]:
    """The clips of data set `name` under these settings, none of which a table may be made of.

    Raises:
        OutOfRange: the split is not the training split.
        UserError: the data set cannot be read, or a clip shares frames with one that a table may be made of.
    """
    one_of("dataset.split", settings.get("split"), ("train",))
    clips = tables.built(settings)
    for protocol in dict.fromkeys(("described", tables.protocol)):
        common = overlapping(clips, tables.clips(name, protocol, settings))
        if common:
            raise UserError(
                f"{len(common)} of {len(clips)} clips of {name}, such as {common[0].id}, are test clips of a table "
                f"(protocol={protocol}); draw the test split as the tables do: without dataset.seed, dataset.lists, "
                "dataset.classes and their like"
            )
    return clips


def overlapping(clips: list[ClipRef], others: list[ClipRef]) -> list[ClipRef]:
    """Those of `clips` that share a frame with any of `others`."""
    taken = defaultdict(list)
    for other in others:
        taken[other.path].append(other.span)
    return [clip for clip in clips if any(_meet(clip.span, span) for span in taken[clip.path])]


def _meet(one: tuple[int, int] | None, other: tuple[int, int] | None) -> bool:
    """Whether two spans of one video share a frame; None is all of it."""
    return one is None or other is None or (one[0] < other[1] and other[0] < one[1])
