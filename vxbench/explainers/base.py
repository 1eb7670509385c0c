"""The contract every explainer keeps, and what they share.

Shapes: clip (B, 3, T, H, W) float32 normalised for the model, target (B,) int64, saliency (B, T, H, W)
float32, finite, higher = more important.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.backends import cudnn

from vxbench.ranges import one_of, whole

SCORES = ("logit", "prob")


@dataclass(frozen=True)
class Passes:
    """What is asked of the network for one clip, in passes of a single clip. Of a partial pass all is counted."""

    forward: float = 0
    backward: float = 0

    def __add__(self, other: "Passes") -> "Passes":
        return Passes(self.forward + other.forward, self.backward + other.backward)

    def __mul__(self, times: float) -> "Passes":
        return Passes(self.forward * times, self.backward * times)


@dataclass
class Context:
    """What an explainer may use besides the clip.

    generators: one CPU torch.Generator per clip, seeded from (seed, clip id), so that a clip's result
        does not depend on its batch, its shard or its position.
    boxes: (B, T, H, W) bool, the annotation; only the control `Boxes` looks at it.
    """

    generators: list[torch.Generator]
    boxes: Tensor | None = None


class Explainer:
    """Base of all explainers: `explainer(classifier, clip, target) -> saliency`.

    A subclass defines `explain`, and in `passes` what that costs. Its `normaliser` (a key of
    vxbench.explainers.normalise.NORMALISERS) says how the runner scales its maps to [0, 1]. `chunk` bounds how many
    clips or masked copies go through the network at once. It changes results by float32 rounding alone, as the batch
    and the number of threads do. What turns on a comparison amplifies that: gradients at the kinks of a network, and
    the masks of the perturbation family, whose area term ranks voxels (two equally good masks may differ by .8 in
    places after 80 iterations).
    """

    normaliser = "minmax"

    def __init__(self, chunk: int = 64):
        self.chunk = whole("chunk", chunk, 1)

    def __call__(
        self,
        classifier: nn.Module,
        clip: Tensor,
        target: Tensor,
        *,
        generators: list[torch.Generator] | None = None,
        boxes: Tensor | None = None,
    ) -> Tensor:
        """Saliency (B, T, H, W) of each clip's target class.

        Leaves no trace on the classifier. Without `generators` every clip draws from seed 0.

        Raises:
            NotApplicable: the method has no meaning for this classifier.
        """
        if generators is None:
            generators = [torch.Generator().manual_seed(0) for _ in clip]
        if len(generators) != len(clip):
            raise ValueError(f"{len(generators)} generators for {len(clip)} clips")
        with untouched(classifier):
            return self.explain(classifier, clip.detach(), target, Context(generators, boxes)).detach().float()

    def explain(self, classifier: nn.Module, clip: Tensor, target: Tensor, context: Context) -> Tensor:
        raise NotImplementedError

    def passes(self, shape: tuple[int, int, int]) -> Passes:
        """What one clip of `shape` (T, H, W) costs; the most it can cost where that depends on the clip."""
        raise NotImplementedError


@contextmanager
def untouched(classifier: nn.Module) -> Iterator[None]:
    """Eval mode, no weight gradients and full float32 inside; on leaving, also by an exception, all is as it was.

    With the weights' requires_grad off, autograd keeps only what the input's gradient needs. cuDNN would round what
    goes into a convolution to TF32 on a GPU that has it.
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
    """p (B, K). Softmax is applied to logits only: a classifier whose `outputs` is "probs" has applied it."""
    output = classifier(clip)
    return output if getattr(classifier, "outputs", "logits") == "probs" else output.softmax(dim=1)


def class_score(classifier: nn.Module, clip: Tensor, target: Tensor, score: str = "logit") -> Tensor:
    """s_y (`logit`: the network's output as it is) or p_y (`prob`) of each clip's target, (B,)."""
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
    """function over slices of at most `chunk` along the first dimension, concatenated."""
    parts = zip(*(tensor.split(chunk) for tensor in tensors), strict=True)
    return torch.cat([function(*part) for part in parts])


@torch.no_grad()
def whole_scores(classifier: nn.Module, clip: Tensor, target: Tensor, chunk: int) -> Tensor:
    """p_y of clips as they are, (B,), at most `chunk` of them at a time."""
    return in_chunks(lambda x, y: class_score(classifier, x, y, "prob"), chunk, clip, target)


def spawn(generator: torch.Generator) -> torch.Generator:
    """A generator of its own, seeded by one draw: what it yields does not depend on when others draw."""
    seed = torch.randint(2**62, (), generator=generator).item()
    return torch.Generator().manual_seed(seed)
