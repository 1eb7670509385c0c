"""Training of a classifier through mmengine's Runner, and the record of what came out.

A control takes away what the class ought to be read from; a model trained and tested on it must be near
chance, or the class leaks from elsewhere. `shuffled`: the frames of each clip in random order. `still`: the
first frame of each clip alone. `background`: the mini clips drawn without their actors.
"""

import json
import platform
import time
from functools import partial
from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vxbench.datasets.base import VideoDataset
from vxbench.models.checkpoints import digest, load_body, locate
from vxbench.models.classifier import Classifier
from vxbench.models.preprocess import to_clip
from vxbench.models.train_data import TestClips, TrainingClips, collate
from vxbench.models.train_readers import backgrounds, videos
from vxbench.ranges import above, one_of, whole
from vxbench.runner.config import build

CONTROLS = ("shuffled", "still", "background")


def train(cfg: DictConfig) -> dict:
    """Trains cfg.model on the training split, tests the final weights, writes them to cfg.export; the record.

    With cfg.control the model is trained and tested on the control, and nothing is exported.

    Raises:
        UserError: the data or a setting is wrong.
        ClipError: a video is missing or damaged.
    """
    _check(cfg)
    torch.set_num_threads(cfg.threads)
    classifier = build(cfg, "model", checkpoint=None, seed=cfg.seed)
    if cfg.init:
        load_body(classifier.recognizer, cfg.init)
    train_set, test_set = (build(cfg, "dataset", split=split) for split in ("train", "test"))
    began = time.perf_counter()
    fit(classifier, _training_clips(cfg, train_set), _test_clips(cfg, test_set, cfg.control), cfg)
    seconds = time.perf_counter() - began
    scores = {}
    for control in _tested_on(cfg):
        of = _test_clips(cfg, test_set, control)
        scores[control or "test"] = accuracy(classifier, of.clips, of.labels)
    record = _record(cfg, scores, seconds, train_set, test_set)
    if cfg.export and not cfg.control:
        export(classifier, locate(cfg.export), record)
    print(json.dumps(record, indent=1))
    return record


def fit(classifier: Classifier, training: TrainingClips, validation: TestClips, cfg: DictConfig) -> None:
    """Fits the recognizer in place by one cycle of AdamW; the final weights stay, not the best."""
    from mmengine.runner import Runner

    batches = partial(_batches, cfg=cfg, is_2d=classifier.is_2d)
    steps = len(training) // cfg.batch_size * cfg.epochs
    cycle = {"type": "OneCycleLR", "eta_max": cfg.lr, "total_steps": steps, "pct_start": cfg.warmup}
    runner = Runner(
        model=classifier.recognizer,  # the Runner moves it to the accelerator, if there is one
        work_dir=HydraConfig.get().runtime.output_dir,
        train_dataloader=batches(training, shuffle=True),
        val_dataloader=batches(validation, shuffle=False),
        train_cfg={"by_epoch": True, "max_epochs": cfg.epochs, "val_interval": max(1, cfg.epochs // 6)},
        val_cfg={},
        val_evaluator={"type": "AccMetric", "metric_options": {"top_k_accuracy": {"topk": (1,)}}},
        optim_wrapper={"optimizer": {"type": "AdamW", "lr": cfg.lr, "weight_decay": cfg.weight_decay}},
        param_scheduler=[cycle | {"by_epoch": False}],
        default_hooks={"checkpoint": None, "logger": None},
        randomness={"seed": cfg.seed},
        default_scope="mmaction",
        custom_hooks=[_progress()],
        log_level="ERROR",  # it would list the machine, its hooks and every setting
    )
    runner.train()
    classifier.eval()


def _progress():
    """A hook that prints a line after each validation."""
    from mmengine.hooks import Hook

    class Progress(Hook):
        def after_val_epoch(self, runner, metrics=None):
            loss = runner.message_hub.get_scalar("train/loss").mean(30)
            print(f"epoch {runner.epoch:3d}  loss {loss:.3f}  accuracy {metrics['acc/top1']:.3f}", flush=True)

    return Progress()


def _batches(clips: TrainingClips | TestClips, shuffle: bool, cfg: DictConfig, is_2d: bool) -> dict:
    return {
        "dataset": clips,
        "batch_size": cfg.batch_size,
        "num_workers": cfg.workers if shuffle else 0,
        "drop_last": shuffle,
        "sampler": {"type": "DefaultSampler", "shuffle": shuffle},
        "collate_fn": partial(collate, is_2d=is_2d),
    }


@torch.no_grad()
def accuracy(classifier: Classifier, clips, labels, batch_size: int = 16) -> float:
    """Share of uint8 clips (N, T, H, W, 3) whose largest logit is their label's."""
    device = next(classifier.parameters()).device
    spec = classifier.input
    right = 0
    for start in range(0, len(clips), batch_size):
        clip = to_clip(clips[start : start + batch_size], spec.mean, spec.std, device)
        label = torch.as_tensor(labels[start : start + batch_size], device=device)
        right += (classifier(clip).argmax(dim=1) == label).sum().item()
    return right / len(clips)


def export(classifier: Classifier, path: Path, record: dict) -> None:
    """Writes the recognizer's float32 weights as safetensors, and beside them the record as JSON."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    weights = classifier.recognizer.state_dict()
    save_file({name: value.cpu().contiguous() for name, value in weights.items()}, path)
    path.chmod(0o644)  # safetensors makes it readable by its owner only
    record = {"weights": path.name, "digest": digest(path), **record}
    path.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n")


def _check(cfg: DictConfig) -> None:
    one_of("control", cfg.control, (None, *CONTROLS))
    for key in ("threads", "epochs", "batch_size"):
        whole(key, cfg[key], 1)
    whole("workers", cfg.workers, 0)
    above("lr", cfg.lr, 0)
    if cfg.export:
        one_of("the ending of export", locate(cfg.export).suffix, (".safetensors",))


def _tested_on(cfg: DictConfig) -> tuple:
    """Its own control, or the test split as it is and under every control that the data set can have."""
    return (cfg.control,) if cfg.control else (None, *cfg.test_controls)


def _reader(cfg: DictConfig, dataset: VideoDataset, control: str | None):
    if control == "background":
        return backgrounds(dataset.spatial, cfg.dataset.root)
    return videos(dataset)


def _training_clips(cfg: DictConfig, dataset: VideoDataset) -> TrainingClips:
    read = _reader(cfg, dataset, cfg.control)
    frames = cfg.model.input.frames
    return TrainingClips(dataset.clips, read, frames, cfg.control, cfg.in_memory)


def _test_clips(cfg: DictConfig, dataset: VideoDataset, control: str | None) -> TestClips:
    read = _reader(cfg, dataset, control)
    return TestClips(dataset.clips, read, dataset.pick, control)


def _record(cfg: DictConfig, scores: dict, seconds: float, train_set: VideoDataset, test_set: VideoDataset) -> dict:
    """What a reader must know to trust the weights, or to make them again."""
    return {
        "command": " ".join(["python scripts/train.py", *HydraConfig.get().overrides.task]),
        "control": cfg.control,
        "accuracy": scores,
        "train_clips": len(train_set.clips),
        "test_clips": len(test_set.clips),
        "data_digest": test_set.digest(),
        "seed": cfg.seed,
        "epochs": cfg.epochs,
        "wall_seconds": round(seconds),
        "threads": cfg.threads,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "licence": "Apache-2.0",
    }
