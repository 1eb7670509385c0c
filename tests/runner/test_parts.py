"""Parts: merged by any number of processes, killed anywhere, without a row lost or a value changed."""

import itertools
import multiprocessing
import os
import random
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.stores import CLIPS, commit, fail, filled, line, parts, said_by

from vxbench.runner import parts as room
from vxbench.runner.store import Store, frame


class Killed(BaseException):
    """kill -9, as far as a process can be killed and go on."""


def names(store):
    return [path.name for path in parts(store)]


def test_a_finished_cell_is_one_file_of_a_higher_level(tmp_path):
    store = filled(tmp_path / "cell")
    whole = store.rows()
    assert len(parts(store)) == len(CLIPS)
    store.finish()
    [name] = names(store)
    assert name.startswith("part-1-")
    pd.testing.assert_frame_equal(Store(store.folder).rows(), whole, check_exact=True)
    store.finish()
    assert names(store) == [name]


def test_many_parts_are_merged_while_a_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "FULL", 8)
    store = Store(tmp_path / "cell")
    clips = [f"c{i:03d}" for i in range(2 * room.FULL + 3)]
    most = 0
    for clip in clips:
        store.commit(frame([line(clip)]))
        most = max(most, len(parts(store)))
    assert most <= room.FULL + 1  # seven of level 0, two of level 1
    assert store.rows()["clip"].tolist() == clips


def test_what_is_large_stays_in_files_of_its_own(tmp_path, monkeypatch):
    store = filled(tmp_path / "cell")
    monkeypatch.setattr(room, "LARGEST", sum(path.stat().st_size for path in parts(store)[:3]) + 9)
    whole = store.rows()
    store.finish()
    assert len(parts(store)) == 2
    pd.testing.assert_frame_equal(store.rows(), whole, check_exact=True)


@pytest.mark.parametrize("step", range(8))
def test_killed_at_any_step_of_a_merge_no_row_is_lost(tmp_path, monkeypatch, step):
    """The steps are those that change the folder: the new part is renamed to its name, old ones are unlinked."""
    store, steps = filled(tmp_path / "cell"), itertools.count()
    whole = store.rows()

    def dying(action):
        def act(*args, **kwargs):
            if next(steps) == step:
                raise Killed
            return action(*args, **kwargs)

        return act

    with monkeypatch.context() as patch:
        for name in ("replace", "unlink"):
            patch.setattr(Path, name, dying(getattr(Path, name)))
        with suppress(Killed):
            store.finish()
    pd.testing.assert_frame_equal(Store(store.folder).rows(), whole, check_exact=True)
    store.finish()
    assert len(parts(store)) == 1
    pd.testing.assert_frame_equal(Store(store.folder).rows(), whole, check_exact=True)


def test_a_disk_without_room_for_the_merged_part_costs_nothing_but_time(tmp_path, monkeypatch):
    store = filled(tmp_path / "cell")
    before = names(store)

    def full_disk(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    store.finish()
    assert names(store) == before


@pytest.mark.parametrize("seed", range(20))
def test_what_holds_does_not_depend_on_how_parts_were_merged(tmp_path, seed):
    """Against the rule itself: ok before failed, then the last attempt, clip by clip and metric by metric."""
    draw = random.Random(seed)
    attempts = {clip: [draw.choice(["ok", "failed"]) for _ in range(draw.randint(1, 4))] for clip in CLIPS}
    expected = {}
    for clip, statuses in attempts.items():
        last_ok = max((i for i, status in enumerate(statuses) if status == "ok"), default=None)
        expected[clip] = float(last_ok) if last_ok is not None else f"missing: {len(statuses) - 1}"
    store = Store(tmp_path / "cell")
    for number in range(4):
        for clip in draw.sample(CLIPS, len(CLIPS)):
            if number >= len(attempts[clip]):
                continue
            store.begin()
            if attempts[clip][number] == "ok":
                store.commit(frame([line(clip, number), line(clip, number, "stc")]))
            else:
                fail(store, clip, str(number))
            if draw.random() < 0.4:
                listed = list(store._parts.listed())
                store._parts._merge(draw.sample(listed, draw.randint(1, len(listed))))
    rows = store.rows()
    found = {row.clip: row.reason if row.status == "failed" else row.value for row in rows.itertuples()}
    assert found == expected
    assert (rows.groupby("clip")["status"].nunique() == 1).all()
    store.finish()
    pd.testing.assert_frame_equal(store.rows(), rows, check_exact=True)


@pytest.mark.parametrize("order", [*itertools.permutations((1.0, 2.0, float("nan")))])
def test_of_rows_that_differ_in_one_attempt_the_same_holds_in_any_order(tmp_path, order):
    """Two processes that computed one clip at once, where sums are not done in a fixed order."""
    for value in order:
        store = Store(tmp_path / "cell")
        store.commit(frame([line("a", value, curve=[value])]))
        store.finish()
    assert store.rows()["value"].tolist() == [1.0]


def _work(folder, mine, barrier):
    store = Store(folder)
    store.begin()
    barrier.wait()
    for clip in mine:
        store.commit(frame([line(clip, len(clip))]))
        store.finish()


def test_processes_that_add_and_merge_at_once_lose_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "FULL", 3)
    clips = [f"c{i:03d}" for i in range(60)]
    barrier = multiprocessing.Barrier(4)
    shares = (clips[0::3], clips[1::3], clips[2::3], clips[:20])  # the last does what others do
    workers = [multiprocessing.Process(target=_work, args=(tmp_path / "cell", share, barrier)) for share in shares]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        before = set(Store(tmp_path / "cell").rows()["clip"])
        assert before <= set(Store(tmp_path / "cell").rows()["clip"])  # what was there once is never missed
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0, 0]
    assert Store(tmp_path / "cell").rows()["clip"].tolist() == clips
    assert said_by(Store(tmp_path / "cell").begin) == []


