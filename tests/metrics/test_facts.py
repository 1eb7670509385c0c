"""What metric classes declare of their keys is true and is what the papers print; contradictions are refused."""

import json
from dataclasses import asdict

import pytest
import torch
from helpers.toys import Everything, clips, seeded

import vxbench.metrics
from vxbench.errors import UserError
from vxbench.explainers import EP3D, Gradients
from vxbench.fact import Fact
from vxbench.metrics import Batch, Metric, facts
from vxbench.metrics.facts import fact
from vxbench.tables.published import layout, published, tables

T, H, W = SHAPE = (4, 14, 18)
B = 3
LIBRARY = [found for name in vxbench.metrics.__all__ if issubclass(found := getattr(vxbench.metrics, name), Metric)]
STAGES = [{"layer": ["layer"]}, {"fc": ["fc"]}]
SETTINGS = {
    "GenerationTime": {"explainer": Gradients(), "warmup": 0},
    "MinimumPreservationRatio": {"explainer": EP3D(sigma=5, iterations=2), "grid": [0.1, 1.0]},
    "SanityCheck": {"explainer": Gradients(), "stages": STAGES, "bn": "keep"},
}


@pytest.fixture(autouse=True)
def _declared_here_alone(monkeypatch):
    """What a test declares is forgotten after it."""
    monkeypatch.setattr(facts, "_declared", dict(facts._declared))


def built(kind) -> Metric:
    return kind(**SETTINGS.get(kind.__name__, {}))


def scores(metric, boxes=True, action=True):
    """Scores of three clips with four classes, annotated on request."""
    target = torch.arange(B) % 4
    drawn = torch.zeros(B, *SHAPE, dtype=torch.bool)
    drawn[:, :, 2:7, 3:9] = True
    marked = torch.arange(T).expand(B, T) < 2
    batch = Batch(clips(B, 3, *SHAPE, seed=1), target, target)
    batch.boxes, batch.action = drawn if boxes else None, marked if action else None
    saliency = torch.rand(B, *SHAPE, generator=torch.Generator().manual_seed(0))
    return metric(seeded(Everything()), batch, saliency)


KINDS = pytest.mark.parametrize(
    "kind", [kind for kind in LIBRARY if kind is not Metric], ids=lambda kind: kind.__name__
)


@KINDS
def test_every_key_of_the_library_is_declared_and_its_values_lie_in_the_range(kind):
    found = scores(built(kind))
    for key, values in found.items():
        known = fact(key)
        assert known != Fact(name=key), f"{kind.__name__} says nothing of {key}"
        known_values = values[~values.isnan()].double()
        assert known.low is None or (known_values >= known.low - 1e-6).all()
        assert known.high is None or (known_values <= known.high + 1e-6).all()


@KINDS
def test_what_a_key_needs_is_what_it_has_no_value_without(kind):
    """The toy has four classes, so keys that need more have no value at all."""
    whole, bare = scores(built(kind)), scores(built(kind), boxes=False, action=False)
    assert {key for key in whole if fact(key).needs == "classes"} == {k for k, v in whole.items() if v.isnan().all()}
    assert {key for key in bare if fact(key).needs} == {key for key, values in bare.items() if values.isnan().all()}
    unboxed, unmarked = scores(built(kind), boxes=False), scores(built(kind), action=False)
    lost = {key for key, values in unboxed.items() if values.isnan().all()}
    assert {key for key in unboxed if fact(key).needs in ("boxes", "classes")} == lost
    lost = {key for key, values in unmarked.items() if values.isnan().all()}
    assert {key for key in unmarked if fact(key).needs in ("segment", "classes")} == lost


@KINDS
def test_what_is_pooled_over_frames_is_weighted_by_their_number(kind):
    found = scores(built(kind))
    assert {key for key in found if fact(key).pools == "frames"} == found.weights.keys()


@KINDS
def test_what_is_drawn_as_a_curve_has_one_whose_area_is_the_value(kind):
    found = scores(built(kind))
    for key in found:
        if fact(key).curve:
            area = torch.trapezoid(found.curves[key].double()) / (found.curves[key].shape[1] - 1)
            torch.testing.assert_close(area, found[key].double(), rtol=1e-6, atol=1e-6)  # the value is float32


