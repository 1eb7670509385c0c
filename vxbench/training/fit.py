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
from mmengine.model import BaseModel
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import OPTIMIZERS
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader

from vxbench.errors import UserError, first_line
from vxbench.models import mmaction
from vxbench.models.classifier import Classifier, to_clip
from vxbench.runner.tracker import NoTracker
from vxbench.training.clips import SkippedClips, TrainingClips, batches, failing_workers
from vxbench.training.resume import Resumable, check_state

PRECISIONS = (False, "fp16", "bf16")


class Trainee(BaseModel):
    """Takes batches as `collate` makes them and gives the loss of what the classifier itself answers.

    So the function that is trained is the one that is explained, whatever network is inside.
    label_smoothing: this share of the target is spread evenly over all classes. left_out: takes the clips that cannot
    be read; None refuses them.
    """

    def __init__(self, classifier: Classifier, label_smoothing: float = 0.0, left_out: SkippedClips | None = None):
        super().__init__()
        self.classifier = classifier
        self.label_smoothing = label_smoothing
        self.left_out = left_out or SkippedClips()

    def init_weights(self) -> None:
        """The classifier has its weights already."""

    def train_step(self, data: dict[str, Any], optim_wrapper: OptimWrapper) -> dict[str, Tensor]:
        """One step.

        Raises:
            ClipError: a clip of the batch cannot be read.
            UserError: none of the batch can, nor those that stand in for them; or the loss is not finite.
        """
        readable = self.left_out.sift(data)
        if not len(readable["labels"]):
            raise UserError(f"no clip of a whole batch can be read: {data['unreadable'][0].error.message}")
        return super().train_step(readable, optim_wrapper)

    def forward(self, frames: Tensor, labels: Tensor, mode: str = "loss") -> dict[str, Tensor]:
        spec = self.classifier.input
        output = self.classifier(to_clip(frames, spec.mean, spec.std, frames.device)).float()
        loss = cross_entropy(output, labels, self.classifier.outputs, self.label_smoothing)
        if not loss.isfinite():
            raise UserError("the loss is not finite: lower recipe.optimizer.lr, or set amp=false")
        return {"loss": loss}


def cross_entropy(output: Tensor, labels: Tensor, outputs: str, smoothing: float) -> Tensor:
    """Mean over the batch of -sum_k t_k log p_k, t = (1 - smoothing) one-hot + smoothing / K.

    output: (B, K) `logits`, or `probs` that sum to 1.
    """
    tiny = torch.finfo(output.dtype).tiny
    log_p = output.clamp_min(tiny).log() if outputs == "probs" else output.log_softmax(dim=1)
    classes = output.shape[1]
    target = (1 - smoothing) * torch.nn.functional.one_hot(labels, classes) + smoothing / classes
    return -(target * log_p).sum(dim=1).mean()


class BF16OptimWrapper(OptimWrapper):
    """Forward passes in bfloat16, on the CPU too; mmengine's own wrapper asks for a GPU and scales the loss, which the
    range of bfloat16 does not need."""

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        device = next(model.parameters()).device.type
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield


@contextmanager
def sound_kernels(device: torch.device, amp: bool | str) -> Iterator[None]:
    """Without oneDNN where bf16 meets the CPU: of some shapes its weight gradients of 3D convolutions are garbage there
    (seen with torch 2.13 on a processor with avx512_bf16)."""
    before = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = before and not (amp == "bf16" and device.type == "cpu")
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = before


def optim_wrapper(optimizer: torch.optim.Optimizer, amp: bool | str) -> OptimWrapper:
    """The optimizer in float32, or with forward passes in fp16 (on a GPU) or bf16."""
    if amp == "fp16":
        return AmpOptimWrapper(optimizer=optimizer, dtype="float16")
    return (BF16OptimWrapper if amp == "bf16" else OptimWrapper)(optimizer=optimizer)


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
    left_out: SkippedClips | None = None,
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
    runner = _runner(trainee, training, how, [state, EpochReport(validate, how.epochs, tracker or NoTracker())])
    if how.resume and begun:
        runner.resume_from(state.path)
    with sound_kernels(next(classifier.parameters()).device, how.amp), failing_workers():
        runner.train()
    classifier.eval()
    return state.seconds


class EpochReport(Hook):
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
    mmaction.names_alone()
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
    except (KeyError, TypeError, ValueError, AssertionError, AttributeError, RuntimeError) as error:
        raise UserError(f"{key}: {first_line(error)}") from error
