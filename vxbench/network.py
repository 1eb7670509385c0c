"""Asks a classifier for scores and gradients, in chunks, and leaves no trace on it.

Shapes: clip (B, 3, T, H, W), target (B,) int64. s_y is the network's output for class y, p_y its probability.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.backends import cudnn

from vxbench.ranges import one_of

SCORES = ("logit", "prob")


@contextmanager
def untouched(classifier: nn.Module) -> Iterator[None]:
    """Sets eval mode, no weight gradients and full float32 inside; on leaving, also by an exception, all is as it was.

    With the weights' requires_grad off, autograd keeps only what the input's gradient needs. cuDNN would otherwise
    round what goes into a convolution to TF32 on a GPU that has it.
    """
    training = [(module, module.training) for module in classifier.modules()]
    wanted = [(weight, weight.requires_grad) for weight in classifier.parameters()]
    for module, _ in training:
        module.training = False
    for weight, _ in wanted:
        weight.requires_grad_(False)
    try:
        with cudnn.flags(enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        for module, mode in training:
            module.training = mode
        for weight, mode in wanted:
            weight.requires_grad_(mode)


def probabilities(classifier: nn.Module, clip: Tensor) -> Tensor:
    """Class probabilities (B, K); a classifier whose `outputs` is "probs" gives them itself, so no softmax is taken."""
    output = classifier(clip)
    return output if getattr(classifier, "outputs", "logits") == "probs" else output.softmax(dim=1)


def class_score(classifier: nn.Module, clip: Tensor, target: Tensor, score: str = "logit") -> Tensor:
    """s_y (score = `logit`, the network's output as it is) or p_y (`prob`) of each clip's target, (B,)."""
    one_of("score", score, SCORES)
    output = probabilities(classifier, clip) if score == "prob" else classifier(clip)
    return output.gather(1, target[:, None])[:, 0]


def input_gradient(classifier: nn.Module, clip: Tensor, target: Tensor, score: str = "logit") -> Tensor:
    """d score / d clip, (B, 3, T, H, W). Writes no .grad."""
    return score_and_gradient(classifier, clip, target, score)[1]


def score_and_gradient(
    classifier: nn.Module, clip: Tensor, target: Tensor, score: str = "logit"
) -> tuple[Tensor, Tensor]:
    """The target's score (B,) and its gradient at the clip (B, 3, T, H, W). Writes no .grad."""
    with torch.enable_grad():
        clip = clip.detach().requires_grad_()
        chosen = class_score(classifier, clip, target, score)
        return chosen.detach(), torch.autograd.grad(chosen.sum(), clip)[0]


def in_chunks(function: Callable[..., Tensor], chunk: int, *tensors: Tensor) -> Tensor:
    """The function's results for slices of at most `chunk` along the first dimension, concatenated."""
    parts = zip(*(tensor.split(chunk) for tensor in tensors), strict=True)
    return torch.cat([function(*part) for part in parts])


@torch.no_grad()
def whole_scores(classifier: nn.Module, clip: Tensor, target: Tensor, chunk: int) -> Tensor:
    """p_y of clips of which nothing is hidden, (B,), at most `chunk` of them at a time."""
    return in_chunks(lambda x, y: class_score(classifier, x, y, "prob"), chunk, clip, target)
