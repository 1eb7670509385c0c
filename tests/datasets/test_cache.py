import errno
import logging
import os
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from helpers.faulty_datasets import Videos
from helpers.paths import ROOT
from helpers.videos import encode, noise
from PIL import Image

from vxbench.datasets import cache
from vxbench.datasets.cache import cached
from vxbench.datasets.view import Sampled, Window

SOURCE = noise(12, (80, 96))
VIEW = {"frames": 4, "height": 16, "width": 24}


@pytest.fixture
def video(tmp_path):
    return encode(tmp_path / "clip.avi", SOURCE, "ffv1", "bgr0")


@pytest.fixture
def frames(tmp_path):
    (tmp_path / "clip").mkdir()
    for number, frame in enumerate(SOURCE, 1):
        Image.fromarray(frame).save(tmp_path / f"clip/img_{number:05d}.png")
    return tmp_path / "clip"


def load(path, folder, **view):
    dataset = Videos(path, cache=folder, **{**VIEW, **view})
    return dataset.load(dataset.clips[0]).frames


def reads(path, folder, *views):
    """How often frames were made for the clip of each view in turn; all views give one made-up clip."""
    count = []
    for view in views:
        cached(folder, path, view, lambda: count.append(1) or sampled())
    return len(count)


def sampled(fill=7):
    return Sampled(np.full((2, 3, 5, 3), fill, dtype=np.uint8), np.array([4, 9]), Window(8, 6, 1, 2, 5, 3))


def test_a_copy_is_what_was_read(tmp_path, video):
    made = cached(tmp_path / "kept", video, ("a",), sampled)
    kept = cached(tmp_path / "kept", video, ("a",), None)  # nothing is read
    assert (kept.frames == made.frames).all()
    assert kept.frames.dtype == np.uint8
    assert kept.frames.flags.writeable
    assert kept.indices.tolist() == [4, 9]
    assert kept.window == made.window


@pytest.mark.parametrize("media", ["video", "frames"])
def test_clips_are_the_same_with_and_without(request, tmp_path, media):
    path = request.getfixturevalue(media)
    plain = load(path, None)
    for _ in range(2):
        assert (load(path, tmp_path / "kept") == plain).all()


@pytest.mark.parametrize(
    "view",
    [
        {"frames": 5},
        {"height": 18},
        {"width": 26},
        {"sampling": "last"},
        {"sampling": "window", "interval": 2},
        {"resize": "crop", "short_side": 40},
        {"decoder": "pyav"},
        {"gaps": "use"},
    ],
)
def test_all_that_decides_the_frames_is_in_the_key(tmp_path, video, view):
    load(video, tmp_path / "kept")
    assert (load(video, tmp_path / "kept", **view) == load(video, None, **view)).all()
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_spans_and_videos_are_kept_apart(tmp_path, video):
    other, folder = encode(tmp_path / "other.avi", SOURCE, "ffv1", "bgr0"), tmp_path / "kept"
    for path in (video, other):
        dataset = Videos(path, cache=folder, **VIEW)
        for span in (None, (0, 6), (6, 12)):
            ref = type(dataset.clips[0])("clip", path, 0, span)
            assert (dataset.load(ref).frames == Videos(path, **VIEW).load(ref).frames).all()
    assert len(list(folder.iterdir())) == 6


def test_a_library_of_another_version_makes_its_own(tmp_path, video, monkeypatch):
    assert reads(video, tmp_path / "kept", "a", "a") == 1
    monkeypatch.setattr(cache, "_libraries", lambda: ["av 99"])
    assert reads(video, tmp_path / "kept", "a") == 1


def later(path):
    """Move the time of change on, as the clock of a test may not have ticked."""
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))


def test_a_changed_video_is_read_again(tmp_path, video):
    load(video, tmp_path / "kept")
    encode(video, 255 - SOURCE, "ffv1", "bgr0")
    later(video)
    assert (load(video, tmp_path / "kept") == load(video, None)).all()


def test_an_image_written_over_in_place_is_read_again(tmp_path, frames):
    """The folder's own time of change stays as it was."""
    load(frames, tmp_path / "kept")
    before = frames.stat().st_mtime_ns
    for image in frames.iterdir():
        image.write_bytes((frames / "img_00001.png").read_bytes())
        later(image)
    assert frames.stat().st_mtime_ns == before
    assert (load(frames, tmp_path / "kept") == load(frames, None)).all()


