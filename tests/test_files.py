"""Files that appear whole or not at all, and the lock for those that are read, changed and written."""

import multiprocessing
import os

import pytest

from vxbench.files import locked, write_whole


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
