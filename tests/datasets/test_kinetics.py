"""Kinetics: the official lists, the layouts of users' copies, and which clips are drawn."""

import shutil

import pytest
from helpers.configs import composed

from vxbench.config import build
from vxbench.datasets.kinetics import Kinetics
from vxbench.errors import ClipError, OutOfRange, UserError

HEADER = "label,youtube_id,time_start,time_end,split"
ROWS = [("surfing water", "--coBvtS-eQ", 57), ("surfing water", "R6llTwEh07w", 0), ("abseiling", "4lFmhj4x43c", 66)]
IDS = [f"{label}/{id}_{start:06d}_{start + 10:06d}" for label, id, start in ROWS]


def opened(root, **changes):
    return Kinetics(root, **{"frames": 4, "height": 96, "width": 128, **changes})


def ids(dataset):
    return [ref.id for ref in dataset.clips]


def write_list(root, rows=ROWS, name="val", labels="kinetics400", header=HEADER):
    lines = [header, *(f'"{label}",{id},{start},{start + 10},{name}' for label, id, start in rows)]
    path = root / labels / f"annotations/{name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with an official list of three clips and a label map, without videos."""
    root = tmp_path_factory.mktemp("kinetics")
    write_list(root)
    (root / "kinetics400/label_map_k400.txt").write_text("abseiling\nsurfing water\nzumba\n")
    (root / "kinetics400/val").mkdir()
    return root


@pytest.fixture
def root(tiny, tmp_path):
    return shutil.copytree(tiny, tmp_path / "data")


def put(root, make_video, *places):
    for place in places:
        path = root / "kinetics400" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        make_video(path, 12)


def test_clips_are_those_of_the_list_with_the_labels_of_the_map(root):
    dataset = opened(root)
    assert ids(dataset) == sorted(IDS)
    assert {ref.id.split("/")[0]: ref.label for ref in dataset.clips} == {"abseiling": 0, "surfing water": 1}
    assert dataset.classes == ["abseiling", "surfing water", "zumba"]
    assert dataset.selection == "all 3 clips of val.csv"


@pytest.mark.parametrize(
    "place",
    [
        "val/surfing water/--coBvtS-eQ_000057_000067.mp4",
        "val/surfing_water/--coBvtS-eQ_000057_000067.mp4",
        "val/surfing water/--coBvtS-eQ.mp4",
        "val/surfing_water/surfing_water_--coBvtS-eQ.mp4",
        "val/surfing water/surfing water_--coBvtS-eQ.mp4",
        "val/--coBvtS-eQ_000057_000067.mp4",
        "val/--coBvtS-eQ.mkv",
        "videos_val/surfing_water/--coBvtS-eQ_000057_000067.MOV",
        "val_256/surfing_water/--coBvtS-eQ_000057_000067.mp4",
    ],
)
def test_a_clip_is_found_in_the_layouts_people_keep(root, make_video, place):
    put(root, make_video, place)
    dataset = opened(root)
    (found,) = [ref for ref in dataset.clips if ref.path.exists()]
    assert found.path == root / "kinetics400" / place
    assert found.id == IDS[0]
    assert dataset.load(found).frames.shape == (4, 96, 128, 3)


def test_the_official_name_comes_before_others_and_the_first_folder_before_the_rest(root, make_video):
    places = [
        f"{split}/surfing water/--coBvtS-eQ{end}.mp4" for split in ("val", "videos") for end in ("", "_000057_000067")
    ]
    put(root, make_video, *places)
    found = {ref.id: ref.path for ref in opened(root).clips}[IDS[0]]
    assert found == root / "kinetics400" / places[1]
    found = {ref.id: ref.path for ref in opened(root, videos=["videos", "val"]).clips}[IDS[0]]
    assert found == root / "kinetics400" / places[3]


def test_a_listed_clip_without_a_file_is_missing_when_loaded(root):
    dataset = opened(root)
    with pytest.raises(ClipError) as caught:
        dataset.load(dataset.clips[0])
    assert caught.value.kind == "missing"


