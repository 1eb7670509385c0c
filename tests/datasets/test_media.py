import os

import numpy as np
import pytest
from helpers.videos import encode, noise
from PIL import Image

from vxbench.datasets.media import Library, frame_numbers, read_media
from vxbench.datasets.view import Sampler
from vxbench.errors import ClipError, UserError

SOURCE = noise(12, (24, 32))
NAMES = ("img_{:05d}.png", "image_{:05d}.png", "frame_{:010d}.png", "{:06d}.png")


def write_frames(folder, numbers, name=NAMES[0], source=SOURCE):
    """Frames of these 1-based numbers, PNG: they come back bit for bit."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        Image.fromarray(source[number - 1]).save(folder / name.format(number))
    return folder


def refused(path, *arguments, **options):
    with pytest.raises(ClipError) as caught:
        read_media(path, np.arange, *arguments, **options)
    assert "\n" not in caught.value.message
    assert path.name in caught.value.message
    return caught.value


@pytest.mark.parametrize("name", NAMES)
def test_image_1_is_frame_0(tmp_path, name):
    folder = write_frames(tmp_path / "clip", range(1, 13), name)
    wanted = np.array([7, 0, 11, 0])
    frames, indices = read_media(folder, lambda n: wanted)
    assert indices.tolist() == wanted.tolist()
    assert (frames == SOURCE[wanted]).all()


def test_a_span_counts_from_0_in_the_whole_video(tmp_path):
    folder, told = write_frames(tmp_path / "clip", range(1, 13)), []
    frames, indices = read_media(folder, lambda n: told.append(n) or np.arange(n), span=(3, 7))
    assert told == [4]
    assert indices.tolist() == [3, 4, 5, 6]
    assert (frames == SOURCE[3:7]).all()


def test_a_span_ends_where_the_video_does(tmp_path):
    folder = write_frames(tmp_path / "clip", range(1, 13))
    assert read_media(folder, np.arange, span=(9, 99))[1].tolist() == [9, 10, 11]


def test_video_and_folder_give_the_same_frames(tmp_path):
    folder = write_frames(tmp_path / "clip", range(1, 13))
    video = encode(tmp_path / "clip.avi", SOURCE, "ffv1", "bgr0")
    for span in (None, (2, 9)):
        (a, at_a), (b, at_b) = (read_media(path, Sampler("last", 4), span=span) for path in (folder, video))
        assert (a == b).all()
        assert (at_a == at_b).all()


@pytest.mark.choice("data.gaps")
@pytest.mark.parametrize(("numbers", "span"), [((1, 2, 5, 9), None), ((2, 5, 9), (0, 12)), ((3, 12), (1, 12))])
def test_gaps_are_refused_or_sampled_around(tmp_path, numbers, span):
    folder = write_frames(tmp_path / "clip", numbers)
    error = refused(folder, span=span)
    assert error.kind == "undecodable"
    assert "gaps=use" in error.message
    frames, indices = read_media(folder, np.arange, span=span, gaps="use")
    assert indices.tolist() == [number - 1 for number in numbers]
    assert (frames == SOURCE[indices]).all()


def test_gaps_outside_the_span_do_not_matter(tmp_path):
    folder = write_frames(tmp_path / "clip", (1, 4, 5, 6, 11))
    assert read_media(folder, np.arange, span=(3, 6))[1].tolist() == [3, 4, 5]


def test_a_folder_that_counts_from_0_is_refused(tmp_path):
    folder = write_frames(tmp_path / "clip", range(1, 13))
    (folder / "img_00012.png").rename(folder / "img_00000.png")
    assert "numbers its frames from 0" in refused(folder).message


def test_two_images_of_one_frame_are_refused(tmp_path):
    folder = write_frames(write_frames(tmp_path / "clip", (1, 2)), (2,), "frame_{:010d}.png")
    assert "3 images, but only 2 numbers" in refused(folder).message


def test_other_files_are_passed_over(tmp_path):
    folder = write_frames(tmp_path / "clip", range(1, 13))
    for name in ("flow_x_00001.png", "x_00001.png", "._img_00001.png", "thumb.jpg", "img_00001.txt", "v2.png"):
        (folder / name).write_bytes(b"not a frame")
    assert (read_media(folder, np.arange)[0] == SOURCE).all()


def test_an_image_that_comes_later_is_seen(tmp_path):
    folder = write_frames(tmp_path / "clip", (1, 2))
    assert len(frame_numbers(folder)) == 2
    write_frames(folder, (3,))
    os.utime(folder, ns=(1, 1))  # as if the clock had ticked
    assert len(frame_numbers(folder)) == 3


@pytest.mark.parametrize("kept", [0, 0.5, 0.9])
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_a_damaged_image_is_undecodable(tmp_path, ending, kept):
    folder = write_frames(tmp_path / "clip", range(1, 13), f"img_{{:05d}}.{ending}")
    image = folder / f"img_00005.{ending}"
    content = image.read_bytes()
    image.write_bytes(content[: int(len(content) * kept)])
    error = refused(folder)
    assert error.kind == "undecodable"
    assert image.name in error.message


def test_images_of_different_sizes_are_undecodable(tmp_path):
    folder = write_frames(tmp_path / "clip", range(1, 13))
    Image.fromarray(SOURCE[0, :, :-2]).save(folder / "img_00005.png")
    assert "different sizes" in refused(folder).message


def test_a_folder_without_frames_is_missing(tmp_path):
    (tmp_path / "clip").mkdir()
    assert refused(tmp_path / "clip").kind == "missing"
    write_frames(tmp_path / "clip", (1, 2))
    assert refused(tmp_path / "clip", span=(5, 9)).kind == "missing"


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_images_of_other_modes_become_rgb(tmp_path, mode):
    folder = write_frames(tmp_path / "clip", (1,))
    Image.fromarray(SOURCE[0]).convert(mode).save(folder / "img_00001.png")
    assert read_media(folder, np.arange)[0].shape == (1, 24, 32, 3)


def touch(path, frames=False):
    path.mkdir(parents=True) if frames else path.parent.mkdir(parents=True, exist_ok=True)
    if not frames:
        path.touch()
    return path


AWKWARD = ["v_Run_g01_c01", "--coBvtS-eQ_000057_000067", "-x", "with space", "name.with.dots", "ünï", "100%", "[a]*?"]


@pytest.mark.parametrize("frames", [False, True])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("name", AWKWARD)
def test_a_clip_is_found_in_any_layout(tmp_path, name, nested, frames):
    folder = tmp_path / "using segway" if nested else tmp_path
    path = touch(folder / (name if frames else f"{name}.mp4"), frames)
    assert Library([tmp_path]).find(f"using segway/{name}") == path


@pytest.mark.parametrize("ending", [".avi", ".MP4", ".mkv", ".webm", ".mov", ".m4v"])
def test_a_video_may_have_any_ending(tmp_path, ending):
    path = touch(tmp_path / f"Run/a{ending}")
    touch(tmp_path / "Run/a.txt")
    assert Library([tmp_path]).find("Run/a") == path


def test_the_first_folder_then_the_first_name_then_the_video_wins(tmp_path):
    library = Library([tmp_path / "one", tmp_path / "two"])
    paths = [touch(tmp_path / "one/b", True), touch(tmp_path / "two/Run/a.avi"), touch(tmp_path / "two/Run/a", True)]
    assert library.find("Run/a", "Run/b") == paths[0]
    assert library.find("Run/a", "Run/c") == paths[1]


def test_a_clip_that_is_nowhere_is_expected_in_the_first_folder(tmp_path):
    path = Library([tmp_path / "one", tmp_path / "two"]).find("Run/name.v2")
    assert path == tmp_path / "one/Run/name.v2.avi"
    assert refused(path).kind == "missing"


def test_each_folder_is_listed_once(tmp_path, monkeypatch):
    for clip in range(5):
        touch(tmp_path / f"Run/{clip}.avi")
    listed, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: listed.append(folder) or scandir(folder))
    library = Library([tmp_path])
    for clip in range(9):
        library.find(f"Run/{clip}")
    assert sorted(listed) == [tmp_path, tmp_path / "Run"]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_closed_folder_is_one_line(tmp_path):
    (tmp_path / "Run").mkdir(mode=0)
    with pytest.raises(UserError, match="cannot list"):
        Library([tmp_path]).find("Run/a")


def test_real_sparse_frames_work_with_gaps_use(real_clips):
    folder = real_clips / "epic55/frames_rgb_flow/rgb/train/P12/P12_06"
    assert refused(folder, span=(316, 422)).kind == "undecodable"
    frames, indices = read_media(folder, Sampler("last", 16), span=(316, 422), gaps="use")
    assert indices.tolist() == list(range(316, 422, 7))
    assert frames.shape == (16, 256, 344, 3)


def test_real_folders_of_frames_are_read_whole(real_clips):
    folders = sorted((real_clips / "kinetics400/frames16/test").glob("*/*"))
    assert len(folders) == 4
    for folder in folders:
        assert read_media(folder, np.arange)[0].shape == (16, 256, 344, 3)


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
def test_images_of_more_than_8_bits_are_undecodable(tmp_path, kind):
    """Pillow tells a TIFF by its content, whatever its name; all of its values here are above 255."""
    folder = write_frames(tmp_path / "clip", range(1, 4))
    image = Image.fromarray((SOURCE[1, ..., 0].astype(kind) + 1) * 257)
    image.save(folder / NAMES[0].format(2), format="PNG" if kind is np.uint16 else "TIFF")
    assert "8 bits" in refused(folder).message
