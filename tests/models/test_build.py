"""Building from mmaction2's configs: what the YAML files promise, and one line for whatever is wrong."""

import subprocess
import sys
from importlib.resources import files
from itertools import pairwise

import pytest
import torch
from helpers.configs import composed
from helpers.model_configs import RANDOM, blank, mini, noise, unallocated
from omegaconf import OmegaConf
from torch import nn

from vxbench.config import build, options
from vxbench.errors import OutOfRange, UserError
from vxbench.metrics.sanity.cascade import randomise, read_stages
from vxbench.models import Classifier, build_classifier
from vxbench.models.checkpoints import Checkpoint

MODELS = [name for name in options("model") if name != "custom"]
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


@pytest.mark.parametrize("model", MODELS)
def test_every_model_builds_and_runs_at_the_mini_size(model):
    built = mini(f"model={model}")
    assert isinstance(built, Classifier)
    assert not built.training
    with torch.no_grad():
        assert built(blank(built)).shape == (1, 5)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_every_model_builds_and_runs_at_the_paper_s_size(model, monkeypatch):
    built = unallocated(monkeypatch, f"model={model}")
    with torch.no_grad():
        assert built(blank(built, 2)).shape == (2, 5)


def weights_url(name):
    """Address at which mmaction2's model zoo keeps the weights of its config `<arch>/<name>`."""
    folder, _, name = name.partition("/")
    zoo = files("mmaction") / ".mim/configs/recognition" / folder / "metafile.yml"
    (url,) = [model["Weights"] for model in OmegaConf.load(str(zoo)).Models if model["Name"] == name]
    return url


@pytest.mark.parametrize("model", ["slowfast", "slowfast_4x16", "timesformer"])
def test_published_weights_are_those_that_mmaction2_lists_for_the_config(model):
    config = composed("profile=paper", f"model={model}", "dataset.labels=kinetics400", "paths.checkpoints=here")
    entry = Checkpoint.of(config.model.checkpoint)
    assert entry.url == weights_url(config.model.config)
    assert entry.file == f"here/{entry.url.rpartition('/')[2]}"
    assert entry.file.endswith(f"-{entry.sha256}.pth")  # how mmaction2 names its files
    assert (entry.num_classes, entry.licence) == (400, "Apache-2.0")


@pytest.mark.parametrize("model", MODELS)
def test_every_stage_of_every_model_can_be_forgotten_and_matters(model):
    built = mini(f"model={model}").double()  # thirteen layers drawn anew leave little of a clip
    with torch.no_grad():
        for weight in built.parameters():  # or a norm would already be as it is drawn
            weight.add_(torch.linspace(-0.02, 0.02, weight.numel()).view_as(weight))
    seen, clip = [], noise(built).double()
    for names in read_stages(built.stages).values():
        seen.append(built(clip))
        randomise(built, names, seed=1)
    seen.append(built(clip))
    assert len(seen) > 4
    assert all(not torch.equal(before, after) for before, after in pairwise(seen))


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
    with pytest.raises(UserError, match=r"built for 16 frames but model\.input\.frames = 8"):
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
        ({"input": INPUT | {"resize": "crop", "full": [31, 40]}}, r"^the width of input\.full = 31"),
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
def test_the_other_reading_of_r2plus1d_is_34_layers_on_8_frames_in_the_same_place(monkeypatch):
    small, large = (unallocated(monkeypatch, f"model={model}") for model in ("r2plus1d", "r2plus1d_34"))
    assert small.key == large.key == "r2plus1d"
    assert (small.input.frames, small.input.width) == (16, 112)
    assert (large.input.frames, large.input.width) == (8, 224)
    blocks = [[len(stage) for stage in backbone_stages(built)] for built in (small, large)]
    assert blocks == [[2, 2, 2, 2], [3, 4, 6, 3]]


def backbone_stages(classifier):
    return [classifier.get_submodule(f"recognizer.backbone.layer{i}") for i in (1, 2, 3, 4)]


# Parts of another class, and networks without a config of mmaction2's.


def test_a_part_that_is_marked_takes_nothing_over_from_the_config():
    plain = {"_delete_": True, "type": "ResNet", "depth": 18, "norm_cfg": {"type": "BN2d"}}
    built = tiny(TSM, {"backbone": plain, "cls_head": {"in_channels": 512, "is_shift": False}})
    assert type(built.recognizer.backbone).__name__ == "ResNet"  # would refuse ResNetTSM's shift_div
    with pytest.raises(UserError, match=r"model\.overrides\.backbone\.shift_div is not known"):
        tiny(TSM, {"backbone": plain | {"shift_div": 8}})


def test_what_is_left_of_another_class_is_refused_not_ignored():
    with pytest.raises(UserError, match=r"cannot build this model.*unexpected keyword argument 'shift_div'"):
        tiny(TSM, {"backbone": {"type": "ResNet", "depth": 18}})


