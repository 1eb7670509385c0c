"""Makes maps that do not look at the network; as rows of a table they show what a number is worth."""

import torch
from torch import Tensor, nn

from vxbench.errors import NotApplicable
from vxbench.explainers.base import Context, Explainer, Passes
from vxbench.ranges import above


class Control(Explainer):
    """Base of maps that need no network."""

    normaliser = "none"

    def passes(self, shape: tuple[int, int, int]) -> Passes:
        return Passes()


class Random(Control):
    """Uniform noise in [0, 1), drawn from each clip's own generator."""

    def explain(self, classifier: nn.Module, clip: Tensor, target: Tensor, context: Context) -> Tensor:
        maps = [torch.rand(clip.shape[2:], generator=generator) for generator in context.generators]
        return torch.stack(maps).to(clip.device)


class Centre(Control):
    """A Gaussian blob in the middle of every frame, near 1 at its centre, the same for all clips.

    sigma: standard deviation as a share of the frame's shorter side. At the default .25 the blob exceeds .5
    in a disc over 27 % of a square frame.
    """

    def __init__(self, sigma: float = 0.25, chunk: int = 64):
        super().__init__(chunk)
        self.sigma = above("sigma", sigma, 0)

    def explain(self, classifier: nn.Module, clip: Tensor, target: Tensor, context: Context) -> Tensor:
        batch, _, frames, height, width = clip.shape
        sigma = self.sigma * min(height, width)
        blob = _bell(height, sigma)[:, None] * _bell(width, sigma)
        return blob.expand(batch, frames, height, width).to(clip.device)


class Boxes(Control):
    """The annotation itself: 1 inside the boxes, 0 outside and on frames without annotation.

    Raises:
        NotApplicable: the data set has no boxes.
    """

    def explain(self, classifier: nn.Module, clip: Tensor, target: Tensor, context: Context) -> Tensor:
        if context.boxes is None:
            raise NotApplicable("the boxes as the map need boxes, and this data set has none")
        return context.boxes.to(clip)


def _bell(size: int, sigma: float) -> Tensor:
    offset = torch.arange(size) - (size - 1) / 2
    return torch.exp(-0.5 * (offset / sigma).square())
