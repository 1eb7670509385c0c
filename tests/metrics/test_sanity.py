"""Which maps are compared, and what is said of them."""

import math
import pickle
from inspect import signature

import numpy as np
import pytest
import torch
from helpers.configs import composed
from helpers.sanity_runs import (
    NAMES,
    SHAPE,
    STAGES,
    make_batch,
    make_model,
    map_of,
    networks_of,
    plain_ssim,
    scores_of,
)
from helpers.toys import clips
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy.stats import spearmanr

from vxbench.errors import OutOfRange
from vxbench.explainers import EP3D, STEP, GradCAM, Gradients, Random, SmoothGrad
from vxbench.explainers.base import Explainer
from vxbench.explainers.normalise import normalise
from vxbench.metrics.base import Batch
from vxbench.metrics.sanity import SanityCheck


@pytest.fixture
def model():
    return make_model()


@pytest.fixture
def batch():
    return make_batch()


@pytest.fixture
def calibration():
    return 2 * clips(10, *SHAPE, seed=3, dtype=torch.float64) + 1


EXPLAINERS = {
    "gradients": Gradients(),
    "smoothgrad": SmoothGrad(samples=3),
    "gradcam": GradCAM("layer2"),
    "random": Random(),
    "ep3d": EP3D(step=4, sigma=5, iterations=3),
    "step": STEP(step=4, sigma=5, iterations=3, core_start=0, kernel=(2, 3, 3), stride_t=1),
}