class Mean(nn.Module):
    """Scores of the mean colour."""

    def __init__(self, classes=5, gain=1.0):
        super().__init__()
        self.fc, self.relu, self.gain = nn.Linear(3, classes), nn.ReLU(inplace=True), gain

    def forward(self, clip):
        return self.gain * self.fc(self.relu(clip.mean(dim=(2, 3, 4))))


class Sure(Mean):
    outputs = "probs"

    def forward(self, clip):
        return super().forward(clip).softmax(dim=1)


def of_network(network, num_classes=5, **more):
    return build_classifier(None, num_classes, INPUT, network=network, **more)


def test_a_network_gets_the_clip_as_it_is(clips):
    built = of_network(Mean)
    torch.testing.assert_close(built(clips), built.recognizer.fc(clips.mean(dim=(2, 3, 4)).relu()))
    assert not built.training
    assert not built.recognizer.relu.inplace


def test_a_network_s_weights_come_from_the_seed(clips):
    one, again, other = (of_network(Mean, seed=seed)(clips) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize(
    ("network", "outputs", "expected"),
    [(Mean, None, "logits"), (Sure, None, "probs"), (Mean, "probs", "probs"), (Sure, "logits", "logits")],
)
def test_outputs_are_what_the_network_says_unless_it_is_said_otherwise(network, outputs, expected):
    assert of_network(network, outputs=outputs).outputs == expected


def test_a_checkpoint_of_a_network_is_its_own_state_dict(tmp_path, clips):
    trained = Mean()
    torch.save(trained.state_dict(), tmp_path / "mean.pth")
    for checkpoint in (tmp_path / "mean.pth", {"file": str(tmp_path / "mean.pth"), "licence": "MIT"}):
        built = of_network(Mean, checkpoint=checkpoint)
        assert torch.equal(built(clips), trained(clips))
        assert len(built.checkpoint_digest) == 16
    with pytest.raises(UserError, match=r"absent\.pth does not exist.*model\.checkpoint=null gives random weights"):
        of_network(Mean, checkpoint=tmp_path / "absent.pth")


def test_scores_of_another_number_of_classes_are_refused(clips):
    with pytest.raises(UserError, match=r"gives scores \(3, 5\) of 3 clips, not \(3, 7\): set model\.num_classes"):
        of_network(Mean, num_classes=7)(clips)


@pytest.mark.parametrize(
    ("override", "message"),
    [("+model.outputs=scores", r"^model\.outputs = scores"), ("model.cam_at=third", r"^model\.cam_at = third")],
)
def test_a_key_of_the_model_is_named_once(override, message):
    config = composed(*RANDOM, "model=slowfast", "model.cam_layer=null", override)
    with pytest.raises(UserError, match=message):
        build(config, "model")


@pytest.mark.parametrize("scores", [None, ("a", "b"), {"logits": torch.zeros(3, 5)}])
def test_what_is_no_tensor_is_no_score(scores, clips):
    with pytest.raises(UserError, match=f"gives {type(scores).__name__}, not a tensor of scores"):
        of_network(lambda: Gives(scores))(clips)


class Gives(nn.Module):
    def __init__(self, scores):
        super().__init__()
        self.scores = scores

    def forward(self, clip):
        return self.scores


def test_num_classes_goes_to_a_parameter_of_that_name_alone():
    class Open(nn.Module):
        def __init__(self, **kwargs):
            super().__init__()
            self.given = kwargs

    assert of_network(Open).recognizer.given == {}


def test_random_weights_leave_the_gpu_s_generators_alone(monkeypatch):
    def refuse(seed):
        raise AssertionError("reseeds the GPUs")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", refuse)
    of_network(Mean)


def fails():
    raise RuntimeError("no such file\nsecond line")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": None}, "give model.config, one of mmaction2's, or model.network, not both"),
        ({"config": TSM}, "give model.config, one of mmaction2's, or model.network, not both"),
        ({"overrides": {"backbone": {}}}, r"model\.overrides are of model\.config"),
        ({"network": {"type": "VGG16"}}, r"model\.network\.type = VGG16 is not in mmaction2's registry"),
        ({"network": {"fc": 4}}, r"model\.network\.type = None is not in"),
        ({"network": lambda: 3}, r"model\.network makes int, not an nn\.Module"),
        ({"network": dict}, r"^model\.network: no signature found"),
        ({"network": fails}, r"^model\.network: no such file$"),
        ({"outputs": "scores"}, r"^outputs = scores is not one of logits, probs"),
        ({"cam_layers": {"last": "recognizer.fd"}}, r"model\.cam_layers\.last = recognizer\.fd is not a layer"),
        ({"cam_layers": {"last": "recognizer.fc"}, "cam_at": "first"}, r"^cam_at = first is not one of last"),
        ({"stages": [{"fc": ["recognizer.fd"]}]}, r"model\.stages names recognizer\.fd"),
    ],
)
def test_what_is_wrong_about_a_network_is_said_in_one_line(change, message):
    call = {"config": None, "num_classes": 5, "input": INPUT, "network": Mean} | change
    with pytest.raises((UserError, OutOfRange), match=message) as caught:
        build_classifier(**call)
    assert "\n" not in str(caught.value)
