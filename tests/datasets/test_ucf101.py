"""UCF101: official lists, windows, layouts."""

import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from helpers.configs import composed

from vxbench.config import build
from vxbench.datasets.ucf101 import CLASS_INDEX, LISTS, UCF101, read_classes, read_list
from vxbench.errors import ClipError, OutOfRange, UserError

CLASSES = ["Zumba", "Archery"]  # not in alphabetical order: classInd decides
FRAMES = 8


def opened(root, **changes):
    return UCF101(root, **{"frames": FRAMES, "height": 96, "width": 128, "sampling": "window", **changes})


def ids(dataset):
    return [ref.id for ref in dataset.clips]


def write_lists(root, test, train=(), fold=1):
    """The official files of a fold, with Windows line ends."""
    number = {name: i for i, name in enumerate(CLASSES, start=1)}
    lines = {
        CLASS_INDEX.name: [f"{i} {name}" for name, i in number.items()],
        f"testlist{fold:02d}.txt": [f"{id}.avi" for id in test],
        f"trainlist{fold:02d}.txt": [f"{id}.avi {number[id.split('/')[0]]}" for id in train],
    }
    (root / LISTS).mkdir(parents=True, exist_ok=True)
    for name, content in lines.items():
        (root / LISTS / name).write_bytes("".join(f"{line}\r\n" for line in content).encode())


def folder_of(root, id, count):
    """A folder of `count` empty images: enough for an index."""
    folder = root / "ucf101/rawframes" / id
    folder.mkdir(parents=True)
    for number in range(1, count + 1):
        (folder / f"image_{number:05d}.jpg").touch()


@pytest.fixture
def root(tmp_path, make_video):
    """Two classes; a video of 20 frames, one of 8, two clips without a file."""
    for id, count in (("Archery/v_Archery_g01_c01", 20), ("Zumba/v_Zumba_g01_c01", 8)):
        path = tmp_path / f"ucf101/videos/{id}.avi"
        path.parent.mkdir(parents=True)
        make_video(path, count)
    test = [f"{name}/v_{name}_g01_c0{clip}" for name in CLASSES for clip in (1, 2)]
    write_lists(tmp_path, test, train=[f"{name}/v_{name}_g08_c01" for name in CLASSES])
    return tmp_path


def numbers(dataset, ref, number_of):
    return [number_of(frame) for frame in dataset.load(ref).frames]


def test_labels_follow_the_order_of_class_ind_from_0(root):
    dataset = opened(root)
    assert dataset.classes == CLASSES
    assert {ref.id.split("/")[0]: ref.label for ref in dataset.clips} == {"Zumba": 0, "Archery": 1}


def test_splits_and_folds_are_the_lists(root):
    write_lists(root, ["Zumba/v_Zumba_g09_c01"], fold=3)
    assert ids(opened(root, split="train")) == ["Archery/v_Archery_g08_c01", "Zumba/v_Zumba_g08_c01"]
    assert ids(opened(root, fold=3)) == ["Zumba/v_Zumba_g09_c01"]
    assert opened(root, fold=3).digest() != opened(root).digest()


def test_a_clip_or_a_class_that_is_listed_twice_is_refused(root):
    write_lists(root, ["Zumba/v_Zumba_g09_c01"] * 2)
    with pytest.raises(UserError, match=r"testlist01\.txt: Zumba/v_Zumba_g09_c01 is there twice"):
        opened(root)
    (root / CLASS_INDEX).write_text("1 Zumba\n2 Archery\n3 Zumba\n")
    with pytest.raises(UserError, match=r"classInd\.txt: Zumba is there twice"):
        opened(root)


def test_an_empty_list_is_refused(root):
    write_lists(root, [])
    with pytest.raises(UserError, match=r"no clips in testlist01\.txt"):
        opened(root)


