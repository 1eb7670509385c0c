"""The packaged numbers are whole, and agree with their layout."""

import pytest

from vxbench.errors import UserError
from vxbench.tables.published import _doubts, _marked, _where, doubts, layout, published, tables

# As the three papers count their result tables.
TABLES = [f"fep_{i}" for i in (1, 2)] + [f"step_{i}" for i in range(1, 6)] + [f"aosa_{i}" for i in range(1, 8)]


def test_every_printed_number_is_there():
    assert tables() == TABLES
    assert sum(len(published(key)) for key in tables()) == 306


@pytest.mark.parametrize("key", TABLES)
def test_each_place_of_a_layout_has_a_number_or_a_blank(key):
    paper = layout(key)
    places = {
        (row, column.model or row, column.dataset, column.metric) for row in paper.rows for column in paper.columns
    }
    assert places == published(key).keys() | paper.blanks.keys()
    assert not published(key).keys() & paper.blanks.keys()


def test_numbers_directions_and_notes_as_printed():
    first = published("fep_1")
    assert first["fep", "r2plus1d", "ucf101_24", "dc"] == (32.9, False, "r_l=0.5;r_h=0.2", (), True)
    assert first["step", "tsm", "ucf101_24", "stc"] == (73.9, True, "", (), True)
    assert published("step_2")["vgg16lstm", "vgg16lstm", "epic_object", "min_preservation_ratio"].value == 0.157
    assert published("fep_2")["gradcam_pp", "r2plus1d", "epic_object", "dc"].note == "doubt=D6"


def test_layout_keeps_the_printed_order_and_names():
    paper = layout("fep_1")
    assert list(paper.rows.items())[-2:] == [("step", "STEP"), ("fep", "F-EP (ours)")]
    assert [column.display for column in paper.columns] == ["DC", "Acc.", "STC"] * 2
    assert (paper.paper, paper.printed_as, paper.unit, paper.decimals) == ("F-EP", "Table 1", "percent", 1)


@pytest.mark.parametrize("key", TABLES)
def test_every_doubt_noted_on_a_number_is_marked_and_said_in_words(key):
    said = {line.split(":")[0] for line in doubts(key)}
    for value in published(key).values():
        noted = {part.removeprefix("doubt=") for part in value.note.split(";") if part.startswith("doubt=")}
        assert noted <= set(value.doubts) <= said


def test_numbers_are_left_unscored_only_where_the_text_says_so():
    """D3: STEP on SlowFast, three numbers. D2: two rows of six."""
    unscored = [(key, where[:2]) for key in tables() for where, value in published(key).items() if not value.scored]
    middle = [("aosa_7", (row, model)) for row in ("aosa_approx_cond", "aosa_approx_relu")
              for model in ("r3d", "r2plus1d")]  # fmt: skip
    assert sorted(unscored) == sorted([("aosa_3", ("step", "slowfast"))] * 3 + middle * 3)
    assert published("aosa_3")["step", "timesformer", "kinetics400", "overall"].scored
    assert published("fep_2")["gradcam_pp", "r2plus1d", "epic_object", "dc"][3:] == (("D6",), True)
    assert all("not scored" in line for line in doubts("aosa_7") + doubts("aosa_3") if line[:2] in ("D2", "D3"))


def test_every_mark_is_about_some_printed_number():
    """A misspelt row or model would mark nothing and say nothing."""
    for code, doubt in _doubts().items():
        for mark in doubt.get("marks", ()):
            assert _where(mark).keys() <= {"table", "row", "model", "dataset", "metric"}
            marked = [where for where in published(mark["table"]) if code in _marked(mark["table"], where)[0]]
            fits = [w for w in marked if set(_where(mark).values()) <= {mark["table"], *w}]
            assert fits, f"{code}: {mark}"
            assert mark["table"] in doubt["tables"]


def test_layouts_know_what_can_only_be_compared_otherwise():
    assert {key: layout(key).ratios_to for key in tables() if layout(key).ratios_to} == {"aosa_5": "aosa_s8"}
    assert {key: layout(key).either for key in tables() if layout(key).either} == {
        "aosa_7": ("aosa_approx_cond", "aosa_approx_relu")
    }
    assert set(layout("aosa_7").either) <= layout("aosa_7").rows.keys()


def test_doubts_about_the_fep_tables():
    assert [line.split(":")[0] for line in doubts("fep_1")] == ["D8", "D9", "D10"]
    assert [line.split(":")[0] for line in doubts("fep_2")][:2] == ["D6", "D7"]


def test_an_unknown_table_is_one_line_with_a_hint():
    with pytest.raises(UserError, match=r"'fep1' is not a published table; did you mean fep_1\?"):
        layout("fep1")
