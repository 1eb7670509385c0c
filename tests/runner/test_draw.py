"""A cell's rows are those of the clips that its last run drew, also where no clip had to be computed."""

import pytest
from helpers.configs import composed

from vxbench.runner.assemble import Assembled
from vxbench.runner.job import run_cell

pytestmark = pytest.mark.slow


@pytest.fixture
def run(monkeypatch, tmp_path, mini_data):
    """run(keep): the cell on the clips that `keep` takes of all, as a copy of the data with gaps draws others."""
    monkeypatch.setenv("VXBENCH_MINI_DATA", str(mini_data))
    words = ("explainer=centre", "metric=topk", "dataset.per_class=1", f"paths.results={tmp_path}")
    config = composed("model=tsm", *words, "runner.pictures=8")

    def act(keep, **settings):
        config.merge_with(settings)
        parts = Assembled(config, {"dataset": "ucf101_24", "explainer": "centre"})
        parts.dataset.clips = parts.dataset.clips[keep]
        return run_cell(parts), parts

    return act


def clips(rows) -> list[str]:
    return sorted(set(rows["clip"]))


def test_rows_of_another_draw_do_not_count(run):
    """Two draws, as of two copies of the data, that share two clips."""
    first, _ = run(slice(0, 5))
    second, parts = run(slice(3, 8))
    assert (first.computed, second.computed) == (5, 3)
    drawn = sorted(ref.id for ref in parts.dataset.clips)
    assert clips(parts.store.rows()) == drawn
    assert [picture.clip for picture in parts.store.pictures()] == drawn
    smaller, parts = run(slice(4, 6))
    assert smaller.computed == 0
    assert clips(parts.store.rows()) == sorted(ref.id for ref in parts.dataset.clips)


def test_a_shard_draws_all_clips_of_its_cell(run):
    for index in (0, 1):
        outcome, parts = run(slice(None), shard={"count": 2, "index": index})
        assert outcome.computed == 4
    assert len(clips(parts.store.rows())) == len(parts.store.draw()) == 8
