"""Optimises a mask that keeps the class score within a given area: the loop of the perturbation family."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vxbench.errors import OutOfRange
from vxbench.explainers.base import Context, Explainer, Passes, spawn
from vxbench.explainers.perturbation.mask import MaskGenerator
from vxbench.explainers.perturbation.pyramid import KINDS, Pyramid, blur
from vxbench.explainers.perturbation.regularisers import AreaTerm
from vxbench.network import class_score, in_chunks, of_finite, whole_scores
from vxbench.ranges import above, one_of, whole, within

COMBINE = ("sum_gauss10", "sum_tr", "extremal", "single")
MODES = ("preserve", "delete", "dual")
REWARDS = ("neglog", "prob")
DOMAINS = ("padded", "crop")
TORCHRAY_SIGMA = 0.09  # of the frame's shorter side


@dataclass
class Iteration:
    """One iteration, for observers. seed, gradient: (N, T, h, w), before the update. reward, penalty: (N,)."""

    iteration: int
    seed: Tensor
    gradient: Tensor
    reward: Tensor
    penalty: Tensor


class PerturbationExplainer(Explainer):
    """Masks found by gradient descent: energy = reward + area_weight * area term (+ smoothness, in subclasses).

    The named parts: `Pyramid` perturbs, `MaskGenerator` spreads the seeds, `AreaTerm` asks for the area; subclasses
    override `smooth_seed`, `extra_penalty` and `gradient`. Clips and areas are optimised together, at most `chunk`
    masks at once.

    areas: shares of the (padded) mask to keep, one mask each. combine: what to do with several, see `combine`; with
    `single` only the first as given is looked at, as in the release.
    iterations, lr, momentum, dampening: SGD on the seeds; the first step is not dampened. step, sigma: the
    generator's, in pixels; None means 7, and 11 for clips 112 wide, else 23. mode: keep the class (`preserve`),
    destroy it (`delete`) or both (`dual`). reward: `neglog` -log p (released) or `prob` -p (printed). reward_weight,
    area_weight, area_growth: weights of the terms, the area's multiplied by area_growth every iteration.
    area_domain: the area counts the padded mask or the frame. ties: how the area term ranks equal values.
    log_eps: floor under the logarithm. smoothing: sigma in pixels of a blur of the masks, 0 for none.

    Returns masks in [0, 1] as they were at the start of the last iteration, before its update.

    Raises:
        OutOfRange: a setting outside its range, no area, or `extremal` with `delete`, which never sees the kept clip.

    Source: STEP (Li et al. 2021) eq. 1-6 and its release.
    """

    normaliser = "none"

    def __init__(
        self,
        *,
        areas: tuple[float, ...] = (0.1,),
        combine: str = "sum_gauss10",
        iterations: int = 2000,
        lr: float = 0.05,
        momentum: float = 0.9,
        dampening: float = 0.9,
        perturbation: str = "blur",
        levels: int = 8,
        max_sigma: float = 20.0,
        step: int | None = None,
        sigma: float | None = None,
        coldness: float = 20.0,
        mode: str = "preserve",
        reward: str = "neglog",
        reward_weight: float = 100.0,
        log_eps: float = 1e-12,
        area_weight: float = 300.0,
        area_growth: float = 1.0,
        area_domain: str = "padded",
        ties: str = "plain",
        smoothing: float = 0.0,
        chunk: int = 64,
    ):
        super().__init__(chunk)
        self.combine = one_of("combine", combine, COMBINE)
        self.areas = _shares(areas, first=combine == "single")
        self.iterations = whole("iterations", iterations, 1)
        self.lr = above("lr", lr, 0)
        self.momentum = within("momentum", momentum, 0, 1)
        self.dampening = within("dampening", dampening, 0, 1)
        self.perturbation = one_of("perturbation", perturbation, KINDS)
        self.levels = whole("levels", levels, 2)
        self.max_sigma = above("max_sigma", max_sigma, 0)
        self.step = step if step is None else whole("step", step, 1)
        self.sigma = sigma if sigma is None else above("sigma", sigma, 0)
        self.coldness = above("coldness", coldness, 0)
        self.mode = one_of("mode", mode, MODES)
        if combine == "extremal" and mode == "delete":
            raise OutOfRange(
                "combine = extremal compares the kept clip's score; mode = delete has none, use preserve or dual"
            )
        self.reward = one_of("reward", reward, REWARDS)
        self.reward_weight = within("reward_weight", reward_weight, 0, float("inf"))
        self.log_eps = within("log_eps", log_eps, 0, 1)
        self.area_weight = within("area_weight", area_weight, 0, float("inf"))
        self.area_growth = above("area_growth", area_growth, 0)
        self.area_domain = one_of("area_domain", area_domain, DOMAINS)
        self.area_term = AreaTerm(per_frame=False, ties=ties)
        self.smoothing = within("smoothing", smoothing, 0, float("inf"))
        self.observer: Callable[[Iteration], None] | None = None

    def explain(self, classifier: nn.Module, clip: Tensor, target: Tensor, context: Context) -> Tensor:
        masks, kept = self.per_area(classifier, clip, target, context)
        enough = None
        if self._compares:
            enough = kept >= whole_scores(classifier, clip, target, self.chunk)[:, None]
        return combine(masks, self.combine, self.smoothing, enough)

    def passes(self, shape: tuple[int, int, int]) -> Passes:
        return self.passes_of_search(len(self.areas)) + Passes(forward=1 if self._compares else 0)

    def shortened(self, iterations: int, chunk: int) -> "PerturbationExplainer":
        """A copy to be timed: one mask, so many iterations, with every term from the first on."""
        short = copy(self)
        short.areas, short.iterations, short.chunk = self.areas[:1], iterations, chunk
        return short

    def passes_of_search(self, areas: int) -> Passes:
        """The cost of `per_area` for so many areas."""
        versions = 2 if self.mode == "dual" else 1
        return Passes(1, 1) * (areas * self.iterations * versions)

    @property
    def _compares(self) -> bool:
        """Whether the masks are compared by the score of the whole clip."""
        return self.combine == "extremal" and len(self.areas) > 1

    def per_area(self, classifier: nn.Module, clip: Tensor, target: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        """Finds one mask an area, smallest area first, (B, A, T, H, W), and p_y of the clips they keep, (B, A)."""
        batch, count = len(clip), len(self.areas)
        owner = torch.arange(batch).repeat_interleave(count)
        area = torch.tensor(self.areas, dtype=torch.float64).repeat(batch)
        generators = [spawn(context.generators[i]) for i in owner]
        masks, kept = [], []
        for part in torch.arange(batch * count).split(self.chunk):
            items = owner[part].to(clip.device)
            own = [generators[i] for i in part]
            mask, score = self.optimise(classifier, clip[items], target[items], area[part], own)
            masks.append(mask)
            kept.append(score)
        return tuple(torch.cat(parts).unflatten(0, (batch, count)) for parts in (masks, kept))

    def optimise(
        self,
        classifier: nn.Module,
        clip: Tensor,
        target: Tensor,
        area: Tensor,
        generators: list[torch.Generator],
    ) -> tuple[Tensor, Tensor]:
        """Finds one mask for each clip (N, 3, T, H, W) and area (N,): (N, T, H, W), and p_y of the kept clips (N,).

        The mask of a clip whose score is not finite in some iteration is NaN.
        """
        frames, height, width = clip.shape[2:]
        pyramid = Pyramid(clip, self.perturbation, self.levels, self.max_sigma)
        generator = self.mask_generator(height, width)
        seed = torch.ones(len(clip), frames, *generator.seed_shape, dtype=clip.dtype, device=clip.device)
        velocity = None
        for iteration in range(self.iterations):
            with torch.enable_grad():
                seed.requires_grad_()
                padded = generator(self.smooth_seed(seed).flatten(0, 1)).unflatten(0, (-1, frames))
                for_reward, for_penalty = self.watch(padded)
                mask = generator.crop(for_reward)
                score, reward = self._reward(classifier, pyramid, mask, target)
                penalty = self._penalty(for_penalty, generator, area, generators, iteration)
                gradient = of_finite(score, self.gradient(seed, reward, penalty))
            seed = seed.detach()
            if self.observer:
                self.observer(Iteration(iteration, seed, gradient, reward.detach(), penalty.detach()))
            velocity = gradient if velocity is None else self._accelerate(velocity, gradient)
            seed = seed.add(velocity, alpha=-self.lr).clamp(0, 1)
        return of_finite(score, mask.detach()), score.detach()

    # The parts a method may replace.

    def smooth_seed(self, seed: Tensor) -> Tensor:
        """The seed (N, T, h, w) as it is spread into a mask."""
        return seed

    def extra_penalty(
        self, mask: Tensor, area: Tensor, generators: list[torch.Generator], iteration: int
    ) -> Tensor | float:
        """A further term of the energy, (N,), from the padded mask (N, T, H', W')."""
        return 0.0

    def watch(self, padded: Tensor) -> tuple[Tensor, Tensor]:
        """The padded mask as the reward and as the penalty see it; a place to hook its gradient."""
        return padded, padded

    def gradient(self, seed: Tensor, reward: Tensor, penalty: Tensor) -> Tensor:
        """Direction of descent, (N, T, h, w). reward, penalty: (N,)."""
        return torch.autograd.grad((reward + penalty).sum(), seed)[0]

    def _accelerate(self, velocity: Tensor, gradient: Tensor) -> Tensor:
        """The velocity's update, as torch.optim.SGD's: a fused sum, rounded once."""
        return velocity.mul(self.momentum).add(gradient, alpha=1 - self.dampening)

    def mask_generator(self, height: int, width: int) -> MaskGenerator:
        step = 7 if self.step is None else self.step
        sigma = (11 if width == 112 else 23) if self.sigma is None else self.sigma
        return MaskGenerator(height, width, step, sigma, self.coldness)

    def _reward(self, classifier: nn.Module, pyramid: Pyramid, mask: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The score p_y of the clip that the mask makes, and the term that descent lowers, both (N,)."""
        kept, deleted = self.mode != "delete", self.mode != "preserve"
        versions = ([mask] if kept else []) + ([1 - mask] if deleted else [])
        perturbed = torch.cat([pyramid.apply(version) for version in versions])
        scores = in_chunks(
            lambda x, y: class_score(classifier, x, y, "prob"), self.chunk, perturbed, target.repeat(len(versions))
        ).chunk(len(versions))
        terms = [-self._utility(scores[0])] if kept else []
        terms += [-self._utility(1 - scores[-1])] if deleted else []
        return scores[0], self.reward_weight * sum(terms)

    def _utility(self, probability: Tensor) -> Tensor:
        return probability if self.reward == "prob" else probability.clamp(min=self.log_eps).log()

    def _penalty(
        self, padded: Tensor, generator: MaskGenerator, area: Tensor, generators: list, iteration: int
    ) -> Tensor:
        counted = padded if self.area_domain == "padded" else generator.crop(padded)
        weight = self.area_weight * self.area_growth**iteration
        area_penalty = weight * self.area_term(counted, area, generators)
        return area_penalty + self.extra_penalty(padded, area, generators, iteration)


