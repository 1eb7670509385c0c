import numpy as np
import pytest
from helpers.epic_layout import Layout, by_uid
from helpers.videos import numbered
from hypothesis import given
from hypothesis import strategies as st

from vxbench.datasets.epic_action import EPICAction, moved
from vxbench.datasets.epic_tables import action_segment
from vxbench.errors import UserError

VIEW = {"frames": 16, "height": 48, "width": 64}
LIST = ("seg_id", "video_id", "noun", "verb_label", "verb", "start_frame", "stop_frame", "middle_frame", "ground")
VERBS = ("open", "close")


def opened(root, **changes):
    return EPICAction(root, **{**VIEW, "classes": 2, "held_out": 1, **changes})


@pytest.fixture
def layout(tmp_path):
    """The tables of two actions of 60 frames, 101 to 160, in videos of 240."""
    layout = Layout(tmp_path)
    for uid, verb in enumerate(VERBS):
        layout.video(f"P01_{uid + 1:02d}", seconds=4.0)
        layout.action(uid, f"P01_{uid + 1:02d}", 101, 160, verb)
    layout.write()
    return layout


@pytest.fixture
def filmed(layout):
    """Those tables, and the videos' JPEGs."""
    for video in ("P01_01", "P01_02"):
        layout.jpegs(video, range(1, 241), numbered)
    return layout


def listed(layout, *rows):
    layout.lists(EPICAction.list_names, rows, VERBS, LIST, "verb")
    return opened(layout.root)


def in_action(dataset, uid, number_of):
    """(frame of the video, whether it is action) for each frame of a clip."""
    clip = dataset.load(by_uid(dataset)[uid])
    assert (clip.boxes, clip.annotated, clip.action.dtype) == (None, None, bool)
    return dict(zip([number_of(frame) for frame in clip.frames], clip.action.tolist(), strict=True))


def test_frames_of_our_own_clips_are_action_where_the_table_says(filmed, number_of):
    dataset = opened(filmed.root)
    for uid in (0, 1):
        truth = in_action(dataset, uid, number_of)
        assert truth == {t: 100 <= t < 160 for t in truth}
        assert 4 <= sum(truth.values()) <= 12  # of 16, a quarter to three quarters


def test_for_accuracy_a_test_clip_is_the_action_of_the_same_segments(filmed, number_of):
    windows, actions = (opened(filmed.root, testing=testing) for testing in ("windows", "action"))
    assert [ref.id for ref in actions.clips] == [ref.id for ref in windows.clips]
    for uid in (0, 1):
        truth = in_action(actions, uid, number_of)
        assert all(truth.values())
        assert min(truth) >= 100


def test_training_windows_are_the_action_and_it_moved_to_either_side(tmp_path):
    """The training segment is frames 301 to 360: apart from the test clip, which is another segment's."""
    layout = Layout(tmp_path)
    layout.video("P01_01", seconds=20.0)
    for uid, (verb, start) in enumerate([("open", 301), ("open", 701), ("close", 101), ("close", 1001)]):
        layout.action(uid, "P01_01", start, start + 59, verb)
    layout.write()
    tested = {ref.span for ref in opened(tmp_path).clips}
    plain, moving = (opened(tmp_path, split="train", training=training).clips for training in ("action", "windows"))
    assert len(plain) == 2
    assert len(moving) == 6
    assert len({ref.id for ref in moving}) == 6
    assert {ref.span for ref in plain} < {ref.span for ref in moving}
    assert {ref.label for ref in moving} == {0, 1}
    for ref in moving:
        assert all(ref.span[1] <= start or stop <= ref.span[0] for start, stop in tested)


