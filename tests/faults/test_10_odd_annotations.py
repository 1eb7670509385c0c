"""An odd annotation costs what it spoils: boxes beyond the frame are cut at it, what is no box is refused by name."""

import pickle
import shutil

import numpy as np
import pytest

from vxbench.datasets.annotations import load_annotation, tubes_of
from vxbench.datasets.ucf101_24 import ANNOTATION, UCF101_24
from vxbench.errors import ClipError, UserError

pytestmark = pytest.mark.slow

WIDTH, HEIGHT = 320, 240  # of the frames that boxes are measured in
FRAMES = 400  # more than a mini video has
LAST = {np.int64: 2**63 - 1, np.uint64: 2**64 - 1, np.int32: 2**31 - 1, np.uint8: 255}


@pytest.fixture
def copy(mini_root, tmp_path):
    for part in ("ucf101", "ucf101_24"):
        shutil.copytree(mini_root / part, tmp_path / "mini" / part)
    return tmp_path / "mini"


def loaded(root, **changed):
    """The first clip, its entry changed in this way, and its tubes (all of it) in place of the published ones."""
    opened = {"frames": 4, "height": 48, "width": 64}
    ref = UCF101_24(root, **opened).clips[0]
    path = root / ANNOTATION
    entries = pickle.loads(path.read_bytes())
    entries[ref.id] = {**entries[ref.id], **changed}
    path.write_bytes(pickle.dumps(entries))
    return UCF101_24(root, **opened).load(ref)


def tube(boxes, sf=0, ef=None):
    return {"sf": sf, "ef": len(boxes) + sf if ef is None else ef, "label": 0, "boxes": boxes}


def cut(box):
    """The part of a box inside the frame, in whole numbers that do not wrap."""
    x, y, w, h = map(int, box)
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + w, WIDTH), min(y + h, HEIGHT)
    return [left, top, max(right - left, 0), max(bottom - top, 0)] if right > left and bottom > top else [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ([-50, -40, 120, 100], np.int16),
        ([300, 200, 500, 500], np.int16),
        ([200, 180, 200, 200], np.uint8),  # 400 and 380, where uint8 wraps
        ([10, 10, 0, 50], np.uint8),
        ([100, 100, -50, 20], np.int16),
        ([1000, 10, 20, 20], np.int32),
        ([10, 10, 20, 20], np.dtype(">i4")),
        *(([0, 0, last, last], kind) for kind, last in LAST.items()),
        *(([last, last, last, last], kind) for kind, last in LAST.items() if kind is not np.uint8),
        ([-(2**63), -(2**63), 2**63 - 1, 2**63 - 1], np.int64),
        ([-(2**62), 0, 2**62 + 100, 90], np.int64),
    ],
)
def test_a_box_is_cut_at_the_frame(copy, box, kind):
    odd = loaded(copy, annotations=[tube(np.array([box] * FRAMES, dtype=kind))])
    sound = loaded(copy, annotations=[tube(np.array([cut(box)] * FRAMES))])
    assert odd.annotated.all()
    np.testing.assert_array_equal(odd.boxes, sound.boxes)
    assert odd.boxes.any() == any(cut(box))


def test_tubes_may_overlap_be_empty_and_reach_beyond_the_video(copy):
    box = [[40, 40, 100, 100]]
    tubes = [tube(box * FRAMES), tube(box * FRAMES), tube(np.zeros((0, 4), int)), tube(box * 500, sf=-100)]
    clip = loaded(copy, annotations=[*tubes, tube(box * 9, sf=10_000)])
    np.testing.assert_array_equal(clip.boxes, loaded(copy, annotations=[tube(np.array(box * FRAMES))]).boxes)


@pytest.mark.parametrize("tubes", [[], (), {}])
def test_a_clip_without_tubes_is_no_annotation(copy, tubes):
    with pytest.raises(ClipError) as caught:
        loaded(copy, annotations=tubes)
    assert caught.value.kind == "no_annotation"


@pytest.mark.parametrize("label", [None, "2", 2.5, np.array([2, 2]), (2,), [[]], {}, 10**9, -1])
def test_a_label_that_is_not_the_class_s_number_is_refused(copy, label):
    with pytest.raises(UserError, match=r"has label .*, but its class is number \d") as caught:
        loaded(copy, label=label)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "entry",
    [
        7,
        [],
        {"annotations": 7},
        {"annotations": [7]},
        {"annotations": [{"sf": 0}]},
        *({"annotations": [tube([[0, 0, 9, 9]], ef=ef)]} for ef in (2, 0, -5, 10**300, "x", [], float("nan"))),
        {"annotations": [tube([[0, 0, 9, 9]], sf=float("inf"))]},
        {"annotations": [tube(np.full((1, 4), np.nan))]},
        {"annotations": [tube(np.ones((1, 4), bool))]},
        {"annotations": [tube(np.ones((1, 5), int))]},
        {"annotations": [tube([[0, 0, 9]])]},
        {"annotations": [tube([[0, 0, 9, 9], [0]])]},
        {"annotations": [tube([["0", "0", "9", "9"]])]},
        {"annotations": [tube([[2**70, 0, 9, 9]])]},
        {"annotations": [tube("none")]},
    ],
)
def test_what_is_no_tube_is_refused_in_one_line(tmp_path, entry):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"Biking/v": entry}))
    with pytest.raises(UserError, match=r"pyannot: Biking/v") as caught:
        tubes_of(load_annotation(path)["Biking/v"], "pyannot: Biking/v")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
