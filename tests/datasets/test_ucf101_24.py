import pickle
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
from helpers.configs import composed

from vxbench.config import build
from vxbench.datasets.ucf101 import CLASS_INDEX, read_classes, read_list
from vxbench.datasets.ucf101_24 import ANNOTATION, TEST_LIST, UCF101_24, boxes_at
from vxbench.errors import ClipError, OutOfRange, UserError


def opened(root, **changes):
    return UCF101_24(root, **{"frames": 8, "height": 48, "width": 64, **changes})


def ids(dataset):
    return [ref.id for ref in dataset.clips]


@pytest.fixture
def copy(mini_root, tmp_path):
    """A copy of the mini UCF101 that a test may spoil."""
    for part in ("ucf101", "ucf101_24"):
        shutil.copytree(mini_root / part, tmp_path / "mini" / part)
    return tmp_path / "mini"


def test_classes_are_alphabetical_and_labels_index_them(mini_root):
    dataset = opened(mini_root)
    assert dataset.classes == sorted(dataset.classes)
    assert len(dataset.classes) == 8
    assert all(dataset.classes[ref.label] == ref.id.split("/")[0] for ref in dataset.clips)


def test_splits_are_the_list_and_the_rest_of_the_annotation(mini_root):
    test, train = (set(ids(opened(mini_root, split=split))) for split in ("test", "train"))
    assert test == set(read_list(mini_root / TEST_LIST))
    assert (len(test), len(train)) == (8, 16)
    assert not test & train


def test_a_clip_has_the_promised_shapes(mini_root):
    dataset = opened(mini_root)
    clip = dataset.load(dataset.clips[0])
    assert (clip.frames.shape, clip.frames.dtype) == ((8, 48, 64, 3), np.uint8)
    assert (clip.boxes.shape, clip.boxes.dtype) == ((8, 48, 64), bool)
    assert (clip.annotated.shape, clip.annotated.dtype) == ((8,), bool)
    assert (clip.boxes.any(axis=(1, 2)) == clip.annotated).all()
    assert clip.annotated.any()


@pytest.mark.parametrize("changes", [{}, {"resize": "crop", "short_side": 64, "height": 64}])
def test_boxes_hold_the_vivid_actor_and_little_else(mini_root, changes):
    """Red minus blue is high on the warm actor and nowhere else."""
    dataset = opened(mini_root, **changes)
    for ref in dataset.clips:
        clip = dataset.load(ref)
        frames, boxes = clip.frames[clip.annotated].astype(int), clip.boxes[clip.annotated]
        if not boxes.any():
            continue
        warm = frames[..., 0] - frames[..., 2] > 90
        assert warm[~boxes].mean() < 0.005, ref.id  # blur at the edges of a box
        assert warm[boxes].mean() > 0.4, ref.id  # an ellipse fills pi / 4 of its box, its rim is dark


