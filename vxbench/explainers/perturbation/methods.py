"""Defines EP-3D and its relatives, each the loop of loop.py with one part replaced."""

import torch
from torch import Tensor

from vxbench.explainers.perturbation.frequency import BandFilter
from vxbench.explainers.perturbation.loop import PerturbationExplainer
from vxbench.explainers.perturbation.regularisers import AreaTerm, CoreTerm
from vxbench.ranges import one_of, whole, within


class EP3D(PerturbationExplainer):
    """Extremal perturbation of the whole clip: one area constraint over space and time (STEP eq. 5-6)."""


class EP3DEvenly(PerturbationExplainer):
    """EP-2D, which asks for the same area in every frame (STEP eq. 10-11), averaged over frames as released."""

    def __init__(self, *, ties: str = "plain", **settings):
        super().__init__(ties=ties, **settings)
        self.area_term = AreaTerm(per_frame=True, ties=ties)


class EP3DGaussian(PerturbationExplainer):
    """EP-3D whose seeds are averaged over 2 dt + 1 frames with weights exp(-u^2 / (0.6 dt)) (STEP eq. 12).

    ends: at the clip's ends `renorm` the weights (inside [0, T)), `replicate` the end frames, or pad with `zero`.
    """

    def __init__(self, dt: int = 1, *, ends: str = "renorm", **settings):
        super().__init__(**settings)
        self.dt = whole("dt", dt, 0)
        self.ends = one_of("ends", ends, ("renorm", "replicate", "zero"))

    def smooth_seed(self, seed: Tensor) -> Tensor:
        return torch.einsum("st,nthw->nshw", self.weights(seed.shape[1]).to(seed), seed)

    def weights(self, frames: int) -> Tensor:
        """The weights (T, T) float64; row s holds the weight of each frame in smoothed frame s."""
        if self.dt == 0:
            return torch.eye(frames, dtype=torch.float64)
        shift = torch.arange(-self.dt, self.dt + 1)
        taps = torch.exp(-(shift.double() ** 2) / (0.6 * self.dt))
        source = torch.arange(frames)[:, None] + shift
        inside = (source >= 0) & (source < frames)
        taps = (taps / taps.sum()).expand(frames, -1) * (inside if self.ends != "replicate" else 1)
        if self.ends == "renorm":
            taps = taps / taps.sum(dim=1, keepdim=True)
        table = torch.zeros(frames, frames, dtype=torch.float64)
        return table.scatter_add_(1, source.clamp(0, frames - 1), taps.contiguous())


class STEP(PerturbationExplainer):
    """EP-3D plus a term that makes kept voxels gather in ellipsoid cores (STEP eq. 7-9).

    kernel, stride_t, volume, core_loss, short_t: see CoreTerm. core_weight: mu, which is 0 for iterations 0 to
    core_start. The area's weight grows by 1.0008668 every iteration (released), the reward's is 1.
    """

    def __init__(
        self,
        *,
        reward_weight: float = 1.0,
        area_growth: float = 1.0008668,
        kernel: tuple[int, int, int] = (7, 11, 11),
        stride_t: int = 1,
        volume: str = "continuous",
        core_loss: str = "two_means",
        short_t: str = "shrink",
        core_weight: float = 300.0,
        core_start: int = 100,
        **settings,
    ):
        super().__init__(reward_weight=reward_weight, area_growth=area_growth, **settings)
        self.core_term = CoreTerm(kernel, stride_t, volume, core_loss, short_t)
        self.core_weight = within("core_weight", core_weight, 0, float("inf"))
        self.core_start = whole("core_start", core_start, 0)

    def shortened(self, iterations: int, chunk: int) -> PerturbationExplainer:
        short = super().shortened(iterations, chunk)
        short.core_start = 0
        return short

    def extra_penalty(
        self, mask: Tensor, area: Tensor, generators: list[torch.Generator], iteration: int
    ) -> Tensor | float:
        if iteration <= self.core_start or self.core_weight == 0:
            return 0.0
        return self.core_weight * self.core_term(mask, area, generators)


class _Modulated:
    """A mixin that passes the mask's gradient through a band filter before each step (F-EP eq. 3-5).

    r_l, r_h, transform, zero_box: see BandFilter. tensor: filter the gradient of the `seed` (what is optimised) or of
    the padded `mask`. term: filter the `total` gradient or the `reward`'s alone.
    """

    def __init__(
        self,
        r_l: float = 0.5,
        r_h: float = 0.2,
        *,
        transform: str = "ortho",
        zero_box: str = "warn",
        tensor: str = "seed",
        term: str = "total",
        **settings,
    ):
        super().__init__(**settings)
        self.band = BandFilter(r_l, r_h, transform, zero_box)
        self.tensor = one_of("tensor", tensor, ("seed", "mask"))
        self.term = one_of("term", term, ("total", "reward"))

    def watch(self, padded: Tensor) -> tuple[Tensor, Tensor]:
        if self.tensor == "seed":
            return padded, padded
        hooked = padded.view_as(padded)
        hooked.register_hook(self.band)
        return hooked, hooked if self.term == "total" else padded

    def gradient(self, seed: Tensor, reward: Tensor, penalty: Tensor) -> Tensor:
        if self.tensor == "mask":
            return super().gradient(seed, reward, penalty)
        if self.term == "total":
            return self.band(super().gradient(seed, reward, penalty))
        kept = torch.autograd.grad(reward.sum(), seed, retain_graph=True)[0]
        return self.band(kept) + torch.autograd.grad(penalty.sum(), seed)[0]


class FEP(_Modulated, EP3D):
    """F-EP, which is EP-3D with a frequency-modulated gradient (Lin et al. 2021, section 3.2); step 13, sigma 23."""

    def __init__(self, r_l: float = 0.5, r_h: float = 0.2, *, step: int = 13, sigma: float = 23.0, **settings):
        super().__init__(r_l, r_h, step=step, sigma=sigma, **settings)


class FEPOnSTEP(_Modulated, STEP):
    """STEP with F-EP's modulation of the gradient."""

    def __init__(self, r_l: float = 0.5, r_h: float = 0.2, *, step: int = 13, sigma: float = 23.0, **settings):
        super().__init__(r_l, r_h, step=step, sigma=sigma, **settings)
