"""What EPIC-Object and EPIC-Action have in common: files, splits, draws, and the frames of a segment."""

import pickle
from pathlib import Path

import pytest
from helpers.configs import composed
from helpers.epic_layout import Layout, by_uid, write_csv
from helpers.refusals import assert_refused
from helpers.videos import numbered

from vxbench.config import build
from vxbench.datasets.epic import read_classes
from vxbench.datasets.epic_action import EPICAction
from vxbench.datasets.epic_object import EPICObject
from vxbench.errors import ClipError, OutOfRange, UserError

VIEW = {"frames": 4, "height": 48, "width": 64}
BOX = "[(10, 20, 30, 40)]"
TASKS = (EPICObject, EPICAction)
LENGTHS = {"min_frames": 40, "max_frames": 200}


def opened(task, root, **changes):
    return task(root, **{**VIEW, **LENGTHS, "classes": 3, "held_out": 2, **changes})


def uids(dataset):
    return set(by_uid(dataset))


def kitchen(root):
    """Three classes of 6, 5 and 4 segments of 90 frames, 100 frames apart in three videos; a box each 30 frames."""
    layout = Layout(root)
    words = [("open", "tap")] * 6 + [("close", "plate")] * 5 + [("cut", "knife")] * 4
    for number in range(3):
        layout.video(f"P01_{number + 1:02d}")
    for uid, (verb, noun) in enumerate(words):
        video, start = f"P01_{uid % 3 + 1:02d}", 301 + 300 * (uid // 3)
        layout.action(uid, video, start, start + 89, verb, noun)
        for frame in range(start, start + 90, 30):
            layout.object(video, frame, BOX, noun)
    return layout


@pytest.fixture
def layout(tmp_path):
    return kitchen(tmp_path)


@pytest.mark.parametrize("task", TASKS)
def test_classes_are_the_words_with_most_segments(task, layout):
    dataset = opened(task, layout.write())
    assert dataset.classes == (["tap", "plate", "knife"] if task is EPICObject else ["open", "close", "cut"])
    assert all(dataset.classes[ref.label] == ref.id.split("/")[0] for ref in dataset.clips)
    assert len(opened(task, layout.root, classes=2).classes) == 2


@pytest.mark.parametrize("task", TASKS)
def test_a_draw_holds_out_some_of_each_class_and_trains_on_the_rest(task, layout):
    root = layout.write()
    test, train = (opened(task, root, split=split) for split in ("test", "train"))
    assert [sum(ref.label == label for ref in test.clips) for label in range(3)] == [2, 2, 2]
    assert uids(test) | uids(train) == set(range(15))
    assert not uids(test) & uids(train)
    assert "2 a class by seed 0" in test.selection
    assert test.selection != train.selection


@pytest.mark.parametrize("task", TASKS)
def test_the_draw_is_stable_nested_and_follows_the_seed(task, layout):
    root = layout.write()
    assert uids(opened(task, root)) == uids(opened(task, root))
    assert uids(opened(task, root, per_class=1)) < uids(opened(task, root))
    assert "3 clips, 1 of each of the 3 classes" in opened(task, root, per_class=1).selection
    assert len({frozenset(uids(opened(task, root, seed=seed))) for seed in range(4)}) > 1


def test_a_drawn_clip_per_class_leaves_the_training_split_as_it_is(layout):
    root = layout.write()
    assert uids(opened(EPICObject, root, per_class=1)) < uids(opened(EPICObject, root))
    assert len(opened(EPICObject, root, split="train", per_class=1).clips) == 3
    assert not uids(opened(EPICObject, root, split="train", per_class=1)) & uids(opened(EPICObject, root))


@pytest.mark.parametrize("task", TASKS)
def test_no_training_clip_shares_a_frame_with_a_test_clip(task, layout):
    """Each segment has a twin that begins in its last frame and one that begins right after it."""
    for uid, _, video, _, _, stop, verb, _, noun, _ in list(layout.actions):
        layout.action(uid + 100, video, stop, stop + 30, verb, noun)
        layout.action(uid + 200, video, stop + 1, stop + 30, verb, noun)
        layout.object(video, stop + 5, BOX, noun)
    root = layout.write()
    test, train = (opened(task, root, split=split) for split in ("test", "train"))
    spans = {split.split: [(ref.path, *ref.span) for ref in split.clips] for split in (test, train)}
    for path, start, stop in spans["train"]:
        assert not any(p == path and start < t and s < stop for p, s, t in spans["test"])
    if task is EPICObject:
        assert {uid + 200 for uid in uids(test)} < uids(train), "what came after a test clip stays"
        assert not {uid + 100 for uid in uids(test)} & uids(train)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("change", [{"classes": 4}, {"held_out": 5}, {"min_frames": 100}])
def test_too_few_segments_are_an_error_that_says_so(task, change, layout):
    with pytest.raises(OutOfRange, match=r"classes = \d, but only \d (noun|verb)s with held_out"):
        opened(task, layout.write(), **change)


@pytest.mark.parametrize("task", TASKS)
def test_bad_values_are_refused(task, layout):
    root = layout.write()
    for key, value in {
        "split": "val",
        "labels": "kinetics400",
        "classes": 1,
        "held_out": 0,
        "min_frames": 0,
        "max_frames": 39,
    }.items():
        assert_refused(key, opened, task, root, **{key: value})


@pytest.mark.parametrize("task", TASKS)
def test_all_that_is_missing_is_named_at_once(task, tmp_path):
    with pytest.raises(UserError) as caught:
        opened(task, tmp_path)
    said = str(caught.value)
    wanted = ["frames_rgb_flow/rgb/train", "EPIC_video_info.csv", "EPIC_train_action_labels.csv"]
    for part in [*wanted, "github.com/epic-kitchens/annotations", "data.bris.ac.uk", "academictorrents"]:
        assert part in said
    assert ("EPIC_train_object_labels.csv" in said) == (task is EPICObject)
    assert all(line.startswith("  ") for line in said.splitlines()[1:])


@pytest.mark.parametrize("task", TASKS)
def test_one_of_the_authors_lists_alone_asks_for_the_other(task, layout):
    root = layout.write()
    (layout.folder / "step_lists").mkdir()
    for here, lacking in (task.list_names, task.list_names[::-1]):
        path = layout.folder / "step_lists" / here
        path.write_text("")
        with pytest.raises(
            UserError, match=f"1 of its parts missing below .*:\n.*{lacking} .*Spatio-Temporal-Perturbations"
        ):
            opened(task, root)
        assert opened(task, root, lists=None).clips
        path.unlink()


@pytest.mark.parametrize("task", TASKS)
def test_too_few_segments_for_our_draw_tell_of_the_authors_list_if_it_was_looked_for(task, layout):
    said = f"the list of STEP's authors, epic55/step_lists/{task.list_names[0]}, is not there: .*Temporal-Perturbations"
    with pytest.raises(OutOfRange, match=said):
        opened(task, layout.write(), classes=4)
    with pytest.raises(OutOfRange) as caught:
        opened(task, layout.root, classes=4, lists=None)
    assert "authors" not in str(caught.value)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("per_class", [None, 1])
def test_no_segment_left_to_train_on_is_an_error(task, per_class, layout):
    layout.actions = [row for row in layout.actions if row[0] in (0, 1, 6, 7)]
    with pytest.raises(UserError, match="no clips in the segments apart from our own test split"):
        opened(task, layout.write(), classes=2, split="train", per_class=per_class)


@pytest.mark.parametrize("task", TASKS)
def test_a_segment_is_cut_where_its_video_ends_and_may_not_start_there(task, layout):
    """Videos of 60 s have 3600 frames."""
    (root_of_jpegs(layout) / "P01/P01_01").mkdir(parents=True)
    layout.action(50, "P01_01", 3551, 3620)
    layout.object("P01_01", 3551, BOX)
    assert by_uid(opened(task, layout.write(), split="train", min_frames=61))[50].span == (3550, 3600)
    layout.action(51, "P01_02", 3601, 3620)
    layout.object("P01_02", 3605, BOX)
    with pytest.raises(UserError, match="segment 51 starts after the end of P01_02"):
        opened(task, layout.write(), split="train", min_frames=61)


@pytest.mark.parametrize("task", TASKS)
def test_labels_of_the_authors_classes_are_their_ranks(task, layout):
    path = layout.folder / "step_lists" / "classes.csv"
    columns = (task.word, f"{task.word}_label", "num")
    write_csv(path, columns, [("b", 1, 5), ("c", 2, 9), ("a", 0, 1)])
    assert read_classes(path, task.word) == ["a", "b", "c"]
    write_csv(path, columns, [("b", 1, 5), ("a", 0, 9), ("c", 3, 5)])
    with pytest.raises(UserError, match="labels are not 0 to 2"):
        read_classes(path, task.word)
    write_csv(path, columns, [("b", 1, 5), ("a", 0, 9), ("b", 2, 5)])
    with pytest.raises(UserError, match=r"classes\.csv: b is there twice"):
        read_classes(path, task.word)


@pytest.mark.parametrize("task", TASKS)
def test_a_video_that_nothing_is_known_of_is_named(task, layout):
    layout.videos.pop()
    with pytest.raises(UserError, match=r"EPIC_video_info\.csv lacks P01_03"):
        opened(task, layout.write())


@pytest.mark.parametrize("task", TASKS)
def test_the_digest_follows_the_annotation(task, layout):
    before = opened(task, layout.write()).digest()
    assert before == opened(task, layout.root, split="train", frames=2).digest()
    layout.action(99, "P01_01", 2001, 2090)
    assert opened(task, layout.write()).digest() != before


@pytest.mark.parametrize("task", TASKS)
def test_the_pickled_object_carries_its_own_clips_only(task, layout):
    few, all_of_it = (opened(task, layout.write(), per_class=number) for number in (1, None))
    assert len(pickle.dumps(few)) < len(pickle.dumps(all_of_it)) < 20_000
    again = pickle.loads(pickle.dumps(few))
    assert (again.clips, again.classes, again.digest()) == (few.clips, few.classes, few.digest())


@pytest.mark.parametrize("task", TASKS)
def test_a_segment_without_pixels_is_a_missing_clip(task, layout):
    dataset = opened(task, layout.write())
    with pytest.raises(ClipError) as caught:
        dataset.load(dataset.clips[0])
    assert caught.value.kind == "missing"
    assert dataset.clips[0].path.parent == root_of_jpegs(layout) / "P01"
    assert dataset.clips[0].path.suffix == ""


def root_of_jpegs(layout):
    return layout.folder / "frames_rgb_flow/rgb/train"


@pytest.fixture
def lone(tmp_path):
    """One training segment of 60 JPEGs, 101 to 160, among three classes."""
    layout = kitchen(tmp_path)
    layout.video("P02_01")
    layout.video("P02_02", fps=30.0)
    for uid, video in ((50, "P02_01"), (51, "P02_02")):
        layout.action(uid, video, 101, 160)
        layout.object(video, 110, BOX)
    layout.write()
    return layout


def trained(task, root, **changes):
    """The training split, with the lone segment in it: it is too short for the test split."""
    return opened(task, root, split="train", min_frames=61, **changes)


def seen(dataset, uid, number_of):
    """The numbers that are written into the frames of a segment's clip."""
    return [number_of(frame) for frame in dataset.load(by_uid(dataset)[uid]).frames]


@pytest.mark.parametrize("task", TASKS)
def test_official_jpegs_of_a_segment_are_those_of_its_numbers(task, lone, number_of):
    """The last sampler takes every 15th of the 60 frames 100 to 159, counted from 0."""
    lone.jpegs("P02_01", range(90, 171), numbered)
    dataset = trained(task, lone.root, sampling="last")
    assert seen(dataset, 50, number_of) == [114, 129, 144, 159]
    assert by_uid(dataset)[50].span == (100, 160)


@pytest.mark.parametrize("task", TASKS)
def test_a_folder_with_some_of_the_jpegs_is_sampled_where_gaps_are_used(task, lone, number_of):
    lone.jpegs("P02_01", range(103, 160, 14), numbered)
    with pytest.raises(ClipError, match="gaps=use"):
        seen(trained(task, lone.root), 50, number_of)
    assert seen(trained(task, lone.root, gaps="use", frames=5), 50, number_of) == [
        102,
        116,
        130,
        144,
        158,
    ]


@pytest.mark.parametrize("task", TASKS)
def test_a_video_of_another_rate_is_read_where_the_segment_is_in_time(task, lone, number_of, make_video):
    """Actions count 60 frames a second; a video of 30 shows the same seconds in frames 50 to 79."""
    lone.mp4("P02_02", 120, make_video)
    dataset = trained(task, lone.root, sampling="window", frames=30)
    assert by_uid(dataset)[51].span == (50, 80)
    assert by_uid(dataset)[51].path.name == "P02_02.MP4"
    assert seen(dataset, 51, number_of) == [*range(50, 80)]


def test_jpegs_come_before_a_video_unless_told_otherwise(lone, make_video):
    lone.mp4("P02_02", 120, make_video)
    lone.jpegs("P02_02", range(101, 161), numbered)
    by_default = by_uid(trained(EPICAction, lone.root))[51]
    assert (by_default.path.is_dir(), by_default.span) == (True, (100, 160))
    other = by_uid(trained(EPICAction, lone.root, videos="epic55/videos/train"))[51]
    assert (other.path.suffix, other.span) == (".MP4", (50, 80))


@pytest.mark.parametrize("task", TASKS)
def test_the_shipped_configuration_opens_it(task, layout):
    root = layout.write()
    draw = {"classes": 3, "held_out": 2, "min_frames": 40, "max_frames": 200, "coverage": 1.0}
    changes = [*(f"profile.epic.{key}={value}" for key, value in draw.items()), "dataset.per_class=1"]
    config = composed(f"dataset={task.key}", f"paths.data={root}", "dataset.min_frames=40", *changes)
    dataset = build(config, "dataset")
    assert isinstance(dataset, task)
    assert len(dataset.clips) == 3
    assert Path(config.dataset.root) == root
