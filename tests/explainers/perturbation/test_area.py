import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vxbench.errors import OutOfRange
from vxbench.explainers.perturbation.regularisers import AreaTerm, nearest_binary

EXACT = {"rtol": 0, "atol": 1e-12}
areas = st.sampled_from([0.0, 0.02, 0.05, 0.1, 1 / 3, 0.5, 0.9, 1.0])


def generators(count, seed=0):
    return [torch.Generator().manual_seed(seed + i) for i in range(count)]


def values_with_ties(rows, size, seed):
    """Few distinct values, so that nearly all are tied; float64 multiples of 1/4."""
    drawn = torch.randint(0, 5, (rows, size), generator=torch.Generator().manual_seed(seed))
    return drawn.double() / 4


def sorted_reference(values, area):
    """Sort ascending, ties in index order; the first int(n (1 - a)) are paired with 0, the rest with 1."""
    size = values.shape[-1]
    order = values.sort(dim=-1, stable=True).indices
    paired = torch.ones(size, dtype=values.dtype)
    paired[: int(size * (1 - area))] = 0
    return torch.empty_like(values).scatter_(-1, order, paired.expand_as(values))


@settings(max_examples=100)
@given(rows=st.integers(1, 4), size=st.integers(1, 60), area=areas, seed=st.integers(0, 1000), tied=st.booleans())
def test_nearest_binary_is_what_a_stable_sort_pairs(rows, size, area, seed, tied):
    values = values_with_ties(rows, size, seed)
    if not tied:
        values = torch.rand(rows, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(nearest_binary(values, area), sorted_reference(values, area))


@settings(max_examples=50)
@given(size=st.integers(1, 60), area=areas, seed=st.integers(0, 1000))
def test_nearest_binary_with_an_order_ranks_ties_by_it(size, area, seed):
    values = values_with_ties(2, size, seed)
    order = torch.rand(2, size, generator=torch.Generator().manual_seed(seed)).argsort(dim=-1)
    found = nearest_binary(values, area, order)
    assert torch.equal(found.gather(-1, order), sorted_reference(values.gather(-1, order), area))


@settings(max_examples=50)
@given(size=st.integers(2, 60), area=areas, seed=st.integers(0, 1000))
def test_no_binary_vector_of_that_area_is_nearer(size, area, seed):
    """Swapping any 1 with any 0 does not lower the distance: the definition, not the sort."""
    values = values_with_ties(1, size, seed)[0]
    wanted = nearest_binary(values, area).bool()
    if wanted.any() and not wanted.all():
        assert values[wanted].min() >= values[~wanted].max()


def plain_term(mask, area, per_frame):
    """The term as printed, on one mask (T, H, W), differentiable through the sort."""
    rows = mask.flatten(1) if per_frame else mask.flatten()[None]
    terms = []
    for row in rows:
        reference = torch.ones_like(row)
        reference[: int(len(row) * (1 - area))] = 0
        terms.append(((row.sort(stable=True).values - reference) ** 2).mean())
    return torch.stack(terms).mean()


@settings(max_examples=30)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6)),
    area=areas,
    per_frame=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_value_and_gradient_are_those_of_the_sorted_difference(shape, area, per_frame, seed):
    mask = values_with_ties(2, shape[0] * shape[1] * shape[2], seed).view(2, *shape).requires_grad_()
    both = torch.tensor([area, 0.3], dtype=torch.float64)
    term = AreaTerm(per_frame)(mask, both, generators(2))
    plain = torch.stack([plain_term(m, a, per_frame) for m, a in zip(mask, both.tolist(), strict=True)])
    torch.testing.assert_close(term, plain, **EXACT)
    (grad,) = torch.autograd.grad(term.sum(), mask)
    (plain_grad,) = torch.autograd.grad(plain.sum(), mask)
    torch.testing.assert_close(grad, plain_grad, **EXACT)


