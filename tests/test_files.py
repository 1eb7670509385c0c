"""Files that appear whole or not at all, the lock for those that are changed, and what killed processes left."""

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from vxbench.errors import UserError
from vxbench.files import (
    check_writable,
    clear_leftovers,
    clear_scratch,
    fitted,
    locked,
    scratch,
    temporary,
    write_whole,
)


def _write_often(path, byte):
    for _ in range(50):
        write_whole(path, bytes([byte]) * 100_000)


def test_readers_never_see_a_part_while_several_processes_write_one_path(tmp_path):
    path = tmp_path / "new/folder/file"
    write_whole(path, b"\0" * 100_000)
    writers = [multiprocessing.Process(target=_write_often, args=(path, byte)) for byte in range(3)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        content = path.read_bytes()
        assert (len(content), len(set(content))) == (100_000, 1)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert [file.name for file in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_a_writer_that_fails_leaves_the_old_file_alone(tmp_path, error):
    (tmp_path / "file").write_bytes(b"old")

    def half(temporary):
        temporary.write_bytes(b"half")
        raise error

    with pytest.raises(type(error)):
        write_whole(tmp_path / "file", half)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("file", b"old")]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_the_mode_is_as_the_umask_says_whatever_the_writer_did(tmp_path, mask):
    def private(temporary):
        temporary.unlink()
        os.close(os.open(temporary, os.O_CREAT, 0o600))

    before = os.umask(mask)
    try:
        write_whole(tmp_path / "plain", b"")
        write_whole(tmp_path / "private", private)
    finally:
        os.umask(before)
    assert {file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {0o666 & ~mask}


def _count_up(path):
    for _ in range(50):
        with locked(path):
            write_whole(path, str(int(path.read_text()) + 1).encode())


def test_changes_under_a_lock_are_not_lost(tmp_path):
    (tmp_path / "number").write_text("0")
    workers = [multiprocessing.Process(target=_count_up, args=(tmp_path / "number",)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (tmp_path / "number").read_text() == "150"


def test_a_lock_neither_empties_nor_follows_what_has_its_name(tmp_path):
    kept = tmp_path / "kept"
    kept.write_text("mine")
    (tmp_path / ".a.lock").symlink_to(kept)
    with pytest.raises(OSError, match="a link stands in the place of a lock"), locked(tmp_path / "a"):
        pass
    (tmp_path / ".b.lock").write_text("mine too")
    with locked(tmp_path / "b"):
        pass
    assert (kept.read_text(), (tmp_path / ".b.lock").read_text()) == ("mine", "mine too")


def test_a_lock_has_a_name_that_fits(tmp_path):
    with locked(tmp_path / ("é" * 127)):
        assert len(list(tmp_path.iterdir())) == 1


def test_who_waits_for_a_lock_gives_up_in_time(tmp_path):
    waited = []
    with locked(tmp_path / "a"), pytest.raises(TimeoutError), locked(tmp_path / "a", 0.1, lambda: waited.append(1)):
        pass
    assert waited == [1]


@pytest.mark.parametrize(
    ("stem", "ending", "name"),
    [
        ("map", ".npz", "map.npz"),
        ("a" * 300, ".npz", "a" * 251 + ".npz"),
        ("日" * 100, "", "日" * 85),
        ("é" * 127, "x", "é" * 127 + "x"),
    ],
)
def test_a_name_is_cut_to_what_fits_in_bytes(stem, ending, name, tmp_path):
    assert fitted(stem, ending) == name
    (tmp_path / name).touch()


LEAVES = """
import os, pathlib, sys
from vxbench.files import scratch, temporary
held = scratch()
pathlib.Path(held.name, "packed").write_bytes(b"x")
temporary(pathlib.Path(sys.argv[1], "part")).write_bytes(b"x")
folder = temporary(pathlib.Path(sys.argv[1], "folder"))
folder.mkdir()
(folder / "inside").touch()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def leaving(tmp_path, monkeypatch):
    """A process with a scratch folder, and a file and a folder on their way into tmp_path/cell."""
    for name in ("tmp", "cell"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", LEAVES, str(tmp_path / "cell")], **streams)
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()


def swept(root: Path) -> int:
    """What is left after a sweep."""
    clear_scratch()
    clear_leftovers(root, below=True)
    return len([*(root / "tmp").iterdir(), *(root / "cell").iterdir()])


def test_what_a_killed_process_left_goes_and_what_a_living_one_has_stays(leaving, tmp_path):
    assert swept(tmp_path) == 3
    os.kill(leaving.pid, signal.SIGSTOP)
    assert swept(tmp_path) == 3
    os.kill(leaving.pid, signal.SIGKILL)
    while Path(f"/proc/{leaving.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
    assert swept(tmp_path) == 0  # although nobody has waited for it yet


def test_the_next_write_into_a_folder_clears_it(leaving, tmp_path):
    leaving.kill()
    leaving.wait()
    write_whole(tmp_path / "cell" / "file", b"")
    assert [path.name for path in (tmp_path / "cell").iterdir()] == ["file"]


@pytest.mark.parametrize("name", [".00000000-1-1-abc.tmp", ".0123456789abcdef0123456789abcdef.tmp"])
def test_what_another_machine_or_nobody_left_goes_when_it_is_old(name, tmp_path):
    (tmp_path / name).touch()
    clear_leftovers(tmp_path)
    assert list(tmp_path.iterdir())
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(tmp_path / name, (two_days_ago, two_days_ago))
    clear_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())


def test_other_folders_of_the_temporary_folder_are_not_touched(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names = ["vxbench-gpus-0", "vxbench-mydata01", "vxbench-notes"]
    for name in names:
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (0, 0))
    with scratch():
        assert len(list(tmp_path.iterdir())) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_a_reused_number_of_a_process_does_not_keep_its_leftovers(tmp_path):
    part = temporary(tmp_path / "file")
    machine, process, _, rest = part.name.split("-")
    (tmp_path / f"{machine}-{process}-1-{rest}").touch()
    part.touch()
    clear_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [part]


def test_what_can_be_written_is_tried_without_a_trace(tmp_path):
    check_writable("paths.results", tmp_path / "new/folder/file", tmp_path / "file")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("file/below", "Not a directory"),
        ("file/below/more", "Not a directory"),
        ("folder", "it is a folder"),
        ("nowhere/below", "No such file or directory"),
        ("a" * 300, "File name too long"),
        ("a" * 300 + "/below", "File name too long"),
        ("/proc/x/file", "No such file or directory"),
    ],
)
def test_what_cannot_be_written_is_said_beforehand(place, why, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "nowhere").symlink_to(tmp_path / "absent")
    with pytest.raises(UserError) as caught:
        check_writable("paths.results", tmp_path / place)
    assert str(caught.value) == (
        f"{tmp_path / place} cannot be written: {why}; nothing was computed; "
        "set paths.results to a place that can be written to"
    )
    assert len(list(tmp_path.iterdir())) == 3


def test_a_full_disk_is_said_beforehand(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(UserError, match="No space left on device; nothing was computed"):
        check_writable("paths.results", tmp_path / "file")
    assert not list(tmp_path.iterdir())