@pytest.mark.identity(31)
@pytest.mark.parametrize("name", EXPLAINERS)
def test_the_network_as_it_is_gives_the_same_map(name, model, batch):
    """Also for methods that draw, and though the map's own run has used the generators up."""
    scores = scores_of(EXPLAINERS[name], model, batch, stages={"fc": ["fc"]})
    for key in ("rank_original", "rank_abs_original", "ssim_original"):
        torch.testing.assert_close(scores[key], torch.ones(3, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.identity(31)
def test_a_map_of_another_explainer_is_found_out(model, batch):
    scores = SanityCheck(Gradients(), STAGES, bn="keep")(model, batch, map_of(SmoothGrad(), model, batch))
    assert all((scores[f"{m}_original"] < 0.999).all() for m in ("rank", "rank_abs", "ssim"))


def test_a_map_that_does_not_look_at_the_network_survives(model, batch):
    scores = scores_of(Random(), model, batch)
    assert all((value == 1).all() for value in scores.values())


def test_maps_of_random_networks_differ(model, batch):
    scores = scores_of(Gradients(), model, batch)
    assert (scores["rank_layer1"].abs() < 0.5).all()
    assert (scores["ssim_layer1"] < 0.7).all()


@pytest.mark.parametrize("explainer", [Gradients(), GradCAM("layer2")], ids=["p999", "minmax"])
def test_against_plain_formulas(explainer, model, batch, calibration):
    """Every stage's map explained, scaled and compared by itself, with scipy and loops."""
    stages = {"head": ["fc"], "rest": ["layer2", "layer1"]}
    networks = networks_of(model, calibration, stages=stages)
    scores = scores_of(explainer, model, batch, calibration, stages=stages, bn="recalibrate")
    for stage, state in networks.items():
        network = make_model()
        network.load_state_dict(state)
        for i in range(3):
            raw = [explainer(n, batch.clip[i : i + 1], batch.target[i : i + 1]) for n in (model, network)]
            a, b = (normalise(m, explainer.normaliser)[0][0].double().numpy() for m in raw)
            if np.ptp(a) == 0 or np.ptp(b) == 0:
                assert scores[f"rank_{stage}"][i].isnan()
                continue
            expected = {
                "rank": spearmanr(a.ravel(), b.ravel()).statistic,
                "rank_abs": spearmanr(abs(a - a.mean()).ravel(), abs(b - b.mean()).ravel()).statistic,
                "ssim": np.mean([plain_ssim(p, q) for p, q in zip(a, b, strict=True)]),
            }
            for key, value in expected.items():
                # maps are float32 and were made in another batch: their last digits may swap a few ranks
                assert scores[f"{key}_{stage}"][i].item() == pytest.approx(value, abs=1e-5)


class Centred(Explainer):
    """A map of the network's own making: minmax, negative and positive, so that |S - mean| ranks otherwise than S."""

    def explain(self, classifier, clip, target, context):
        return clip[:, 0] * classifier.fc.weight[0, 0]


def test_signed_and_absolute_correlation_tell_a_flip_from_a_loss(model, batch):
    """A map times a negative number: signed correlation -1, of distances from the mean 1."""
    for seed in range(20):
        scores = scores_of(Centred(), model, batch, stages={"fc": ["fc"]}, seed=seed)
        sign = scores["rank_fc"].sign()
        torch.testing.assert_close(scores["rank_fc"], sign, rtol=0, atol=1e-6)  # maps are float32: a few ranks swap
        assert (scores["rank_abs_fc"] > 0.999).all()
        if (sign < 0).all():
            return
    pytest.fail("no seed flips the sign")


def test_keys_are_measures_by_stages_in_order(model, batch):
    metric = SanityCheck(Gradients(), STAGES, bn="keep")
    assert list(metric.keys) == [f"{m}_{stage}" for m in ("rank", "rank_abs", "ssim") for stage in NAMES]
    scores = metric(model, batch, batch.clip[:, 0])
    assert list(scores) == list(metric.keys)
    assert all(value.shape == (3,) for value in scores.values())


def test_stages_may_be_a_list_which_configs_keep_in_order(model, batch):
    listed = SanityCheck(Gradients(), [{name: modules} for name, modules in STAGES.items()], bn="keep")
    assert listed.keys == SanityCheck(Gradients(), STAGES, bn="keep").keys


def same(got, expected):
    for key in expected:
        torch.testing.assert_close(got[key], expected[key], rtol=0, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("explainer", [Gradients(), SmoothGrad(samples=3), GradCAM("layer2")])
def test_a_clip_does_not_feel_its_batch_or_its_place(explainer, model, calibration):
    """Up to the last digits of float32 maps."""
    metric, batch = SanityCheck(explainer, STAGES), make_batch(8)
    metric.prepare(model, calibration)
    saliency = map_of(explainer, model, batch)
    together = metric(model, batch, saliency)
    for index in ([0], [5], [7], [6, 1, 3]):
        own = [batch.generators[i] for i in index]
        some = Batch(batch.clip[index], batch.target[index], batch.label[index], generators=own)
        same(metric(model, some, saliency[index]), {key: value[index] for key, value in together.items()})


def test_the_explainer_s_chunk_changes_nothing(model, calibration):
    expected = scores_of(Gradients(), model, make_batch(5), calibration, bn="recalibrate")
    same(scores_of(Gradients(chunk=2), model, make_batch(5), calibration, bn="recalibrate"), expected)


def test_boxes_reach_the_explainer(model, batch):
    class Boxed(Explainer):
        def explain(self, classifier, clip, target, context):
            return context.boxes.double()

    batch.boxes = batch.clip[:, 0] > 0
    scores = SanityCheck(Boxed(), STAGES, bn="keep")(model, batch, batch.boxes.float())
    assert all((value == 1).all() for key, value in scores.items() if not key.startswith("rank_abs"))


class Scaled(Explainer):
    """The clip while `fc` is as trained; then what `random` says."""

    normaliser = "none"

    def __init__(self, trained, random):
        super().__init__()
        self.trained, self.random = trained, random

    def explain(self, classifier, clip, target, context):
        as_trained = torch.equal(classifier.fc.weight, self.trained.fc.weight)
        return clip[:, 0].sigmoid() if as_trained else self.random(clip[:, 0].sigmoid())


def test_a_constant_map_has_no_correlation_and_says_so(model, batch):
    explainer = Scaled(model, lambda s: s.clone().index_fill(0, torch.tensor([1]), 0.25))
    metric = SanityCheck(explainer, {"fc": ["fc"]}, bn="keep")
    saliency = map_of(explainer, model, batch)
    saliency[2] = 0
    scores = metric(model, batch, saliency)
    assert scores["rank_fc"].isnan().tolist() == [False, True, True]
    assert scores["rank_abs_fc"].isnan().tolist() == [False, True, True]
    assert scores["rank_original"].isnan().tolist() == [False, False, True]
    assert scores["ssim_fc"].isfinite().all()
    assert scores.reasons["rank_fc"] == {1: "the stage's map is constant", 2: "the original map is constant"}
    assert scores.reasons["rank_abs_original"] == {2: "|S - mean| of the original map is constant"}
    assert set(scores.reasons) == {"rank_fc", "rank_abs_fc", "rank_original", "rank_abs_original"}


def test_two_values_in_equal_parts_have_no_distances_to_rank(model, batch):
    """The mean, .3 or so, is not exact in floating point; the distances are equal all the same."""

    def halves(s):
        return torch.where(torch.arange(s[0].numel()).view(s[0].shape) % 2 == 0, 0.1, 0.5).expand_as(s)

    scores = scores_of(Scaled(model, halves), model, batch, stages={"fc": ["fc"]})
    assert scores["rank_fc"].isfinite().all()
    assert scores["rank_abs_fc"].isnan().all()


def test_a_map_that_is_not_finite_is_not_compared_and_says_so(model, batch):
    def breaking(s):
        s = s.clone()
        s[0, 1, 2, 3], s[2, 0, 0, 0] = math.nan, math.inf
        return s

    scores = scores_of(Scaled(model, breaking), model, batch, stages={"fc": ["fc"]})
    for measure in ("rank", "rank_abs", "ssim"):
        assert scores[f"{measure}_fc"].isnan().tolist() == [True, False, True]
        assert scores[f"{measure}_fc"][1] == 1
        reason = "the stage's map holds NaN or infinity"
        assert scores.reasons[f"{measure}_fc"] == {0: reason, 2: reason}
        assert f"{measure}_original" not in scores.reasons


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bn": "freeze"}, "bn = freeze is not one of recalibrate, keep, reset"),
        ({"calibration": 0}, "calibration = 0 is not a whole number"),
        ({"calibration_batch": 0}, "calibration_batch = 0 is not a whole number"),
        ({"seed": -1}, "seed = -1 is not a whole number"),
        ({"stages": {}}, "at least one"),
        ({"stages": [{"fc": ["fc"]}, {"fc": ["layer2"]}]}, "must be different names"),
        ({"stages": {"original": ["fc"]}}, "none of them original"),
        ({"stages": {"fc": "fc"}}, r"stages.fc = 'fc' is not a list"),
        ({"stages": {"fc": []}}, r"stages.fc = \[\] is not a list"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(settings, message):
    with pytest.raises(OutOfRange, match=message):
        SanityCheck(**{"explainer": Gradients(), "stages": STAGES} | settings)


def test_it_can_be_sent_to_a_worker():
    metric = pickle.loads(pickle.dumps(SanityCheck(Gradients(), STAGES)))
    assert metric.keys == SanityCheck(Gradients(), STAGES).keys


def test_the_config_has_every_setting_at_its_default():
    stages = "++model.stages=[{fc: [a.b]}, {layer4: [c, d]}]"
    node = composed("metric=sanity", "explainer=gradcam", stages, "seed=3").metric.sanity
    assert node._target_ == "vxbench.metrics.SanityCheck"
    settings = {name: value.default for name, value in signature(SanityCheck).parameters.items()}
    given = {name: value for name, value in OmegaConf.to_container(node, resolve=True).items() if name != "_target_"}
    assert given.keys() == settings.keys()
    metric = SanityCheck(**given | {"explainer": instantiate(node.explainer)})
    assert isinstance(metric.explainer, GradCAM)  # the cell's own
    assert metric.stages == {"fc": ("a.b",), "layer4": ("c", "d")}
    assert metric.seed == 3  # the run's
    for name in ("bn", "calibration", "calibration_batch"):
        assert getattr(metric, name) == settings[name]
