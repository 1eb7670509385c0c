import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.configs import composed
from helpers.model_configs import blank, mini, noise, outputs_of, unallocated
from helpers.refusals import assert_refused
from helpers.toys import clips
from torch import nn

from vxbench.config import build
from vxbench.errors import OutOfRange, UserError
from vxbench.models import to_clip
from vxbench.models.vgg16lstm import VGG16LSTM, ReLULSTM
from vxbench.network import class_score, input_gradient, probabilities

SIZE = (17, 10)
SMALL = {"num_classes": 5, "channels": (3, 4), "convs": (1, 2), "fc": 6, "hidden": 4, "size": SIZE}


def small(seed=0, **settings) -> VGG16LSTM:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return VGG16LSTM(**SMALL | settings).double().eval()


def some_clips(count=2, frames=3, size=SIZE, seed=0):
    return clips(count, 3, frames, *size, seed=seed, dtype=torch.float64)


def plain(model: VGG16LSTM, clip: torch.Tensor) -> np.ndarray:
    """The network as the papers draw it, frame by frame, the LSTM in numpy on its state dict."""
    state = model.state_dict()
    w = {name: value.numpy() for name, value in state.items()}
    h = c = np.zeros((len(clip), model.lstm.hidden))
    steps = []
    for frame in clip.unbind(dim=2):
        x = frame
        for block, names in enumerate((("conv1_1",), ("conv2_1", "conv2_2")), start=1):
            for name in names:
                x = F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1).clamp(min=0)
            assert getattr(model, f"pool{block}").kernel_size == 2
            x = F.max_pool2d(x, 2)
        x = x.reshape(len(clip), -1).numpy()
        for name in ("fc6", "fc7"):
            x = np.maximum(x @ w[f"{name}.weight"].T + w[f"{name}.bias"], 0)
        gates = x @ w["lstm.fc_x.weight"].T + w["lstm.fc_x.bias"] + h @ w["lstm.fc_h.weight"].T
        i, f, o, g = np.split(gates, 4, axis=1)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        c = f * c + i * np.maximum(g, 0)
        h = o * np.maximum(c, 0)
        score = np.exp(h @ w["fc8.weight"].T + w["fc8.bias"])
        steps.append(score / score.sum(axis=1, keepdims=True))
    return np.mean(steps, axis=0)


@pytest.mark.parametrize("frames", [1, 2, 5])
@pytest.mark.parametrize("seed", range(4))
def test_forward_is_the_network_drawn_frame_by_frame(seed, frames):
    model, clip = small(seed), some_clips(frames=frames, seed=seed)
    with torch.no_grad():
        found = model(clip)
    np.testing.assert_allclose(found.numpy(), plain(model, clip), rtol=1e-11)
    assert (found[0] - found[1]).abs().max() > 1e-6


def test_it_gives_probabilities_and_says_so():
    model, clip, target = small(), some_clips(), torch.tensor([1, 3])
    assert model.outputs == "probs"
    output = model(clip)
    torch.testing.assert_close(output.sum(dim=1), torch.ones(2).double())
    assert torch.equal(probabilities(model, clip), output)
    for score in ("logit", "prob"):
        assert torch.equal(class_score(model, clip, target, score), output[[0, 1], target])


def test_a_clip_does_not_feel_its_batch():
    model, clip = small(), some_clips(3)
    together = model(clip)
    for i in range(3):
        torch.testing.assert_close(model(clip[i : i + 1]), together[i : i + 1])


def test_the_order_of_the_frames_matters():
    model, clip = small(), some_clips()
    assert (model(clip) - model(clip.flip(2))).abs().max() > 1e-6


def test_detach_changes_gradients_and_no_output():
    """With it the last step's probabilities reach the last frame alone."""
    clip = some_clips()
    models = [small(detach=detach) for detach in (True, False)]
    assert torch.equal(models[0](clip), models[1](clip))
    reached = []
    for model in models:
        frames = clip.clone().requires_grad_()
        features = model.frame_features(frames.transpose(1, 2).flatten(0, 1)).unflatten(0, (2, 3))
        last = model.hidden_states(features)[-1].sum()
        reached.append(torch.autograd.grad(last, frames)[0].abs().sum((0, 1, 3, 4)) > 0)
    assert reached[0].tolist() == [False, False, True]
    assert reached[1].tolist() == [True, True, True]


