"""The store: rows whole or not at all, a success outlives every failure."""

import json
import multiprocessing
import os

import numpy as np
import pytest

from vxbench.errors import UserError
from vxbench.files import write_whole
from vxbench.runner.store import Picture, Store, failure, frame


def ok(clip, value, metric="dc"):
    row = {"clip": clip, "label": 0, "target": 1, "status": "ok", "metric": metric}
    return row | {"value": value, "reason": "", "degenerate": False}


def test_rows_come_back_sorted_and_typed(tmp_path):
    store = Store(tmp_path / "cell")
    assert len(store.rows()) == 0
    store.commit(frame([ok("b", 1.5), ok("b", 2.5, "acc")]))
    store.commit(frame([ok("a", float("nan"))]))
    rows = store.rows()
    assert list(zip(rows["clip"], rows["metric"], strict=True)) == [("a", "dc"), ("b", "acc"), ("b", "dc")]
    assert rows["value"].dtype == np.float64
    assert store.done() == {"a", "b"}


def test_a_failed_clip_is_not_done_and_a_later_success_replaces_it(tmp_path):
    store = Store(tmp_path)
    store.commit(frame([ok("a", 1.0), failure("b", 0, "missing", "no file")]))
    assert store.done() == {"a"}
    assert store.rows()["reason"].tolist() == ["", "missing: no file"]
    store.commit(frame([ok("b", 2.0)]))
    assert store.done() == {"a", "b"}
    assert store.rows()["status"].tolist() == ["ok", "ok"]
    store.commit(frame([failure("b", 0, "timeout", "slow disk")]))
    assert store.rows()["status"].tolist() == ["ok", "ok"]


def test_rows_outside_the_draw_count_nowhere(tmp_path):
    """Clips that were drawn once, of a copy of the data with other gaps, stay in the store."""
    store = Store(tmp_path)
    store.commit(frame([ok("a", 1.0), ok("b", 3.0), failure("c", 0, "missing", "no file")]))
    store.record_draw(["a", "d"])
    assert store.rows()["clip"].tolist() == ["a"]
    store.record_draw(["a", "b", "c"])
    assert store.rows()["clip"].tolist() == ["a", "b", "c"]
    assert store.draw() == ["a", "b", "c"]


def test_a_draw_of_an_earlier_version_has_no_seal(tmp_path):
    store = Store(tmp_path)
    store.note("clips.txt", "a\nb c\n")
    assert store.draw() == ["a", "b c"]
    store.record_draw(["a", "b c"])
    assert store.draw() == ["a", "b c"]


def test_a_clip_computed_again_takes_the_place_of_its_rows(tmp_path):
    Store(tmp_path).commit(frame([ok("a", 0.25), ok("b", 1.0)]))
    store = Store(tmp_path)
    store.begin()
    store.commit(frame([ok("a", 0.5)]))
    store.commit(frame([failure("b", 0, "timeout", "slow disk")]))
    assert store.rows()["value"].tolist() == [0.5, 1.0]
    assert store.rows()["status"].tolist() == ["ok", "ok"]


def test_the_last_of_several_failures_is_told(tmp_path):
    for why in ("2: no file", "1: no frame", "3: no frame", "2: no file"):
        store = Store(tmp_path)
        store.begin()
        store.commit(frame([failure("a", 0, "missing", why)]))
    assert store.rows()["reason"].tolist() == ["missing: 2: no file"]


def test_two_processes_that_write_the_same_clips_leave_one_set_of_rows(tmp_path):
    for _ in range(2):
        Store(tmp_path).commit(frame([ok("a", 1.0), ok("b", 2.0)]))
    assert len(Store(tmp_path).rows()) == 2
    assert len(list(tmp_path.glob("part-*.parquet"))) == 1


def test_a_write_that_breaks_leaves_nothing_behind(tmp_path, monkeypatch):
    store = Store(tmp_path)

    def full_disk(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\); make room"):
        store.commit(frame([ok("a", 1.0)]))
    assert list(tmp_path.iterdir()) == []


def test_a_leftover_of_a_killed_writer_is_not_read(tmp_path):
    store = Store(tmp_path)
    store.commit(frame([ok("a", 1.0)]))
    (tmp_path / ".abc123.parquet").write_bytes(b"half a file")
    assert len(store.rows()) == 1


@pytest.mark.parametrize("boxed", [True, False])
def test_pictures_round_trip(tmp_path, boxed):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
    boxes = rng.random((2, 4, 5)) > 0.5 if boxed else None
    picture = Picture("Class/v_Class_g01_c01", rng.random((2, 4, 5)).astype(np.float32), frames, boxes)
    store = Store(tmp_path)
    store.commit(frame([ok(picture.clip, 1.0)]), [picture])
    (back,) = store.pictures()
    assert back.clip == picture.clip
    np.testing.assert_array_equal(back.frames, frames)
    np.testing.assert_allclose(back.saliency, picture.saliency, atol=5e-4)  # kept as float16: 11 bits
    assert boxes is None or np.array_equal(back.boxes, boxes)


def test_how_a_clip_is_pooled_and_its_curve_come_back(tmp_path):
    store = Store(tmp_path)
    store.commit(frame([ok("a", 0.5) | {"weight": 7.0, "group": 3, "curve": [0.25, 1.0]}, ok("b", 1.0)]))
    first, second = store.rows().itertuples()
    assert (first.weight, first.group, list(first.curve)) == (7, 3, [0.25, 1.0])
    assert (second.weight, second.group, second.curve) == (1, 0, None)


def test_what_a_killed_process_left_half_written_is_not_read(tmp_path):
    store, left = Store(tmp_path), []
    for name in ("pictures/x.npz", "part-x.parquet", "provenance.json"):

        def die(path):
            left.append(path)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_whole(tmp_path / name, die)
    for path in left:  # as kill -9 leaves them
        path.write_bytes(b"half")
    assert store.pictures() == []
    assert len(store.rows()) == 0
    assert store.read_note("provenance.json") == ""


def test_results_can_be_read_by_others(tmp_path):
    Store(tmp_path).commit(frame([ok("a", 1.0)]))
    mask = os.umask(0)
    os.umask(mask)
    [part] = tmp_path.glob("part-*")
    assert part.stat().st_mode & 0o777 == 0o666 & ~mask


def _record(folder, number):
    Store(folder).record_run({"run": f"{number}"})


def test_runs_recorded_at_the_same_time_are_all_kept(tmp_path):
    workers = [multiprocessing.Process(target=_record, args=(tmp_path, i)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    Store(tmp_path).record_run({"run": "2", "finished": True})
    runs = json.loads((tmp_path / "provenance.json").read_text())
    assert sorted(run["run"] for run in runs) == ["0", "1", "2", "3"]
    assert [run for run in runs if run.get("finished")] == [{"run": "2", "finished": True}]
