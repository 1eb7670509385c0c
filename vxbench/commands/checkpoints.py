"""Says which weights of the papers' networks are there, and fetches the others on demand."""

from collections.abc import Iterator

from omegaconf import DictConfig

from vxbench.commands.common import DONE, FAILED, Parser, add_overrides, parser, run_command, understanding
from vxbench.config import check_choices, compose, options
from vxbench.errors import UserError

ABOUT = """\
Prints a line for each checkpoint of the papers' networks: where it is, or where it is got and where it goes. Nothing is
fetched unless download=true."""
EXAMPLES = ("", "model=slowfast,tsm download=true", "paths.mirror=/shared/weights paths.checkpoints=/data/weights")


def main(argv: list[str] | None = None) -> int:
    """Runs `vxbench checkpoints`; its exit status."""
    return run_command(lambda: _checkpoints(_page().parse_intermixed_args(argv).overrides))


def _page() -> Parser:
    page = parser("checkpoints", ABOUT, EXAMPLES)
    add_overrides(page)
    return page


def _checkpoints(overrides: list[str]) -> int:
    check_choices(overrides)
    return DONE if all(list(_lines(overrides))) else FAILED


def _lines(overrides: list[str]) -> Iterator[bool]:
    """Prints the line of each checkpoint and gives whether it is there."""
    from vxbench.runner.weights import may_download

    named = [override.removeprefix("model=") for override in overrides if override.startswith("model=")]
    others = [override for override in overrides if not override.startswith("model=")]
    for model in ",".join(named).split(",") if named else options("model"):
        config = compose(["scale=paper", f"model={model}", *others])
        with understanding():
            download = may_download(config)
        for labels in config.weights:
            yield _there(f"{model} on {labels}", config, labels, download)


def _there(name: str, config: DictConfig, labels: str, download: bool) -> bool:
    from vxbench.models.fetch import obtain

    try:
        path = obtain(config.weights[labels], config.paths.get("mirror"), download)
    except UserError as error:
        print(f"{name}: {error}", flush=True)
        return False
    print(f"{name}: {path} is there", flush=True)
    return True
