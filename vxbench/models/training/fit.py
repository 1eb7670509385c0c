"""Fitting a classifier through mmengine's Runner."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import torch
from mmengine.dataset import DefaultSampler
from mmengine.hooks import Hook
from mmengine.registry import OPTIMIZERS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from vxbench.errors import UserError
from vxbench.models.classifier import Classifier
from vxbench.models.training.clips import TrainingClips, batches
from vxbench.models.training.resume import Resumable, check_state
from vxbench.models.training.trainee import Trainee, optim_wrapper, sound_kernels
from vxbench.models.training.unreadable import LeftOut, failing_workers
from vxbench.runner.config import first_line
from vxbench.runner.tracker import NoTracker

VALIDATIONS = 6  # about so many in a run
_RUNS = count()


@dataclass(frozen=True)
class Fit:
    """How to fit.

    optimizer, param_scheduler: as mmengine takes them. trainable: parts of the names of the weights that are trained,
    empty for all. amp: False | fp16 | bf16. timeout_s: for a batch of the workers, 0 for no limit. settings: what a run
    must have in common with the one it resumes, or whose state it replaces.
    """

    work_dir: Path
    epochs: int
    batch_size: int
    optimizer: Mapping[str, Any]
    param_scheduler: list[Mapping[str, Any]] = field(default_factory=list)
    label_smoothing: float = 0.0
    trainable: tuple[str, ...] = ()
    amp: bool | str = False
    workers: int = 0
    timeout_s: float = 0
    seed: int = 0
    resume: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


Validate = Callable[[], dict[str, float | None]]


def fit(
    classifier: Classifier,
    training: TrainingClips,
    validate: Validate,
    how: Fit,
    tracker=None,
    left_out: LeftOut | None = None,
) -> float:
    """Fits the classifier in place, on the device it is on; the last epoch's weights stay, not the best.

    validate() gives the scores that are printed and tracked. left_out: takes the clips that cannot be read; None
    refuses them. Returns the seconds, with those of the run it resumes.

    Raises:
        UserError: a setting that mmengine refuses, too few clips, workers that fail, or a state that does not belong to
            this run.
        ClipError: a clip cannot be read.
    """
    if len(training) < how.batch_size:
        raise UserError(f"recipe.batch_size = {how.batch_size} but there are only {len(training)} clips to train on")
    _freeze(classifier, how.trainable)
    state = Resumable(how.work_dir, how.settings)
    if begun := state.path.exists():
        check_state(state.path, how.settings)
    trainee = Trainee(classifier, how.label_smoothing, left_out)
    runner = _runner(trainee, training, how, [state, Progress(validate, how.epochs, tracker or NoTracker())])
    if how.resume and begun:
        runner.resume_from(state.path)
    with sound_kernels(next(classifier.parameters()).device, how.amp), failing_workers():
        runner.train()
    classifier.eval()
    return state.seconds


class Progress(Hook):
    """After each epoch tells the tracker, and about VALIDATIONS times a run validates and prints a line."""

    def __init__(self, validate: Validate, epochs: int, tracker):
        self.validate, self.epochs, self.tracker = validate, epochs, tracker
        self.interval = max(1, epochs // VALIDATIONS)

    def after_train_epoch(self, runner) -> None:
        epoch = runner.epoch + 1
        loss = runner.message_hub.get_scalar("train/loss").mean(30)
        values = {"epoch": epoch, "train/loss": float(loss), "lr": runner.optim_wrapper.get_lr()["lr"][0]}
        if epoch % self.interval == 0 or epoch == self.epochs:
            scores = {key: value for key, value in self.validate().items() if value is not None}
            values |= {f"test/{key}": value for key, value in scores.items()}
            shown = "  ".join(f"{key} {value:.3f}" for key, value in scores.items())
            print(f"epoch {epoch:3d}  loss {loss:.3f}  {shown}", flush=True)
        self.tracker.log(values)


class _Runner(Runner):
    """mmengine's Runner on the device the model is on; its own choice is a GPU wherever there is one."""

    def wrap_model(self, model_wrapper_cfg, model):
        return model

    def resume_from(self, path: Path) -> None:
        self._load_from, self._resume = str(path), True

    def resume(self, filename: str, **options) -> None:
        try:
            super().resume(filename, **options | {"map_location": "cpu"})  # random states belong there
        except (RuntimeError, KeyError, ValueError) as error:  # weights or an optimizer of another shape
            raise UserError(f"{filename} is of another model: {first_line(error)}; give another work_dir") from error

    def load_checkpoint(self, filename: str, map_location: str, **options) -> dict:
        return super().load_checkpoint(filename, map_location, **options | {"strict": True})


def _runner(trainee: Trainee, training: TrainingClips, how: Fit, hooks: list[Hook]) -> _Runner:
    device = next(trainee.parameters()).device
    trainee = trainee.to(device)
    with _refused("recipe.optimizer"):
        optimizer = OPTIMIZERS.build({**how.optimizer, "params": trainee.parameters()})
    runner = _Runner(
        model=trainee,
        work_dir=str(how.work_dir),
        train_dataloader=_batches(training, how, device),
        train_cfg={"by_epoch": True, "max_epochs": how.epochs},
        optim_wrapper=optim_wrapper(optimizer, how.amp),
        default_hooks={"checkpoint": None, "logger": None},
        custom_hooks=hooks,
        randomness={"seed": how.seed},
        default_scope="mmaction",
        experiment_name=f"{trainee.classifier.key}-{next(_RUNS)}",  # two runs of one process share nothing
        log_level="ERROR",  # it would list the machine, its hooks and every setting
    )
    _ = runner.train_loop  # built before the schedules: its length is what they stretch over
    with _refused("recipe.param_scheduler"):
        runner.param_schedulers = runner.build_param_scheduler([dict(part) for part in how.param_scheduler])
    return runner


def _batches(clips: TrainingClips, how: Fit, device: torch.device) -> DataLoader:
    """Not mmengine's own loader: that one seeds its workers alike in every epoch, which repeats the augmentation."""
    order = DefaultSampler(clips, shuffle=True, seed=how.seed)
    options = {"sampler": order, "drop_last": True, "pin_memory": device.type == "cuda"}
    return batches(clips, how.batch_size, how.workers, how.timeout_s, **options)


def _freeze(classifier: Classifier, trainable: tuple[str, ...]) -> None:
    """Only weights whose name holds one of these parts are trained."""
    names = [name for name, _ in classifier.named_parameters()]
    for part in trainable:
        if not any(part in name for name in names):
            raise UserError(f"recipe.trainable names {part}, which no weight of {classifier.key} has in its name")
    for name, weight in classifier.named_parameters():
        weight.requires_grad_(not trainable or any(part in name for part in trainable))


@contextmanager
def _refused(key: str) -> Iterator[None]:
    """What mmengine and torch refuse is the user's setting."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AssertionError, AttributeError) as error:
        raise UserError(f"{key}: {first_line(error)}") from error