def test_there_are_no_boxes(root, make_video):
    put(root, make_video, "val/R6llTwEh07w.mp4")
    clip = opened(root).load(next(ref for ref in opened(root).clips if "R6ll" in ref.id))
    assert (clip.boxes, clip.annotated, clip.action) == (None, None, None)


@pytest.mark.choice("aosa.k700_subset")
def test_the_first_of_each_class_or_a_seeded_draw(root):
    names = [f"{letter}dEfGhIjKlM" for letter in "-0Aa_z"]
    write_list(root, [(label, id, 3) for label in ("zumba", "abseiling") for id in names[::-1]])
    first = opened(root, per_class=2)
    assert ids(first) == [f"{label}/{id}_000003_000013" for label in ("abseiling", "zumba") for id in names[:2]]
    assert first.selection == "4 clips, 2 of each of the 2 classes of val.csv, the first by name"
    seeded = [ids(opened(root, per_class=2, draw="seeded", seed=seed)) for seed in range(4)]
    assert len(set(map(tuple, seeded))) > 1
    assert seeded[0] == ids(opened(root, per_class=2, draw="seeded"))


def test_the_draw_is_among_listed_clips_or_among_those_on_disk(root, make_video):
    put(root, make_video, "val/R6llTwEh07w.mp4", "val/4lFmhj4x43c.mp4")
    listed, present = (opened(root, per_class=1, only_present=only) for only in (False, True))
    assert ids(listed) == [IDS[2], IDS[0]]
    assert ids(present) == [IDS[2], IDS[1]]
    assert all(ref.path.exists() for ref in present.clips)
    assert "of val.csv that are on disk (2 of 3), the first by name" in present.selection


def test_too_few_on_disk_is_an_error_that_names_the_class(root, make_video):
    put(root, make_video, "val/R6llTwEh07w.mp4")
    with pytest.raises(
        OutOfRange, match=r"per_class = 2, but surfing water has only 1 clip in val\.csv that are on disk"
    ):
        opened(root, per_class=2, only_present=True)


@pytest.mark.choice("data.class_order")
def test_classes_may_be_in_the_order_of_the_training_list(root):
    train = [("zumba", "a", 0), ("surfing water", "b", 0), ("zumba", "c", 0), ("abseiling", "d", 0)]
    write_list(root, train, "train")
    dataset = opened(root, class_order="train_csv")
    assert dataset.classes == ["zumba", "surfing water", "abseiling"]
    assert {ref.id.split("/")[0]: ref.label for ref in dataset.clips} == {"surfing water": 1, "abseiling": 2}
    assert dataset.digest() != opened(root).digest()


def test_a_training_list_without_a_label_names_no_class(root):
    write_list(root, [("zumba", "a", 0), ("", "b", 0)], "train")
    with pytest.raises(UserError, match=r"train\.csv line 3 has no label"):
        opened(root, class_order="train_csv")


def test_a_label_map_names_each_class_once(root):
    (root / "kinetics400/label_map_k400.txt").write_text("abseiling\nsurfing water\nabseiling\n")
    with pytest.raises(UserError, match=r"label_map_k400\.txt: abseiling is there twice"):
        opened(root)


def test_a_file_in_place_of_the_folder_of_clips_is_said(root):
    (root / "kinetics400/val").rmdir()
    (root / "kinetics400/val").touch()
    with pytest.raises(
        UserError, match=r"kinetics400/val, where there is no folder but something else \(Kinetics from"
    ):
        opened(root)


def test_lists_and_label_map_are_found_where_releases_have_them(root):
    folder = root / "kinetics400"
    (folder / "annotations/val.csv").rename(folder / "validate.csv")
    (folder / "label_map_k400.txt").rename(folder / "annotations/label_map_k400.txt")
    assert ids(opened(root)) == sorted(IDS)


