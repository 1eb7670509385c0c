import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vxbench.datasets.epic_tables import literal, parse_boxes, parse_track, track_of
from vxbench.errors import UserError

SIZE = (1920, 1080)
BOX = (302, 638, 306, 300)  # top, left, height, width


def test_both_published_forms_are_read():
    assert parse_boxes("[(302, 638, 306, 300)]", "here") == [BOX]
    assert parse_boxes("[(302, 638, 306, 300), (0, 0, 5, 6)]", "here") == [BOX, (0, 0, 5, 6)]
    assert parse_boxes("[]", "here") == []
    assert parse_track("{331: (302, 638, 306, 300)}", "here") == {331: [BOX]}
    assert parse_track("{331: [(302, 638, 306, 300), (0, 0, 5, 6)], 361: []}", "here") == {
        331: [BOX, (0, 0, 5, 6)],
        361: [],
    }


NO_BOXES = ["", "[", "[(1, 2, 3)]", "[(1, 2, 3, 4.5)]", "['abcd']", "[[1, 2, 3, 4]]", "{1, 2}", "1" * 5000, "(" * 5000,
            "[(True, 1, 2, 3)]", "\x00"]  # fmt: skip
NO_TRACK = ["", "[(1, 2, 3, 4)]", "{'1': (1, 2, 3, 4)}", "{1.5: (1, 2, 3, 4)}", "{0: (1, 2, 3, 4)}", "{True: []}",
            f"{{{10**40}: (1, 2, 3, 4)}}"]  # fmt: skip


@pytest.mark.parametrize(
    ("parse", "cells"),
    [
        (parse_boxes, ["(1, 2, 3, 4)", *NO_BOXES]),
        (parse_track, [f"{{1: {cell}}}" for cell in NO_BOXES] + NO_TRACK),
    ],
)
def test_anything_else_is_one_line_that_names_the_place(parse, cells):
    for cell in cells:
        with pytest.raises(UserError, match="file, line 7") as caught:
            parse(cell, "file, line 7")
        assert "\n" not in str(caught.value), cell
        assert len(str(caught.value)) < 200, cell


def test_text_that_would_run_code_runs_nothing(tmp_path):
    mark = tmp_path / "ran"
    for cell in (f"__import__('pathlib').Path({str(mark)!r}).touch()", f"[open({str(mark)!r}, 'w')]", "(lambda: 1)()"):
        for parse in (literal, parse_boxes, parse_track):
            with pytest.raises(UserError):
                parse(cell, "here")
    assert not mark.exists()


def test_boxes_become_x_y_w_h_within_the_frame():
    """top + height reaches 1082 in the published lists."""
    track = track_of({5: [BOX], 3: [(2, 1900, 1080, 100), (-4, -5, 10, 10)]}, SIZE)
    assert track.frames.tolist() == [3, 3, 5]
    assert track.boxes.tolist() == [[1900, 2, 20, 1078], [0, 0, 5, 6], [638, 302, 300, 306]]


@pytest.mark.parametrize(
    "outside", [(0, 1920, 9, 9), (1080, 0, 9, 9), (-9, 0, 9, 9), (5, 5, 0, 9), (5, 5, 9, -1), (0, 10**20, 9, 9)]
)
def test_boxes_that_show_nothing_are_dropped(outside):
    track = track_of({1: [outside]}, SIZE)
    assert track.boxes.shape == (0, 4)
    assert track.at(1, 3).shape == (0, 4)


def test_a_box_reaches_as_far_as_it_is_told_and_no_further():
    track = track_of({31: [BOX], 61: [BOX, BOX]}, SIZE)
    assert [t for t in range(80) if len(track.at(t, 3))] == [*range(28, 35), *range(58, 65)]
    assert [t for t in range(80) if len(track.at(t, 0))] == [31, 61]
    assert len(track.at(60, 3)) == 2


@given(st.dictionaries(st.integers(0, 60), st.integers(1, 2), max_size=8), st.integers(0, 60), st.integers(0, 40))
def test_the_nearest_labelled_frame_gives_the_boxes(labelled, t, reach):
    track = track_of({frame: [(frame, 0, 1, 1)] * count for frame, count in labelled.items()}, SIZE)
    nearest = min((abs(frame - t) for frame in labelled), default=reach + 1)
    valid = [frame for frame in sorted(labelled) if abs(frame - t) == nearest <= reach]
    expected = [frame for frame in valid for _ in range(labelled[frame])]
    assert track.at(t, reach)[:, 1].tolist() == expected
    assert track.boxes.dtype == np.int32
