import os
import pickle

import numpy as np
import pytest

from vxbench.datasets.annotations import Tube, boxes_at, load_annotation, tubes_of
from vxbench.errors import UserError

BOXES = np.asfortranarray(np.array([[191, 9, 115, 164], [192, 9, 115, 164]], dtype=np.uint8))


def entry(boxes=BOXES, sf=3, ef=5):
    return {
        "annotations": [{"label": 2, "ef": ef, "boxes": boxes, "sf": sf}],
        "numf": np.uint16(300),
        "label": 2,
    }


class Harmful:
    """Its pickle asks for os.system when loaded."""

    def __reduce__(self):
        return os.system, ("touch harmed",)


def saved(path, content, protocol=3):
    path.write_bytes(pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_entries_come_back_as_written(tmp_path, protocol):
    loaded = load_annotation(saved(tmp_path / "a.pkl", {"Biking/v": entry()}, protocol))["Biking/v"]
    assert loaded["numf"] == 300
    np.testing.assert_array_equal(loaded["annotations"][0]["boxes"], BOXES)
    assert loaded["annotations"][0]["boxes"].dtype == np.uint8


def test_old_and_new_numpy_names_are_admitted(tmp_path):
    content = pickle.dumps({"Biking/v": entry()}, 3).replace(b"numpy._core", b"numpy.core")
    assert b"numpy.core.multiarray" in content
    for name in (b"numpy.core", b"numpy._core"):
        path = tmp_path / "a.pkl"
        path.write_bytes(content.replace(b"numpy.core", name))
        assert load_annotation(path)["Biking/v"]["label"] == 2


def test_code_in_a_pickle_is_named_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = saved(tmp_path / "evil.pkl", {"Biking/v": Harmful()})
    with pytest.raises(UserError, match=r"evil\.pkl.*(posix|nt)\.system") as caught:
        load_annotation(path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("hidden", [np.array([Harmful()], dtype=object), [(Harmful(),)], print, np.save])
def test_code_is_found_wherever_it_hides(tmp_path, monkeypatch, hidden):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="which no annotation needs"):
        load_annotation(saved(tmp_path / "a.pkl", {"Biking/v": hidden}))
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize(
    "content", [b"", b"\x80", b"no pickle", pickle.dumps([1]), *(pickle.dumps({key: 1}) for key in ("v", 3, None))]
)
def test_what_is_no_annotation_is_refused(tmp_path, content):
    path = tmp_path / "a.pkl"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.pkl refused"):
        load_annotation(path)


def test_boxes_belong_to_the_frames_from_sf_up_to_but_not_ef():
    tubes = tubes_of(entry(), "here")
    assert [len(boxes_at(tubes, t)) for t in range(7)] == [0, 0, 0, 1, 1, 0, 0]
    assert boxes_at(tubes, 4).tolist() == [[192, 9, 115, 164]]


def test_uint8_boxes_are_widened_before_they_are_summed():
    x, _, w, _ = boxes_at(tubes_of(entry(), "here"), 3)[0]
    assert x + w == 306  # 50 if it wrapped


def test_all_tubes_that_cover_a_frame_count():
    tubes = [Tube(0, 2, BOXES), Tube(1, 3, BOXES), Tube(5, 7, BOXES)]
    assert boxes_at(tubes, 1)[:, 0].tolist() == [192, 191]


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"annotations": 3},
        {"annotations": [{"sf": 0, "ef": 2}]},
        entry(ef=9),
        entry(boxes=BOXES[:, :3]),
        entry(boxes=BOXES / 2),
    ],
)
def test_another_structure_is_refused_and_named(broken):
    with pytest.raises(UserError, match=r"pyannot: Biking/v"):
        tubes_of(broken, "pyannot: Biking/v")


@pytest.mark.parametrize("name", ["pyannot.pkl", "pyannot_protocol2.pkl"])
def test_the_published_file_as_its_readme_describes_it(real_clips, name):
    biking = load_annotation(real_clips / "ucf101_24/annotations" / name)["Biking/v_Biking_g05_c02"]
    tubes = tubes_of(biking, "Biking")
    assert (biking["numf"], biking["label"]) == (201, 2)
    assert boxes_at(tubes, 0).tolist() == [[7, 3, 139, 229], [191, 9, 115, 164]]
    assert boxes_at(tubes, 200).tolist() == [[109, 7, 98, 170], [208, 4, 80, 144]]
    assert len(boxes_at(tubes, 201)) == 0


@pytest.mark.parametrize("protocol", range(6))
def test_entries_come_back_as_plain_values_whichever_protocol_wrote_them(tmp_path, protocol):
    content = {
        np.str_("Biking/v"): entry() | {"label": np.uint8(2), "more": ("é", 1.5, None, True, b"\x00\xff", -(2**40))}
    }
    loaded = load_annotation(saved(tmp_path / "a.pkl", content, protocol))["Biking/v"]
    assert loaded["more"] == ("é", 1.5, None, True, b"\x00\xff", -(2**40))
    assert (type(loaded["numf"]), type(loaded["label"])) == (int, int)
    assert tubes_of(loaded, "here")[0].boxes.tolist() == BOXES.tolist()
