"""SlowFast as configured: its clips, its two pathways and the layers that explainers read."""

import pytest
import torch
from helpers.configs import composed
from helpers.model_configs import blank, mini, noise, outputs_of, unallocated

from vxbench.config import build
from vxbench.errors import UserError
from vxbench.metrics.sanity.cascade import read_stages
from vxbench.network import input_gradient

PATHS = "recognizer.backbone."
SLOW, FAST = f"{PATHS}slow_path.layer4", f"{PATHS}fast_path.layer4"


@pytest.mark.choice("aosa.slowfast_cfg")
@pytest.mark.parametrize(("model", "slow"), [("slowfast", 8), ("slowfast_4x16", 4)])
def test_at_the_paper_s_size_the_slow_pathway_sees_8_or_4_of_32_frames(monkeypatch, model, slow):
    built = unallocated(monkeypatch, f"model={model}")
    clip = blank(built, 2)
    assert clip.shape == (2, 3, 32, 256, 256)
    assert built.key == "slowfast"
    assert outputs_of(built, SLOW, clip).shape == (2, 2048, slow, 8, 8)
    assert outputs_of(built, FAST, clip).shape == (2, 256, 32, 8, 8)


@pytest.mark.parametrize("model", ["slowfast", "slowfast_4x16"])
def test_the_paper_s_clips_are_every_second_frame_from_the_middle(model):
    dataset = composed("profile=paper", f"model={model}").dataset
    assert (dataset.sampling, dataset.interval, dataset.frames) == ("dense", 2, 32)
    assert (dataset.resize, dataset.short_side, dataset.height) == ("crop", 256, 256)


def test_the_mini_model_has_both_pathways_and_is_small():
    built = mini("model=slowfast")
    clip = noise(built)
    assert outputs_of(built, SLOW, clip).shape == (2, 64, 2, 4, 4)
    assert outputs_of(built, FAST, clip).shape == (2, 16, 8, 4, 4)
    assert sum(weight.numel() for weight in built.parameters()) <= 300_000
    gradient = input_gradient(built, clip, torch.tensor([0, 1]))
    assert (gradient.abs().amax((1, 3, 4)) > 0).all()


@pytest.mark.choice("cam.pathway")
@pytest.mark.parametrize(("pathway", "layer"), [("slow", SLOW), ("fast", FAST)])
def test_cam_reads_the_pathway_that_is_chosen(pathway, layer):
    config = composed("model=slowfast", f"model.cam_at={pathway}", "explainer=gradcam")
    assert config.model.cam_layer == build(config, "explainer").layer == layer
    if pathway == "slow":
        assert composed("model=slowfast").model.cam_layer == layer


def test_frames_that_the_slow_pathway_cannot_divide_are_refused():
    with pytest.raises(UserError, match=r"^slowfast: model\.input\.frames = 10 is not a multiple of 4$"):
        mini("model=slowfast", "model.input.frames=10")


def test_the_stages_hold_every_convolution_above_the_stems():
    """Both pathways and the laterals between them; the convolutions left are the stems' own and their lateral."""
    built = mini("model=slowfast")
    named = [name for names in read_stages(built.stages).values() for name in names]
    left = [
        name
        for name, module in built.named_modules()
        if isinstance(module, torch.nn.Conv3d | torch.nn.Linear) and not any(name.startswith(f"{n}.") for n in named)
    ]
    stems = ("slow_path.conv1.conv", "slow_path.conv1_lateral.conv", "fast_path.conv1.conv")
    assert left == [PATHS + name for name in stems]
