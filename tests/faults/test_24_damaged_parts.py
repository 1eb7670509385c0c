"""A damaged, edited or foreign file of a cell is set aside by name and made again by a run; it stops no reader."""

import re
import shutil
from unittest import mock

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from helpers.stores import CLIPS, commit, files, filled, line, part_of, picture, rewritten, said_by, with_column

from vxbench.runner import rows
from vxbench.runner.outcome import Outcome, read_outcomes
from vxbench.runner.parts import _digest
from vxbench.runner.rows import encoded, table_of
from vxbench.runner.store import Store, frame

LOST, *KEPT = CLIPS


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(content)


def edited(path):
    rewritten(path, lambda table: with_column(table, "value", pa.array([99.0] * len(table))))


BROKEN = {
    "cut": cut,
    "empty": lambda path: path.write_bytes(b""),
    "flipped": flipped,
    "edited": edited,
    "no parquet": lambda path: path.write_bytes(b"PAR1 and no more"),
}


def as_written(path, content):
    """Puts content in a part's place under a name that fits it."""
    path.unlink()
    path.with_name(f"part-0-{_digest(content)}.parquet").write_bytes(content)


def of_another_cell(path):
    table = table_of(frame([line(LOST)]).assign(attempt=0))
    as_written(path, encoded([table], "another"))


def of_a_later_version(path):
    table = table_of(frame([line(LOST)]).assign(attempt=0))
    with mock.patch.object(rows, "VERSION", 2):
        content = encoded([table], path.parent.name)
    as_written(path, content)


def as_before_checksums(change):
    """A part under the name that earlier versions gave, which says nothing of its content."""

    def damage(path):
        rewritten(path, lambda table: change(table.drop_columns(["attempt"]).replace_schema_metadata()))
        path.rename(path.with_name("part-0123456789abcdef.parquet"))

    return damage


def texts(table):
    return with_column(table, "value", pa.array(["much"] * len(table)))


def no_status(table):
    return with_column(table, "status", pa.array(["done"] * len(table)))


def without_clip(table):
    return with_column(table, "clip", pa.array([None] * len(table), pa.string()))


STRANGE = {
    "another cell": (of_another_cell, "is of another cell, another"),
    "later version": (of_a_later_version, "version 2"),
    "older columns": (as_before_checksums(lambda table: table.drop_columns(["weight"])), "lacks the column weight"),
    "more columns": (as_before_checksums(lambda table: table.append_column("x", table["value"])), "has the column x"),
    "text for numbers": (as_before_checksums(texts), "has string in the column value, where double belongs"),
    "unknown status": (as_before_checksums(no_status), "status is none of ok, failed"),
    "no clip": (as_before_checksums(without_clip), "has a row without clip"),
}
DAMAGED = {name: (damage, "") for name, damage in BROKEN.items()} | STRANGE


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_part_is_left_out_by_readers_and_set_aside_by_a_run(tmp_path, damage):
    store, (spoil, why) = filled(tmp_path / "cell"), DAMAGED[damage]
    whole = store.rows()
    spoil(part_of(store, LOST))
    before, reader = files(tmp_path), Store(store.folder)
    [said] = said_by(lambda: [reader.rows(), reader.done(), reader.rows()])
    assert re.fullmatch(r"note: .*/cell/part-\S+\.parquet .+; it is left out", said)
    assert why in said
    assert reader.done() == set(KEPT)
    assert files(tmp_path) == before

    run = Store(store.folder)
    [said] = said_by(run.begin)
    assert re.fullmatch(r"note: .*/(part-\S+\.parquet) .+; set aside as .*/set-aside/\1, and made again", said)
    assert run.done() == set(KEPT)
    commit(run, LOST)
    pd.testing.assert_frame_equal(run.rows(), whole, check_exact=True)
    assert said_by(Store(store.folder).begin) == []


def test_parts_of_earlier_versions_that_are_sound_are_read(tmp_path):
    store = filled(tmp_path / "cell")
    whole = store.rows()
    as_before_checksums(lambda table: table)(part_of(store, LOST))
    assert said_by(lambda: pd.testing.assert_frame_equal(Store(store.folder).rows(), whole, check_exact=True)) == []
    store.finish()
    assert [path.name[:7] for path in store.folder.glob("part-*")] == ["part-1-"]
    pd.testing.assert_frame_equal(Store(store.folder).rows(), whole, check_exact=True)


