"""The packaged numbers are whole, and agree with their layout."""

import pytest

from vxbench.errors import UserError
from vxbench.report.published import doubts, layout, published, tables

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
    assert first["fep", "r2plus1d", "ucf101_24", "dc"] == (32.9, False, "r_l=0.5;r_h=0.2")
    assert first["step", "tsm", "ucf101_24", "stc"] == (73.9, True, "")
    assert published("step_2")["vgg16lstm", "vgg16lstm", "epic_object", "min_preservation_ratio"].value == 0.157
    assert published("fep_2")["gradcam_pp", "r2plus1d", "epic_object", "dc"].note == "doubt=D6"


def test_layout_keeps_the_printed_order_and_names():
    paper = layout("fep_1")
    assert list(paper.rows.items())[-2:] == [("step", "STEP"), ("fep", "F-EP (ours)")]
    assert [column.display for column in paper.columns] == ["DC", "Acc.", "STC"] * 2
    assert (paper.paper, paper.printed_as, paper.unit, paper.decimals) == ("F-EP", "Table 1", "percent", 1)


@pytest.mark.parametrize("key", TABLES)
def test_every_doubt_noted_on_a_number_is_said_in_words(key):
    noted = {part.removeprefix("doubt=") for value in published(key).values() for part in value.note.split(";")}
    said = {line.split(":")[0] for line in doubts(key)}
    assert {code for code in noted if code.startswith("D")} <= said


def test_doubts_about_the_fep_tables():
    assert [line.split(":")[0] for line in doubts("fep_1")] == ["D8", "D9", "D10"]
    assert [line.split(":")[0] for line in doubts("fep_2")][:2] == ["D6", "D7"]


def test_an_unknown_table_is_one_line_with_a_hint():
    with pytest.raises(UserError, match=r"'fep1' is not a published table; did you mean fep_1\?"):
        layout("fep1")