def test_training_keeps_clear_of_the_test_actions_too(tmp_path):
    """A segment beside a test action, on the side that its window does not cover, is not trained on."""
    layout = Layout(tmp_path)
    layout.video("P01_01", seconds=20.0)
    layout.action(0, "P01_01", 301, 360, "open")
    layout.action(1, "P01_01", 701, 760, "close")
    layout.write()
    tested = opened(tmp_path)
    (start, stop), (first, last) = by_uid(tested)[0].span, (300, 360)
    beside = (first, start) if start > first else (stop, last)
    layout.action(2, "P01_01", beside[0] + 1, beside[1], "open")
    layout.write()
    assert by_uid(opened(tmp_path, min_frames=60))[0].span == (start, stop)
    layout.action(3, "P01_01", 1001, 1060, "close")  # so that there is something to train on
    layout.write()
    assert set(by_uid(opened(tmp_path, min_frames=60, split="train"))) <= {1, 3}


@given(st.integers(1, 10**6), st.integers(2, 3000), st.integers(0, 10**4), st.integers(0, 99))
def test_a_moved_window_is_a_quarter_to_three_quarters_action(start_frame, frames, uid, seed):
    action = action_segment(uid, "P01_01", "open", start_frame, start_frame + frames - 1)
    one, other = moved(action, seed)
    for window in (one, other):
        shared = min(window.stop, action.stop) - max(window.start, action.start)
        assert 0.25 <= shared / frames <= 0.75
        assert (window.frames, window.action, window.id) == (frames, (action.start, action.stop), action.id)
    assert one.start - action.start == action.start - other.start


