"""Defines the contract of all explainers: what they are given, what they return, what they cost.

Shapes: clip (B, 3, T, H, W) float32 normalised for the model, target (B,) int64, saliency (B, T, H, W)
float32, finite, higher = more important.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vxbench.errors import UserError
from vxbench.network import check_target, ordinary, untouched
from vxbench.ranges import whole


@dataclass(frozen=True)
class Passes:
    """Passes of one clip through the network. A pass through a part of the network counts as a whole one."""

    forward: float = 0
    backward: float = 0

    def __add__(self, other: "Passes") -> "Passes":
        return Passes(self.forward + other.forward, self.backward + other.backward)

    def __mul__(self, times: float) -> "Passes":
        return Passes(self.forward * times, self.backward * times)


@dataclass
class Context:
    """The things that an explainer may use besides the clip.

    generators: one CPU torch.Generator per clip, seeded from (seed, clip id), so that a clip's result
        does not depend on its batch, its shard or its position.
    boxes: (B, T, H, W) bool, the annotation; only the control `Boxes` looks at it.
    """

    generators: list[torch.Generator]
    boxes: Tensor | None = None


class Explainer:
    """Base of all explainers: `explainer(classifier, clip, target) -> saliency`.

    A subclass defines `explain`; `passes` may say what that costs. Its `normaliser` (a key of
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

        Leaves no trace on the classifier. Without `generators` every clip draws from seed 0. A caller's autocast and
        inference mode are off inside, see `full_float32`.

        Raises:
            NotApplicable: the method has no meaning for this classifier.
            UserError: a target that is no class, weights that take no part in autograd, or `explain` gave something
                other than one value a voxel.
        """
        check_target(classifier, target, len(clip))
        if generators is None:
            generators = [torch.Generator().manual_seed(0) for _ in clip]
        if len(generators) != len(clip):
            raise ValueError(f"{len(generators)} generators for {len(clip)} clips")
        with untouched(classifier), _weights_of_inference_told():
            given = (ordinary(clip.detach()), ordinary(target))
            saliency = self.explain(classifier, *given, Context(generators, boxes))
        wanted = (len(clip), *clip.shape[2:])
        if not isinstance(saliency, Tensor) or saliency.shape != wanted:
            found = tuple(saliency.shape) if isinstance(saliency, Tensor) else type(saliency).__name__
            raise UserError(f"{type(self).__name__}.explain gave {found}, not a tensor (B, T, H, W) = {wanted}")
        return saliency.detach().float()

    def explain(self, classifier: nn.Module, clip: Tensor, target: Tensor, context: Context) -> Tensor:
        """Saliency (B, T, H, W) of each clip's target class; `classifier` leaves no trace, see `untouched`."""
        raise NotImplementedError(f"{type(self).__name__} defines no explain()")

    def passes(self, shape: tuple[int, int, int]) -> Passes | None:
        """What one clip of `shape` (T, H, W) costs, at most; None: not known, which leaves the plan a question mark."""
        return None


@contextmanager
def _weights_of_inference_told() -> Iterator[None]:
    """Makes torch's word for weights that were made under torch.inference_mode a line that says what to do."""
    try:
        yield
    except RuntimeError as error:
        if "nference tensor" not in str(error):
            raise
        raise UserError(
            "the network's weights were made under torch.inference_mode(), which no gradient goes through: "
            "build and load it outside, or under torch.no_grad()"
        ) from error


def spawn(generator: torch.Generator) -> torch.Generator:
    """A generator of one's own, seeded by one draw: what it yields does not depend on when others draw."""
    seed = torch.randint(2**62, (), generator=generator).item()
    return torch.Generator().manual_seed(seed)