def eroded(plane):
    """Without the pixels at the edge of a box or of the frame."""
    return (
        cv2.erode(plane.astype(np.uint8), np.ones((3, 3), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
    )


@pytest.fixture
def painted(tmp_path):
    """One clip as a folder of 4 images, 640x480, black but for its boxes, which are white; tubes [0, 3) and [1, 2)."""
    id, boxes = "Surfing/v_Surfing_g01_c01", np.array([[40, 30, 101, 77], [150, 60, 57, 90], [230, 150, 83, 85]])
    tubes = [{"label": 0, "sf": 0, "ef": 3, "boxes": boxes}, {"label": 0, "sf": 1, "ef": 2, "boxes": boxes[:1]}]
    (tmp_path / ANNOTATION).parent.mkdir(parents=True)
    (tmp_path / ANNOTATION).write_bytes(pickle.dumps({id: {"annotations": tubes, "numf": 4, "label": 0}}))
    (tmp_path / TEST_LIST).parent.mkdir(parents=True)
    (tmp_path / TEST_LIST).write_text(id)
    folder = tmp_path / "ucf101/rawframes" / id
    folder.mkdir(parents=True)
    for t in range(4):
        image = np.zeros((480, 640, 3), dtype=np.uint8)
        for tube in tubes:
            for x, y, w, h in 2 * tube["boxes"][t - tube["sf"] : t - tube["sf"] + 1] if t >= tube["sf"] else []:
                image[y : y + h, x : x + w] = 255
        cv2.imwrite(str(folder / f"image_{t + 1:05d}.png"), image)
    return tmp_path


@pytest.mark.parametrize(
    "size",
    [
        {"height": 112, "width": 112},
        {"height": 224, "width": 224, "resize": "crop", "short_side": 256},
        {"height": 480, "width": 640},
        {"height": 112, "width": 112, "resize": "crop", "short_side": 112},
    ],
)
def test_boxes_cover_the_very_pixels_they_were_painted_on(painted, size):
    """Nothing bright outside a box; all white inside but for one pixel at its edge, where resizing mixes."""
    clip = (dataset := opened(painted, frames=4, sampling="window", **size)).load(dataset.clips[0])
    core = np.stack([eroded(plane) for plane in clip.boxes])
    assert (clip.frames[~clip.boxes] == 0).all()
    assert (clip.frames[core] == 255).all()
    assert clip.annotated.tolist() == [True, True, True, False]
    assert core[:3].any(axis=(1, 2)).all()


@pytest.mark.choice("data.ucf24_list")
@pytest.mark.choice("aosa.spt_subset")
def test_the_draw_is_stable_and_nested(mini_root):
    two, one = (ids(opened(mini_root, split="train", per_class=k)) for k in (2, 1))
    assert set(one) < set(two)
    assert one == ids(opened(mini_root, split="train", per_class=1, seed=0))
    others = {tuple(ids(opened(mini_root, split="train", per_class=1, seed=seed))) for seed in range(5)}
    assert len(others) > 1


def test_the_selection_says_which_clips_these_are(mini_root):
    drawn = opened(mini_root, per_class=1, seed=3).selection
    said = "8 clips, 1 of each of the 8 classes of the published test list, drawn by seed 3"
    assert drawn == f"{said} (the papers' own draw is unpublished)"
    assert opened(mini_root).selection == "all 8 clips of the published test list"
    assert opened(mini_root, split="train").selection == "all 16 clips of the annotation without the test list"


def test_more_clips_than_there_are_is_an_error(mini_root):
    with pytest.raises(OutOfRange, match="per_class = 3, but ClockwiseFromEast has only 2"):
        opened(mini_root, split="train", per_class=3)


def test_the_pickled_object_carries_its_own_clips_only(mini_root):
    whole, part = opened(mini_root, split="train"), opened(mini_root, split="train", per_class=1)
    assert set(part.tubes) == set(ids(part))
    assert len(pickle.dumps(part)) < 0.7 * len(pickle.dumps(whole))
    again = pickle.loads(pickle.dumps(part))
    np.testing.assert_array_equal(again.load(part.clips[0]).boxes, part.load(part.clips[0]).boxes)


def test_opening_decodes_nothing_and_imports_no_torch(copy):
    shutil.rmtree(copy / "ucf101/videos")
    (copy / "ucf101/videos").mkdir()
    code = (
        "import sys; from vxbench.datasets.ucf101_24 import UCF101_24;"
        f"d = UCF101_24({str(copy)!r}, frames=8, height=48, width=64); assert len(d.clips) == 8;"
        "assert not {'torch', 'decord', 'av'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_listed_clip_without_a_file_is_missing_when_loaded(copy):
    dataset = opened(copy)
    dataset.clips[0].path.unlink()
    with pytest.raises(ClipError) as caught:
        opened(copy).load(dataset.clips[0])
    assert caught.value.kind == "missing"


def test_a_listed_clip_without_annotation_says_so(copy):
    known = opened(copy).clips[0]
    name = "ClockwiseFromEast/v_ClockwiseFromEast_g07_c09"
    shutil.copy(known.path, known.path.with_name(f"{name.split('/')[1]}.avi"))
    with (copy / TEST_LIST).open("a") as file:
        file.write(name)
    dataset = opened(copy)
    with pytest.raises(ClipError, match="g07_c09 has no boxes") as caught:
        dataset.load(next(ref for ref in dataset.clips if ref.id == name))
    assert caught.value.kind == "no_annotation"


def test_windows_line_ends_and_a_missing_last_one_change_nothing(copy):
    before, path = ids(opened(copy)), copy / TEST_LIST
    path.write_bytes(path.read_bytes().strip().replace(b"\n", b"\r\n"))
    assert ids(opened(copy)) == before


@pytest.mark.parametrize("split", ["train", "test"])
def test_official_lists_with_extension_and_label_are_read(mini_root, split):
    dataset = opened(mini_root, split=split)
    official = read_list(mini_root / f"ucf101/ucfTrainTestlist/{split}list01.txt")
    assert sorted(id for id in official if id.split("/")[0] in dataset.classes) == ids(dataset)


def test_all_that_is_missing_is_named_in_one_error(tmp_path):
    with pytest.raises(UserError) as caught:
        opened(tmp_path / "nothing")
    for part in ("ucf101/videos", str(ANNOTATION), str(TEST_LIST), "corrected-UCF101-Annots"):
        assert part in str(caught.value)


def test_one_missing_file_is_named_alone(copy):
    (copy / ANNOTATION).unlink()
    with pytest.raises(
        UserError, match=r"1 of its parts missing below .*:\n  ucf101_24/annotations/pyannot\.pkl"
    ) as caught:
        opened(copy)
    assert str(TEST_LIST) not in str(caught.value)


def test_labels_that_do_not_fit_the_classes_are_refused(copy):
    with (copy / TEST_LIST).open("a") as file:
        file.write("Aardvark/v_Aardvark_g01_c01\n")
    with pytest.raises(UserError, match="do not belong together"):
        opened(copy)


def test_digest_follows_annotation_and_lists(copy, mini_root):
    assert opened(copy).digest() == opened(mini_root, split="train", frames=4).digest()
    with (copy / TEST_LIST).open("a") as file:
        file.write("\n")
    assert opened(copy).digest() != opened(mini_root).digest()


@pytest.mark.parametrize(
    "changes",
    [
        {"split": "val"},
        {"labels": "kinetics400"},
        {"boxes": "first"},
        {"frames": 0},
        {"resize": "fit"},
        {"sampling": "all"},
        {"decoder": "cv2"},
        {"per_class": 0},
    ],
)
def test_bad_values_are_refused_when_opening(mini_root, changes):
    with pytest.raises(OutOfRange, match=next(iter(changes))):
        opened(mini_root, **changes)


def test_real_boxes_are_those_of_the_worked_example(real_clips):
    """One frame of two cyclists: boxes [7 3 139 229] and [191 9 115 164], drawn at the video's own size."""
    dataset = opened(real_clips, frames=1, height=240, width=320, sampling="window")
    ref = next(ref for ref in dataset.clips if ref.id == "Biking/v_Biking_g05_c02")
    clip = dataset.load(ref)
    expected = np.zeros((240, 320), dtype=bool)
    expected[3:232, 7:146] = True
    expected[9:173, 191:306] = True
    assert (clip.boxes[0] == expected).all()
    assert ref.label == 2


def test_real_index_has_24_classes_and_910_test_clips(real_clips):
    dataset = opened(real_clips, per_class=5)
    assert (len(dataset.classes), len(dataset.clips), len(opened(real_clips).clips)) == (24, 120, 910)


def test_stretched_real_videos_are_read_with_their_boxes_scaled(real_clips):
    dataset = opened(real_clips, videos="ucf101/videos_340x256_m4v", sampling="window", frames=16)
    ref = next(ref for ref in dataset.clips if ref.id == "Basketball/v_Basketball_g07_c04")
    clip = dataset.load(ref)  # annotated are the frames 14..63
    assert np.flatnonzero(clip.annotated).tolist() == [14, 15]
    assert clip.boxes[14:].any(axis=(1, 2)).all()


def test_a_stretched_real_video_shows_its_boxes_where_the_original_size_would(real_clips):
    """At 340x256 the box x, y, w, h of a 320x240 frame spans x 340/320 .. and y 256/240 .., edges rounded outwards."""
    dataset = opened(
        real_clips, videos="ucf101/videos_340x256_m4v", sampling="window", frames=15, height=256, width=340
    )
    ref = next(ref for ref in dataset.clips if ref.id == "Basketball/v_Basketball_g07_c04")
    x, y, w, h = boxes_at(dataset.tubes[ref.id], 14)[0].tolist()
    expected = np.zeros((256, 340), dtype=bool)
    expected[y * 256 // 240 : -(-(y + h) * 256 // 240), x * 340 // 320 : -(-(x + w) * 340 // 320)] = True
    np.testing.assert_array_equal(dataset.load(ref).boxes[14], expected)


def test_real_extracted_frames_are_annotated_as_long_as_the_tube_lasts(real_clips):
    """CliffDiving: 90 images numbered from 1, tube [0, 68)."""
    dataset = opened(real_clips, frames=90, sampling="window")
    ref = next(ref for ref in dataset.clips if ref.id == "CliffDiving/v_CliffDiving_g01_c01")
    clip = dataset.load(ref)
    assert ref.path.is_dir()
    assert np.flatnonzero(clip.annotated).tolist() == [*range(68)]
    assert (clip.boxes.any(axis=(1, 2)) == clip.annotated).all()


@pytest.mark.parametrize("name", ["Biking/v_Biking_g05_c02", "Fencing/v_Fencing_g01_c01"])
def test_labels_of_ucf101_change_labels_only(real_clips, name):
    """AOSA explains networks of 101 classes on UCF101-24."""
    narrow, full = (opened(real_clips, labels=labels, per_class=5) for labels in ("ucf101_24", "ucf101"))
    assert full.classes == read_classes(real_clips / CLASS_INDEX)
    assert ids(full) == ids(narrow)
    assert [full.classes[ref.label] for ref in full.clips] == [narrow.classes[ref.label] for ref in narrow.clips]
    assert full.selection == narrow.selection
    everything = opened(real_clips, labels="ucf101")
    ref = next(ref for ref in everything.clips if ref.id == name)
    again = next(ref for ref in opened(real_clips).clips if ref.id == name)
    np.testing.assert_array_equal(everything.load(ref).boxes, opened(real_clips).load(again).boxes)


def test_labels_of_ucf101_follow_its_class_index(copy):
    classes = [f"{number} {name}" for number, name in enumerate(["Aardvark", *opened(copy).classes[::-1]], start=1)]
    (copy / CLASS_INDEX).write_text("\n".join(classes))
    dataset = opened(copy, labels="ucf101")
    assert [dataset.classes[ref.label] for ref in dataset.clips] == [id.split("/")[0] for id in ids(dataset)]
    assert {ref.label for ref in dataset.clips} == set(range(1, 9))
    assert dataset.load(dataset.clips[0]).boxes.any()
    assert dataset.digest() != opened(copy).digest()


def test_a_class_index_without_the_annotated_classes_is_refused(copy):
    (copy / CLASS_INDEX).write_text("1 ClockwiseFromEast\n")
    with pytest.raises(UserError, match=r"classInd\.txt lacks ClockwiseFrom.* of UCF101-24"):
        opened(copy, labels="ucf101")


def test_the_class_index_is_asked_for_only_where_labels_need_it(copy):
    (copy / CLASS_INDEX).unlink()
    assert len(opened(copy).clips) == 8
    with pytest.raises(UserError, match=r"1 of its parts missing below .*:\n  .*classInd\.txt"):
        opened(copy, labels="ucf101")


@pytest.mark.choice("spt.boxes")
def test_the_boxes_are_those_of_all_tubes_or_of_the_last_alone(copy):
    """A second tube in another corner and on other frames: the union holds both, `last` only that one."""
    entries = pickle.loads((copy / ANNOTATION).read_bytes())
    ref = opened(copy).clips[0]
    before = opened(copy).load(ref)
    corner = {"sf": 0, "ef": 9, "boxes": np.array([[0, 0, 20, 20]] * 9), "label": ref.label}
    entries[ref.id]["annotations"].append(corner)
    (copy / ANNOTATION).write_bytes(pickle.dumps(entries))
    union, last = (opened(copy, boxes=boxes).load(ref) for boxes in ("union", "last"))
    default = opened(copy).load(ref)
    assert (union.boxes == default.boxes).all()
    assert 0 < last.annotated.sum() < before.annotated.sum()
    assert (last.boxes <= union.boxes).all()
    assert union.boxes.sum() > last.boxes.sum() > 0


@pytest.mark.parametrize("labels", ["ucf101_24", "ucf101"])
def test_the_shipped_configuration_opens_it(mini_root, labels):
    changes = [f"paths.data={mini_root}", f"dataset.labels={labels}", "dataset.per_class=1"]
    config = composed("dataset=ucf101_24", *changes)
    dataset = build(config, "dataset")
    size = (config.model.input.frames, config.model.input.height, config.model.input.width)
    assert dataset.load(dataset.clips[0]).frames.shape == (*size, 3)
