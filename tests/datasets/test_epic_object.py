import numpy as np
import pytest
from helpers.epic_layout import Layout, by_uid
from helpers.videos import numbered

from vxbench.datasets.epic_object import EPICObject
from vxbench.errors import ClipError, UserError

VIEW = {"frames": 60, "height": 48, "width": 64, "sampling": "window"}
LIST = ("seg_id", "video_id", "noun", "noun_label", "verb", "start_frame", "stop_frame", "bounding_boxes")


def opened(root, **changes):
    return EPICObject(root, **{**VIEW, "classes": 2, "held_out": 1, "min_frames": 40, "coverage": 0.0, **changes})


def kitchen(root, frames=60, at=101, boxes="[(60, 80, 60, 160)]", size=(320, 240)):
    """Two segments of JPEGs, of tap and plate, each with its object's boxes in every 30th object frame."""
    layout = Layout(root)
    for uid, noun in enumerate(("tap", "plate")):
        video = f"P01_{uid + 1:02d}"
        layout.video(video, size, seconds=3000.0)
        layout.action(uid, video, at, at + frames - 1, noun=noun)
        for number in range(1, at + frames, 30):
            layout.object(video, number, boxes, noun)
        layout.jpegs(video, range(at, at + frames), lambda t: numbered(t % 256))
    layout.write()
    return layout


@pytest.fixture
def layout(tmp_path):
    return kitchen(tmp_path)


def loaded(dataset, uid=0):
    return dataset.load(by_uid(dataset)[uid])


def test_boxes_and_annotated_frames_are_where_the_table_says(layout):
    """Object frames 121 and 151 of a segment of frames 101 to 160: clip frames 20 and 50, and 3 on either side."""
    clip = loaded(opened(layout.root))
    near = [*range(17, 24), *range(47, 54)]
    assert np.flatnonzero(clip.annotated).tolist() == near
    expected = np.zeros((48, 64), dtype=bool)
    expected[12:24, 16:48] = True  # top 60, left 80, height 60, width 160 of 240 x 320, in 48 x 64
    assert (clip.boxes[near] == expected).all()
    assert not clip.boxes[~clip.annotated].any()
    assert (clip.action, clip.annotated.dtype, clip.boxes.dtype) == (None, bool, bool)


@pytest.mark.parametrize("reach", [0, 1, 9])
def test_a_box_is_valid_as_far_as_box_reach(layout, reach):
    clip = loaded(opened(layout.root, box_reach=reach))
    assert clip.annotated.sum() == 2 * (2 * reach + 1)
    assert clip.annotated[[20 - reach, 20 + reach]].all()


@pytest.mark.parametrize("size", [(1920, 1080), (1920, 1440), (1280, 720)])
def test_boxes_are_pixels_of_each_videos_own_size(tmp_path, size):
    """The lower right quarter of the original video, and two pixels below it, as in the published lists."""
    width, height = size
    box = f"[({height // 2}, {width // 2}, {height // 2 + 2}, {width // 2})]"
    clip = loaded(opened(kitchen(tmp_path, boxes=box, size=size).root))
    expected = np.zeros((48, 64), dtype=bool)
    expected[24:, 32:] = True
    assert (clip.boxes[20] == expected).all()


def test_an_object_that_is_not_in_a_frame_leaves_it_unannotated(layout):
    layout.objects = [row for row in layout.objects if row[4] != 121]
    layout.object("P01_01", 121, "[]")
    layout.write()
    assert np.flatnonzero(loaded(opened(layout.root)).annotated).tolist() == [*range(47, 54)]


def test_two_boxes_of_a_frame_are_drawn_together(layout):
    layout.objects = [(*row[:5], "[(0, 0, 60, 80), (180, 240, 60, 80)]") for row in layout.objects]
    layout.write()
    layout.lists(EPICObject.list_names, [(0, "P01_01", "tap", 0, "open", 101, 160, "{}")], ["tap"], LIST, "noun")
    clip = loaded(opened(layout.root))
    assert clip.boxes[20, :12, :16].all()
    assert clip.boxes[20, 36:, 48:].all()
    assert clip.boxes[20].sum() == 2 * 12 * 16


@pytest.mark.choice("data.epic_frames")
def test_late_in_a_video_the_clock_of_the_objects_matters(tmp_path):
    """The clocks are 50 frames apart: object frames 49951 and 49981 are frames 50000 and 50030 of 50000 to 50059."""
    root = kitchen(tmp_path, at=50001).root
    converted, written = (loaded(opened(root, object_frames=rule)) for rule in ("converted", "as_written"))
    assert np.flatnonzero(written.annotated).tolist() == [*range(7, 14), *range(37, 44)]
    assert np.flatnonzero(converted.annotated).tolist() == [*range(4), *range(27, 34)]