@pytest.mark.choice("data.windows")
def test_windows_follow_each_other_and_the_last_starts_over(root, number_of):
    """SlidingWindow(8) and LoopPadding(8) of the 3D-ResNets cut 20 frames so."""
    dataset = opened(root, windows="all")
    windows = [ref for ref in dataset.clips if ref.id.startswith("Archery/v_Archery_g01_c01#")]
    assert [ref.id[-2:] for ref in windows] == ["#0", "#1", "#2"]
    assert [numbers(dataset, ref, number_of) for ref in windows] == [
        [*range(8)],
        [*range(8, 16)],
        [16, 17, 18, 19, 16, 17, 18, 19],
    ]
    assert {ref.label for ref in windows} == {1}


@pytest.mark.choice("data.windows")
def test_first_is_the_whole_video_sampled_as_asked(root, number_of):
    dataset = opened(root, windows="first")
    assert ids(dataset)[0] == "Archery/v_Archery_g01_c01"
    assert numbers(dataset, dataset.clips[0], number_of) == [*range(8)]
    spread = opened(root, sampling="centre", frames=4)
    assert numbers(spread, spread.clips[0], number_of) == [2, 7, 12, 17]


def test_windows_of_spaced_frames_take_as_much_of_the_video_as_they_show(root, number_of):
    dataset = opened(root, windows="all", frames=4, interval=2)
    assert [ref.span for ref in dataset.clips if "Archery_g01_c01" in ref.id] == [(0, 8), (8, 16), (16, 24)]
    assert numbers(dataset, dataset.clips[1], number_of) == [8, 10, 12, 14]


@pytest.mark.parametrize("count", [1, 7, 8, 9, 16, 17])
def test_windows_share_out_every_frame_once(tmp_path, count):
    folder_of(tmp_path, "Archery/v_1", count)
    write_lists(tmp_path, ["Archery/v_1"])
    spans = [ref.span for ref in opened(tmp_path, windows="all").clips]
    assert [t for span in spans for t in range(*span) if t < count] == [*range(count)]
    assert all(start < count and stop - start == FRAMES for start, stop in spans)


def test_windows_of_extracted_frames_are_those_of_the_video(root, number_of):
    ref = next(ref for ref in opened(root, windows="all").clips if ref.id.endswith("Archery_g01_c01#2"))
    folder = root / "ucf101/rawframes/Archery/v_Archery_g01_c01"
    folder.mkdir(parents=True)
    video = cv2.VideoCapture(str(ref.path))
    for number in range(1, 21):
        cv2.imwrite(str(folder / f"image_{number:05d}.jpg"), video.read()[1])
    dataset = opened(root, windows="all", videos="ucf101/rawframes")
    again = next(each for each in dataset.clips if each.id == ref.id)
    assert again.span == ref.span
    assert numbers(dataset, again, number_of) == [16, 17, 18, 19] * 2


@pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(b"no video"), lambda path: path.unlink()])
def test_a_video_that_cannot_be_opened_keeps_one_window_which_fails(root, spoil):
    spoil(root / "ucf101/videos/Archery/v_Archery_g01_c01.avi")
    dataset = opened(root, windows="all")
    (ref,) = [ref for ref in dataset.clips if "Archery_g01_c01" in ref.id]
    with pytest.raises(ClipError) as caught:
        dataset.load(ref)
    assert caught.value.kind == ("missing" if not ref.path.exists() else "undecodable")
    assert ref.id.endswith("#0")


def test_per_class_counts_videos_and_the_selection_says_so(root):
    assert opened(root).selection == "all 4 clips of testlist01.txt"
    drawn = opened(root, per_class=1, split="train", windows="all")
    said = "2 clips, 1 of each of the 2 classes of trainlist01.txt, drawn by seed 0, cut into 2 windows of 8 frames"
    assert drawn.selection == said
    archery = next(seed for seed in range(9) if ids(opened(root, per_class=1, seed=seed))[0].endswith("g01_c01"))
    windows = [id for id in ids(opened(root, per_class=1, seed=archery, windows="all")) if id.startswith("Archery")]
    assert windows == [f"Archery/v_Archery_g01_c01#{k}" for k in range(3)]