def test_moves_follow_seed_and_segment_over_their_whole_range():
    """Over 400 segments of 100 frames every tenth of [25, 75] is met on both sides; none is the same for all seeds."""
    actions = [action_segment(uid, "P01_01", "open", 1001, 1100) for uid in range(400)]
    moves = np.array([next(moved(action, 0)).start - 1000 for action in actions])
    for side in (moves, -moves):
        assert set(side[side > 0] // 10) == {2, 3, 4, 5, 6, 7}
    assert (moves != [next(moved(action, 1)).start - 1000 for action in actions]).mean() > 0.9
    assert (moves == [next(moved(action, 0)).start - 1000 for action in actions]).all()


def test_an_action_of_one_frame_has_no_window_but_is_trained_on(layout):
    layout.action(7, "P01_01", 5, 5)
    assert list(moved(action_segment(7, "P01_01", "open", 5, 5), 0)) == []
    for training in ("action", "windows"):
        dataset = opened(layout.write(), min_frames=1, split="train", training=training)
        assert by_uid(dataset)[7].span == (4, 5)


def test_windows_stay_within_the_video(layout):
    """At the first frame of a video only later frames are adjacent, at the last only earlier ones."""
    layout.actions.clear()
    for uid in range(8):
        first = uid < 4
        layout.action(uid, "P01_01", 1 if first else 181, 60 if first else 240, VERBS[uid // 4])
    dataset = opened(layout.write(), held_out=4)
    spans = {uid: ref.span for uid, ref in by_uid(dataset).items()}
    assert all(15 <= spans[uid][0] <= 45 for uid in range(4))
    assert all(135 <= spans[uid][0] <= 165 for uid in range(4, 8))


def test_an_action_that_fills_its_video_is_not_fit_for_testing(layout):
    layout.videos = [(video, size, 1.0, fps) for video, size, _, fps in layout.videos]
    layout.actions = [(*row[:4], 1, 60, *row[6:]) for row in layout.actions]
    with pytest.raises(UserError, match="only 0 verbs"):
        opened(layout.write())


def test_a_training_clip_is_a_whole_action(filmed, number_of):
    filmed.action(5, "P01_01", 1, 40)
    truth = in_action(opened(filmed.write(), split="train"), 5, number_of)
    assert all(truth.values())
    assert max(truth) < 40


def test_left_rows_have_the_action_last_and_right_rows_first(filmed, number_of):
    """Frames count from 1 in the list: 81 to 140, the action from 101 on; and 121 to 180, the action before 161."""
    rows = [
        (0, "P01_01", "tap", 0, "open", 81, 140, 101, "left"),
        (1, "P01_02", "tap", 1, "close", 121, 180, 161, "right"),
    ]
    dataset = listed(filmed, *rows)
    assert [ref.span for ref in by_uid(dataset).values()] == [(120, 180), (80, 140)]
    left, right = (in_action(dataset, uid, number_of) for uid in (0, 1))
    assert left == {t: t >= 100 for t in left}
    assert right == {t: t < 160 for t in right}
    assert len(set(left.values())) == len(set(right.values())) == 2
    assert dataset.selection == f"all 2 clips of {EPICAction.list_names[0]}, the list of STEP's authors"


def test_the_complement_is_what_the_authors_loader_takes_for_truth(layout):
    """Its rule, on frames from 1: before the middle in left rows, from it on in right rows."""
    rows = [
        (0, "P01_01", "tap", 0, "open", 81, 140, 101, "left"),
        (1, "P01_02", "tap", 1, "close", 121, 180, 161, "right"),
    ]
    dataset = listed(layout, *rows)
    for uid, (first, last, middle, left) in {0: (81, 140, 101, True), 1: (121, 180, 161, False)}.items():
        start, stop = dataset.actions[by_uid(dataset)[uid].id]
        background = [t + 1 for t in range(first - 1, last) if not start <= t < stop]
        assert background == [t for t in range(first, last + 1) if (t < middle) == left]


def test_a_clip_that_is_listed_from_before_its_video_starts_with_it(layout):
    dataset = listed(layout, (0, "P01_01", "tap", 0, "open", -1, 100, 60, "left"))
    assert by_uid(dataset)[0].span == (0, 100)
    assert dataset.actions["open/P01_01_0"] == (59, 100)


def test_a_list_needs_no_other_annotation(layout):
    for name in ("train_action_labels", "train_object_labels", "noun_classes"):
        (layout.folder / f"annotations/EPIC_{name}.csv").unlink()
    assert listed(layout, (0, "P01_01", "tap", 0, "open", 81, 140, 101, "left")).clips


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (("close", "open"), "2 of 2 segments have words or labels that .*labels.csv has not, such as close 1, open 0;"),
        (("open", "shut"), "1 of 2 segments have .*, such as close 1;"),
        (("open", "put", "close"), "1 of 2 segments have .*, such as close 1;"),
    ],
)
def test_lists_of_two_releases_are_refused_rather_than_cut(layout, classes, said):
    """The repository's head has another list of verbs: with it 44 of the 100 clips would be dropped."""
    rows = [
        (0, "P01_01", "tap", 0, "open", 81, 140, 101, "left"),
        (1, "P01_02", "tap", 1, "close", 81, 140, 101, "left"),
    ]
    layout.lists(EPICAction.list_names, rows, classes, LIST, "verb")
    with pytest.raises(UserError, match=f"{said} .*different releases.* commit d483bcaf"):
        opened(layout.root)


def test_a_number_that_is_listed_twice_is_refused(layout):
    row = (7, "P01_01", "tap", 0, "open", 81, 140, 101, "left")
    with pytest.raises(UserError, match=r"val_cat\.csv: 7 is there twice"):
        listed(layout, row, row)


@pytest.mark.parametrize(("middle", "side"), [(81, "left"), (141, "left"), (20, "right"), (101, "middle"), (101, "")])
def test_a_row_without_a_middle_in_its_clip_is_named(layout, middle, side):
    good = (0, "P01_01", "tap", 0, "open", 81, 140, 101, "left")
    with pytest.raises(UserError, match=r"val_cat\.csv, line 3: "):
        listed(layout, good, (1, "P01_02", "tap", 1, "close", 81, 140, middle, side))


def test_real_actions_are_drawn_with_their_part_known(real_clips):
    dataset = EPICAction(real_clips, **VIEW, classes=2, held_out=5)
    assert dataset.classes == ["put", "open"]
    for ref in dataset.clips:
        (start, stop), (first, last) = dataset.actions[ref.id], ref.span
        assert 0.25 <= (min(stop, last) - max(start, first)) / (last - first) <= 0.75
