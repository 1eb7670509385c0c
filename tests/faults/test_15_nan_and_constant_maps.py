"""A clip whose map holds NaN is a failure row and costs no other clip; a map that is constant is scored and marked."""

import numpy as np
import pytest
import torch
from helpers.scoring import REFS, computer, decoded
from helpers.toys import GapFC

from vxbench.explainers import EP3D, FEP, RISE, STEP, EP3DEvenly, GradCAM, Gradients, Random
from vxbench.metrics import DropInConfidence

BRIGHT = 200  # mean of a clip that the network does not survive
PERTURBATION = {"iterations": 3, "step": 3, "sigma": 4}
EXPLAINERS = {
    "EP-3D": lambda: EP3D(**PERTURBATION),
    "EP-3D of three areas": lambda: EP3D(areas=(0.1, 0.2, 0.5), combine="extremal", **PERTURBATION),
    "EP-3D of both": lambda: EP3D(mode="dual", **PERTURBATION),
    "EP-3D shuffles": lambda: EP3D(ties="shuffle", perturbation="fade", **PERTURBATION),
    "EP-3D evenly": lambda: EP3DEvenly(**PERTURBATION),
    "STEP": lambda: STEP(core_start=0, kernel=(3, 5, 5), **PERTURBATION),
    "F-EP": lambda: FEP(**PERTURBATION),
    "RISE": lambda: RISE(masks=4),
    "gradients": Gradients,
    "Grad-CAM": lambda: GradCAM("features"),
}


class Overflowing(GapFC):
    """Gives infinite scores for bright clips."""

    def forward(self, clip):
        return super().forward(clip).masked_fill((clip.mean(dim=(1, 2, 3, 4)) > 0.5)[:, None], torch.inf)


def scorer(explainer):
    machine = computer(dc=DropInConfidence())
    plain = machine.classifier
    machine.classifier = Overflowing().eval()
    machine.classifier.load_state_dict(plain.state_dict())
    machine.classifier.input, machine.explainer = plain.input, explainer
    return machine


def loaded(*bright):
    clips = [decoded(i) for i in range(4)]
    for i in bright:
        clips[i].frames[:] = np.random.default_rng(i).integers(BRIGHT - 20, BRIGHT + 20, clips[i].frames.shape)
    return clips


@pytest.mark.filterwarnings("ignore:r_l|STEP's kernel:RuntimeWarning")
@pytest.mark.parametrize("name", EXPLAINERS)
def test_a_clip_without_a_finite_map_costs_only_itself(name):
    rows = scorer(EXPLAINERS[name]())(REFS, loaded(1)).rows.set_index("clip")
    broken = rows.loc[REFS[1].id]
    assert (broken.status, broken.reason) == ("failed", "nan_map: the map holds NaN or infinity")
    others = scorer(EXPLAINERS[name]())(REFS[:1] + REFS[2:], [clip for i, clip in enumerate(loaded()) if i != 1])
    expected = others.rows.set_index("clip")
    assert set(rows.drop(REFS[1].id).status) == {"ok"}
    assert rows.value.drop(REFS[1].id).to_dict() == pytest.approx(expected.value.to_dict(), rel=1e-3, abs=1e-3)


def test_a_map_of_nan_has_no_score_and_no_picture_also_where_it_is_alone():
    done = scorer(FEP(**PERTURBATION))(REFS[:1], loaded(0)[:1])
    assert done.rows.status.tolist() == ["failed"]
    assert done.pictures == []


def test_a_map_that_asks_no_network_has_a_reason_in_place_of_a_score():
    rows = scorer(Random())(REFS, loaded(1)).rows
    assert rows.value.isna().tolist() == [False, True, False, False]
    assert rows.reason[1] == "the network's output is not finite"


class Constant(Gradients):
    def explain(self, classifier, clip, target, context):
        saliency = super().explain(classifier, clip, target, context)
        saliency[2] = 7.5
        return saliency


def test_a_constant_map_is_scored_as_an_empty_one_and_marked():
    done = scorer(Constant())(REFS, loaded())
    assert done.rows.degenerate.tolist() == [False, False, True, False]
    assert done.rows.value.notna().all()
    assert [picture.saliency.any() for picture in done.pictures] == [True, True, False, True]
