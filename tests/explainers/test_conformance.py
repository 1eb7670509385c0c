"""Every YAML file of conf/explainer keeps the contract of vxbench.explainers.base."""

import contextlib
import copy

import pytest
import torch
from helpers.every_explainer import NAMES, NETWORKS, TARGET, H, T, W, build
from helpers.toys import Everything, EverythingRNN, clips, seeded
from torch import nn


@pytest.fixture
def model(name):
    """A network in a state that is easily disturbed: partly training, partly frozen, one gradient left over."""
    model = seeded(NETWORKS.get(name, Everything)())
    model.layer.train()
    model.stem[0].weight.requires_grad_(False)
    model.fc.bias.grad = torch.ones_like(model.fc.bias)
    return model


@pytest.fixture
def clip():
    return clips(3, 3, T, H, W)


@pytest.fixture
def boxes():
    boxes = torch.zeros(3, T, H, W, dtype=torch.bool)
    boxes[:, 1:, 4:12, 6:20] = True
    return boxes


def run(explainer, model, clip, boxes, rows=slice(None)):
    """Saliency of some of the clips, each with the generator that is its own."""
    generators = [torch.Generator().manual_seed(100 + i) for i in range(3)][rows]
    return explainer(model, clip[rows], TARGET[rows], generators=generators, boxes=boxes[rows])


def trace(model: nn.Module) -> dict:
    """All that an explainer might leave behind."""
    return {
        "hooks": [_hooks(module) for module in model.modules()],
        "mode": [module.training for module in model.modules()],
        "requires_grad": [weight.requires_grad for weight in model.parameters()],
        "grad": [None if weight.grad is None else weight.grad.tolist() for weight in model.parameters()],
        "state": {name: value.tolist() for name, value in model.state_dict().items()},
        "attributes": [sorted(vars(module)) for module in model.modules()],
    }


def _hooks(module: nn.Module) -> int:
    return sum(len(hooks) for key, hooks in vars(module).items() if key.endswith("_hooks"))


def test_there_are_explainers():
    assert {"gradients", "gradcam", "random"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_shape_type_and_finiteness(name, model, clip, boxes):
    saliency = run(build(name), model, clip, boxes)
    assert saliency.shape == (3, T, H, W)
    assert saliency.dtype == torch.float32
    assert torch.isfinite(saliency).all()
    assert not saliency.requires_grad


@pytest.mark.parametrize("name", NAMES)
def test_it_leaves_no_trace_on_the_model_or_the_clip(name, model, clip, boxes):
    before, frames = trace(model), clip.clone()
    run(build(name), model, clip, boxes)
    assert trace(model) == before
    assert torch.equal(clip, frames)
    assert not clip.requires_grad


class Boom(Exception):
    pass


def _explode(*_):
    raise Boom


@pytest.mark.parametrize("name", NAMES)
def test_it_leaves_no_trace_after_an_exception_in_the_forward_pass(name, model, clip, boxes):
    model.dropout.forward = _explode  # after the hooked layers
    before, frames = trace(model), clip.clone()
    with contextlib.suppress(Boom):  # a control does not run the network
        run(build(name), model, clip, boxes)
    assert trace(model) == before
    assert torch.equal(clip, frames)


# In float64, where no rounding flips a ReLU or a sorting order: what is left is the maps' own float32, a few units
# in the last place, and for values near 0 as much of the map's maximum.


def assert_same(got, expected):
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6 * max(1e-12, expected.abs().max().item()))


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_does_not_feel_its_batch(name, model, clip, boxes):
    model, clip, explainer = model.double(), clip.double(), build(name)
    together = run(explainer, model, clip, boxes)
    for i in range(3):
        assert_same(together[i : i + 1], run(explainer, model, clip, boxes, slice(i, i + 1)))


@pytest.mark.parametrize("name", NAMES)
def test_chunk_bounds_what_the_network_sees_and_changes_no_result(name, model, clip, boxes):
    model, clip, seen = model.double(), clip.double(), []
    expected = run(build(name), model, clip, boxes)
    frames = T if isinstance(model, EverythingRNN) else 1  # rows of its stem's input that one clip makes
    model.stem[0].register_forward_pre_hook(lambda module, args: seen.append(len(args[0]) / frames))
    assert_same(run(build(name, chunk=2), model, clip, boxes), expected)  # 2 does not divide the 3 clips
    assert max(seen, default=0) <= 2


@pytest.mark.parametrize("name", NAMES)
def test_an_explainer_can_be_used_again_and_copied(name, model, clip, boxes):
    """No state is carried from one call to the next, and workers can be sent a copy."""
    explainer = build(name)
    first = run(explainer, model, clip, boxes)
    run(explainer, model, clip.flip(2), boxes)
    assert torch.equal(run(explainer, model, clip, boxes), first)
    assert torch.equal(run(copy.deepcopy(explainer), model, clip, boxes), first)


@pytest.mark.parametrize("name", NAMES)
def test_the_caller_s_no_grad_does_not_matter(name, model, clip, boxes):
    explainer = build(name)
    with torch.no_grad():
        saliency = run(explainer, model, clip, boxes)
    assert torch.equal(saliency, run(explainer, model, clip, boxes))


AROUND = {
    "bf16 autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "fp16 autocast": lambda: torch.autocast("cpu", torch.float16),
    "inference mode": torch.inference_mode,
}


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("name", NAMES)
def test_the_caller_s_autocast_and_inference_mode_do_not_matter(name, around, model, clip, boxes):
    expected = run(build(name), model, clip, boxes)
    with AROUND[around]():
        saliency = run(build(name), model, clip.clone(), boxes.clone())  # made inside: tensors of inference mode
        assert torch.is_inference_mode_enabled() == (around == "inference mode")  # all is as it was
        assert torch.is_autocast_enabled("cpu") == ("autocast" in around)
    assert torch.equal(saliency, expected)


def overflowing(module, args, output):
    """Makes the scores infinite of clips whose mean is above 50."""
    return output.masked_fill((args[0].flatten(1).mean(dim=1) > 50)[:, None], torch.inf)


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_on_which_the_network_is_not_finite_costs_only_itself(name, model, clip, boxes):
    model, clip = model.double(), clip.double()
    clip[1] += 1e3
    model.register_forward_hook(overflowing)
    together = run(build(name), model, clip, boxes)
    for i in (0, 2):
        assert together[i].isfinite().all()
        assert_same(together[i : i + 1], run(build(name), model, clip, boxes, slice(i, i + 1)))
