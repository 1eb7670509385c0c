"""Asks a classifier for scores and gradients, in chunks, and leaves no trace on it.

Shapes: clip (B, 3, T, H, W), target (B,) int64. s_y is the network's output for class y, p_y its probability.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.backends import cudnn, mkldnn

from vxbench.errors import UserError
from vxbench.ranges import one_of

SCORES = ("logit", "prob")
AUTOCAST = ("cpu", "cuda", "mps", "xpu")  # kinds of device whose autocast a caller may have on


@contextmanager
def untouched(classifier: nn.Module) -> Iterator[None]:
    """Sets eval mode, no weight gradients and `full_float32` inside; on leaving, if by an exception, all is as it was.

    With the weights' requires_grad off, autograd keeps only what the input's gradient needs.
    """
    training = [(module, module.training) for module in classifier.modules()]
    weights = (weight for weight in classifier.parameters() if not weight.is_inference())  # those never ask for one
    wanted = [(weight, weight.requires_grad) for weight in weights]
    for module, _ in training:
        module.training = False
    for weight, _ in wanted:
        weight.requires_grad_(False)
    try:
        with full_float32():
            yield
    finally:
        for module, mode in training:
            module.training = mode
        for weight, mode in wanted:
            weight.requires_grad_(mode)


@contextmanager
def full_float32() -> Iterator[None]:
    """Computes inside in full float32 and with an autograd that works, whatever the caller has switched on.

    A caller's autocast would compute maps and scores in half precision, its inference mode would leave no gradients,
    and its TF32 (which cuDNN takes by itself on a GPU that has it) would round what goes into products.
    """
    gradients = torch.is_grad_enabled()
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.set_grad_enabled(gradients))  # leaving inference mode has switched them on
        for kind in filter(torch.is_autocast_enabled, AUTOCAST):
            stack.enter_context(torch.autocast(kind, enabled=False))
        stack.enter_context(cudnn.flags(enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=False))
        stack.enter_context(_full_products())
        yield


@contextmanager
def _full_products() -> Iterator[None]:
    """Matrix products in full float32 inside, whichever of torch's two sets of switches the caller has used."""
    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError:  # the newer set, one switch a backend: then the older can be neither read nor set
        switches = [(backend, backend.fp32_precision) for backend in (torch.backends.cuda.matmul, mkldnn.matmul)]
        for backend, _ in switches:
            backend.fp32_precision = "ieee"
    else:
        switches = []
        torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        for backend, precision in switches:
            backend.fp32_precision = precision
        if not switches:
            torch.set_float32_matmul_precision(before)


def ordinary(tensor: Tensor) -> Tensor:
    """The tensor, or a copy for autograd of one that was made under torch.inference_mode."""
    return tensor.clone() if tensor.is_inference() else tensor


def at_least_float32(values: Tensor) -> Tensor:
    """The values in float32, or in float64 if they are."""
    return values.float() if values.dtype.itemsize < torch.float32.itemsize else values


def outputs(classifier: nn.Module, clip: Tensor) -> Tensor:
    """The network's output as it is, logits or probabilities (B, K), in float32 or better."""
    return at_least_float32(classifier(clip))


def probabilities(classifier: nn.Module, clip: Tensor) -> Tensor:
    """Class probabilities (B, K); a classifier whose `outputs` is "probs" gives them itself, so no softmax is taken."""
    output = outputs(classifier, clip)
    return output if getattr(classifier, "outputs", "logits") == "probs" else output.softmax(dim=1)


def class_score(classifier: nn.Module, clip: Tensor, target: Tensor, score: str = "logit") -> Tensor:
    """s_y (score = `logit`, the network's output as it is) or p_y (`prob`) of each clip's target, (B,)."""
    one_of("score", score, SCORES)
    output = probabilities(classifier, clip) if score == "prob" else outputs(classifier, clip)
    return output.gather(1, target[:, None])[:, 0]


def check_target(classifier: nn.Module, target: Tensor, clips: int) -> None:
    """Checks that target (B,) names a class of the classifier for each of so many clips.

    Raises:
        UserError: it does not; on a GPU, a class that there is not would end the process.
    """
    if tuple(target.shape) != (clips,) or target.dtype != torch.int64:
        found = f"{target.dtype} {tuple(target.shape)}"
        raise UserError(f"target must be int64 (B,) = ({clips},), a class for each clip; it is {found}")
    classes = getattr(classifier, "num_classes", None)
    last = torch.iinfo(torch.int64).max if classes is None else classes - 1
    if wrong := [index for index in target.tolist() if not 0 <= index <= last]:
        raise UserError(f"target = {wrong[0]} is no class of the network, which counts from 0 to {last}")


def input_gradient(classifier: nn.Module, clip: Tensor, target: Tensor, score: str = "logit") -> Tensor:
    """d score / d clip, (B, 3, T, H, W). Writes no .grad."""
    return score_and_gradient(classifier, clip, target, score)[1]


def score_and_gradient(
    classifier: nn.Module, clip: Tensor, target: Tensor, score: str = "logit"
) -> tuple[Tensor, Tensor]:
    """The target's score (B,) and its gradient at the clip (B, 3, T, H, W), see `of_finite`. Writes no .grad."""
    with torch.enable_grad():
        clip = clip.detach().requires_grad_()
        chosen = class_score(classifier, clip, target, score)
        return chosen.detach(), of_finite(chosen, torch.autograd.grad(chosen.sum(), clip)[0])


def of_finite(score: Tensor, values: Tensor) -> Tensor:
    """The values (B, ...), which become NaN for clips whose score (B,) is not finite: they would tell nothing of it."""
    return values.masked_fill(~score.detach().isfinite().view(-1, *[1] * (values.ndim - 1)), torch.nan)


def in_chunks(function: Callable[..., Tensor], chunk: int, *tensors: Tensor) -> Tensor:
    """The function's results for slices of at most `chunk` along the first dimension, concatenated."""
    parts = zip(*(tensor.split(chunk) for tensor in tensors), strict=True)
    return torch.cat([function(*part) for part in parts])


@torch.no_grad()
def whole_scores(classifier: nn.Module, clip: Tensor, target: Tensor, chunk: int) -> Tensor:
    """p_y of clips of which nothing is hidden, (B,), at most `chunk` of them at a time."""
    return in_chunks(lambda x, y: class_score(classifier, x, y, "prob"), chunk, clip, target)
