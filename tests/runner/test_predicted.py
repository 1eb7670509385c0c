"""How often a network is right on a cell's clips, for the foot of the table: what its rows say it predicts."""

import pyarrow.parquet as pq
import pytest
from helpers.stores import line

from vxbench.runner.assemble import Assembled
from vxbench.runner.job import run_cell
from vxbench.runner.multirun import cells
from vxbench.runner.store import Store, frame


@pytest.mark.slow
@pytest.mark.parametrize("more", [[], ["dataset.labels=ucf101", "model.num_classes=10", "model.checkpoint=null"]])
def test_a_cell_counts_the_clips_that_its_network_is_right_on(more, mini_test_split, tmp_path):
    """Top-1 is scored by another way: the metric of STEP's table 1 asks the network once more."""
    given = [f"paths.data={mini_test_split}", f"paths.results={tmp_path}", "dataset.per_class=2", *more]
    [config] = cells("+table=step_1", [*given, "model=r2plus1d", "hydra.sweeper.params.dataset=ucf101_24"])
    parts = Assembled(config)
    outcome, rows = run_cell(parts), parts.store.rows()
    top1 = rows[rows.metric == "top1"]
    assert (outcome.seen, outcome.right) == (len(top1), top1.value.sum())
    assert (outcome.seen, outcome.outputs) == (16, parts.outputs)
    again = run_cell(Assembled(config))
    assert (again.computed, again.seen, again.right) == (0, outcome.seen, outcome.right)


def test_parts_that_do_not_know_it_are_read(tmp_path):
    store = Store(tmp_path / "cell")
    store.commit(frame([line("a", 1.0), line("b", 2.0)]))
    [path] = store.folder.glob("part-*.parquet")
    early = pq.read_table(path).drop_columns(["predicted", "attempt"]).replace_schema_metadata()
    path.unlink()
    pq.write_table(early, store.folder / "part-0123456789abcdef.parquet")
    rows = store.rows()
    assert rows["value"].tolist() == [1.0, 2.0]
    assert rows["predicted"].tolist() == [-1, -1]