@pytest.mark.parametrize("detach", [True, False])
def test_gradients_reach_every_frame_and_every_weight(detach):
    model, clip = small(3, detach=detach), some_clips()
    gradient = input_gradient(model, clip, torch.tensor([1, 3]))
    assert (gradient.abs().sum((1, 3, 4)) > 0).all()
    model(clip)[:, 0].log().sum().backward()
    assert all(weight.grad.abs().sum() > 0 for weight in model.parameters())


def test_the_gradient_is_the_output_s_slope():
    model, clip, target = small(3, detach=False), some_clips(), torch.tensor([1, 3])
    direction, step = some_clips(seed=7), 1e-6
    ahead, behind = (class_score(model, clip + sign * step * direction, target) for sign in (1, -1))
    slope = (ahead - behind) / (2 * step)
    found = (input_gradient(model, clip, target) * direction).sum((1, 2, 3, 4))
    torch.testing.assert_close(found, slope, rtol=1e-5, atol=1e-9)


def test_dropout_acts_in_training_only():
    model, clip = small(), some_clips()
    expected = model(clip)
    assert torch.equal(model(clip), expected)
    model.train()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert not torch.equal(model(clip), model(clip))
    assert torch.equal(small(dropout=0).train()(clip), expected)


def test_it_learns():
    """From its own initial weights: two clips, two classes, a few steps."""
    model, clip, target = small(1, dropout=0, fc=16, hidden=8), some_clips(), torch.tensor([0, 1])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(60):
        loss = F.nll_loss(model(clip).log(), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 < 1 < losses[0]


WIDTHS = {1: (64, 64), 2: (128, 128), 3: (256, 256, 256), 4: (512, 512, 512), 5: (512, 512, 512)}


def test_full_size_is_torchvision_s_vgg16_up_to_fc7_and_the_released_head():
    """13 convolutions and 25088 -> 4096 -> 4096 as in torchvision's vgg16, then the release's LSTM and fc8."""
    with torch.device("meta"):
        model = VGG16LSTM(101)
    expected, width = {}, 3
    for block, widths in WIDTHS.items():
        for i, wide in enumerate(widths, start=1):
            expected[f"conv{block}_{i}.weight"], expected[f"conv{block}_{i}.bias"] = (wide, width, 3, 3), (wide,)
            width = wide
    for name, shape in (("fc6", (4096, 512 * 7 * 7)), ("fc7", (4096, 4096)), ("fc8", (101, 256))):
        expected[f"{name}.weight"], expected[f"{name}.bias"] = shape, shape[:1]
    expected |= {"lstm.fc_x.weight": (1024, 4096), "lstm.fc_x.bias": (1024,), "lstm.fc_h.weight": (1024, 256)}
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == expected
    frozen = sum(value.numel() for name, value in model.named_parameters() if name.startswith(("conv", "fc6", "fc7")))
    assert frozen == 138_357_544 - (4096 * 1000 + 1000)  # torchvision's count, less its last layer


def test_every_layer_has_its_vgg_name_and_runs_once_out_of_place():
    with torch.device("meta"):
        model = VGG16LSTM(5, channels=(2, 2, 2, 2, 2), fc=3, hidden=2, size=32).eval()
    names = ["dropout", "fc6", "relu6", "fc7", "relu7", "fc8", "lstm"]
    for block, widths in WIDTHS.items():
        names += [f"pool{block}", *(f"{kind}{block}_{i + 1}" for i in range(len(widths)) for kind in ("conv", "relu"))]
    ran = []
    for name in names:
        model.get_submodule(name).register_forward_hook(lambda *_, name=name: ran.append(name))
    model(torch.zeros(2, 3, 1, 32, 32, device="meta"))
    assert sorted(ran) == sorted([*names, "dropout", "dropout"])  # dropout after fc6, after fc7 and before fc8
    assert not any(getattr(module, "inplace", False) for module in model.modules())


def test_the_last_convolution_s_relu_gives_channels_of_every_frame():
    """CAM methods look there: its output, changed, changes the probabilities."""
    model, clip, kept = small(3), some_clips(), []

    def keep(module, inputs, output):
        kept.append(output.detach().requires_grad_())
        return kept[-1]

    handle = model.relu2_2.register_forward_hook(keep)
    score = model(clip)[:, 0].sum()
    handle.remove()
    gradient = torch.autograd.grad(score, kept[0])[0]
    assert kept[0].shape == (2 * 3, 4, 8, 5)
    assert kept[0].min() == 0
    assert (gradient.flatten(1).abs().sum(dim=1) > 0).all()


def test_a_released_state_dict_fits_once_two_layers_are_renamed():
    model = small()
    released = {
        name.replace("lstm.", "lstm1.").replace("fc8.", "fc8_final."): value
        for name, value in small(seed=1).state_dict().items()
    }
    renamed = {name.replace("lstm1.", "lstm.").replace("fc8_final.", "fc8."): value for name, value in released.items()}
    model.load_state_dict(renamed)
    assert torch.equal(model(some_clips()), small(seed=1)(some_clips()))


def test_it_can_be_copied():
    model, clip = small(), some_clips()
    assert torch.equal(copy.deepcopy(model)(clip), model(clip))


def test_the_cell_weights_make_g():
    lstm = ReLULSTM(3, 2).double()
    x, h = clips(4, 3, dtype=torch.float64), clips(4, 2, seed=1, dtype=torch.float64)
    weight_x, weight_h = lstm.cell_weights
    g = (x @ weight_x.T + h @ weight_h.T + lstm.fc_x.bias[6:]).relu()
    torch.testing.assert_close(lstm.gates(x, h)[3], g)
    assert isinstance(lstm, nn.Module)


def test_clips_of_another_size_are_refused():
    with pytest.raises(UserError, match="built for frames of 17x10 and got 10x17"):
        small()(some_clips(size=(10, 17)))


def test_settings_out_of_range():
    for settings, error, message in [
        ({"channels": (3, 4, 5)}, UserError, "channels names 3 blocks, convs 2 and pools 3"),
        ({"size": (3, 100)}, UserError, r"size = 3x100 is too small for pools = \[2, 2\]"),
        ({"pools": (2,)}, UserError, "channels names 2 blocks, convs 2 and pools 1"),
        ({"pools": (2, 0)}, OutOfRange, "pools = 0"),
        ({"fc": 0}, OutOfRange, "fc = 0"),
        ({"size": (64,)}, UserError, r"size = \(64,\) is not a list of two numbers"),
        ({"size": 2.5}, UserError, "size = 2.5 is not a list of two numbers"),
        ({"channels": 4}, UserError, "channels = 4 is not a list of one number a block"),
        ({"hidden": 1.5}, OutOfRange, "hidden = 1.5"),
        ({"num_classes": 0}, OutOfRange, "num_classes = 0"),
        ({"convs": (0, 2)}, OutOfRange, "convs = 0"),
        ({"dropout": 2}, OutOfRange, "dropout = 2"),
    ]:
        assert_refused(f"^{message}", VGG16LSTM, error=error, **SMALL | settings)


def test_pools_divide_the_frame_in_turn():
    """17x10 by 4 is 4x2, by 2 is 2x1; undivided blocks keep their cells."""
    for pools, cells in (((4, 2), 2), ((1, 2), 8 * 5), ((1, 1), 17 * 10)):
        network = VGG16LSTM(3, channels=(2, 3), convs=(1, 1), pools=pools, fc=4, hidden=3, size=(17, 10))
        assert network.fc6.in_features == 3 * cells
        assert network(torch.zeros(1, 3, 2, 17, 10)).shape == (1, 3)


def test_a_size_given_as_a_list_as_configs_give_it():
    network = VGG16LSTM(3, channels=(2, 2), convs=(1, 1), fc=4, hidden=3, size=[8, 12]).eval()
    assert network(torch.zeros(1, 3, 2, 8, 12)).shape == (1, 3)


# As conf/ builds it.


@pytest.mark.parametrize(("cam_at", "side"), [("relu5_3", 14), ("pool5", 7)])
def test_at_the_paper_s_size_it_reads_16_frames_and_cam_its_conv5(monkeypatch, cam_at, side):
    built = unallocated(monkeypatch, "model=vgg16lstm", f"model.cam_at={cam_at}")
    clip = blank(built, 2)
    assert clip.shape == (2, 3, 16, 224, 224)
    assert outputs_of(built, built.cam_layer, clip).shape == (2 * 16, 512, side, side)
    assert built.recognizer.lstm.hidden == 256
    assert built.outputs == "probs"


def test_its_weights_have_the_names_of_the_network_itself(monkeypatch):
    names = unallocated(monkeypatch, "model=vgg16lstm").recognizer.state_dict()
    with torch.device("meta"):
        assert names.keys() == VGG16LSTM(5).state_dict().keys()


def test_its_statistics_are_step_s_in_units_of_0_to_255():
    """STEP divides by 255, subtracts means of 0-1, divides by 1 and multiplies by 255."""
    spec = composed("profile=paper", "model=vgg16lstm").model.input
    frames = np.random.default_rng(0).integers(0, 256, (1, 2, 3, 4, 3), dtype=np.uint8)
    expected = (frames / 255 - np.array([0.50463, 0.45796, 0.4076])) * 255
    found = to_clip(frames, spec.mean, spec.std).permute(0, 2, 3, 4, 1)
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-5)  # float32 of values up to 255


