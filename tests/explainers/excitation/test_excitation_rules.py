"""Each rule against the formula it stands for, on the matrix of the operation's positive part."""

import pytest
import torch
import torch.nn.functional as F
from helpers.toys import clips
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from vxbench.explainers.excitation import ExcitationRules


def normal(*shape, seed=0):
    return clips(*shape, seed=seed, dtype=torch.float64)


def excite(function, x, mass=None, seed=1):
    """P of x when the output has the mass given, by default one at random; and that mass."""
    x = x.clone().requires_grad_()
    with ExcitationRules():
        y = function(x.clone())
    mass = normal(*y.shape, seed=seed).abs() if mass is None else mass
    return torch.autograd.grad(y, x, mass)[0], mass


def by_the_formula(positive, x, mass):
    """P(x_j) = sum_i x_j M_ij P(y_i) / sum_k M_ik x_k, row by row; M is the matrix of a linear map."""
    columns = [positive(unit.view_as(x)).flatten() for unit in torch.eye(x.numel(), dtype=x.dtype)]
    matrix, flat, found = torch.stack(columns, dim=1), x.flatten(), torch.zeros_like(x).flatten()
    for row, p in zip(matrix, mass.flatten(), strict=True):
        parts = flat * row
        if parts.sum() > 0:
            found += p * parts / parts.sum()
    return found.view_as(x)


W1, W2, W3 = normal(4, 3, 3), normal(4, 3, 3, 2), normal(4, 3, 1, 3, 2)
GROUPED, FULL, B4 = normal(6, 1, 2, 2), normal(5, 12), normal(4)
GROUPED[..., 0, 0].abs_()  # no filter without a positive weight
IMAGE, VOLUME = (2, 3, 7, 5), (1, 3, 4, 5, 4)
# The operation and what it is with max(W, 0) and no bias.
WEIGHTED = {
    "conv1d": ((1, 3, 9), lambda x: F.conv1d(x, W1, B4, 2), lambda x: F.conv1d(x, W1.relu(), None, 2)),
    "conv2d": (IMAGE, lambda x: F.conv2d(x, W2, B4), lambda x: F.conv2d(x, W2.relu())),
    "strided": (
        IMAGE,
        lambda x: F.conv2d(x, W2, B4, stride=2, padding=1, dilation=(1, 2)),
        lambda x: F.conv2d(x, W2.relu(), stride=2, padding=1, dilation=(1, 2)),
    ),
    "grouped": (IMAGE, lambda x: F.conv2d(x, GROUPED, groups=3), lambda x: F.conv2d(x, GROUPED.relu(), groups=3)),
    "conv3d": (VOLUME, lambda x: F.conv3d(x, W3, B4), lambda x: F.conv3d(x, W3.relu())),
    "linear": ((3, 12), lambda x: F.linear(x, FULL, normal(5)), lambda x: F.linear(x, FULL.relu())),
}
AVERAGED = {
    "avg_pool1d": ((2, 3, 8), lambda x: F.avg_pool1d(x, 3, 2, 1)),
    "avg_pool2d": (IMAGE, lambda x: F.avg_pool2d(x, (3, 2), stride=1)),
    "avg_pool3d": (VOLUME, lambda x: F.avg_pool3d(x, 2)),
    "adaptive1d": ((2, 3, 8), lambda x: F.adaptive_avg_pool1d(x, 3)),
    "adaptive2d": (IMAGE, lambda x: F.adaptive_avg_pool2d(x, (3, 2))),
    "adaptive3d": (VOLUME, lambda x: F.adaptive_avg_pool3d(x, 1)),
    "same size": (IMAGE, lambda x: F.adaptive_avg_pool2d(x, IMAGE[2:])),
    "Tensor.mean": (IMAGE, lambda x: x.mean(dim=(2, 3))),
    "torch.mean": (IMAGE, lambda x: torch.mean(x, dim=-1, keepdim=True)),
}


@pytest.mark.parametrize("name", WEIGHTED)
def test_weighted_layers_share_by_positive_weights_without_bias(name):
    shape, function, positive = WEIGHTED[name]
    x = normal(*shape, seed=3).relu()
    found, mass = excite(function, x)
    torch.testing.assert_close(found, by_the_formula(positive, x, mass), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", AVERAGED)
def test_averages_share_by_activation(name):
    shape, function = AVERAGED[name]
    x = normal(*shape, seed=3).relu()
    found, mass = excite(function, x)
    torch.testing.assert_close(found, by_the_formula(function, x, mass), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", [*WEIGHTED, *AVERAGED])
def test_the_forward_pass_is_the_operation_s_own(name):
    shape, function, *_ = {**WEIGHTED, **AVERAGED}[name]
    x = normal(*shape)
    with ExcitationRules():
        assert torch.equal(function(x), function(x.requires_grad_()))
    inside = function(x)
    assert torch.equal(inside, function(x.detach()))


def test_outside_the_rules_gradients_are_gradients():
    x = normal(3, 12).requires_grad_()
    with ExcitationRules():
        F.linear(x, FULL)
    gradient = torch.autograd.grad(F.linear(x, FULL).sum(), x)[0]
    torch.testing.assert_close(gradient, FULL.sum(0).expand(3, -1))


@pytest.mark.identity(17)
@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 6))
@settings(max_examples=15)
def test_all_weights_positive_one_layer_shares_by_w_x(seed, inputs, outputs):
    x, weight = normal(1, inputs, seed=seed).abs(), normal(outputs, inputs, seed=seed + 1).abs()
    for i in range(outputs):
        found, _ = excite(lambda x: F.linear(x, weight), x, torch.eye(outputs, dtype=x.dtype)[i : i + 1])
        torch.testing.assert_close(found[0], weight[i] * x[0] / (weight[i] @ x[0]), rtol=1e-10, atol=0)


