"""What a sweep over r_l and r_h leaves: a CSV a model and data set, and F-EP's Figure 5."""

import pandas as pd
import pytest
from finished_cells import cell, row
from hydra import compose, initialize_config_dir

from vxbench.errors import UserError
from vxbench.report.statistics import estimate
from vxbench.runner.config import conf_dir
from vxbench.runner.figures import fep_5
from vxbench.runner.outcome import Outcome
from vxbench.runner.store import Store, frame
from vxbench.runner.sweep import finish, grids, one_sided, read_grids


def config_of(results, *overrides):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return compose("run", ["+sweep=fep_bands", f"paths.results={results}", *overrides])


@pytest.fixture
def outcomes(tmp_path):
    return [
        cell(tmp_path, "b", 0.5, 0.0, [60.0, 40.0, 20.0]),
        cell(tmp_path, "a", 0.3, 0.0, [10.0, 30.0, float("nan")]),
        cell(tmp_path, "c", 0.3, 0.1, [90.0, 90.0, 90.0], marked=(100.0, 100.0, 0.0)),
        cell(tmp_path, "d", 1.0, 0.0, [1.0, 2.0, 3.0], model="tsm"),
    ]


def test_a_csv_has_the_mean_and_interval_of_every_cell(tmp_path, outcomes):
    paths = finish(config_of(tmp_path), outcomes)
    assert [path.name for path in paths] == [
        "fep_bands_r2plus1d_ucf101_24.csv",
        "fep_bands_tsm_ucf101_24.csv",
        "fep_5.png",
        "fep_5.pdf",
    ]
    table = pd.read_csv(paths[0])
    stc = table[table.metric == "stc"]
    assert list(zip(stc.r_l, stc.r_h, strict=True)) == [(0.3, 0.0), (0.3, 0.1), (0.5, 0.0)]
    last, wanted = stc.iloc[-1], estimate([60, 40, 20])
    assert (last["mean"], last.low, last.high, last.n) == (wanted.mean, wanted.low, wanted.high, 3)
    assert list(stc.n) == [2, 3, 3]  # a clip without a value is not counted
    assert list(stc.one_sided) == pytest.approx([1 / 3, 1, 1 / 3])  # decimal digits of a CSV
    assert set(table.metric) == {"stc", "area_above_tau"}
    assert list(table.columns[:7]) == ["r_l", "r_h", "metric", "mean", "low", "high", "n"]


def test_the_shards_of_a_cell_are_one_line(tmp_path, outcomes):
    once = grids(config_of(tmp_path), outcomes)
    twice = grids(config_of(tmp_path), outcomes + outcomes)
    for pair, grid in once.items():
        pd.testing.assert_frame_equal(grid, twice[pair])


def test_failed_clips_and_cells_are_left_to_the_others(tmp_path, outcomes):
    lost = row("c9", "", float("nan"), status="failed", reason="missing: gone")
    Store(tmp_path / "cells" / "b").commit(frame([lost]))
    failed = Outcome("r2plus1d", "ucf101_24", "fep", status="failed", message="explainer.r_l = 2 is outside [0, 1]")
    grid = grids(config_of(tmp_path), [*outcomes, failed])["r2plus1d", "ucf101_24"]
    assert set(grid.n) == {2, 3}
    assert len(grid) == 6


def test_a_sweep_without_a_cell_and_a_column_without_a_key_are_one_line(tmp_path, outcomes):
    with pytest.raises(UserError, match="no cell of the sweep fep_bands could be computed"):
        finish(config_of(tmp_path), [Outcome("tsm", "ucf101_24", "fep", status="failed")])
    config = config_of(tmp_path, "+sweep.columns.step=explainer.stepp")
    with pytest.raises(UserError, match=r"sweep.columns names explainer.stepp"):
        finish(config, outcomes)


def test_one_sided_counts_the_maps_that_mark_all_or_nothing():
    assert one_sided(frame([row(str(i), "area_above_tau", v) for i, v in enumerate([0.0, 100.0, 99.9, 0.1])])) == 0.5
    assert pd.isna(one_sided(frame([row("a", "stc", 5.0)])))


def test_the_figure_is_drawn_again_from_the_csvs_of_its_profile(tmp_path, outcomes):
    finish(config_of(tmp_path), outcomes)
    before = (tmp_path / "figures" / "fep_5.png").read_bytes()
    (tmp_path / "figures" / "fep_5.png").unlink()
    assert [path.name for path in fep_5.make(config_of(tmp_path))] == ["fep_5.png", "fep_5.pdf"]
    assert (tmp_path / "figures" / "fep_5.png").read_bytes() == before
    assert set(read_grids(tmp_path, "fep_bands", "mini")) == {("r2plus1d", "ucf101_24"), ("tsm", "ucf101_24")}
    with pytest.raises(UserError, match=r"run the sweep first: python scripts/run.py \+sweep=fep_bands profile=paper"):
        fep_5.make(config_of(tmp_path, "profile=paper"))


def test_the_figure_names_what_the_sweep_has_not_measured(tmp_path, outcomes):
    finish(config_of(tmp_path), outcomes)
    with pytest.raises(UserError, match=r"figure.metric = dc is not in the sweep .* which has area_above_tau, stc"):
        fep_5.make(config_of(tmp_path, "figure.metric=dc"))