def test_the_mini_model_has_all_layers_and_is_small():
    built = mini("model=vgg16lstm")
    layers = {name for name, _ in built.recognizer.named_children()}
    assert layers == {name for name, _ in VGG16LSTM(5, channels=(1,) * 5, fc=1, hidden=1, size=32).named_children()}
    assert sum(weight.numel() for weight in built.parameters()) <= 200_000
    probability = built(noise(built))
    torch.testing.assert_close(probability.sum(dim=1), torch.ones(2))


def test_the_configuration_says_where_gradients_stop():
    assert mini("model=vgg16lstm").recognizer.detach is True
    assert mini("model=vgg16lstm", "model.network.detach=false").recognizer.detach is False


def test_its_frames_have_the_size_of_the_input():
    built = mini("model=vgg16lstm", "model.input.height=32", "model.input.width=96")
    assert built(noise(built)).shape == (2, 5)


@pytest.mark.parametrize("explainer", ["eb_r", "eb_r_contrastive", "gradcam"])
def test_explainers_find_their_layers_in_it(explainer):
    built, target = mini("model=vgg16lstm"), torch.tensor([1, 3])
    saliency = build(composed("model=vgg16lstm", f"explainer={explainer}"), "explainer")(built, noise(built), target)
    assert saliency.shape == (2, 8, 64, 64)
    assert saliency.isfinite().all()
    assert (saliency.flatten(1).amax(1) > 0).all()


