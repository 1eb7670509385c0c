import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from vxbench.datasets.base import ClipRef
from vxbench.datasets.ucf101_24 import ANNOTATION, TEST_LIST, UCF101_24, draw, read_list
from vxbench.errors import ClipError, OutOfRange, UserError

GOLDEN_DRAW = ["19", "05", "14", "08", "03", "04"]


def opened(root, **changes):
    return UCF101_24(root, **{"frames": 8, "height": 48, "width": 64, **changes})


def ids(dataset):
    return [ref.id for ref in dataset.clips]


@pytest.fixture
def copy(mini_root, tmp_path):
    """A copy of the mini data that a test may spoil."""
    return shutil.copytree(mini_root, tmp_path / "mini")


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


@pytest.mark.choice("data.ucf24_list")
@pytest.mark.choice("aosa.spt_subset")
def test_the_draw_is_stable_and_nested(mini_root):
    two, one = (ids(opened(mini_root, split="train", per_class=k)) for k in (2, 1))
    assert set(one) < set(two)
    assert one == ids(opened(mini_root, split="train", per_class=1, seed=0))
    others = {tuple(ids(opened(mini_root, split="train", per_class=1, seed=seed))) for seed in range(5)}
    assert len(others) > 1


def test_the_draw_of_a_seed_is_the_same_on_every_machine():
    drawn = draw([f"{name}/v_{i:02d}" for name in "AB" for i in range(20)], per_class=3, seed=0)
    assert [id[-2:] for id in drawn] == GOLDEN_DRAW


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
        f"d = UCF101_24({str(copy)!r}, 8, 48, 64); assert len(d.clips) == 8;"
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
    name = "ClockwiseFromEast/v_ClockwiseFromEast_g07_c09"
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


def test_official_lists_with_extension_and_label_are_read(mini_root):
    train = read_list(mini_root / "ucf101/ucfTrainTestlist/trainlist01.txt")
    assert sorted(train) == ids(opened(mini_root, split="train"))
    assert sorted(read_list(mini_root / "ucf101/ucfTrainTestlist/testlist01.txt")) == ids(opened(mini_root))


def test_all_that_is_missing_is_named_in_one_error(tmp_path):
    with pytest.raises(UserError) as caught:
        opened(tmp_path / "nothing")
    for part in ("ucf101/videos", str(ANNOTATION), str(TEST_LIST), "corrected-UCF101-Annots", "vxbench-make-mini"):
        assert part in str(caught.value)


def test_one_missing_file_is_named_alone(copy):
    (copy / ANNOTATION).unlink()
    with pytest.raises(UserError, match=r"missing: .*pyannot\.pkl") as caught:
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
    [{"split": "val"}, {"frames": 0}, {"resize": "fit"}, {"sampling": "all"}, {"decoder": "cv2"}, {"per_class": 0}],
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
    dataset = opened(real_clips, videos="ucf101/videos_340x256_m4v", extension=".mp4", sampling="window", frames=16)
    ref = next(ref for ref in dataset.clips if ref.id == "Basketball/v_Basketball_g07_c04")
    clip = dataset.load(ref)  # annotated are the frames 14..63
    assert np.flatnonzero(clip.annotated).tolist() == [14, 15]
    assert isinstance(ref, ClipRef)


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


def test_the_shipped_configuration_opens_it(mini_root):
    config = OmegaConf.create(
        {
            "paths": {"data": str(mini_root)},
            "profile": {"clips_per_class": 1},
            "protocol": {"boxes": "union"},
            "model": {"input": {"frames": 4, "height": 48, "width": 48, "sampling": "last"}},
            "dataset": OmegaConf.load(Path(__file__).parents[2] / "conf/dataset/ucf101_24.yaml"),
        }
    )
    config.model.input.update(resize="crop", short_side=64)
    dataset = instantiate(config.dataset)
    assert dataset.load(dataset.clips[0]).frames.shape == (4, 48, 48, 3)
