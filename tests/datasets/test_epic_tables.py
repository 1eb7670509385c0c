import numpy as np
import pytest
from helpers.epic_layout import OWN_RATE, VIDEO_COLUMNS, Layout, write_csv
from helpers.refusals import assert_refused
from hypothesis import assume, given
from hypothesis import strategies as st

from vxbench.datasets.epic_tables import (
    Clock,
    ObjectTable,
    Segment,
    action_frames,
    read_actions,
    read_noun_classes,
    read_videos,
)
from vxbench.errors import OutOfRange, UserError

PACES = (1.0, 60 / OWN_RATE, 60 / 29.97002997, 60 / 47.952047952, 60 / 90)
BOX = "[(10, 20, 30, 40)]"


@pytest.mark.choice("data.epic_frames")
def test_object_frames_are_brought_to_the_clock_of_the_actions():
    """The official correspondence: (object - 1) 1.001 + 1 at 59.94 frames a second; object - 1 at other rates."""
    written = np.array([1, 31, 1001, 50001])
    rates = np.full(4, OWN_RATE)
    assert (action_frames(written, rates) + 1).tolist() == [1, 31, 1002, 50051]
    for rate in (29.97, 47.95, 90.0):
        assert (action_frames(written, np.full(4, rate)) + 1).tolist() == [0, 30, 1000, 50000]
    assert (action_frames(written, rates, "as_written") + 1).tolist() == written.tolist()
    with pytest.raises(OutOfRange, match="object_frames"):
        action_frames(written, rates, "raw")


@given(st.sampled_from(PACES), st.integers(0, 300_000), st.integers(1, 5000))
def test_the_span_of_a_file_is_what_shows_the_segment(pace, start, frames):
    """The frames of a file within a span show frames of the segment, and its neighbours do not."""
    assume(frames > pace)
    clock, stop = Clock(pace), start + frames
    first, last = clock.span(start, stop)
    inside = clock.frames(np.array([first, last - 1]))
    assert start <= inside[0] <= inside[1] < stop
    assert clock.frames(np.array([last]))[0] >= stop
    assert first == 0 or clock.frames(np.array([first - 1]))[0] < start


def test_spans_of_official_jpegs_are_the_segments_own_and_never_empty():
    assert Clock().span(309, 428) == (309, 428)
    assert Clock(60 / 29.97).span(101, 102) == (51, 52)


def test_actions_hold_both_their_first_and_last_frame(tmp_path):
    layout = Layout(tmp_path)
    layout.action(7, "P01_01", 180, 623, verb="stir", noun="plate")
    layout.action(8, "P01_01", 0, 1)
    layout.write()
    table = layout.folder / "annotations/EPIC_train_action_labels.csv"
    (first, second), (by_noun, _) = read_actions(table, "verb"), read_actions(table, "noun")
    assert (first.id, first.start, first.stop, first.action) == ("stir/P01_01_7", 179, 623, (179, 623))
    assert (by_noun.id, by_noun.noun_class, first.frames) == ("plate/P01_01_7", 4, 444)
    assert (second.start, second.stop) == (0, 1)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ((7, "P01_02", 5, 9), "7 is there twice"),
        ((8, "P01_02", 9, 8), "segment 8 of P01_02 ends before it starts"),
        ((8, "P01_02", 0, 0), "segment 8 of P01_02 ends before it starts"),
    ],
)
def test_a_number_that_is_there_twice_or_a_segment_without_frames_is_refused(tmp_path, row, said):
    layout = Layout(tmp_path)
    layout.action(7, "P01_01", 180, 623)
    layout.action(*row)
    layout.write()
    with pytest.raises(UserError, match=rf"EPIC_train_action_labels\.csv: {said}"):
        read_actions(layout.folder / "annotations/EPIC_train_action_labels.csv", "verb")


def test_a_segment_that_is_cut_keeps_the_action_within_it():
    segment = Segment(7, "P01_01", "open", 10, 90, action=(40, 90))
    for end in (100, 60):
        cut = segment.until(end)
        assert (cut.start, cut.stop, cut.action) == (10, min(90, end), (40, min(90, end)))


