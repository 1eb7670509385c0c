"""Nothing but regular files is opened below the results, and rows of clips that a cell does not have count nowhere."""

import os
import shutil
import stat

import pytest
from helpers.stores import CLIPS, commit, files, filled, line, part_of, picture, said_by

from vxbench.errors import UserError
from vxbench.runner.store import Store, frame
from vxbench.sweeps.grid import read_grid
from vxbench.tables.record import readable_records

pytestmark = pytest.mark.timeout(60)  # a FIFO hangs whoever opens it

LOST, *KEPT = CLIPS


def device(path):
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero, which never ends
    except PermissionError:
        pytest.skip("only root may make a device")


def endless(path):
    path.symlink_to("/dev/zero")


def loop(path):
    path.symlink_to(path.name)


def nowhere(path):
    path.symlink_to("nothing")


def full_folder(path):
    path.mkdir()
    (path / "file").touch()


def to_a_copy(path):
    """A link to what was there, which is good: still it is nothing that a run wrote."""
    copy = path.with_name("elsewhere")
    copy.write_bytes(b"")
    path.symlink_to(copy)


IN_PLACE = (os.mkfifo, device, endless, loop, nowhere, full_folder, to_a_copy)


@pytest.mark.parametrize("put", IN_PLACE)
def test_what_lies_in_place_of_a_part_is_moved_and_not_opened(tmp_path, put):
    store = filled(tmp_path / "cell")
    path = part_of(store, LOST)
    path.unlink()
    put(path)
    [said] = said_by(lambda: [Store(store.folder).rows(), Store(store.folder).done()])
    assert said.startswith(f"note: {path} is a ")
    assert said.endswith(" and no file; it is left out")
    assert Store(store.folder).done() == set(KEPT)
    run = Store(store.folder)
    run.begin()
    assert os.path.lexists(store.folder / "set-aside" / path.name)
    commit(run, LOST)
    run.finish()
    assert run.done() == set(CLIPS)


@pytest.mark.parametrize("put", IN_PLACE)
@pytest.mark.parametrize("name", ["clips.txt", "config.yaml", "provenance.json", "not_applicable.txt"])
def test_what_lies_in_place_of_a_note_is_moved_and_not_opened(tmp_path, name, put):
    store = filled(tmp_path / "cell")
    put(store.folder / name)
    assert (store.draw(), store.identity(), store.runs(), store.read_note(name)) == (None, {}, [], "")
    store.begin()
    store.record_draw(CLIPS)
    store.record_run({"run": "1"})
    assert os.path.lexists(store.folder / "set-aside" / name)
    assert (store.draw(), store.runs()) == (list(CLIPS), [{"run": "1"}])


@pytest.mark.parametrize("put", IN_PLACE)
def test_what_lies_in_place_of_a_picture_is_moved_and_not_opened(tmp_path, put):
    store = Store(tmp_path / "cell")
    store.commit(frame([line(LOST)]), [picture(LOST)])
    [path] = store.folder.glob("pictures/*.npz")
    path.unlink()
    put(path)
    assert store.pictures() == []
    store.begin()
    assert store.done() == set()
    store.commit(frame([line(LOST)]), [picture(LOST)])
    assert [found.clip for found in store.pictures()] == [LOST]


@pytest.mark.parametrize("put", [os.mkfifo, device, endless, lambda path: path.touch()])
def test_what_lies_in_place_of_a_cell_is_no_cell(tmp_path, put):
    put(tmp_path / "cell")
    store = Store(tmp_path / "cell")
    assert (len(store.rows()), store.done(), store.pictures(), store.draw(), store.runs()) == (0, set(), [], None, [])
    with pytest.raises(UserError, match="cannot be written"):
        commit(store, LOST)


@pytest.mark.parametrize("put", IN_PLACE)
def test_what_lies_in_place_of_a_table_or_grid_is_not_opened(tmp_path, put):
    (tmp_path / "tables").mkdir()
    put(tmp_path / "tables" / "fep_1.json")
    [said] = said_by(lambda: readable_records(tmp_path))
    assert "fep_1.json: not the record of a table" in said
    put(tmp_path / "grid.csv")
    with pytest.raises(UserError, match=r"grid\.csv cannot be read"):
        read_grid(tmp_path / "grid.csv")


def test_foreign_clips_enter_no_rows_and_no_pictures(tmp_path):
    store = filled(tmp_path / "cell")
    store.record_draw(CLIPS)
    other = Store(tmp_path / "other" / "cell")  # another results folder, where the cell has other clips
    other.commit(frame([line("Foreign/v_1", 1e9)]), [picture("Foreign/v_1")])
    shutil.copytree(other.folder, store.folder, dirs_exist_ok=True)
    store.begin()
    assert set(store.rows()["clip"]) == set(CLIPS)
    assert store.pictures() == []


def test_reading_writes_nothing_wherever_it_looks(tmp_path):
    store = filled(tmp_path / "cell")
    os.mkfifo(store.folder / "part-0-0123456789abcdef.parquet")
    before = files(tmp_path)
    reader = Store(store.folder)
    for read in (reader.rows, reader.done, reader.pictures, reader.draw, reader.runs, reader.identity):
        read()
    assert files(tmp_path) == before