@pytest.mark.parametrize("key", tables())
def test_directions_and_units_are_those_the_papers_print(key):
    unit = layout(key).unit
    for (_, _, _, metric), value in published(key).items():
        assert fact(metric).higher_is_better is value.higher_is_better
        assert fact(metric).in_unit(unit)[0] == unit
        low, high = (
            None if end is None else end * fact(metric).factor(unit) for end in (fact(metric).low, fact(metric).high)
        )
        assert low is None or value.value >= low
        assert high is None or value.value <= high


def test_a_companion_is_a_key_of_the_same_class_without_a_direction():
    pairs = {key: known.companion for kind in LIBRARY for key, known in kind.facts.items() if known.companion}
    assert pairs == {"stc": "area_above_tau"}
    assert fact("area_above_tau").higher_is_better is None


@pytest.mark.parametrize(
    ("stored", "decimals", "printed", "unit", "shown", "factor"),
    [
        ("fraction", 3, "percent", "percent", 1, 100),
        ("percent", 1, "fraction", "fraction", 3, 0.01),
        ("percent", 1, "percent", "percent", 1, 1),
        ("fraction", 1, "percent", "percent", 0, 100),
        ("seconds", 3, "percent", "seconds", 3, 1),
        ("frames", 1, "percent", "frames", 1, 1),
        ("fraction", 3, "seconds", "fraction", 3, 1),
        ("percent", 1, "", "percent", 1, 1),
        ("", 2, "percent", "", 2, 1),
    ],
)
def test_a_share_is_printed_as_its_table_prints_shares(stored, decimals, printed, unit, shown, factor):
    known = Fact("x", unit=stored, decimals=decimals)
    assert known.in_unit(printed) == (unit, shown)
    assert known.factor(printed) == factor


def test_an_unknown_key_has_its_name_and_nothing_else():
    assert fact("nobody_knows") == Fact(name="nobody_knows")


def test_keys_of_stages_are_known_by_their_beginning():
    assert fact("rank_layer4").short == "ρ, layer4"
    assert fact("rank_abs_layer4").name == "Spearman's correlation of |S - mean S| with the map at stage layer4"
    assert fact("ssim_fc").higher_is_better is False
    assert {fact(f"{measure}_original").higher_is_better for measure in ("rank", "rank_abs", "ssim")} == {None}


def test_a_class_of_ones_own_is_known_as_soon_as_it_is_defined():
    class Mine(Metric):
        keys = ("mine",)
        facts = {"mine": Fact("My number", higher_is_better=False)}  # noqa: RUF012

    assert fact("mine") is Mine.facts["mine"]


def test_two_classes_that_disagree_are_refused():
    with pytest.raises(
        UserError, match=r"Other and vxbench.metrics.faithfulness.Faithfulness declare 'dc' differently"
    ):
        type("Other", (Metric,), {"keys": ("dc",), "facts": {"dc": Fact("Decibels")}})
    assert fact("dc").name == "Drop in Confidence"


def test_two_classes_that_agree_and_a_class_defined_again_are_not():
    type("Same", (Metric,), {"keys": ("dc",), "facts": {"dc": fact("dc")}})
    for name in ("one", "other"):  # as in a notebook
        type("Again", (Metric,), {"keys": ("again",), "facts": {"again": Fact(name)}})
    assert fact("again").name == "other"


def test_a_fact_of_a_key_that_the_class_does_not_return_is_refused():
    with pytest.raises(UserError, match=r"Odd declares facts of 'od', which is none of its keys odd"):
        type("Odd", (Metric,), {"keys": ("odd",), "facts": {"od": Fact("misspelt")}})
    assert fact("od") == Fact(name="od")


def test_facts_survive_json():
    for key in ("seconds", "stc", "overall"):
        assert Fact(**json.loads(json.dumps(asdict(fact(key))))) == fact(key)
