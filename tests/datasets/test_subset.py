"""Which clips a table uses."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vxbench.datasets.subset import choose, describe
from vxbench.errors import OutOfRange, UserError

GOLDEN_DRAW = ["19", "05", "14", "08", "03", "04"]


@dataclass(frozen=True)
class Line:
    id: str
    label: int


def lines(count, classes="AB"):
    return [Line(f"{name}/v_{i:02d}", label) for label, name in enumerate(classes) for i in range(count)]


def test_the_draw_of_a_seed_is_the_same_on_every_machine():
    drawn = choose(lines(20), "AB", per_class=3, seed=0)
    assert {line.id[-2:] for line in drawn} == set(GOLDEN_DRAW)
    assert [line.id for line in drawn] == sorted(line.id for line in drawn)


def test_the_first_of_each_class_are_the_first_by_id_whatever_the_order_given():
    drawn = choose(lines(20)[::-1], "AB", per_class=2, rule="first", seed=5)
    assert [line.id for line in drawn] == ["A/v_00", "A/v_01", "B/v_00", "B/v_01"]


@given(st.permutations(lines(6)), st.integers(1, 6), st.integers(0, 3))
def test_a_draw_does_not_depend_on_order_and_grows_with_its_size(order, k, seed):
    drawn = choose(order, "AB", k, seed=seed)
    assert drawn == choose(lines(6), "AB", k, seed=seed)
    assert [line.label for line in drawn] == [0] * k + [1] * k
    assert set(choose(order, "AB", k - 1, seed=seed) if k > 1 else []) <= set(drawn)


def test_seeds_draw_different_clips():
    assert len({tuple(choose(lines(20), "AB", 3, seed=seed)) for seed in range(5)}) == 5


def test_without_a_number_all_are_taken_in_order_of_id():
    assert choose(lines(3)[::-1], "AB", None) == lines(3)


def test_a_class_with_too_few_is_named():
    with pytest.raises(OutOfRange, match="per_class = 3, but B has only 2 clips in the list"):
        choose(lines(3)[:-1], "AB", 3, source="the list")
    with pytest.raises(OutOfRange, match="but A has only 1 clip in this split"):
        choose(lines(1), "AB", 2)


@pytest.mark.parametrize("per_class", [None, 1])
def test_nothing_to_draw_from_is_an_error(per_class):
    with pytest.raises(UserError, match="no clips in the list"):
        choose([], "AB", per_class, source="the list")


@pytest.mark.parametrize(("changes", "named"), [({"rule": "last"}, "draw = last"), ({"per_class": 0}, "per_class = 0")])
def test_bad_values_are_refused(changes, named):
    with pytest.raises(OutOfRange, match=named):
        choose(lines(3), "AB", **{"per_class": 1, **changes})


def test_a_line_tells_which_clips_these_are():
    drawn = choose(lines(3), "AB", 2)
    assert describe(drawn, "the list", 2, seed=7) == "4 clips, 2 of each of the 2 classes of the list, drawn by seed 7"
    assert (
        describe(drawn, "the list", 2, "first") == "4 clips, 2 of each of the 2 classes of the list, the first by name"
    )
    assert describe(drawn, "the list", None) == "all 4 clips of the list"
    assert describe(drawn[:1], "the list", None) == "all 1 clip of the list"
    assert (
        describe(drawn[:1], "the list", 1, "first") == "1 clip, 1 of each of the 1 class of the list, the first by name"
    )
