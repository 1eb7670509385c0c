"""TimeSformer as configured: its tokens, its attentions and the layers that explainers read."""

import pytest
import torch
from helpers.configs import composed
from helpers.model_configs import blank, mini, noise, outputs_of, unallocated

from vxbench.config import build
from vxbench.errors import NotApplicable, UserError
from vxbench.explainers.cam import GradCAM

LAYERS = "recognizer.backbone.transformer_layers.layers"
TARGET = torch.tensor([1, 3])


def trained(classifier):
    """With heads and temporal attentions that matter: random ones start near zero."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in classifier.named_parameters():
            if "fc_cls.weight" in name or "temporal_fc.weight" in name:
                weight.normal_(0, 0.3, generator=generator)
    return classifier


@pytest.mark.choice("cam.tsf_layer")
@pytest.mark.parametrize(
    ("cam_at", "layer", "shape"),
    [
        ("last_spatial_ln", f"{LAYERS}.11.attentions.1.norm", (2 * 8, 1 + 14 * 14, 768)),
        ("prev_block", f"{LAYERS}.10", (2, 1 + 14 * 14 * 8, 768)),
    ],
)
def test_at_the_paper_s_size_cam_reads_the_last_block_s_input(monkeypatch, cam_at, layer, shape):
    built = unallocated(monkeypatch, "model=timesformer", f"model.cam_at={cam_at}")
    assert built.cam_layer == layer
    assert outputs_of(built, layer, blank(built, 2)).shape == shape
    assert len(built.get_submodule(LAYERS)) == 12


def test_the_paper_s_clips_are_as_mmaction2_tests_them():
    dataset = composed("profile=paper", "model=timesformer").dataset
    assert (dataset.sampling, dataset.interval, dataset.frames) == ("dense", 32, 8)
    assert (dataset.resize, dataset.short_side, dataset.height, dataset.width) == ("crop", 224, 224, 224)


@pytest.mark.choice("cam.tsf_layer")
def test_both_layers_give_maps_of_their_own_and_the_last_block_s_output_none():
    maps = []
    for cam_at in ("last_spatial_ln", "prev_block"):
        config = composed("model=timesformer", f"model.cam_at={cam_at}", "explainer=gradcam")
        built = trained(mini("model=timesformer"))
        maps.append(build(config, "explainer")(built, noise(built), TARGET))
        assert maps[-1].shape == (2, 8, 64, 64)
        assert (maps[-1].flatten(1).amax(1) > 0).all()
    assert (maps[0] - maps[1]).abs().max() > 1e-3
    with pytest.raises(NotApplicable, match="only the class token reaches the score"):
        GradCAM(f"{LAYERS}.1")(built, noise(built), TARGET)


def test_rollout_finds_the_attentions_by_the_configured_patterns():
    built = trained(mini("model=timesformer"))
    rollout = build(composed("model=timesformer", "explainer=attention_rollout"), "explainer")
    kinds = [kind for kind, _ in rollout.attentions(built, noise(built))]
    assert kinds == ["temporal", "spatial"] * 2
    saliency = rollout(built, noise(built), TARGET)
    assert saliency.shape == (2, 8, 64, 64)
    assert (saliency[0] != saliency[1]).any()


def test_it_is_small_at_the_mini_size():
    assert sum(weight.numel() for weight in mini("model=timesformer").parameters()) <= 250_000


def test_frames_and_patches_follow_the_input():
    built = mini("model=timesformer", "model.input.frames=4", "model.input.width=32")
    assert outputs_of(built, built.cam_layer, noise(built)).shape == (2 * 4, 1 + 4 * 2, 48)


def test_another_number_of_frames_is_refused():
    built = mini("model=timesformer")
    with pytest.raises(UserError, match=r"^timesformer is built for clips of 8 frames and got 16: set model\.input"):
        built(torch.zeros(1, 3, 16, 64, 64))
    with pytest.raises(UserError, match=r"built for 4 frames but model\.input\.frames = 8; they must be equal"):
        mini("model=timesformer", "model.overrides.backbone.num_frames=4")
