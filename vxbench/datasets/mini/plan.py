"""Defines the plan of the mini data, which decides it down to the last pixel."""

from dataclasses import dataclass

from vxbench.ranges import one_of, whole

VERSION = 4  # raise it when what is drawn or written changes: data of another version are made anew
DATA_SETS = ("ucf101", "epic55", "kinetics400", "kinetics700")


@dataclass(frozen=True)
class Plan:
    """The data sets `only` (ucf101 brings ucf101_24 along), with so many clips of each class.

    Raises:
        OutOfRange: a number below its minimum, or an unknown data set.
    """

    seed: int = 0
    train_per_class: int = 60
    test_per_class: int = 10
    only: tuple[str, ...] = DATA_SETS
    version: int = VERSION

    def __post_init__(self):
        whole("seed", self.seed, 0)
        whole("train_per_class", self.train_per_class, 1)
        whole("test_per_class", self.test_per_class, 1)
        chosen = {one_of("only", name, DATA_SETS) for name in self.only}
        object.__setattr__(self, "only", tuple(name for name in DATA_SETS if name in chosen))
