"""Trains one network on one data set."""

from omegaconf import DictConfig

from vxbench.commands.common import hydra_parser, hydra_words, run_command, run_hydra

ABOUT = """\
Trains a network on a data set's training split, tests it on the other, and writes its weights and their record to
`export`. A run that was stopped goes on with resume=true. docs/models.md has more."""
EXAMPLES = (
    "model=tsm",
    "model=r2plus1d dataset=ucf101 recipe.epochs=40 resume=true",
    "profile=paper recipe=step init=kinetics400 device=cuda in_memory=false workers=8",
)
STOPPED = "resume=true goes on"


def main(argv: list[str] | None = None) -> int:
    """Runs `vxbench train`; its exit status."""
    page = hydra_parser("train", ABOUT, EXAMPLES, "train")
    return run_command(lambda: run_hydra(job, "train", hydra_words(page, argv)), STOPPED)


def job(config: DictConfig) -> None:
    """Hydra's task: one training. Its mistakes are said here, before Hydra adds lines of its own to them."""
    if status := run_command(lambda: _train(config), STOPPED):
        raise SystemExit(status)


def _train(config: DictConfig) -> None:
    from vxbench.training.train import train

    train(config)