def test_a_video_counts_its_boxes_by_its_own_frames(tmp_path, make_video):
    """At 30 frames a second, JPEG 120 is video frame 60 and a reach of 3 JPEGs is one frame of the video."""
    layout = Layout(tmp_path)
    for uid, noun in enumerate(("tap", "plate")):
        layout.video(f"P01_{uid + 1:02d}", fps=30.0)
        layout.action(uid, f"P01_{uid + 1:02d}", 101, 160, noun=noun)
        layout.object(f"P01_{uid + 1:02d}", 122, "[(0, 0, 240, 320)]", noun)
        layout.mp4(f"P01_{uid + 1:02d}", 100, make_video)
    clip = loaded(opened(layout.write(), frames=30))
    assert np.flatnonzero(clip.annotated).tolist() == [9, 10, 11]


ROWS = [
    (0, "P01_01", "tap", 1, "open", 101, 160, "{131: (0, 0, 120, 160)}"),
    (1, "P01_02", "plate", 0, "open", 101, 160, "{131: [(0, 0, 120, 160)], 141: [(120, 160, 120, 160), (0, 0, 1, 1)]}"),
]


@pytest.fixture
def listed(layout):
    layout.lists(EPICObject.list_names, ROWS, ["plate", "tap"], LIST, "noun")
    return layout


def test_the_authors_list_is_taken_whole_with_their_labels(listed):
    dataset = opened(listed.root, classes=20, held_out=5, per_class=5, min_frames=100)
    assert dataset.classes == ["plate", "tap"]
    assert {(ref.id, ref.label, ref.span) for ref in dataset.clips} == {
        ("tap/P01_01_0", 1, (100, 160)),
        ("plate/P01_02_1", 0, (100, 160)),
    }
    assert dataset.selection == "all 2 clips of Valid_seg_top20_100_val.csv, the list of STEP's authors"
    assert "our own" in opened(listed.root, lists=None).selection


@pytest.mark.choice("data.epic_frames")
def test_boxes_of_a_listed_clip_are_the_lists_or_those_of_the_table(listed):
    written, converted = (opened(listed.root, object_frames=rule) for rule in ("as_written", "converted"))
    assert np.flatnonzero(loaded(written).annotated).tolist() == [*range(27, 34)]
    assert np.flatnonzero(loaded(converted).annotated).tolist() == [*range(17, 24), *range(47, 54)]
    second = loaded(written, 1)
    assert np.flatnonzero(second.annotated).tolist() == [*range(27, 34), *range(37, 44)]
    assert second.boxes[40, 24:, 32:].all()


def test_a_list_with_its_own_boxes_needs_no_table(listed):
    for name in ("train_action_labels", "train_object_labels", "noun_classes"):
        (listed.folder / f"annotations/EPIC_{name}.csv").unlink()
    assert loaded(opened(listed.root, object_frames="as_written")).annotated.any()
    with pytest.raises(UserError, match=r"(?s)train_object_labels.*noun_classes") as caught:
        opened(listed.root)
    assert "action_labels" not in str(caught.value)


def test_a_listed_noun_without_an_official_class_is_named(listed):
    listed.lists(EPICObject.list_names, [(0, "P01_01", "spork", 0, "open", 101, 160, "{}")], ["spork"], LIST, "noun")
    with pytest.raises(UserError, match=r"EPIC_noun_classes\.csv lacks spork"):
        opened(listed.root)


def test_a_segment_that_is_listed_twice_is_refused(listed):
    listed.lists(EPICObject.list_names, [ROWS[0], ROWS[0]], ["plate", "tap"], LIST, "noun")
    with pytest.raises(UserError, match=r"Valid_seg_top20_100_val\.csv: 0 is there twice"):
        opened(listed.root)


def test_training_beside_a_list_leaves_its_clips_out(listed):
    listed.action(7, "P01_01", 161, 220)
    listed.action(8, "P01_01", 150, 210)
    listed.object("P01_01", 181, "[(0, 0, 9, 9)]")
    listed.write()
    dataset = opened(listed.root, split="train")
    assert (set(by_uid(dataset)), dataset.classes) == ({7}, ["plate", "tap"])
    assert by_uid(dataset)[7].label == 1
    assert dataset.selection.endswith("left out: 0 of other nouns, 3 that share frames")


@pytest.mark.parametrize("rule", ["as_written", "converted"])
def test_a_list_that_numbers_its_nouns_otherwise_is_refused(listed, rule):
    listed.lists(EPICObject.list_names, ROWS, ["tap", "plate"], LIST, "noun")
    with pytest.raises(UserError, match=r"2 of 2 segments have words or labels .*, such as plate 0, tap 1; "):
        opened(listed.root, object_frames=rule)


def test_a_listed_clip_without_boxes_is_loaded_unannotated(listed):
    listed.objects.clear()
    listed.write()
    clip = loaded(opened(listed.root))
    assert not clip.annotated.any()
    assert not clip.boxes.any()


