"""What a sweep over r_l and r_h leaves: a CSV a model and data set, and F-EP's Figure 5."""

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from helpers.configs import composed
from helpers.finished_cells import cell, row
from omegaconf import OmegaConf

from vxbench.commands.run import finish_sweep
from vxbench.errors import UserError
from vxbench.figures import fep_5
from vxbench.runner.outcome import Outcome
from vxbench.runner.store import Store, frame
from vxbench.sweeps.grid import Sweep, grids, one_sided, read_grid, read_grids
from vxbench.tables.statistics import estimate

pytestmark = pytest.mark.slow


def config_of(results, *overrides):
    config = composed("+sweep=fep_bands", *overrides)
    config.paths.results = str(results)
    return config


@pytest.fixture
def outcomes(tmp_path):
    return [
        cell(tmp_path, "b", 0.5, 0.0, [60.0, 40.0, 20.0]),
        cell(tmp_path, "a", 0.3, 0.0, [10.0, 30.0, float("nan")]),
        cell(tmp_path, "c", 0.3, 0.1, [90.0, 90.0, 90.0], marked=(100.0, 100.0, 0.0)),
        cell(tmp_path, "d", 1.0, 0.0, [1.0, 2.0, 3.0], model="tsm"),
    ]


def test_a_csv_has_the_mean_and_interval_of_every_cell(tmp_path, outcomes):
    paths = finish_sweep(config_of(tmp_path), outcomes)
    assert [path.name for path in paths] == [
        "fep_bands_mini_r2plus1d_ucf101_24.csv",
        "fep_bands_mini_tsm_ucf101_24.csv",
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
    once = grids(Sweep.of(config_of(tmp_path)), outcomes)
    twice = grids(Sweep.of(config_of(tmp_path)), outcomes + outcomes)
    for pair, grid in once.items():
        pd.testing.assert_frame_equal(grid, twice[pair])


def test_failed_clips_and_cells_are_left_to_the_others(tmp_path, outcomes):
    lost = row("c9", "", float("nan"), status="failed", reason="missing: gone")
    Store(tmp_path / "cells" / "b").commit(frame([lost]))
    failed = Outcome("r2plus1d", "ucf101_24", "fep", status="failed", message="explainer.r_l = 2 is outside [0, 1]")
    grid = grids(Sweep.of(config_of(tmp_path)), [*outcomes, failed])["r2plus1d", "ucf101_24"]
    assert set(grid.n) == {2, 3}
    assert len(grid) == 6


def test_a_sweep_without_a_cell_and_a_column_without_a_key_are_one_line(tmp_path, outcomes):
    with pytest.raises(UserError, match="no cell of the sweep fep_bands could be computed"):
        finish_sweep(config_of(tmp_path), [Outcome("tsm", "ucf101_24", "fep", status="failed")])
    config = config_of(tmp_path, "+sweep.columns.step=explainer.stepp")
    with pytest.raises(UserError, match=r"sweep.columns names explainer.stepp"):
        finish_sweep(config, outcomes)


def test_one_sided_counts_the_maps_that_mark_all_or_nothing():
    assert one_sided(frame([row(str(i), "area_above_tau", v) for i, v in enumerate([0.0, 100.0, 99.9, 0.1])])) == 0.5
    assert pd.isna(one_sided(frame([row("a", "stc", 5.0)])))


def test_the_figure_is_drawn_again_from_the_csvs_of_its_profile(tmp_path, outcomes):
    finish_sweep(config_of(tmp_path), outcomes)
    before = matplotlib.image.imread(tmp_path / "figures" / "fep_5.png")
    (tmp_path / "figures" / "fep_5.png").unlink()
    assert [path.name for path in fep_5.make(config_of(tmp_path))] == ["fep_5.png", "fep_5.pdf"]
    # The pixels: the file also holds the second in which it was made.
    np.testing.assert_array_equal(matplotlib.image.imread(tmp_path / "figures" / "fep_5.png"), before)
    assert set(read_grids(tmp_path, "fep_bands", "mini")) == {("r2plus1d", "ucf101_24"), ("tsm", "ucf101_24")}
    with pytest.raises(UserError, match=r"run the sweep first: vxbench run \+sweep=fep_bands profile=paper"):
        fep_5.make(config_of(tmp_path, "profile=paper"))


def test_the_figure_names_what_the_sweep_has_not_measured(tmp_path, outcomes):
    finish_sweep(config_of(tmp_path), outcomes)
    with pytest.raises(UserError, match=r"figure.metric = dc is not in the sweep .* which has area_above_tau, stc"):
        fep_5.make(config_of(tmp_path, "figure.metric=dc"))


def means(path):
    grid = read_grid(path)
    grid = grid[grid.metric == "stc"]
    return dict(zip(zip(grid.r_l, grid.r_h, strict=True), grid["mean"], strict=True))


def test_a_second_sweep_adds_to_the_lines_of_the_same_settings(tmp_path, outcomes, capsys):
    path, *_ = finish_sweep(config_of(tmp_path), outcomes)
    again = [cell(tmp_path, "e", 0.1 + 0.2, 0.1, [1.0, 1.0, 1.0]), cell(tmp_path, "f", 0.9, 0.0, [2.0, 2.0, 2.0])]
    assert finish_sweep(config_of(tmp_path), again)[0] == path
    # 0.1 + 0.2 is the share 0.3 but for rounding, so "e" takes the place of "c".
    assert means(path) == {(0.3, 0.0): 20, (0.1 + 0.2, 0.1): 1, (0.5, 0.0): 40, (0.9, 0.0): 2}
    assert "other settings" not in capsys.readouterr().out
    assert set(read_grid(path).weights) == {"12345678e1"}  # a digest that a reader of CSVs takes for a number


def test_lines_of_other_settings_give_place_and_other_profiles_stay(tmp_path, outcomes, capsys):
    path, *_ = finish_sweep(config_of(tmp_path), outcomes)
    kept = path.read_bytes()
    other = [cell(tmp_path, "g", 0.9, 0.0, [2.0, 2.0, 2.0], iterations=10)]
    finish_sweep(config_of(tmp_path, "profile=smoke"), other)
    assert path.read_bytes() == kept
    finish_sweep(config_of(tmp_path), other)
    assert means(path) == {(0.9, 0.0): 2}
    assert f"{path}: 6 lines of other settings are dropped" in capsys.readouterr().out


def test_a_line_says_how_its_cell_was_made(tmp_path):
    path, *_ = finish_sweep(config_of(tmp_path), [cell(tmp_path, "a", 0.5, 0.0, [1.0, 2.0], seed=3, iterations=7)])
    line = read_grid(path).iloc[0]
    assert (line.seed, line.iterations, line.target, line.weights) == (3, 7, "predicted", "12345678e1")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"seed": 1}, r"cells a and b are of one grid .* differ in seed; .* in explainer.r_l, explainer.r_h alone"),
        ({"iterations": 10}, "differ in explainer.iterations;"),
        ({"metric": {"stc": {"tau": 0.6}}}, "differ in metric.stc.tau;"),
    ],
)
@pytest.mark.parametrize("r_l", [0.3, 0.5])  # the same point twice, and two points
def test_cells_that_differ_in_more_than_the_swept_keys_are_refused(tmp_path, more, words, r_l):
    cells = [cell(tmp_path, "a", 0.3, 0.0, [1.0, 2.0]), cell(tmp_path, "b", r_l, 0.0, [3.0, 4.0], **more)]
    with pytest.raises(UserError, match=words):
        grids(Sweep.of(config_of(tmp_path)), cells)


