"""Runs the cascading randomisation test of explanations (Adebayo et al. 2018), as in AOSA's Figure 8."""

import copy
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from vxbench.explainers.base import Explainer, Passes
from vxbench.explainers.normalise import normalise
from vxbench.fact import Fact
from vxbench.metrics.base import Batch, Metric, Scores, explain_again
from vxbench.metrics.facts import ANY
from vxbench.metrics.sanity.cascade import (
    ORIGINAL,
    Statistics,
    calibrate,
    holds_batch_norm,
    randomise,
    read_stages,
    set_statistics,
)
from vxbench.metrics.sanity.similarity import flat, precise, spearman, ssim
from vxbench.ranges import one_of, whole

BN = ("recalibrate", "keep", "reset")
MEASURES = {
    "rank": ("Spearman's correlation", "ρ"),
    "rank_abs": ("Spearman's correlation of |S - mean S|", "ρ of |S|"),
    "ssim": ("structural similarity", "SSIM"),
}
NOT_FINITE = "the stage's map holds NaN or infinity"


def _fact(measure: str, stage: str, better: bool | None) -> Fact:
    name, short = MEASURES[measure]
    about = f"{name} with the map at stage {stage}"
    return Fact(about, short=f"{short}, {stage}", low=-1, high=1, higher_is_better=better)


class SanityCheck(Metric):
    """How alike a map stays while the network's layers forget, from the top down, what they have learned.

    At every stage one more group of modules is drawn anew, those before it stay random, and the explainer explains the
    same class of the same clip again, on the same random draws. Each such map, normalised as the explainer's maps are,
    is compared with the map that is scored; low is good, for a map that survives does not depend on the weights.

    rank_<stage>: Spearman's correlation of the voxels, ties averaged. rank_abs_<stage>: the same of |S - mean S|.
    ssim_<stage>: structural similarity, mean over frames. The stage `original`, the network as it is, comes first and
    must give 1: less means that the explainer does not repeat itself, or that the map is not this explainer's.

    stages: {name: dotted names of modules} in order, or a list of such mappings. A module is drawn anew by its own
        reset_parameters.
    bn: running statistics of batch norms in randomised modules are re-estimated at every stage (`recalibrate`), left as
        trained (`keep`) or set to mean 0, variance 1 (`reset`).
    calibration, calibration_batch: `recalibrate` uses that many clips of the data set, so many at once.
    seed: of the random weights, which are the same for all clips.

    The classifier is left alone; one copy of it exists at a time.
    """

    facts: ClassVar = {f"{measure}_{ORIGINAL}": _fact(measure, ORIGINAL, None) for measure in MEASURES} | {
        f"{measure}_{ANY}": _fact(measure, ANY, better=False) for measure in MEASURES
    }

    def __init__(
        self,
        explainer: Explainer,
        stages: Mapping[str, Sequence[str]] | Sequence[Mapping[str, Sequence[str]]],
        bn: str = "recalibrate",
        calibration: int = 32,
        calibration_batch: int = 8,
        seed: int = 0,
    ):
        self.explainer = explainer
        self.stages = read_stages(stages)
        self.bn = one_of("bn", bn, BN)
        self.calibration = whole("calibration", calibration, 1) if bn == "recalibrate" else 0
        self.calibration_batch = whole("calibration_batch", calibration_batch, 1)
        self.seed = whole("seed", seed, 0)
        self.keys = tuple(f"{measure}_{stage}" for measure in MEASURES for stage in (ORIGINAL, *self.stages))
        self._statistics: dict[str, Statistics] = {}
        self._prepared_for: weakref.ref[nn.Module] | None = None

    def prepare(self, classifier: nn.Module, clips: Tensor) -> None:
        """Re-estimates the statistics of every stage on clips (N, 3, T, H, W), which may lie on any device."""
        if self.bn != "recalibrate":
            return
        network, random = copy.deepcopy(classifier), []
        for stage, names in self.stages.items():
            randomise(network, names, self.seed)
            random += names
            self._statistics[stage] = calibrate(network, random, clips, self.calibration_batch)
        self._prepared_for = weakref.ref(classifier)

    def __call__(self, classifier: nn.Module, batch: Batch, saliency: Tensor) -> Scores:
        """Each key (B,). Correlations are NaN where a map is constant, all three where a map is not finite.

        Raises:
            UserError: stages that do not fit the network.
            ValueError: bn = recalibrate without a call of `prepare` for this classifier.
        """
        values, reasons = {}, {}
        given = precise(saliency)
        for stage, network in self.networks(classifier):
            again = explain_again(self.explainer, network, batch)
            broken = ~again.isfinite().flatten(1).all(dim=1)
            again, _ = normalise(again.nan_to_num(0, 0, 0), self.explainer.normaliser)
            for measure, (value, why) in compare(given, precise(again), broken.to(given.device)).items():
                key = f"{measure}_{stage}"
                values[key], reasons[key] = value, why
        return Scores({key: values[key] for key in self.keys}, {key: why for key, why in reasons.items() if why})

    def passes(self, shape: tuple[int, int, int]) -> Passes | None:
        once = self.explainer.passes(shape)
        return None if once is None else once * (len(self.stages) + 1)

    def passes_before(self, shape: tuple[int, int, int]) -> Passes:
        """Less where no randomised layer has batch norm."""
        return Passes(forward=len(self.stages) * self.calibration)

    def networks(self, classifier: nn.Module) -> Iterator[tuple[str, nn.Module]]:
        """(stage, network): one copy, ever more random."""
        network, random = copy.deepcopy(classifier), []
        yield ORIGINAL, network
        for stage, names in self.stages.items():
            randomise(network, names, self.seed, keep_statistics=self.bn == "keep")
            random += names
            if self.bn == "recalibrate" and holds_batch_norm(network, random):
                set_statistics(network, self._of(classifier)[stage])
            yield stage, network

    def _of(self, classifier: nn.Module) -> dict[str, Statistics]:
        if self._prepared_for is None or self._prepared_for() is not classifier:
            raise ValueError("bn = recalibrate needs prepare(classifier, clips) first, with this very classifier")
        return self._statistics


def compare(first: Tensor, second: Tensor, broken: Tensor) -> dict[str, tuple[Tensor, dict[int, str]]]:
    """{measure: ((B,) float64, {index: why it is NaN})} of maps (B, T, H, W) in [0, 1].

    broken: (B,) bool, where `second` is not a map.
    """
    distances = [(maps - maps.mean(dim=(1, 2, 3), keepdim=True)).abs() for maps in (first, second)]
    values = {
        "rank": spearman(first, second),
        "rank_abs": spearman(*distances),
        "ssim": ssim(first, second).mean(dim=1),
    }
    constant = {"rank": _constant("the {} map", first, second)}
    constant["rank_abs"] = _constant("|S - mean| of the {} map", *distances)
    not_finite = dict.fromkeys(broken.nonzero().flatten().tolist(), NOT_FINITE)
    return {
        measure: (value.masked_fill(broken, torch.nan), constant.get(measure, {}) | not_finite)
        for measure, value in values.items()
    }


def _constant(what: str, first: Tensor, second: Tensor) -> dict[int, str]:
    """{index: which of the two is constant}, the first of them if both are."""
    found = {}
    for name, maps in (("stage's", second), ("original", first)):
        found |= dict.fromkeys(flat(maps).nonzero().flatten().tolist(), f"{what.format(name)} is constant")
    return found