@pytest.mark.parametrize("rule", ["as_written", "converted"])
def test_a_list_that_would_run_code_runs_nothing(listed, tmp_path, rule):
    mark = tmp_path / "ran"
    evil = f"{{1: __import__('pathlib').Path({str(mark)!r}).touch()}}"
    listed.lists(EPICObject.list_names, [(*ROWS[0][:7], evil)], ["tap"], LIST, "noun")
    with pytest.raises(UserError, match=r"Valid_seg_top20_100_val\.csv, line 2: "):
        opened(listed.root, object_frames=rule)
    assert not mark.exists()


def test_a_table_that_would_run_code_runs_nothing(layout, tmp_path):
    mark = tmp_path / "ran"
    layout.object("P01_01", 125, f"[__import__('pathlib').Path({str(mark)!r}).touch()]")
    layout.write()
    with pytest.raises(UserError, match=r"EPIC_train_object_labels\.csv, line \d+: "):
        opened(layout.root)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("change", "fit"),
    [
        ({}, True),
        ({"min_frames": 60, "max_frames": 60}, True),
        ({"min_frames": 61}, False),
        ({"min_frames": 40, "max_frames": 59}, False),
        ({"coverage": 1.0}, True),
        ({"coverage": 1.0, "lacking": 121}, False),
        ({"coverage": 0.5, "lacking": 121}, True),
        ({"double": 121}, False),
    ],
)
def test_what_is_fit_for_our_test_split(layout, change, fit):
    """60 frames may have boxes in two; one box in a frame at most."""
    change = dict(change)
    lacking, double = change.pop("lacking", None), change.pop("double", None)
    layout.objects = [row for row in layout.objects if row[4] != lacking]
    layout.objects += [row for row in layout.objects if row[4] == double]
    layout.write()
    if fit:
        assert set(by_uid(opened(layout.root, **change))) == {0, 1}
    else:
        with pytest.raises(UserError, match="only 0 nouns"):
            opened(layout.root, **change)


def test_segments_whose_object_is_never_boxed_are_no_candidates(layout):
    layout.action(8, "P01_01", 801, 900)
    layout.object("P01_01", 801, "[(0, 0, 240, 320)]")
    layout.action(9, "P01_01", 1001, 1100)
    layout.write()
    assert not {9} & set(by_uid(opened(layout.root, split="train")))


def real(root, uid, **changes):
    """A real segment, whichever side of our draw it is on."""
    sides = [
        EPICObject(root, split=split, lists=None, classes=15, held_out=1, max_frames=None, coverage=0.0, frames=16,
                   height=112, width=112, gaps="use", **changes)
        for split in ("test", "train")
    ]  # fmt: skip
    return next((side, by_uid(side)[uid]) for side in sides if uid in by_uid(side))


@pytest.mark.parametrize(
    ("uid", "id", "size", "annotated"),
    [
        (18977, "cloth/P12_06_18977", (1920, 1440), [2, 6, 11, 15]),
        (6751, "food/P03_05_6751", (1920, 1080), [8, 9]),
    ],
)
def test_real_segments_have_their_boxes(real_clips, uid, id, size, annotated):
    """JPEGs 317 + 7 k against object frames 331, 361, 391 and 421; 207 + 27 k against 181, 211, ..."""
    dataset, ref = real(real_clips, uid)
    clip = dataset.load(ref)
    assert (ref.id, dataset.tracks[ref.id].size) == (id, size)
    assert np.flatnonzero(clip.annotated).tolist() == annotated


def test_a_real_box_is_scaled_by_the_height_of_its_own_video(real_clips):
    """(302, 638, 306, 300) of a 1920x1440 video, at 112 x 112: rows 23 to 48, columns 37 to 55."""
    dataset, ref = real(real_clips, 18977)
    clip = dataset.load(ref)
    expected = np.zeros((112, 112), dtype=bool)
    expected[302 * 112 // 1440 : -(-608 * 112 // 1440), 638 * 112 // 1920 : -(-938 * 112 // 1920)] = True
    assert (clip.boxes[2] == expected).all()


def test_listed_clips_without_real_videos_are_missing(real_clips):
    dataset = EPICObject(real_clips, **VIEW)
    assert (len(dataset.clips), len(dataset.classes), dataset.classes[:2]) == (100, 20, ["tap", "plate"])
    assert {sum(ref.label == label for ref in dataset.clips) for label in range(20)} == {5}
    kinds = set()
    for ref in dataset.clips:
        with pytest.raises(ClipError) as caught:
            dataset.load(ref)
        kinds.add(caught.value.kind)
    assert kinds == {"missing"}
    assert all(
        len(track.frames) for track in EPICObject(real_clips, object_frames="as_written", **VIEW).tracks.values()
    )
