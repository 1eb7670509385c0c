"""Values clip by clip as the page's script gets them."""

import pytest
from helpers.pages import CLIPS, cell, page_table, picture, rows

from vxbench.figures.drawing.maps import overlay
from vxbench.page import PageTable
from vxbench.page.values import colour_scale, script_data


@pytest.fixture(scope="module")
def data():
    return script_data([page_table()], {}, {})


def test_values_stand_at_the_place_of_their_clip(data):
    assert data["clips"] == {"ucf101_24": list(CLIPS)}
    assert data["cells"]["r2plus1d-fep-1"]["values"] == {"dc": [9.0, None], "stc": [80.0, None]}
    assert data["cells"]["r2plus1d-fep-1"]["reasons"] == {1: {"": "undecodable: broken"}}
    assert data["cells"]["r2plus1d-gradients-1"]["values"]["stc"] == [10.0, None]
    assert data["cells"]["r2plus1d-gradients-1"]["reasons"] == {1: {"stc": "no box in the sampled frames"}}


def test_methods_come_in_the_tables_order_and_say_why_they_have_nothing(data):
    [one] = data["sets"]
    assert [method["name"] for method in one["methods"]] == [
        "Gradients",
        "Grad-CAM",
        "EP",
        "STEP",
        "F-EP (ours)",
        "mine",
        "random map",
    ]
    said = {method["row"]: (method["cell"], method["why"]) for method in one["methods"]}
    assert said["ep3d"] == ("", "out of luck")
    assert said["gradcam"][1] == "it has no layer"


def test_metrics_bring_the_tables_unit(data):
    metrics = {metric["key"]: metric for metric in data["sets"][0]["metrics"]}
    assert metrics["dc"] == {"key": "dc", "title": "DC ↓", "factor": 1.0, "decimals": 1}
    assert (metrics["deletion"]["factor"], metrics["deletion"]["title"]) == (100.0, "deletion")  # no column of fep_1


def test_a_cell_of_two_tables_is_there_once():
    data = script_data([page_table(), page_table(name="fep_1_released")], {}, {})
    assert len(data["sets"]) == 2
    assert len(data["cells"]) == 6


def test_cells_of_different_clips_share_one_list():
    page = page_table()
    other = cell("step", rows({"dc": [5.0]}, clips=["clip 0"]), model="tsm")
    data = script_data([PageTable("fep_1", page.table, [*page.cells, other])], {}, {})
    assert data["clips"]["ucf101_24"] == ["clip 0", *CLIPS]
    assert data["cells"]["tsm-step-1"]["values"]["dc"] == [5.0, None, None]
    assert data["cells"]["r2plus1d-fep-1"]["values"]["dc"] == [None, 9.0, None]


def test_a_table_lists_its_own_clips_alone():
    """A row of another model counts as the table's own: a cell that failed as a whole has none."""
    page = page_table()
    large = cell("step", rows({"dc": [5.0, 6.0]}, clips=["clip 0", "clip b"]), model="vgg16lstm")
    tsm = cell("step", model="tsm", status="failed", message="no", id="")
    data = script_data(
        [PageTable("fep_1", page.table, [*page.cells, tsm]), PageTable("step_1", page.table, [large])], {}, {}
    )
    listed = {
        (one["table"], one["model"]): [data["clips"]["ucf101_24"][i] for i in one["clips"]] for one in data["sets"]
    }
    assert listed == {
        ("fep_1", "R(2+1)D"): list(CLIPS),
        ("fep_1", "TSM"): list(CLIPS),
        ("step_1", "VGG16LSTM"): ["clip 0", "clip b"],
    }


def test_the_scale_is_the_figures():
    """overlay of colours.js, written out, equals that of the figures to the rounding of 8-bit colours."""
    scale, clip = colour_scale(), picture("clip a")
    low, high = scale["opacity"]
    for level in (0, 100, 255):
        grey = float(clip.frames[2, 0, 0] @ [0.299, 0.587, 0.114])
        opacity = low + (high - low) * level / 255
        mine = [(1 - opacity) * grey + opacity * channel for channel in scale["colours"][3 * level : 3 * level + 3]]
        theirs = overlay(clip.frames[2], clip.maps["fep"][2] * 0 + level / 255)[0, 0] * 255
        assert mine == pytest.approx(theirs, abs=1)