@pytest.mark.identity(8)
@settings(max_examples=30)
@given(area=areas, per_frame=st.booleans(), seed=st.integers(0, 1000))
def test_zero_for_a_binary_mask_of_the_area_and_for_no_other(area, per_frame, seed):
    shape = (3, 4, 5)
    size = 20 if per_frame else 60
    ones = size - int(size * (1 - area))
    generator = torch.Generator().manual_seed(seed)
    rows = torch.zeros(60 // size, size, dtype=torch.float64)
    for row in rows:
        row[torch.randperm(size, generator=generator)[:ones]] = 1
    mask = rows.view(1, *shape)
    term = AreaTerm(per_frame)
    share = torch.tensor([area], dtype=torch.float64)
    assert term(mask, share, generators(1)) == 0
    flipped = mask.clone()
    place = torch.randint(60, (), generator=generator)
    flipped.view(-1)[place] = 1 - flipped.view(-1)[place]
    assert term(flipped, share, generators(1)) > 0
    grey = mask.clone()
    grey.view(-1)[place] = 0.5
    assert term(grey, share, generators(1)) > 0


@pytest.mark.identity(8)
@settings(max_examples=30)
@given(area=areas, seed=st.integers(0, 1000), ties=st.sampled_from(["plain", "shuffle"]))
def test_the_term_does_not_change_when_voxels_trade_places(area, seed, ties):
    mask = values_with_ties(1, 60, seed)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(seed))
    share = torch.tensor([area], dtype=torch.float64)
    term = AreaTerm(ties=ties)
    whole, moved = (term(m.view(1, 3, 4, 5), share, generators(1)) for m in (mask, mask[:, order]))
    torch.testing.assert_close(whole, moved, **EXACT)
    within = torch.cat([torch.randperm(20) + start for start in (0, 20, 40)])
    evenly = AreaTerm(per_frame=True, ties=ties)
    whole, moved = (evenly(m.view(1, 3, 4, 5), share, generators(1)) for m in (mask, mask[:, within]))
    torch.testing.assert_close(whole, moved, **EXACT)


def test_evenly_wants_the_area_in_every_frame():
    uneven = torch.zeros(1, 2, 4, 5, dtype=torch.float64)
    uneven[0, 0] = 1
    half = torch.tensor([0.5], dtype=torch.float64)
    assert AreaTerm(per_frame=False)(uneven, half, generators(1)) == 0
    assert AreaTerm(per_frame=True)(uneven, half, generators(1)) == 0.5


@pytest.mark.identity(9)
@settings(max_examples=20)
@given(area=areas, seed=st.integers(0, 1000))
def test_one_frame_makes_evenly_the_same_as_the_whole_clip(area, seed):
    mask = values_with_ties(2, 30, seed).view(2, 1, 5, 6)
    share = torch.tensor([area, area], dtype=torch.float64)
    assert torch.equal(
        AreaTerm(per_frame=True)(mask, share, generators(2)), AreaTerm(per_frame=False)(mask, share, generators(2))
    )


def chosen(term, seed, batch=1):
    """Which voxels of a constant mask are pulled to 1: those of negative gradient."""
    mask = torch.full((batch, 2, 4, 5), 0.5, requires_grad=True)
    share = torch.full((batch,), 0.25, dtype=torch.float64)
    (grad,) = torch.autograd.grad(term(mask, share, generators(batch, seed)).sum(), mask)
    return grad < 0


@pytest.mark.choice("ep.ties")
@pytest.mark.parametrize("per_frame", [False, True])
def test_ties_plain_keeps_the_last_and_shuffle_asks_the_generator(per_frame):
    plain, shuffle = AreaTerm(per_frame, "plain"), AreaTerm(per_frame, "shuffle")
    last = torch.arange(40).view(2, 20) % 20 >= 15 if per_frame else torch.arange(40) >= 30
    assert torch.equal(chosen(plain, 0).flatten(), last.flatten())
    assert torch.equal(chosen(plain, 0), chosen(plain, 1))
    assert torch.equal(chosen(shuffle, 0), chosen(shuffle, 0))
    assert not torch.equal(chosen(shuffle, 0), chosen(shuffle, 1))
    assert chosen(shuffle, 0).sum() == 10


def test_shuffled_ties_of_a_clip_do_not_feel_its_batch():
    together = chosen(AreaTerm(ties="shuffle"), seed=3, batch=2)
    assert torch.equal(together[1:], chosen(AreaTerm(ties="shuffle"), seed=4))


def test_unknown_ties_are_refused():
    with pytest.raises(OutOfRange, match=r"^ties = random is not one of plain, shuffle$"):
        AreaTerm(ties="random")