@pytest.mark.parametrize(
    ("line", "said"), [("Archery/v_1.avi 1", "has label 1, but .*says 2"), ("Diving/v_1.avi 1", "not have its class")]
)
def test_a_list_of_other_classes_is_refused(root, line, said):
    (root / LISTS / "trainlist01.txt").write_text(line)
    with pytest.raises(UserError, match=said):
        opened(root, split="train")


@pytest.mark.parametrize("content", ["0 Zumba\n1 Archery\n", "1 Zumba\n3 Archery\n", "Zumba\nArchery\n", "1 Zum ba\n"])
def test_a_class_index_that_does_not_count_from_1_is_refused(root, content):
    (root / CLASS_INDEX).write_text(content)
    with pytest.raises(UserError, match=r"classInd\.txt: line \d is"):
        opened(root)


def test_all_that_is_missing_is_named_in_one_error(tmp_path):
    with pytest.raises(UserError) as caught:
        opened(tmp_path, fold=2)
    for part in ("ucf101/videos", "classInd.txt", "testlist02.txt", "www.crcv.ucf.edu"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "changes", [{"split": "val"}, {"fold": 4}, {"windows": "last"}, {"labels": "ucf101_24"}, {"per_class": 0}]
)
def test_bad_values_are_refused_when_opening(root, changes):
    with pytest.raises(OutOfRange, match=next(iter(changes))):
        opened(root, **changes)


def test_opening_without_windows_imports_no_decoder(root):
    shutil.rmtree(root / "ucf101/videos")
    (root / "ucf101/videos").mkdir()
    code = (
        "import sys; from vxbench.datasets.ucf101 import UCF101;"
        f"d = UCF101({str(root)!r}, frames=8, height=48, width=64); assert len(d.clips) == 4;"
        "assert not {'torch', 'decord', 'av'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_shipped_configuration_opens_it(root):
    config = composed("dataset=ucf101", f"paths.data={root}", "dataset.per_class=1")
    dataset = build(config, "dataset")
    assert dataset.selection.startswith("2 clips, 1 of each of the 2 classes of testlist01.txt")
    clip = opened(root).load(opened(root).clips[0])
    assert (clip.boxes, clip.annotated) == (None, None)


def test_the_official_lists_of_split_1(real_clips):
    test, train = (opened(real_clips, split=split) for split in ("test", "train"))
    assert (len(test.classes), len(test.clips), len(train.clips)) == (101, 3783, 9537)
    assert not set(ids(test)) & set(ids(train))
    assert test.classes == read_classes(real_clips / CLASS_INDEX)
    assert all(test.classes[ref.label] == ref.id.split("/")[0] for ref in test.clips)
    assert set(read_list(real_clips / "ucf101_24/splits/testlist01.txt")) < set(ids(test))


@pytest.mark.parametrize(
    ("videos", "id", "count"),
    [
        ("ucf101/videos", "Biking/v_Biking_g05_c02", 201),
        ("ucf101/videos", "Fencing/v_Fencing_g01_c01", 147),
        ("ucf101/rawframes", "CliffDiving/v_CliffDiving_g01_c01", 90),
        ("ucf101/videos_340x256_m4v", "Basketball/v_Basketball_g07_c04", 101),
        ("ucf101/videos_340x256_m4v", "SalsaSpin/v_SalsaSpin_g03_c01", 168),
    ],
)
def test_real_videos_of_every_layout_have_the_windows_of_their_length(real_clips, videos, id, count):
    dataset = opened(real_clips, frames=16, windows="all", videos=videos, height=112, width=112)
    windows = [ref for ref in dataset.clips if ref.id.startswith(f"{id}#")]
    assert [ref.span for ref in windows] == [(start, start + 16) for start in range(0, count, 16)]
    sampled = dataset.read(windows[-1], dataset.pick)
    start, left = windows[-1].span[0], count - windows[-1].span[0]
    np.testing.assert_array_equal(sampled.indices, start + np.arange(16) % left)
    assert sampled.frames.shape == (16, 112, 112, 3)
