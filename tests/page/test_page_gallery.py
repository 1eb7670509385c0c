"""Pictures are embedded once, and no more than the page may weigh."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.pages import SIZE, picture

from vxbench.errors import UserError
from vxbench.page import Gallery
from vxbench.page.gallery import gather

EVERYTHING = 10**9


def galleries(*tables, clips=("clip a",)):
    return [Gallery(table, "r2plus1d", "ucf101_24", [picture(clip) for clip in clips]) for table in tables]


def test_equal_pictures_of_two_tables_and_two_methods_are_embedded_once():
    shown, images, left_out = gather(galleries("fep_1", "step_3"), EVERYTHING)
    one, two = (shown[table, "r2plus1d", "ucf101_24"][0] for table in ("fep_1", "step_3"))
    assert one == two
    assert not left_out
    assert one["maps"]["fep"] == one["maps"]["gradients"]
    assert set(images) == {one["frames"], one["maps"]["fep"]}
    assert all(address.startswith("data:image/webp;base64,") for address in images.values())


def test_a_clip_says_its_shape_and_its_boxes():
    shown, _, _ = gather(galleries("fep_1"), EVERYTHING)
    [clip] = shown["fep_1", "r2plus1d", "ucf101_24"]
    assert (clip["count"], clip["height"], clip["width"]) == SIZE
    assert len(clip["boxes"]) == SIZE[0]
    assert clip["boxes"][0][:4] == [0, 1, 3, 1]


def test_what_does_not_fit_is_left_out_and_said():
    _, images, _ = gather(galleries("fep_1"), EVERYTHING)
    weight = sum(map(len, images.values()))
    other = replace(picture("clip c"), frames=np.full((*SIZE, 3), 7, np.uint8))
    both = [Gallery("fep_1", "tsm", "ucf101_24", [picture("clip a"), other, picture("clip b")])]
    shown, kept, left_out = gather(both, weight)
    assert [clip["id"] for clip in shown["fep_1", "tsm", "ucf101_24"]] == ["clip a", "clip b"]  # b costs nothing more
    assert kept == images
    assert left_out == ["gallery of fep_1, tsm on ucf101_24: 1 of 3 clips, for the size of this page"]
    shown, kept, _ = gather(galleries("fep_1"), weight - 1)
    assert (shown["fep_1", "r2plus1d", "ucf101_24"], kept) == ([], {})


def test_a_map_of_another_shape_is_refused():
    clip = picture("clip a")
    clip.maps["fep"] = clip.maps["fep"][1:]
    with pytest.raises(UserError, match=r"clip a: fep is \(4, 6, 8\), its frames are \(5, 6, 8\)"):
        gather([Gallery("fep_1", "tsm", "ucf101_24", [clip])], EVERYTHING)