def combine(masks: Tensor, how: str, smoothing: float = 0.0, enough: Tensor | None = None) -> Tensor:
    """Combines the masks of several areas, (B, A, T, H, W), areas ascending, to one, (B, T, H, W) in [0, 1].

    One area: the mask itself. Several: `sum_gauss10` sums them, blurs each frame by 10 pixels and divides by the
    clip's maximum (code of Li et al.'s follow-up), `sum_tr` the same with .09 of the shorter side (TorchRay),
    `extremal` takes the smallest area with enough (B, A) true, else the largest (STEP eq. 3), `single` the first.
    smoothing: sigma in pixels of a blur of every mask before that, 0 for none.
    """
    masks = blur(masks, smoothing).clamp(0, 1)
    if masks.shape[1] == 1 or how == "single":
        return masks[:, 0]
    if how == "extremal":
        first = torch.where(enough.any(dim=1), enough.int().argmax(dim=1), masks.shape[1] - 1)
        return masks[torch.arange(len(masks), device=masks.device), first]
    sigma = 10.0 if how == "sum_gauss10" else TORCHRAY_SIGMA * min(masks.shape[-2:])
    total = blur(masks.sum(dim=1), sigma)
    return total / total.flatten(1).amax(dim=1).clamp(min=1e-12).view(-1, 1, 1, 1)


def _shares(areas: tuple[float, ...], first: bool) -> list[float]:
    """The areas, checked and ascending, or the first alone."""
    shares = [within("areas", area, 0, 1) for area in areas]
    if not shares:
        raise OutOfRange("areas is empty; give at least one share in [0, 1]")
    return shares[:1] if first else sorted(shares)