@pytest.mark.identity(17)
@pytest.mark.parametrize("name", [*WEIGHTED, *AVERAGED])
def test_mass_is_conserved_where_denominators_live(name):
    shape, function, *_ = {**WEIGHTED, **AVERAGED}[name]
    if name == "avg_pool3d":  # its last rows lie in no window
        shape = (1, 3, 4, 4, 4)
    found, mass = excite(function, normal(*shape, seed=3).abs() + 0.1)
    torch.testing.assert_close(found.sum(), mass.sum(), rtol=1e-12, atol=0)
    assert found.min() >= 0


def test_a_unit_that_nothing_excited_hands_nothing_down():
    x, weight = torch.tensor([[1.0, 2.0]]), torch.tensor([[-1.0, -2.0], [3.0, -1.0]])
    found, _ = excite(lambda x: F.linear(x, weight, torch.tensor([9.0, 0.0])), x, torch.tensor([[0.25, 0.75]]))
    assert found.tolist() == [[0.75, 0]]


@pytest.mark.parametrize("faint", [1e-19, 1e-30, 1e-38, 1e-44])
def test_faint_excitation_makes_no_infinity(faint):
    x = torch.full((1, 8), faint)
    found, _ = excite(lambda x: F.linear(x, torch.ones(2, 8)), x, torch.ones(1, 2))
    assert torch.isfinite(found).all()
    assert 0 <= found.sum() <= 2.001


def test_of_negative_inputs_the_rules_see_zero():
    x, weight = normal(2, 12), normal(5, 12, seed=4)
    found, mass = excite(lambda x: F.linear(x, weight), x)
    expected, _ = excite(lambda x: F.linear(x, weight), x.relu(), mass)
    torch.testing.assert_close(found, expected)
    assert found.min() >= 0
    assert found[x < 0].abs().max() == 0


def test_batch_norm_passes_mass_unchanged():
    norm = nn.BatchNorm2d(3).double().eval()
    norm.running_var.fill_(4)
    x = normal(*IMAGE)
    found, mass = excite(norm, x)
    assert torch.equal(found, mass)


def add_into(a, b):
    a += b
    return a


def add_(a, b):
    a.add_(b)
    return a


@pytest.mark.parametrize("add", [torch.add, lambda a, b: a + b, add_into, add_])
def test_a_sum_splits_in_proportion_to_what_is_added(add):
    """With a = 1 and b = 3 x it hands 1/4 and 3/4 down; b's part reaches x through its own linear layer."""
    x = normal(2, 4).abs() + 0.1
    a = torch.full_like(x, 1).requires_grad_()
    b = (3 * x).requires_grad_()
    with ExcitationRules():
        y = add(a.clone(), b)
    assert torch.equal(y, a + b)
    to_a, to_b = torch.autograd.grad(y, (a, b), torch.full_like(x, 0.5))
    torch.testing.assert_close(to_a, 0.5 / (1 + 3 * x))
    torch.testing.assert_close(to_a + to_b, torch.full_like(x, 0.5))


def test_a_sum_of_zeros_hands_nothing_down_and_makes_no_nan():
    found, _ = excite(lambda x: x + torch.zeros(2, 2, dtype=x.dtype), torch.zeros(2, 2, dtype=torch.float64))
    assert torch.equal(found, torch.zeros(2, 2, dtype=torch.float64))


@pytest.mark.parametrize("other", [1, 2.5, torch.ones(4, dtype=torch.float64)])
def test_a_constant_of_another_shape_is_a_bias(other):
    x = normal(2, 4).abs()
    for function in (lambda x: x + other, lambda x: other + x):
        found, mass = excite(function, x)
        assert torch.equal(found, mass)


def test_relu_max_pooling_and_shapes_keep_their_gradient():
    x = normal(2, 3, 4, 6)

    def function(x):
        return F.max_pool2d(x.relu(), 2).transpose(2, 3).flatten(1)

    plain = x.clone().requires_grad_()
    found, mass = excite(function, x)
    torch.testing.assert_close(found, torch.autograd.grad(function(plain), plain, mass)[0])


class Residual(nn.Module):
    """A block of a ResNet."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1, bias=False), nn.BatchNorm2d(3)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        out = self.norm(self.conv(x))
        out += x
        return self.relu(out)


@pytest.mark.identity(17)
def test_a_residual_block_conserves_mass_and_splits_it():
    block = Residual().double().eval()
    block.conv.weight.data = normal(3, 3, 3, 3).abs()
    x = normal(2, 3, 5, 4).abs() + 0.1
    found, mass = excite(block, x)
    torch.testing.assert_close(found.sum(), mass.sum())
    with torch.no_grad():
        branch = block.norm(block.conv(x))
    through, _ = excite(block.conv, x, mass * branch / (branch + x))
    torch.testing.assert_close(found, mass * x / (branch + x) + through)
