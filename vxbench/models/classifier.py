"""The one calling convention of all classifiers: clip (B, 3, T, H, W) in, logits (B, K) out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from vxbench.errors import UserError
from vxbench.ranges import above, one_of, whole

RESIZES = ("squash", "crop")


@dataclass(frozen=True)
class InputSpec:
    """What a classifier expects of its clips.

    frames, height, width: the clip's size. mean, std: per RGB channel, in units of 0-255.
    resize: `squash` to height x width, or `crop`: the short side to short_side, then the centre.
    sampling, interval: which frames of a video, a name the data sets know and its step.
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

    def __post_init__(self):
        for key in ("frames", "height", "width"):
            whole(f"input.{key}", getattr(self, key), 1)
        for key in ("mean", "std"):
            object.__setattr__(self, key, _per_channel(key, getattr(self, key)))
        for value in self.std:
            above("input.std", value, 0)
        if one_of("input.resize", self.resize, RESIZES) == "crop":
            whole("input.short_side", self.short_side, max(self.height, self.width))


def _per_channel(key: str, values: Sequence[float]) -> tuple[float, ...]:
    if len(values) != 3:
        raise UserError(f"model.input.{key} has {len(values)} values, not one for each of R, G, B")
    return tuple(float(value) for value in values)


class Classifier(nn.Module):
    """An mmaction2 recognizer in eval mode that takes clips and returns logits.

    2D recognizers get (B, T, 3, H, W), 3D ones (B, 1, 3, T, H, W); that difference stays in here.
    forward takes float32 clips normalised by input.mean and input.std; `to_clip` makes them.

    key, display: its names in results and in tables. cam_layer: the dotted name of the layer that Grad-CAM
    reads (`classifier.get_submodule(classifier.cam_layer)`), or None. stages: [{name: [dotted names of modules]}, ...]
    from the head down, as the sanity check randomises them. attention: {temporal, spatial: patterns of the names of its
    attention modules}, or None. checkpoint: where the weights came
    from, None if they are random; checkpoint_digest: their short SHA-256.
    """

    outputs = "logits"

    def __init__(
        self,
        recognizer: nn.Module,
        num_classes: int,
        input: InputSpec,
        key: str = "model",
        display: str | None = None,
        cam_layer: str | None = None,
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
        self.stages = stages
        self.attention = attention
        self.checkpoint = checkpoint
        self.checkpoint_digest = checkpoint_digest
        self.is_2d = type(recognizer).__name__ == "Recognizer2D"
        self.num_segments = getattr(recognizer.backbone, "num_segments", None)
        self._check()
        self.eval()

    def forward(self, clip: Tensor) -> Tensor:
        """Logits (B, K) of clips (B, 3, T, H, W).

        Raises:
            UserError: T is not the number of segments a TSM network is built for. mmaction2 would not notice
                and mix the frames of different clips.
        """
        if self.num_segments not in (None, clip.shape[2]):
            raise UserError(
                f"{self.key} is built for clips of {self.num_segments} frames and got {clip.shape[2]}: "
                "set model.input.frames"
            )
        inputs = clip.transpose(1, 2).contiguous() if self.is_2d else clip.unsqueeze(1)
        return self.recognizer(inputs, mode="tensor", stage="head")

    def _check(self) -> None:
        """The parts agree with one another."""
        segments = {self.num_segments, getattr(self.recognizer.cls_head, "num_segments", None)} - {None}
        if segments - {self.input.frames}:
            raise UserError(
                f"{self.key}: num_segments = {max(segments - {self.input.frames})} "
                f"but model.input.frames = {self.input.frames}; they must be equal"
            )
        layers = dict(self.named_modules())
        if self.cam_layer is not None and self.cam_layer not in layers:
            raise UserError(f"{self.key}: model.cam_layer = {self.cam_layer} is not a layer of the network")
        for name in (name for stage in self.stages for names in stage.values() for name in names):
            if name not in layers:
                raise UserError(f"{self.key}: model.stages names {name}, which is not a layer of the network")
