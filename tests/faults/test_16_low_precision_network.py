"""Maps and scores are computed in float32 or better, whatever precision the network, or the caller, computes in."""

import numpy as np
import pytest
import torch
from helpers.configs import composed
from helpers.odd_networks import Odd, overrides
from helpers.toys import clips, seeded

from vxbench.explainers import FEP, RISE, GradCAM, GradCAMPlusPlus, Gradients, IntegratedGradients, SaliencyTubes
from vxbench.metrics import Batch, DeletionInsertion, DropInConfidence, MinimumPreservationRatio, SanityCheck, TopK
from vxbench.runner.assemble import Assembled
from vxbench.runner.job import run_cell
from vxbench.runner.store import Store

SHAPE = (3, 3, 8, 24, 32)
TARGET = torch.tensor([1, 0, 2])
AROUND = [lambda: torch.autocast("cpu", torch.bfloat16), torch.inference_mode]
MASKS = {"iterations": 2, "step": 6, "sigma": 7}


@pytest.fixture
def network():
    """A network that computes, and answers, in bfloat16."""
    network = seeded(Odd(4, "computes in half"))
    assert network(clips(*SHAPE)).dtype == torch.bfloat16
    return network


@pytest.fixture
def batch():
    return Batch(clips(*SHAPE), TARGET, TARGET)


@pytest.fixture
def saliency():
    return torch.rand(3, *SHAPE[2:], generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def probability(network, clip):
    """The softmax of the network's own answers, in float64."""
    return network(clip).double().softmax(dim=1)


def test_the_drop_in_confidence_is_that_of_the_network_s_answers(network, batch, saliency):
    metric = DropInConfidence()
    before, after = (probability(network, clip) for clip in (batch.clip, metric.explained(batch.clip, saliency)))
    best = before.argmax(dim=1, keepdim=True)
    expected = 100 * (before - after).gather(1, best)[:, 0].clamp(min=0)
    found = metric(network, batch, saliency)["dc"]
    assert found.dtype == torch.float32
    assert expected.max() > 1
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-4)  # float32; bfloat16 would leave .2


def test_curves_begin_at_the_network_s_answer(network, batch, saliency):
    curves = DeletionInsertion(steps=4)(network, batch, saliency).curves
    expected = probability(network, batch.clip).gather(1, TARGET[:, None])[:, 0]
    torch.testing.assert_close(curves["deletion"][:, 0].double(), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    "explainer",
    [
        Gradients(),
        RISE(masks=16),
        IntegratedGradients(steps=4, baseline="zero"),
        GradCAM("features"),
        GradCAMPlusPlus("features"),
        SaliencyTubes("features"),
        FEP(**MASKS),
    ],
    ids=lambda explainer: type(explainer).__name__,
)
def test_maps_of_it_are_those_of_the_network_in_full_precision(network, batch, explainer):
    full = seeded(Odd(4))
    full.load_state_dict(network.state_dict())
    found, expected = (explainer(net, batch.clip, TARGET) for net in (network, full))
    assert found.dtype == torch.float32
    assert len(found.unique()) > 256 * len(found)  # more than bfloat16 tells apart between two powers of 2
    assert np.corrcoef(found.flatten(), expected.flatten())[0, 1] > 0.98


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize(
    "metric",
    [
        DropInConfidence(),
        DeletionInsertion(steps=4),
        TopK(),
        MinimumPreservationRatio(FEP(**MASKS), grid=[0.2, 1]),
        SanityCheck(Gradients(), [{"fc": ["fc"]}], bn="keep"),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_a_caller_s_autocast_or_inference_mode_changes_no_score(around, metric, batch, saliency):
    network = seeded(Odd(4))
    expected = metric(network, batch, saliency)
    with around():
        found = metric(network, batch.mapped(torch.clone), saliency.clone())
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        torch.testing.assert_close(found[key], values, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_a_caller_s_fast_products_are_off_inside_and_on_again_after(precision, network, batch):
    seen = []
    network.register_forward_hook(lambda *_: seen.append(torch.get_float32_matmul_precision()))
    torch.set_float32_matmul_precision(precision)
    try:
        Gradients()(network, batch.clip, TARGET)
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision("highest")
    assert set(seen) == {"highest"}


@pytest.mark.slow
def test_a_cell_of_such_a_network_is_computed(tmp_path, mini_data):
    words = overrides("computes in half", f"paths.data={mini_data}", f"paths.results={tmp_path}", "profile=smoke")
    choices = {"model": "custom", "dataset": "ucf101_24", "explainer": "gradcam"}
    parts = Assembled(composed(*words, "explainer=gradcam", "model.cam_layer=recognizer.features"), choices)
    assert run_cell(parts).failed_clips == 0
    rows = Store(parts.store.folder).rows()
    values = rows.value[(rows.metric == "dc") & (rows.value > 0)]
    assert any(np.float32(value) != torch.tensor(value).bfloat16().item() for value in values)