def test_images_outside_the_span_do_not_matter(tmp_path, frames):
    count = []
    for image in (None, "img_00009.png", "img_00002.png"):
        if image:
            later(frames / image)
        cached(tmp_path / "kept", frames, (), lambda: count.append(1) or sampled(), span=(0, 4))
    assert len(count) == 2  # the second image of the span was changed, the ninth is outside


@pytest.mark.parametrize("kept", [0, 1, 10, 0.3, 0.7, -1])
def test_a_truncated_copy_is_made_anew(tmp_path, video, kept):
    reads(video, tmp_path / "kept", "a")
    (copy,) = (tmp_path / "kept").iterdir()
    content = copy.read_bytes()
    copy.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    assert reads(video, tmp_path / "kept", "a", "a") == 1
    assert len(copy.read_bytes()) == len(content)


def test_a_flipped_byte_is_never_taken_for_frames(tmp_path, video):
    """Bytes all over it, in turn: either nothing of the clip lies there, or the copy is made anew."""
    reads(video, tmp_path / "kept", "a")
    (copy,) = (tmp_path / "kept").iterdir()
    content, good = copy.read_bytes(), sampled()
    for place in range(0, len(content), 7):
        copy.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        found = cached(tmp_path / "kept", video, "a", sampled)
        assert np.array_equal(found.frames, good.frames), place
        assert np.array_equal(found.indices, good.indices), place
        assert found.window == good.window, place


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_full_disk_costs_a_warning(tmp_path, video, monkeypatch, caplog, reason):
    def full(path, sampled):
        path.write_bytes(b"half of it")
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(cache, "_write", full)
    with caplog.at_level(logging.WARNING):
        assert reads(video, tmp_path / "kept", "a", "b", "a") == 3
    (record,) = caplog.records  # said once
    assert os.strerror(reason) in record.getMessage()
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_file_in_place_of_the_folder_costs_a_warning(tmp_path, video, caplog):
    (tmp_path / "kept").touch()
    assert reads(video, tmp_path / "kept", "a", "a") == 2
    assert len(caplog.records) == 1


def test_failures_are_not_kept(tmp_path):
    path, folder = tmp_path / "clip.avi", tmp_path / "kept"
    assert reads(path, folder, "a", "a") == 2  # there is no such video
    assert not folder.exists()


@pytest.mark.slow
def test_processes_share_a_folder(tmp_path, video):
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        "from pathlib import Path\n"
        "from helpers.faulty_datasets import Videos\n"
        f"for frames in range(1, 9):\n"
        f"    data = Videos({str(video)!r}, frames=frames, height=16, width=24, cache={str(tmp_path / 'kept')!r})\n"
        "    print(int(data.load(data.clips[0]).frames.astype(int).sum()))\n"
    )
    both = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) for _ in range(2)]
    sums = {process.communicate()[0] for process in both}
    expected = [int(load(video, None, frames=count).astype(int).sum()) for count in range(1, 9)]
    assert [[int(line) for line in each.split()] for each in sums] == [expected]
    assert len(list((tmp_path / "kept").iterdir())) == 8


def test_a_flipped_bit_of_a_header_is_never_taken_for_frames(tmp_path, video):
    """The headers of the zip and of the array: one that asks for fewer bytes than there are must not pass. The frames
    are more than zipfile reads, and compares with their checksum, even if it is asked for one byte."""
    good = Sampled(noise(4, (48, 48)), np.arange(4), Window(48, 48, 0, 0, 48, 48))
    cached(tmp_path / "kept", video, "a", lambda: good)
    (copy,) = (tmp_path / "kept").iterdir()
    content = copy.read_bytes()
    for place, bit in product(range(200), range(8)):
        copy.write_bytes(content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :])
        found = cache._load(copy)
        if found is not None:
            assert found.frames.dtype == good.frames.dtype, (place, bit)
            assert np.array_equal(found.frames, good.frames), (place, bit)
            assert np.array_equal(found.indices, good.indices), (place, bit)
            assert found.window == good.window, (place, bit)


def test_a_broken_link_beside_the_sampled_images_costs_the_copy_only(tmp_path, frames):
    (frames / "img_00013.png").symlink_to(tmp_path / "gone.png")
    assert reads(frames, tmp_path / "kept", "a", "a") == 2
    assert load(frames, tmp_path / "kept", sampling="window").shape == (4, 16, 24, 3)