@pytest.mark.parametrize(("low", "high"), [(0.3, 0), (0.1 + 0.2, 0.0)])
def test_one_point_in_two_ways_of_writing_it_is_refused(tmp_path, low, high):
    cells = [cell(tmp_path, "a", 0.3, 0.0, [1.0, 2.0]), cell(tmp_path, "b", low, high, [3.0, 4.0])]
    with pytest.raises(UserError, match=r"cells a and b .* differ in explainer.r_[lh]; .* one value of each once"):
        grids(Sweep.of(config_of(tmp_path)), cells)


@pytest.mark.parametrize(
    ("text", "words"), [("", "cannot be read"), ("metric,mean\nstc,5\n", "has no column iterations")]
)
def test_a_csv_that_is_no_grid_is_one_line(tmp_path, outcomes, text, words):
    path, *_ = finish_sweep(config_of(tmp_path), outcomes)
    path.write_text(text)
    with pytest.raises(UserError, match=rf"fep_bands_mini_r2plus1d_ucf101_24.csv {words}"):
        finish_sweep(config_of(tmp_path), outcomes)


def test_the_foot_says_how_the_cells_were_made_a_range_if_they_differ(tmp_path, outcomes):
    config = config_of(tmp_path)
    finish_sweep(config, outcomes)
    assert foot(config)[1] == "80 iterations, seed 0, explained class: predicted"
    other = {"iterations": 10, "seed": 2, "target": "label"}
    finish_sweep(config, [cell(tmp_path, "g", 0.9, 0.0, [2.0, 2.0, 2.0], model="tsm", **other)])
    assert foot(config)[1] == "10 to 80 iterations, seed 0 to 2, explained class: label, predicted"


def foot(config):
    found = read_grids(config.paths.results, "fep_bands", "mini")
    return fep_5.foot_of(config, [fep_5.panel_of(pair, grid, "stc") for pair, grid in found.items()])


@pytest.mark.parametrize("profile", ["mini", "paper"])
@pytest.mark.parametrize("model", ["r2plus1d", "tsm"])
def test_the_sweeps_explain_as_the_table_does(profile, model):
    """But for the shares: masks, areas, iterations, class explained."""

    def explained(*group):
        config = composed(*group, "explainer=fep", f"model={model}", f"profile={profile}")
        return {**OmegaConf.to_container(config.explainer, resolve=True), "r_l": None, "r_h": None}, config.target

    table = explained("+table=fep_1")
    assert table[0]["step"] == composed(f"profile={profile}").scale.fep.step
    assert explained("+sweep=fep_bands") == table
    assert explained("+sweep=fep_select") == table
