"""Defines the calling convention of all classifiers: clip (B, 3, T, H, W) in, logits (B, K) out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from vxbench.datasets.view import RESIZES, check_crop
from vxbench.errors import UserError
from vxbench.ranges import above, one_of, whole

OUTPUTS = ("logits", "probs")


@dataclass(frozen=True)
class InputSpec:
    """The clips that a classifier expects.

    frames, height, width: the clip's size. mean, std: per RGB channel, in units of 0-255.
    resize: `squash` to height x width, or `crop`: the short side to short_side, or the whole frame to full
    (width, height), then the centre.
    sampling, interval: which frames of a video, see datasets.view.Sampler.
    """

    frames: int
    height: int
    width: int
    mean: Sequence[float]
    std: Sequence[float]
    resize: str = "squash"
    short_side: int | None = None
    sampling: str = "centre"
    interval: int = 1
    full: Sequence[int] | None = None

    def __post_init__(self):
        for key in ("frames", "height", "width"):
            whole(f"input.{key}", getattr(self, key), 1)
        for key in ("mean", "std"):
            object.__setattr__(self, key, _per_channel(key, getattr(self, key)))
        for value in self.std:
            above("input.std", value, 0)
        if one_of("input.resize", self.resize, RESIZES) == "crop":
            check_crop(self.width, self.height, self.short_side, self.full, prefix="input.")


def _per_channel(key: str, values: Sequence[float]) -> tuple[float, ...]:
    if len(values) != 3:
        raise UserError(f"model.input.{key} has {len(values)} values, not one for each of R, G, B")
    return tuple(float(value) for value in values)


class Classifier(nn.Module):
    """An mmaction2 recognizer, or any other network, in eval mode, that takes clips and returns logits.

    mmaction2's 2D recognizers get (B, T, 3, H, W), its 3D ones (B, 1, 3, T, H, W), other networks the clip as it is;
    that difference stays in here. forward takes float32 clips normalised by input.mean and input.std; `to_clip` makes
    them.

    outputs: `logits`, or `probs` for a network that gives probabilities; None takes the network's attribute of that
        name, logits where it has none, which `outputs_said` tells apart.
    key, display: its names in results and in tables.
    cam_layer: dotted name of the layer that class activation maps read, or None. cam_layers: {name: dotted name} of
        layers that it may be.
    cam_layout: how the axes of cam_layer lie, a key of explainers.cam.activations.LAYOUTS, and token_order: how its
        tokens do, where it gives those of all frames together. None: not said; see `to_grid` there.
    stages: [{name: [dotted names of modules]}, ...] from the head down, as the sanity check randomises them.
    attention: {temporal, spatial: patterns of the names of its attention modules}, or None.
    checkpoint: the file the weights came from, None if they are random. checkpoint_digest: their short SHA-256.
    """

    def __init__(
        self,
        recognizer: nn.Module,
        num_classes: int,
        input: InputSpec,
        outputs: str | None = None,
        key: str = "model",
        display: str | None = None,
        cam_layer: str | None = None,
        cam_layers: Mapping[str, str] | None = None,
        cam_layout: str | None = None,
        token_order: str | None = None,
        stages: Sequence[Mapping[str, Sequence[str]]] = (),
        attention: Mapping[str, str] | None = None,
        checkpoint: str | None = None,
        checkpoint_digest: str | None = None,
    ):
        super().__init__()
        self.recognizer = recognizer
        self.num_classes = num_classes
        self.input = input
        self.key = key
        self.display = display or key
        self.cam_layer = cam_layer
        self.cam_layers = dict(cam_layers or {})
        self.cam_layout = cam_layout
        self.token_order = token_order or _token_order(recognizer)
        self.stages = stages
        self.attention = attention
        self.checkpoint = checkpoint
        self.checkpoint_digest = checkpoint_digest
        said = outputs or getattr(recognizer, "outputs", None)
        self.outputs, self.outputs_said = one_of("outputs", said or "logits", OUTPUTS), said is not None
        self.kind = _kind(recognizer)
        self.built_for = _built_for(recognizer)
        self._check()
        self.eval()

    def forward(self, clip: Tensor) -> Tensor:
        """Logits, or probabilities where `outputs` says so, (B, K) of clips (B, 3, T, H, W).

        Raises:
            UserError: T is not the number of frames a TSM network or a TimeSformer is built for (mmaction2 would not
                notice the former and mix the frames of different clips), or the network's scores are not (B, K).
        """
        if self.built_for - {clip.shape[2]}:
            raise UserError(
                f"{self.key} is built for clips of {max(self.built_for)} frames and got {clip.shape[2]}: "
                "set model.input.frames"
            )
        scores = self._scores(clip)
        if not isinstance(scores, Tensor):
            raise UserError(f"{self.key} gives {type(scores).__name__}, not a tensor of scores: mend the network")
        if scores.shape != (len(clip), self.num_classes):
            raise UserError(
                f"{self.key} gives scores {tuple(scores.shape)} of {len(clip)} clips, "
                f"not {(len(clip), self.num_classes)}: set model.num_classes, or mend the network"
            )
        return scores

    def _scores(self, clip: Tensor) -> Tensor:
        if self.kind == "network":
            return self.recognizer(clip)
        inputs = clip.transpose(1, 2).contiguous() if self.kind == "Recognizer2D" else clip.unsqueeze(1)
        return self.recognizer(inputs, mode="tensor", stage="head")

    def _check(self) -> None:
        """Checks that frames, layers and stages are those of the network.

        Raises:
            UserError: one is not.
        """
        if self.built_for - {self.input.frames}:
            raise UserError(
                f"{self.key}: the network is built for {max(self.built_for - {self.input.frames})} frames "
                f"but model.input.frames = {self.input.frames}; they must be equal"
            )
        step = getattr(getattr(self.recognizer, "backbone", None), "resample_rate", 1)  # of SlowFast's slow pathway
        if self.input.frames % step:
            raise UserError(f"{self.key}: model.input.frames = {self.input.frames} is not a multiple of {step}")
        layers = dict(self.named_modules())
        named = {"cam_layer": self.cam_layer} if self.cam_layer is not None else {}
        named |= {f"cam_layers.{name}": layer for name, layer in self.cam_layers.items()}
        for setting, name in named.items():
            if name not in layers:
                raise UserError(f"{self.key}: model.{setting} = {name} is not a layer of the network")
        for name in (name for stage in self.stages for names in stage.values() for name in names):
            if name not in layers:
                raise UserError(f"{self.key}: model.stages names {name}, which is not a layer of the network")


def to_clip(
    frames: np.ndarray | Tensor,
    mean: Sequence[float],
    std: Sequence[float],
    device: torch.device | str = "cpu",
) -> Tensor:
    """Normalises frames: uint8 (B, T, H, W, 3), RGB -> (frames - mean) / std, float32 (B, 3, T, H, W), on the device.

    mean, std: per channel, in units of 0-255. Bytes cross to the device, not floats.

    Raises:
        ValueError: the frames have another type or shape.
    """
    frames = torch.as_tensor(frames)
    if frames.dtype != torch.uint8 or frames.ndim != 5 or frames.shape[-1] != 3:
        raise ValueError(f"frames are {frames.dtype} {tuple(frames.shape)}, not uint8 (B, T, H, W, 3)")
    clip = frames.to(device).permute(0, 4, 1, 2, 3).float()
    shape = (1, 3, 1, 1, 1)
    return (clip - clip.new_tensor(mean).view(shape)).div_(clip.new_tensor(std).view(shape)).contiguous()


def _kind(recognizer: nn.Module) -> str:
    """Recognizer2D or Recognizer3D, told without importing mmaction2, or `network` for any other module."""
    bases = {base.__name__ for base in type(recognizer).__mro__ if base.__module__.startswith("mmaction.")}
    return next((name for name in ("Recognizer2D", "Recognizer3D") if name in bases), "network")


def _built_for(recognizer: nn.Module) -> set[int]:
    """Frames of the clips that TSM's segments and TimeSformer's time embedding are made for; empty if any will do."""
    parts = [getattr(recognizer, name, None) for name in ("backbone", "cls_head")]
    counts = {getattr(part, name, None) for part in parts for name in ("num_segments", "num_frames")}
    return counts - {None}


def _token_order(recognizer: nn.Module) -> str | None:
    """How mmaction2's TimeSformer lays out the tokens of all frames; None of any other network."""
    return "patch_major" if type(getattr(recognizer, "backbone", None)).__name__ == "TimeSformer" else None
