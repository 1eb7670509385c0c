"""Computes maps from the gradient of the score at the clip: gradients, input x gradient, their path and noise averages.

Each method is one attribution rule, (B, 3, T, H, W), over a shared base, which folds the colour channels into a map.
"""

from functools import partial

import torch
from torch import Tensor, nn

from vxbench.errors import OutOfRange, UserError
from vxbench.explainers.base import Context, Explainer, Passes
from vxbench.explainers.normalise import NORMALISERS
from vxbench.network import SCORES, class_score, in_chunks, input_gradient
from vxbench.ranges import one_of, whole, within

REDUCTIONS = {
    "abs_mean": lambda attribution: attribution.abs().mean(dim=1),
    "pos_mean": lambda attribution: attribution.relu().mean(dim=1),
    "signed_mean": lambda attribution: attribution.mean(dim=1),
    "abs_max": lambda attribution: attribution.abs().amax(dim=1),
    "abs_sum": lambda attribution: attribution.abs().sum(dim=1),
}
RULES = {"left": "riemann_left", "midpoint": "riemann_middle"}  # our names -> captum's
BASELINES = ("black", "zero", "released_const")
RELEASED_BASELINE = (-1.8952, -1.7822, -1.7349)  # STEP's release has it, one value a channel
VARIANTS = ("mean", "square", "variance")


class GradientExplainer(Explainer):
    """Base of the family: a subclass defines `attribute`; the channels are folded here.

    reduce: a key of REDUCTIONS. score: differentiate the target's logit or its probability.
    """

    def __init__(self, reduce: str, score: str = "logit", normaliser: str = "p999", chunk: int = 64):
        super().__init__(chunk)
        self.reduce = one_of("reduce", reduce, REDUCTIONS)
        self.score = one_of("score", score, SCORES)
        self.normaliser = one_of("normaliser", normaliser, NORMALISERS)

    def explain(self, classifier: nn.Module, clip: Tensor, target: Tensor, context: Context) -> Tensor:
        return REDUCTIONS[self.reduce](self.attribute(classifier, clip, target, context))

    def attribute(self, classifier: nn.Module, clip: Tensor, target: Tensor, context: Context) -> Tensor:
        """The share of each input value in the score, or its effect on it, (B, 3, T, H, W)."""
        raise NotImplementedError

    def gradient(self, classifier: nn.Module, clip: Tensor, target: Tensor) -> Tensor:
        """The derivative of the score at the clip, (B, 3, T, H, W), for at most `chunk` clips at a time."""
        return in_chunks(partial(input_gradient, classifier, score=self.score), self.chunk, clip, target)


class Gradients(GradientExplainer):
    """a = d s_y / d X (Simonyan et al. 2014)."""

    def __init__(self, reduce="abs_mean", score="logit", normaliser="p999", chunk=64):
        super().__init__(reduce, score, normaliser, chunk)

    def attribute(self, classifier, clip, target, context):
        return self.gradient(classifier, clip, target)

    def passes(self, shape: tuple[int, int, int]) -> Passes:
        return Passes(1, 1)


class InputXGradient(Gradients):
    """a = X * d s_y / d X, with the normalised X: to first order, what it adds to the zero clip's score."""

    def attribute(self, classifier, clip, target, context):
        return clip * self.gradient(classifier, clip, target)