def test_a_misspelt_setting_is_refused_with_the_nearest_name():
    with pytest.raises(UserError, match=r"^model\.network\.hiden is not known; did you mean hidden"):
        mini("model=vgg16lstm", "+model.network.hiden=4")
    with pytest.raises(UserError, match=r"^model\.network: dropout = 2 is outside \[0, 1\]"):
        mini("model=vgg16lstm", "model.network.dropout=2")


def test_a_new_networks_forget_gate_is_open():
    lstm = small().lstm
    _, forget, _, _ = lstm.gates(torch.zeros(1, lstm.fc_x.in_features).double(), torch.zeros(1, lstm.hidden).double())
    torch.testing.assert_close(forget, torch.ones_like(forget).sigmoid())


@pytest.mark.choice("data.vgg16lstm_scale")
@pytest.mark.parametrize(
    ("dataset", "checkpoint", "times"),
    [
        ("ucf101_24", "{file: w.pth, format: stp_vgg16lstm}", 255),
        ("epic_object", "{file: w.pth, format: stp_vgg16lstm}", 1),
        ("epic_action", "{file: w.pth, format: stp_vgg16lstm}", 1),
        ("epic_object", "w.pth", 255),
        ("epic_object", "null", 255),
    ],
)
def test_clips_are_those_that_the_checkpoint_was_trained_on(dataset, checkpoint, times):
    """STP's loaders: bytes over 255, less the means, over 1; and times 255, but for EPIC."""
    given = ("model=vgg16lstm", "profile=paper", f"dataset={dataset}", f"model.checkpoint={checkpoint}")
    facts = composed(*given).model.input
    frames = np.random.RandomState(0).randint(0, 256, (1, 2, 3, 4, 3), np.uint8)
    clip = to_clip(frames, list(facts.mean), list(facts.std))
    expected = (frames / 255 - [0.50463, 0.45796, 0.4076]) * times
    np.testing.assert_allclose(clip[0].permute(1, 2, 3, 0).numpy(), expected[0], atol=1e-6 * times)