def test_a_file_of_any_other_name_is_read_or_set_aside_as_well(tmp_path):
    store = filled(tmp_path / "cell", KEPT)
    (store.folder / "part-mine.parquet").write_bytes(b"no rows")
    [said] = said_by(Store(store.folder).begin)
    assert "part-mine.parquet is no file of rows" in said
    assert store.done() == set(KEPT)


@pytest.mark.parametrize("damage", [cut, lambda path: path.write_bytes(b""), "another's"])
def test_a_damaged_picture_is_set_aside_and_its_clip_computed_again(tmp_path, damage):
    store = Store(tmp_path / "cell")
    store.commit(frame([line(clip) for clip in CLIPS]), [picture(clip) for clip in CLIPS[:2]])
    first, second = sorted(store.folder.glob("pictures/*.npz"))
    shutil.copy(second, first) if damage == "another's" else damage(first)
    [kept] = store.pictures()
    assert store.done() == set(CLIPS)  # until a run has set it aside
    store.begin()
    [again] = set(CLIPS) - store.done()
    assert {again, kept.clip} == set(CLIPS[:2])
    assert store.lacks_picture(again)
    store.commit(frame([line(again)]), [picture(again)])
    assert store.done() == set(CLIPS)
    assert [found.clip for found in store.pictures()] == sorted(CLIPS[:2])


def test_a_flipped_bit_of_a_picture_is_found_or_changes_nothing_that_is_drawn(tmp_path):
    store = Store(tmp_path)
    store.commit(frame([line(LOST)]), [picture(LOST)])
    [path] = store.folder.glob("pictures/*.npz")
    content, [whole] = path.read_bytes(), store.pictures()
    found = 0
    for place in range(0, len(content), 5):
        path.write_bytes(content[:place] + bytes([content[place] ^ 16]) + content[place + 1 :])
        drawn = store.pictures()
        found += not drawn
        assert all(np.array_equal(one.saliency, whole.saliency) for one in drawn)
        assert all(np.array_equal(one.frames, whole.frames) for one in drawn)
    assert found > len(content) / 20


@pytest.mark.parametrize("content", [b"", b"[", b'{"run": "1"}', b"[1]", b"\xff\xfe"])
def test_provenance_that_was_half_written_is_made_anew(tmp_path, content):
    store = Store(tmp_path)
    store.record_run({"run": "1"})
    (tmp_path / "provenance.json").write_bytes(content)
    assert Store(tmp_path).runs() == []
    store.record_run({"run": "2"})
    assert store.runs() == [{"run": "2"}]
    assert (tmp_path / "set-aside" / "provenance.json").read_bytes() == content


@pytest.mark.parametrize("keep", [0, 1, 40, 70, -1])
def test_a_draw_that_was_cut_excludes_no_clip_and_is_set_aside(tmp_path, keep):
    store = filled(tmp_path / "cell")
    store.record_draw(CLIPS)
    path = store.folder / "clips.txt"
    path.write_bytes(path.read_bytes()[:keep])
    assert Store(store.folder).draw() is None
    assert set(Store(store.folder).rows()["clip"]) == set(CLIPS)
    store.begin()
    assert not path.exists()


@pytest.mark.parametrize("name", ["not_applicable.txt", "config.yaml"])
def test_an_empty_note_is_none(tmp_path, name):
    store = filled(tmp_path / "cell")
    (store.folder / name).write_bytes(b"")
    assert (store.read_note(name), store.identity()) == ("", {})
    store.begin()
    assert not (store.folder / name).exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"model": "tsm"}', b"\xff"])
def test_a_damaged_outcome_blocks_no_other(tmp_path, content):
    for job in ("0", "1"):
        Outcome("tsm", "ucf101", "fep", job).write(tmp_path / job)
    (tmp_path / "0" / "outcome.json").write_bytes(content)
    assert [outcome.cell for outcome in read_outcomes(tmp_path)] == ["1"]


@pytest.mark.slow
def test_the_next_run_computes_what_was_damaged(runner):
    cell = ("model=tsm", "explainer=centre", "metric=topk", "dataset.per_class=1")
    assert runner.here(*cell).returncode == 0
    whole = runner.rows()
    [part] = runner.results.glob("cells/*/part-*.parquet")
    flipped(part)
    done = runner.here(*cell)
    assert done.returncode == 0, done.stderr
    assert "8 of 8 clips computed" in done.stdout
    assert f"set-aside/{part.name}" in done.stderr
    pd.testing.assert_frame_equal(runner.rows(), whole, check_exact=True)