def test_more_columns_another_order_and_lines_given_twice_change_nothing(root):
    path = root / "kinetics400/annotations/val.csv"
    lines = [f"{id},{start},{start + 10},0,{label}" for label, id, start in [*ROWS, *ROWS]]
    path.write_bytes("\r\n".join(["youtube_id,time_start,time_end,is_cc,label", *lines]).encode())
    assert ids(opened(root)) == sorted(IDS)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (HEADER.replace("label,", ""), r"val\.csv has no column label"),
        (f"{HEADER}\nabsailing,a,0,10,val", r"val\.csv line 2: 'absailing' is not among the 3 classes.*abseiling"),
        (f"{HEADER}\nabseiling,a,0,10,val\nabseiling,b,x,10,val", r"line 3: 'b', 'x', '10' are not"),
        (f"{HEADER}\nabseiling,../a,0,10,val", r"line 2: '\.\./a'"),
        (f"{HEADER}\nabseiling,a", "line 2 has no time_start, time_end"),
        (f"{HEADER}\n,a,0,10,val", "line 2 has no label"),
        (f"{HEADER}\nabseiling,{'a' * 200_000},0,10,val", r"val\.csv line 2: field larger than field limit"),
        (HEADER, r"no clips in val\.csv"),
        ("", "has no column label, youtube_id, time_start, time_end"),
    ],
)
def test_another_structure_is_refused_and_the_line_named(root, content, said):
    (root / "kinetics400/annotations/val.csv").write_text(content)
    with pytest.raises(UserError, match=said):
        opened(root)


@pytest.mark.parametrize(
    "changes",
    [{"labels": "kinetics600"}, {"split": "validate"}, {"draw": "last"}, {"class_order": "csv"}, {"per_class": 0}],
)
def test_bad_values_are_refused_when_opening(root, changes):
    with pytest.raises(OutOfRange, match=next(iter(changes))):
        opened(root, **changes)


def test_all_that_is_missing_is_named_in_one_error(tmp_path):
    with pytest.raises(UserError) as caught:
        opened(tmp_path, labels="kinetics700", split="test")
    expected = ("kinetics700/test", "annotations/test.csv", "label_map_k700.txt", "cvdfoundation", "kinetics700.tar.gz")
    for part in (*expected, f"3 of its parts missing below {tmp_path}"):
        assert part in str(caught.value)


@pytest.mark.parametrize("labels", ["kinetics400", "kinetics700"])
def test_the_shipped_configurations_open_it(root, labels):
    if labels == "kinetics700":
        (root / "kinetics400").rename(root / "kinetics700")
        (root / "kinetics700/label_map_k400.txt").rename(root / "kinetics700/label_map_k700.txt")
    config = composed(f"dataset={labels}", f"paths.data={root}", "dataset.per_class=1")
    assert ids(build(config, "dataset")) == [IDS[2], IDS[0]]
    assert (config.dataset.split, config.dataset.draw, config.dataset.only_present) == ("val", "first", False)


@pytest.mark.parametrize(
    ("split", "id", "label"),
    [
        ("val", "using segway/R6llTwEh07w_000000_000010", 375),
        ("test", "surfing water/--coBvtS-eQ_000057_000067", 337),
        ("test", "swimming breast stroke/4GYdcCnJDHw_000078_000088", 340),
        ("test", "playing bass guitar/JVAwfvQUlwA_000046_000056", 221),
    ],
)
def test_real_clips_as_videos_and_as_frames(real_clips, split, id, label):
    dataset = opened(real_clips, split=split, frames=16)
    ref = next(ref for ref in dataset.clips if ref.id == id)
    sampled = dataset.read(ref, dataset.pick)
    assert sampled.frames.shape == (16, 96, 128, 3)
    assert (dataset.classes[ref.label], ref.label) == (id.split("/")[0], label)
    if ref.path.is_dir():
        assert sampled.indices.tolist() == [*range(16)]


def test_real_lists_name_clips_that_are_not_on_disk(real_clips):
    listed, present = (opened(real_clips, split="test", only_present=only) for only in (False, True))
    assert (len(listed.clips), len(present.clips), len(listed.classes)) == (26, 6, 400)
    assert present.selection == "all 6 clips of test.csv that are on disk (6 of 26)"


def test_real_folder_with_nothing_but_a_label_map_says_what_is_missing(real_clips):
    with pytest.raises(UserError, match=r"(?s)Kinetics-700 .*kinetics700/val .*annotations/val\.csv") as caught:
        opened(real_clips, labels="kinetics700")
    assert "label_map" not in str(caught.value)