class IntegratedGradients(GradientExplainer):
    """a = (X - X0) * mean over the path X0 -> X of d s_y / d X (Sundararajan et al. 2017, eq. 1).

    steps: points of the Riemann sum. rule: `left` (points i / n, as released) or `midpoint`.
    baseline: X0. `black` is (0 - mean) / std, with the model's own mean and std, one value a channel, both in
    the same unit; `zero` is the mean colour; `released_const` the constants of the released code.

    Raises:
        UserError: `black` without mean and std.
    """

    def __init__(
        self,
        steps: int = 25,
        rule: str = "left",
        baseline: str = "black",
        mean: list[float] | None = None,
        std: list[float] | None = None,
        reduce: str = "abs_mean",
        score: str = "logit",
        normaliser: str = "p999",
        chunk: int = 64,
    ):
        super().__init__(reduce, score, normaliser, chunk)
        self.steps = whole("steps", steps, 2)  # captum's sums need two points
        self.rule = one_of("rule", rule, RULES)
        self.baseline = _baseline_colour(one_of("baseline", baseline, BASELINES), mean, std)

    def attribute(self, classifier, clip, target, context):
        return in_chunks(partial(self._integrate, classifier), self.chunk, clip, target)

    def passes(self, shape: tuple[int, int, int]) -> Passes:
        return Passes(self.steps, self.steps)

    def _integrate(self, classifier: nn.Module, clip: Tensor, target: Tensor) -> Tensor:
        from captum.attr import IntegratedGradients as CaptumIntegratedGradients

        def score(points: Tensor, target: Tensor) -> Tensor:
            return class_score(classifier, points, target, self.score)

        colour = torch.tensor(self.baseline, dtype=clip.dtype, device=clip.device).view(1, -1, 1, 1, 1)
        return CaptumIntegratedGradients(score).attribute(
            clip,
            baselines=colour.expand_as(clip),
            additional_forward_args=target,
            n_steps=self.steps,
            method=RULES[self.rule],
            internal_batch_size=self.chunk,
        )


class SmoothGrad(GradientExplainer):
    """A moment of the gradients at noisy copies of the clip (Smilkov et al. 2017, eq. 2).

    samples: number of copies n. noise: standard deviation as a share of the clip's own max - min.
    variant: `mean` of g, `square` mean of g^2, `variance` of g with n - 1.
    Every clip's noise comes from its own generator, sample by sample.
    """

    def __init__(
        self,
        samples: int = 25,
        noise: float = 0.15,
        variant: str = "mean",
        reduce: str = "abs_sum",
        score: str = "logit",
        normaliser: str = "p999",
        chunk: int = 64,
    ):
        super().__init__(reduce, score, normaliser, chunk)
        self.samples = whole("samples", samples, 1)
        self.noise = within("noise", noise, 0, 10)
        self.variant = one_of("variant", variant, VARIANTS)
        if variant == "variance" and samples < 2:
            raise OutOfRange(f"samples = {samples} is too few for variant = variance, which needs 2")

    def attribute(self, classifier, clip, target, context):
        flat = clip.flatten(1)
        spread = (self.noise * (flat.amax(1) - flat.amin(1))).view(-1, 1, 1, 1, 1)
        total = torch.zeros_like(clip, dtype=torch.float64)  # the variance is a small difference of sums
        squares = torch.zeros_like(total)
        at_once = max(1, self.chunk // len(clip))
        for start in range(0, self.samples, at_once):
            count = min(at_once, self.samples - start)
            noisy = torch.cat([clip + spread * draw_noise(clip, context.generators) for _ in range(count)])
            for gradient in self.gradient(classifier, noisy, target.repeat(count)).chunk(count):
                total += gradient
                squares += gradient.double().square()
        return self._moment(total, squares).to(clip.dtype)

    def passes(self, shape: tuple[int, int, int]) -> Passes:
        return Passes(self.samples, self.samples)

    def _moment(self, total: Tensor, squares: Tensor) -> Tensor:
        if self.variant == "mean":
            return total / self.samples
        if self.variant == "square":
            return squares / self.samples
        return (squares - total.square() / self.samples) / (self.samples - 1)


def draw_noise(clip: Tensor, generators: list[torch.Generator]) -> Tensor:
    """Draws one standard normal sample for each clip, in the shape of clip.

    One draw a sample: torch gives other numbers when several samples share one draw, and the result would depend on
    `chunk`. The draw is float32 on the CPU, so that no device or precision changes the numbers.
    """
    noise = [torch.randn(clip.shape[1:], generator=generator) for generator in generators]
    return torch.stack(noise).to(clip)


def _baseline_colour(baseline: str, mean: list[float] | None, std: list[float] | None) -> list[float]:
    if baseline == "released_const":
        return list(RELEASED_BASELINE)
    if baseline == "zero":
        return [0.0, 0.0, 0.0]
    if mean is None or std is None:
        raise UserError("baseline = black needs the model's mean and std; give both, or set baseline = zero")
    return [-m / s for m, s in zip(mean, std, strict=True)]
