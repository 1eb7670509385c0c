"""Names of clips lead nowhere but below the folder of the data, and any name a file can have is read."""

import os

import numpy as np
import pytest
from helpers.videos import encode, nearest, noise

from vxbench.datasets.decode import read_frames
from vxbench.datasets.media import Library
from vxbench.datasets.ucf101 import CLASS_INDEX, LISTS, UCF101
from vxbench.errors import ClipError, UserError

SOURCE = noise(8)
SIZE = {"frames": 4, "height": 32, "width": 32}
ODD = ["12:30:05", "file:a", "-i", "a b", "ünï", "100%", "%03d", "[a]*?", "a#b?c", "a'b\"c", "concat:a|b", "\u202eevil"]


def ucf(root, *clips):
    for name, lines in ((CLASS_INDEX, ["1 Run"]), (LISTS / "testlist01.txt", clips)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("\n".join(lines))
    (root / "ucf101/videos/Run").mkdir(parents=True, exist_ok=True)
    return lambda: UCF101(root, **SIZE)


@pytest.mark.parametrize("name", ["Run/../../../secret", "Run/..", "Run/a/../../../b", "Run/" + 300 * "a", "Run/a\0b"])
def test_a_listed_name_that_leads_elsewhere_is_refused_by_name(tmp_path, name):
    encode(tmp_path / "secret.avi", SOURCE, "ffv1", "bgr0")
    with pytest.raises(UserError, match="names no clip below the folder of the videos") as caught:
        ucf(tmp_path / "data", name)()
    assert repr(name)[1:40].split("aaa")[0] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["/etc/passwd", "../a", "a/../../b", "..", "a\0b", 251 * "x"])
def test_so_is_any_name_that_a_library_is_asked_for(tmp_path, name):
    with pytest.raises(UserError, match="names no clip"):
        Library([tmp_path]).find("Run/a", name)


@pytest.mark.parametrize("link", ["ucf101/videos/Run/loop.avi", "ucf101/videos/Run/loop"])
def test_a_link_to_itself_is_a_missing_clip_and_no_more(tmp_path, link):
    load = ucf(tmp_path, "Run/loop", "Run/good")
    encode(tmp_path / "ucf101/videos/Run/good.avi", SOURCE, "ffv1", "bgr0")
    (tmp_path / link).symlink_to(tmp_path / link)
    dataset = load()
    good, loop = dataset.clips
    assert len(dataset.load(good).frames) == 4
    with pytest.raises(ClipError) as caught:
        dataset.load(loop)
    assert caught.value.kind == "missing"


def test_so_is_a_class_whose_folder_is_a_link_to_itself(tmp_path):
    load = ucf(tmp_path, "Run/a")
    (tmp_path / "ucf101/videos/Run").rmdir()
    (tmp_path / "ucf101/videos/Run").symlink_to(tmp_path / "ucf101/videos/Run")
    with pytest.raises(ClipError) as caught:
        load().load(load().clips[0])
    assert caught.value.kind == "missing"


@pytest.mark.parametrize("name", ODD)
def test_a_name_is_nothing_but_a_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    encode(tmp_path / "plain.avi", SOURCE, "ffv1", "bgr0")
    os.rename("plain.avi", f"{name}.avi")
    for path in (Library([tmp_path]).find(f"Run/{name}"), f"{name}.avi"):
        assert nearest(read_frames(path, np.arange)[0], SOURCE) == [*range(8)]


@pytest.mark.parametrize(
    "playlist",
    ["#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{0}\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile {0}\n"],
)
def test_a_list_of_other_files_is_not_followed(tmp_path, playlist):
    encode(tmp_path / "other.ts", SOURCE, "libx264", "yuv420p")
    path = tmp_path / "a.avi"
    for other in ("other.ts", tmp_path / "other.ts"):
        path.write_text(playlist.format(other))
        with pytest.raises(ClipError) as caught:
            read_frames(path, np.arange)
        assert caught.value.kind == "undecodable"
