"""A classifier as mmengine's Runner trains it, and the arithmetic it trains in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch import Tensor, nn

from vxbench.errors import UserError
from vxbench.models.classifier import Classifier
from vxbench.models.preprocess import to_clip
from vxbench.models.training.unreadable import LeftOut

PRECISIONS = (False, "fp16", "bf16")


class Trainee(BaseModel):
    """Takes batches as `collate` makes them and gives the loss of what the classifier itself answers.

    So the function that is trained is the one that is explained, whatever network is inside.
    label_smoothing: this share of the target is spread evenly over all classes. left_out: takes the clips that cannot
    be read; None refuses them.
    """

    def __init__(self, classifier: Classifier, label_smoothing: float = 0.0, left_out: LeftOut | None = None):
        super().__init__()
        self.classifier = classifier
        self.label_smoothing = label_smoothing
        self.left_out = left_out or LeftOut()

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
