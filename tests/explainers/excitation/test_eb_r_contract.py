"""EB-R in batches, in chunks, in float32, and what it leaves behind."""

import copy

import pytest
import torch
from helpers.eb_r_runs import SIZE, TARGET, explainer, some_clips
from helpers.slow_excitation import small_network


@pytest.mark.identity(30)
@pytest.mark.parametrize("contrastive", [False, True])
def test_a_batch_is_its_clips_one_by_one_and_chunk_changes_nothing(contrastive):
    network, clip, target = small_network(3), some_clips(8), torch.arange(8) % 5
    together = explainer(contrastive=contrastive)(network, clip, target)
    chunked = explainer(contrastive=contrastive, chunk=3)(network, clip, target)
    single = [explainer(contrastive=contrastive)(network, clip[i : i + 1], target[i : i + 1]) for i in range(8)]
    assert together.amax((1, 2, 3)).gt(0).sum() >= 6
    torch.testing.assert_close(torch.cat(single), together, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(chunked, together, rtol=1e-6, atol=1e-9)


def test_chunk_bounds_the_clips_in_the_network():
    network, clip, seen = small_network(3), some_clips(5), []
    network.conv1_1.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    explainer(chunk=2)(network, clip, torch.arange(5))
    assert seen == [2 * 4, 2 * 4, 1 * 4]


def test_float32_follows_float64():
    """Relative to the map's maximum: units in the last place of sums over some dozen units."""
    network, clip = small_network(3), some_clips()
    expected = explainer()(network, clip, TARGET)
    found = explainer()(network.float(), clip.float(), TARGET)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * expected.max().item())


def test_a_dead_network_gives_zeros():
    network, clip = small_network(3), some_clips()
    network.lstm.fc_x.bias.data.fill_(-1e3)
    for contrastive in (False, True):
        assert torch.equal(explainer(contrastive=contrastive)(network, clip, TARGET), torch.zeros(3, 4, *SIZE))


def trace(network):
    return {
        "hooks": [len(h) for m in network.modules() for key, h in vars(m).items() if key.endswith("_hooks")],
        "mode": [m.training for m in network.modules()],
        "requires_grad": [w.requires_grad for w in network.parameters()],
        "grad": [w.grad for w in network.parameters()],
        "state": [value.tolist() for value in network.state_dict().values()],
    }


class Boom(Exception):
    pass


def explode(*_):
    raise Boom


@pytest.mark.parametrize("at", [None, "relu7", "lstm.gates"])
def test_it_leaves_no_trace_also_after_an_exception(at):
    network, clip = small_network(3).train(), some_clips()
    network.fc8.weight.requires_grad_(False)
    if at == "relu7":
        network.relu7.forward = explode
    if at == "lstm.gates":
        network.lstm.gates = explode
    before, frames = trace(network), clip.clone()
    if at is None:
        explainer(contrastive=True)(network, clip, TARGET)
    else:
        with pytest.raises(Boom):
            explainer()(network, clip, TARGET)
    assert trace(network) == before
    assert torch.equal(clip, frames)
    x = torch.ones(1, 2).requires_grad_()  # no rule stays either
    assert torch.equal(torch.autograd.grad(x.mean(), x)[0], torch.full((1, 2), 0.5))


def test_training_mode_and_no_grad_do_not_matter():
    network, clip = small_network(3), some_clips()
    expected = explainer()(network, clip, TARGET)
    with torch.no_grad():
        assert torch.equal(explainer()(network.train(), clip, TARGET), expected)
    assert torch.equal(copy.deepcopy(explainer())(network, clip, TARGET), expected)
