"""What the configurations of R(2+1)D and R3D promise: input, statistics, place in the tables, weights."""

from pathlib import PurePosixPath

import pytest
import torch
from helpers.configs import composed
from helpers.paths import CONF
from hydra.utils import instantiate
from omegaconf import OmegaConf

from vxbench.models.loading import FORMATS

AOSA_MEAN, AOSA_STD = (0.4345, 0.4051, 0.3775), (0.2768, 0.2713, 0.2737)
STEP_MEAN, STEP_STD = (0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989)


def config_of(model, scale, labels="kinetics400"):
    """The model's config and its checkpoint's entry, as scripts/run.py has them."""
    return composed(f"model={model}", f"profile={scale}", f"dataset.labels={labels}")


def built(model, scale, classes=5):
    config = config_of(model, scale).model
    config.update(checkpoint=None, num_classes=classes)
    return instantiate(config)


@pytest.mark.parametrize(
    ("model", "resize", "sampling", "mean", "std"),
    [
        ("r2plus1d", "squash", "last", STEP_MEAN, STEP_STD),
        ("r3d", "crop", "window", AOSA_MEAN, AOSA_STD),
        ("r2plus1d_50", "crop", "window", AOSA_MEAN, AOSA_STD),
    ],
)
def test_clips_are_those_of_the_papers(model, resize, sampling, mean, std):
    spec = config_of(model, "paper").model.input
    assert (spec.frames, spec.height, spec.width, spec.interval) == (16, 112, 112, 1)
    assert (spec.resize, spec.sampling) == (resize, sampling)
    assert spec.short_side == (112 if resize == "crop" else None)
    assert list(spec.mean) == pytest.approx([255 * value for value in mean], rel=1e-9)
    assert list(spec.std) == pytest.approx([255 * value for value in std], rel=1e-9)


@pytest.mark.parametrize("scale", ["mini", "paper"])
def test_all_r2plus1d_have_one_place_in_the_tables(scale):
    configs = [config_of(model, scale).model for model in ("r2plus1d", "r2plus1d_34", "r2plus1d_50")]
    assert {config.key for config in configs} == {"r2plus1d"}
    assert len({config.display for config in configs}) == 3


def test_r2plus1d_18_has_as_many_parameters_as_torchvision_lists():
    """The list is that of R2Plus1D_18_Weights.KINETICS400_V1."""
    classifier = built("r2plus1d", "paper", classes=400)
    assert sum(parameter.numel() for parameter in classifier.parameters()) == 31_505_325


@pytest.mark.slow
def test_the_published_r2plus1d_50_of_the_3d_resnets_fits_layer_by_layer():
    """Shapes of the stem and of a block as the source's commits from 7ab2428 on give them, at their own width."""
    backbone = built("r2plus1d_50", "paper").recognizer.backbone
    shapes = {name: tuple(value.shape) for name, value in backbone.state_dict().items()}
    expected = {
        "conv1.conv.conv_s": (110, 3, 1, 7, 7),
        "conv1.conv.bn_s": (110,),
        "conv1.conv.conv_t": (64, 110, 7, 1, 1),
        "conv1.bn": (64,),
        "layer1.0.conv1.conv": (64, 64, 1, 1, 1),
        "layer1.0.conv2.conv.conv_s": (144, 64, 1, 3, 3),
        "layer1.0.conv2.conv.conv_t": (64, 144, 3, 1, 1),
        "layer4.2.conv3.conv": (2048, 512, 1, 1, 1),
    }
    assert {name: shapes.get(f"{name}.weight") for name in expected} == expected


@pytest.mark.slow
@pytest.mark.parametrize("model", ["r2plus1d", "r2plus1d_50", "r3d"])
def test_paper_sizes_pass_logits_and_a_gradient_to_every_frame(model):
    """At 64 of the 112 pixels, which any of these networks takes, to save time."""
    classifier = built(model, "paper")
    clip = torch.randn(1, 3, 16, 64, 64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    logits = classifier(clip)
    (gradient,) = torch.autograd.grad(logits[0, 0], clip)
    assert logits.shape == (1, 5)
    assert (gradient.abs().amax(dim=(1, 3, 4)) > 0).all()
    assert getattr(classifier.recognizer.cls_head, "dropout", None) is None


def test_mini_r3d_is_small_and_its_cam_layer_has_cells_and_time_steps():
    classifier = built("r3d", "mini")
    outputs = []
    hook = classifier.get_submodule(classifier.cam_layer).register_forward_hook(lambda *call: outputs.append(call[-1]))
    classifier(torch.zeros(1, 3, 8, 64, 64))
    hook.remove()
    assert outputs[0].shape == (1, classifier.recognizer.cls_head.in_channels, 2, 4, 4)
    assert sum(parameter.numel() for parameter in classifier.parameters()) <= 250_000


def entries():
    """(name, entry) of all weights, `<scale>/<model>.<class list>`."""
    for path in sorted((CONF / "model/size").glob("*/*.yaml")):
        for labels, entry in OmegaConf.load(path).get("weights", {}).items():
            yield f"{path.parent.name}/{path.stem}.{labels}", OmegaConf.to_container(entry, resolve=False)


def test_entries_of_weights_are_whole():
    found = dict(entries())
    assert {"mini/tsm.ucf101_24", "paper/r3d.kinetics700", "paper/slowfast_4x16.kinetics400"} <= set(found)
    for name, entry in found.items():
        assert isinstance(entry["num_classes"], int), name
        assert entry.get("format", "mmaction2") in FORMATS, name
        assert name.startswith("mini/") or entry["source"], name
        if "url" in entry:
            url = PurePosixPath(entry["url"])
            assert PurePosixPath(entry["file"]).name == url.name, name
            assert entry["licence"], name
            assert str(entry["sha256"]) in url.stem, name  # as its publishers write it into the name


PAIRS = {  # of the 14 tables; UCF101-24 in AOSA's are explained by the networks of ucf101
    "r2plus1d": {"ucf101_24": (8, 24), "epic_object": (6, 20), "epic_action": (6, 20)},
    "r2plus1d_50": {"ucf101": (10, 101), "kinetics700": (8, 700)},
    "r3d": {"ucf101": (10, 101), "kinetics700": (8, 700)},
}


@pytest.mark.parametrize(("model", "labels"), [(model, labels) for model in PAIRS for labels in PAIRS[model]])
def test_every_pair_of_the_tables_has_weights_of_its_classes(model, labels):
    for scale, classes in zip(("mini", "paper"), PAIRS[model][labels], strict=True):
        config = config_of(model, scale, labels)
        assert config.model.num_classes == classes
        assert config.model.checkpoint.file.endswith((".pth", ".safetensors"))