def test_a_part_that_is_merged_while_it_is_read_is_looked_for_again(tmp_path, monkeypatch):
    store = filled(tmp_path / "cell")
    reader, content_of, once = Store(store.folder), room.content_of, iter([store.finish])

    def merged_first(path):
        for merge in once:
            merge()
        return content_of(path)

    monkeypatch.setattr(room, "content_of", merged_first)
    assert reader.done() == set(CLIPS)


def test_a_listing_that_missed_a_merge_is_not_believed(tmp_path, monkeypatch):
    """A folder is read while a merge renames and deletes: neither the old parts nor the new one were in the list."""
    store = filled(tmp_path / "cell")
    whole = store._parts.listed()
    listings = iter([whole[:2], whole, whole])
    monkeypatch.setattr(store._parts, "_listed", lambda: next(listings))
    assert store._parts.listed() == whole


def test_parts_that_stay_listed_but_are_not_there_are_an_error(tmp_path, monkeypatch):
    store = filled(tmp_path / "cell")
    listed = store._parts.listed()
    store.finish()
    monkeypatch.setattr(room.Parts, "listed", lambda _: listed)
    monkeypatch.setattr(room, "PATIENCE", (0.0, 0.0))
    with pytest.raises(OSError, match="lists parts that are not there"):
        store.rows()


def test_rows_are_read_once_by_a_process_and_cannot_be_spoilt(tmp_path, monkeypatch):
    store = Store(tmp_path / "cell")
    store.commit(frame([line("a", 1.0, curve=[0.25, 0.5]), line("b", 2.0)]))
    whole = store.rows()
    spoilt = store.rows()
    spoilt.loc[:, "value"] = -1.0
    spoilt.loc[0, "clip"] = "x"
    with suppress(ValueError):  # it may be read-only
        spoilt.loc[0, "curve"][0] = 7.0
    reads = []
    monkeypatch.setattr(room.Parts, "read", lambda *_: reads.append(1))
    pd.testing.assert_frame_equal(Store(tmp_path / "cell").rows(), whole, check_exact=True)
    np.testing.assert_array_equal(store.rows().loc[0, "curve"], [0.25, 0.5])
    assert Store(tmp_path / "cell").done() == {"a", "b"}
    assert not reads


def test_a_part_that_is_replaced_under_a_process_is_read_again(tmp_path):
    store = filled(tmp_path / "cell")
    assert len(store.done()) == 4
    path = parts(store)[0]
    path.write_bytes(path.read_bytes()[:-1])
    assert len(store.done()) == 3


def test_a_process_keeps_few_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("vxbench.runner.store.IN_MEMORY", 5)
    from vxbench.runner.store import _read

    for name in "abc":
        filled(tmp_path / name, CLIPS[:1]).rows()
    commit(Store(tmp_path / "b"), CLIPS[1])
    assert sum(len(table) for _, table in _read.values()) <= 5
    assert len(Store(tmp_path / "b").rows()) == 4
