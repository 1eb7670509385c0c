"""Building from mmaction2's configs: what the YAML files promise, and one line for whatever is wrong."""

import subprocess
import sys

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from vxbench.errors import OutOfRange, UserError
from vxbench.models import Classifier, build_classifier

R2PLUS1D = "r2plus1d/r2plus1d_r34_8xb8-8x8x1-180e_kinetics400-rgb"
TSM = "tsm/tsm_imagenet-pretrained-r50_8xb16-1x1x8-50e_kinetics400-rgb"
INPUT = {"frames": 8, "height": 32, "width": 32, "mean": [120.0] * 3, "std": [60.0] * 3}
TINY = {"backbone": {"depth": 18, "base_channels": 8}, "cls_head": {"in_channels": 64}}
TINY_TSM = {"backbone": {"type": "NarrowResNetTSM", **TINY["backbone"]}, "cls_head": TINY["cls_head"]}


def tiny(config=R2PLUS1D, overrides=TINY, **more):
    return build_classifier(config, 5, more.pop("input", INPUT), overrides, **more)


@pytest.fixture(scope="module", params=["r2plus1d", "tsm"])
def classifier(request):
    return tiny() if request.param == "r2plus1d" else tiny(TSM, TINY_TSM)


@pytest.fixture(scope="module")
def clips():
    return torch.randn(3, 3, 8, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("model", ["r2plus1d", "tsm"])
@pytest.mark.parametrize("scale", ["mini", "paper"])
def test_every_model_of_the_configuration_builds_and_runs(model, scale, conf_dir):
    overrides = [f"+model={model}", f"+model/size@model={scale}/{model}", "model.checkpoint=null"]
    with initialize_config_dir(str(conf_dir), version_base="1.3"):
        built = instantiate(compose(overrides=overrides).model)
    assert isinstance(built, Classifier)
    assert not built.training
    assert built.key == model
    assert built.get_submodule(built.cam_layer) is built.recognizer.backbone.layer4
    side = 64 if scale == "mini" else 48  # 112 and 224 are slow here; any size passes the network
    logits = built(torch.zeros(1, 3, built.input.frames, side, side))
    assert logits.shape == (1, {"mini": 8, "paper": 24}[scale])


def test_logits_do_not_depend_on_the_batch(classifier, clips):
    together = classifier(clips)
    assert together.shape == (3, 5)
    # 5e-6: a batch of another size may sum in another order
    for i in range(3):
        torch.testing.assert_close(together[i : i + 1], classifier(clips[i : i + 1]), rtol=0, atol=5e-6)


def test_the_gradient_reaches_every_frame(classifier, clips):
    clip = clips.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(classifier(clip)[:, 0].sum(), clip)
    assert (gradient.abs().amax(dim=(1, 3, 4)) > 0).all()


def test_no_activation_is_in_place(classifier):
    modules = [module for module in classifier.modules() if hasattr(module, "inplace")]
    assert modules
    assert not any(module.inplace for module in modules)


def test_out_of_place_is_bit_identical(classifier, clips):
    expected = classifier(clips)
    relus = [module for module in classifier.modules() if hasattr(module, "inplace")]
    for relu in relus:
        relu.inplace = True
    with torch.no_grad():
        in_place = classifier(clips)
    for relu in relus:
        relu.inplace = False
    assert torch.equal(in_place, expected)


@pytest.mark.parametrize("frames", [4, 16])
def test_tsm_refuses_another_number_of_frames(frames):
    with pytest.raises(UserError, match=f"8 frames and got {frames}"):
        tiny(TSM, TINY_TSM)(torch.zeros(2, 3, frames, 32, 32))


def test_tsm_has_as_many_segments_as_the_input_has_frames():
    built = tiny(TSM, TINY_TSM, input=INPUT | {"frames": 4})
    assert built(torch.zeros(2, 3, 4, 32, 32)).shape == (2, 5)


def test_segments_that_contradict_the_input_are_refused():
    overrides = TINY_TSM | {"backbone": TINY_TSM["backbone"] | {"num_segments": 16}}
    with pytest.raises(UserError, match=r"num_segments = 16 but model\.input\.frames = 8"):
        tiny(TSM, overrides)


def test_tsm_reads_frames_in_the_order_of_time(clips):
    """Channels move to the neighbouring frames, so the order of frames matters."""
    model = tiny(TSM, TINY_TSM)
    assert not torch.allclose(model(clips), model(clips.flip(2)), atol=1e-5)


def test_narrow_tsm_at_width_64_is_the_stock_backbone(clips):
    from vxbench.models.mmaction import registry

    models = registry()
    stock = models.build({"type": "ResNetTSM", "depth": 18, "pretrained2d": False})
    wide = {"type": "NarrowResNetTSM", "base_channels": 64}
    narrow = models.build({"depth": 18, "pretrained2d": False} | wide)
    narrow.load_state_dict(stock.state_dict(), strict=True)
    frames = clips.transpose(1, 2).flatten(0, 1)
    assert stock.feat_dim == narrow.feat_dim
    for backbone in (stock, narrow):
        backbone.eval()  # returns None
    with torch.no_grad():
        assert torch.equal(stock(frames), narrow(frames))


def test_random_weights_come_from_the_seed_and_leave_the_global_generator_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    one, again, other = (tiny(seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_pretrained_weights_are_never_fetched(monkeypatch):
    import mmengine.runner.checkpoint as checkpoint

    def refuse(*args, **kwargs):
        raise AssertionError("asked for a pretrained file")

    monkeypatch.setattr(checkpoint.CheckpointLoader, "load_checkpoint", refuse)
    built = build_classifier(TSM, 5, INPUT)  # the config itself says pretrained='torchvision://resnet50'
    assert built.recognizer.backbone.pretrained is None
    assert built.checkpoint is None


def test_sync_bn_becomes_plain_batch_norm():
    kinds = {type(module).__name__ for module in tiny().modules()}
    assert "BatchNorm3d" in kinds
    assert "SyncBatchNorm" not in kinds


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": "tsm/tsm_r50"}, r"model\.config = tsm/tsm_r50 is not"),
        ({"config": R2PLUS1D[:-1]}, f"did you mean {R2PLUS1D}"),
        ({"overrides": {"backbon": {}}}, r"model\.overrides\.backbon is not known; did you mean backbone"),
        (
            {"overrides": {"backbone": {"base_chanels": 8}}},
            "base_chanels is not known; did you mean base_chan",
        ),
        ({"overrides": {"backbone": {"type": "ResNet2plus1d"}}}, "mmaction2 cannot build this model"),
        ({"overrides": {"backbone": {"depth": 19}}}, "mmaction2 cannot build this model"),
        ({"input": INPUT | {"framse": 8}}, r"model\.input\.framse is not known; did you mean frames"),
        ({"input": {"frames": 8}}, r"model\.input\.height is missing"),
        ({"input": INPUT | {"mean": [1.0]}}, r"model\.input\.mean has 1 values"),
        ({"input": INPUT | {"std": [1.0, 0.0, 1.0]}}, r"^input\.std = 0\.0 is outside \(0, inf\)"),
        (
            {"input": INPUT | {"resize": "stretch"}},
            r"^input\.resize = stretch is not one of squash",
        ),
        ({"input": INPUT | {"resize": "crop"}}, r"^input\.short_side = None"),
        ({"cam_layer": "backbone.layer9"}, r"model\.cam_layer = backbone\.layer9 is not a layer"),
        ({"num_classes": 0}, r"^num_classes = 0"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(change, message):
    call = {"config": R2PLUS1D, "num_classes": 5, "input": INPUT, "overrides": TINY} | change
    with pytest.raises((UserError, OutOfRange), match=message) as caught:
        build_classifier(**call)
    assert "\n" not in str(caught.value)


def test_importing_the_package_imports_neither_mmaction_nor_hydra():
    code = "import sys, vxbench.models; print({'mmaction', 'mmengine', 'hydra', 'decord'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.choice("fep.r2p1d")
def test_the_other_reading_of_r2plus1d_is_34_layers_on_8_frames_in_the_same_place(conf_dir):
    def composed(model):
        with initialize_config_dir(str(conf_dir), version_base="1.3"):
            return compose("run", [f"model={model}", "profile=paper"]).model

    small, large = composed("r2plus1d"), composed("r2plus1d_34")
    assert small.key == large.key == "r2plus1d"
    assert (small.input.frames, small.input.width) == (16, 112)
    assert (large.input.frames, large.input.width) == (8, 224)
    small.checkpoint = large.checkpoint = None
    blocks = [[len(stage) for stage in backbone_stages(instantiate(config))] for config in (small, large)]
    assert blocks == [[2, 2, 2, 2], [3, 4, 6, 3]]


def backbone_stages(classifier):
    return [classifier.get_submodule(f"recognizer.backbone.layer{i}") for i in (1, 2, 3, 4)]