def test_video_sizes_and_lengths_are_each_videos_own(tmp_path):
    layout = Layout(tmp_path)
    layout.video("P12_06", (1920, 1440), 170.05)
    layout.video("P01_01", (1280, 720), 10, 29.97)
    layout.write()
    videos = read_videos(layout.folder / "annotations/EPIC_video_info.csv")
    assert [(v.width, v.height, v.frames, v.fps) for v in videos.values()] == [
        (1920, 1440, 10203, pytest.approx(OWN_RATE)),
        (1280, 720, 600, 29.97),
    ]


def test_a_video_without_size_rate_or_length_is_named_by_its_line(tmp_path):
    for row in (
        *(("P01_01", size, 5, 60) for size in ("1920", "axb", "0x8", "8x0", "99999x8")),
        *(("P01_01", "8x8", 5, rate) for rate in (0, -60, "inf")),
        *(("P01_01", "8x8", seconds, 60) for seconds in (0, -5, "inf", 1e300)),
    ):
        write_csv(tmp_path / "info.csv", VIDEO_COLUMNS, [("P01_02", "8x8", 5, 60), row])
        line_3 = r"info\.csv, line 3: no resolution"
        assert_refused(line_3, read_videos, tmp_path / "info.csv", error=UserError)


@pytest.mark.parametrize(
    "text", ["", "video,resolution,duration\na,8x8,5", "video,resolution,duration,fps\na,8x8,x,60"]
)
def test_a_table_that_is_none_is_one_line_with_its_name(tmp_path, text):
    (tmp_path / "info.csv").write_text(text)
    with pytest.raises(UserError, match=r"info\.csv cannot be read") as caught:
        read_videos(tmp_path / "info.csv")
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "info.csv").write_bytes(b"\xff\xfe\x00" * 50)
    with pytest.raises(UserError, match="cannot be read"):
        read_videos(tmp_path / "info.csv")


def test_every_narrated_noun_has_its_official_class(tmp_path):
    columns = ("noun_id", "class_key", "nouns")
    write_csv(tmp_path / "nouns.csv", columns, [(1, "pan", "['pan', 'wok']"), (3, "tap", "['tap']")])
    assert read_noun_classes(tmp_path / "nouns.csv") == {"pan": 1, "wok": 1, "tap": 3}
    write_csv(tmp_path / "nouns.csv", columns, [(1, "pan", "exit()")])
    with pytest.raises(UserError, match=r"nouns\.csv, line 2"):
        read_noun_classes(tmp_path / "nouns.csv")


@pytest.fixture
def kitchen(tmp_path):
    layout = Layout(tmp_path)
    layout.video("P01_01")
    layout.video("P01_02")
    layout.action(1, "P01_01", 100, 200)
    return layout


def boxes_of(layout, rule="as_written"):
    layout.write()
    annotations = layout.folder / "annotations"
    table = ObjectTable(
        annotations / "EPIC_train_object_labels.csv", read_videos(annotations / "EPIC_video_info.csv"), rule
    )
    return table.boxes(read_actions(annotations / "EPIC_train_action_labels.csv", "noun")[0])


def test_boxes_of_a_segment_are_its_own_objects_within_it(kitchen):
    for frame in (99, 100, 130, 200, 201):
        kitchen.object("P01_01", frame, BOX)
    kitchen.object("P01_02", 150, BOX)
    kitchen.object("P01_01", 151, BOX, noun="plate")
    kitchen.object("P01_01", 160, "[]")
    assert sorted(boxes_of(kitchen)) == [99, 129, 199]


def test_rows_in_any_order_and_in_several_parts_are_one_track(kitchen):
    for frame, boxes in ((190, BOX), (130, BOX), (130, "[(1, 2, 3, 4), (5, 6, 7, 8)]")):
        kitchen.object("P01_01", frame, boxes)
    assert boxes_of(kitchen) == {129: [(10, 20, 30, 40), (1, 2, 3, 4), (5, 6, 7, 8)], 189: [(10, 20, 30, 40)]}


def test_a_damaged_cell_is_named_by_file_and_line(kitchen):
    kitchen.object("P01_01", 190, BOX)
    kitchen.object("P01_01", 130, "[(1, 2, 3]")
    with pytest.raises(UserError, match=r"EPIC_train_object_labels\.csv, line 3: "):
        boxes_of(kitchen)
