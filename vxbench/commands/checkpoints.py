"""`python scripts/checkpoints.py`: which checkpoints of conf/weights are there, and those that are not, fetched."""

import sys
from collections.abc import Iterator

from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from vxbench.config import check_choices, compose, options
from vxbench.errors import UserError, first_line
from vxbench.models.fetch import obtain
from vxbench.runner.weights import may_download


def main(argv: list[str] | None = None) -> int:
    """Prints a line a checkpoint. Exit status 0: all are there; 1: some are not; 2: wrong arguments.

    argv: overrides, such as `model=slowfast` for one model's, `download=true`, `paths.mirror=<folder or http(s) root>`.
    """
    overrides = sys.argv[1:] if argv is None else argv
    try:
        check_choices(overrides)
        there = list(_lines(overrides))
    except (UserError, HydraException, OmegaConfBaseException) as error:
        print(f"error: {first_line(error)}", file=sys.stderr)
        return 2
    return 0 if all(there) else 1


def _lines(overrides: list[str]) -> Iterator[bool]:
    """Prints the line of each checkpoint and gives whether it is there."""
    named = [override.removeprefix("model=") for override in overrides if override.startswith("model=")]
    others = [override for override in overrides if not override.startswith("model=")]
    for model in ",".join(named).split(",") if named else options("model"):
        config = _composed(["scale=paper", f"model={model}", *others])
        download = may_download(config)
        for labels in config.weights:
            yield _there(f"{model} on {labels}", config, labels, download)


def _composed(overrides: list[str]) -> DictConfig:
    return compose(overrides)


def _there(name: str, config: DictConfig, labels: str, download: bool) -> bool:
    try:
        path = obtain(config.weights[labels], config.paths.get("mirror"), download)
    except UserError as error:
        print(f"{name}: {error}", flush=True)
        return False
    print(f"{name}: {path} is there", flush=True)
    return True
