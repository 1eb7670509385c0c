"""r_l and r_h chosen on training clips: by which rule, what is kept of it, and how a table takes it."""

import subprocess
import sys

import pandas as pd
import pytest
import yaml
from finished_cells import cell
from hydra import compose, initialize_config_dir
from hypothesis import given, settings
from hypothesis import strategies as st
from run_process import ROOT

from vxbench.errors import OutOfRange, UserError
from vxbench.runner.config import build, conf_dir
from vxbench.runner.select import check_settings, choose, composed, overrides, read
from vxbench.runner.sweep import finish

SHARES = [(low / 10, high / 10) for low in range(1, 11) for high in range(11 - low)]


def grid_of(points, criterion="stc"):
    """points: [(r_l, r_h, mean, one_sided)]."""
    grid = pd.DataFrame(points, columns=["r_l", "r_h", "mean", "one_sided"])
    return grid.assign(metric=criterion, low=grid["mean"], high=grid["mean"], n=4, profile="mini")


def chosen(points, criterion="stc"):
    best = choose(grid_of(points, criterion), criterion, ["r_l", "r_h"])
    return float(best.r_l), float(best.r_h)


@settings(max_examples=25)
@given(st.permutations(SHARES), st.lists(st.integers(0, 3), min_size=len(SHARES), max_size=len(SHARES)))
def test_the_best_mean_wins_and_of_equals_the_smallest_share(order, values):
    """Against the rule spelled out point by point; few values make many ties."""
    mean = dict(zip(SHARES, values, strict=True))
    points = [(low, high, float(mean[low, high]), 0.0) for low, high in order]
    for criterion, best in (("stc", max(values)), ("dc", min(values)), ("accuracy", max(values))):
        tied = [pair for pair in SHARES if mean[pair] == best]
        wanted = min(tied, key=lambda pair: (round(10 * sum(pair)), pair))
        assert chosen(points, criterion) == wanted


def test_maps_that_mark_everything_are_no_candidates():
    points = [(0.1, 0.0, 100.0, 1.0), (0.5, 0.2, 60.0, 0.5), (0.7, 0.0, 55.0, 0.0)]
    assert chosen(points) == (0.5, 0.2)
    assert chosen([(low, high, mean, float("nan")) for low, high, mean, _ in points]) == (0.1, 0.0)
    for nothing in ([points[0]], [(0.5, 0.0, float("nan"), 0.0)]):
        with pytest.raises(UserError, match=r"select.criterion = stc: no cell"):
            chosen(nothing)


def config_of(results, *more):
    return composed(["+sweep=fep_select", f"paths.results={results}", *more])


@pytest.fixture
def selected(tmp_path):
    """The file after a selection for two models, and one of them again on another data set."""
    clips = [10.0, 20.0, 30.0]
    first = [cell(tmp_path, "a", 0.5, 0.2, clips), cell(tmp_path, "b", 0.7, 0.0, [50.0, 60.0, 70.0])]
    both = [*first, cell(tmp_path, "c", 0.4, 0.1, clips, model="tsm")]
    finish(config_of(tmp_path), both)
    finish(config_of(tmp_path), [cell(tmp_path, "d", 0.2, 0.0, clips, dataset="epic_object")])
    return tmp_path / "selected" / "fep.yaml"


def test_the_file_says_what_was_chosen_and_by_what(selected):
    content = yaml.safe_load(selected.read_text())
    assert content["r_l"] == {"r2plus1d": {"ucf101_24": 0.7, "epic_object": 0.2}, "tsm": {"ucf101_24": 0.4}}
    assert content["r_h"] == {"r2plus1d": {"ucf101_24": 0.0, "epic_object": 0.0}, "tsm": {"ucf101_24": 0.1}}
    why = content["chosen"]["r2plus1d"]["ucf101_24"]
    assert (why["criterion"], why["mean"], why["n"], why["profile"]) == ("stc", 60.0, 3, "mini")
    assert why["low"] < 60 < why["high"]
    assert why["clips"] == "3 clips"
    grid = pd.read_csv(selected.parent / why["grid"])
    assert set(zip(grid.r_l, grid.r_h, strict=True)) == {(0.5, 0.2), (0.7, 0.0)}
    assert not (selected.parents[1] / "figures").exists()  # Figure 5 is not of these clips


def test_a_new_choice_takes_the_place_of_the_old_one_alone(selected):
    results = selected.parents[1]
    finish(config_of(results), [cell(results, "e", 0.3, 0.3, [99.0, 98.0, 97.0])])
    content = read(selected)
    assert content["r_l"] == {"r2plus1d": {"ucf101_24": 0.3, "epic_object": 0.2}, "tsm": {"ucf101_24": 0.4}}
    assert content["chosen"]["tsm"]["ucf101_24"]["n"] == 3


def test_a_table_takes_the_choices_of_its_models_and_data_set(selected):
    given = overrides(selected, "fep_1")
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        configs = {model: compose("run", ["+table=fep_1", f"model={model}", *given]) for model in ("r2plus1d", "tsm")}
    bands = {model: build(config, "explainer").band for model, config in configs.items()}
    assert {model: (band.r_l, band.r_h) for model, band in bands.items()} == {"r2plus1d": (0.7, 0.0), "tsm": (0.4, 0.1)}
    foot = configs["tsm"].table.selected
    assert foot == (
        "r_l and r_h selected by stc on 3 training clips (r2plus1d), by stc on 3 training clips (tsm): fep.yaml"
    )
    assert "table.settings.r_l.r2plus1d=0.2" in overrides(selected, "fep_2")
    assert overrides(selected, "step_3") == []


def test_what_was_not_chosen_or_under_another_profile_is_refused(selected, tmp_path):
    content = read(selected)
    del content["chosen"]["tsm"]
    selected.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=r"no choice for tsm on ucf101_24; run python scripts/select_fep.py model=tsm"):
        overrides(selected, "fep_1")
    with pytest.raises(UserError, match=r"r2plus1d on epic_object was chosen with profile=mini; run .* profile=paper"):
        overrides(selected, "fep_2", "paper")
    with pytest.raises(UserError, match=r"none.yaml is not there; choose first"):
        read(tmp_path / "none.yaml")
    for text, words in (("{", "cannot be read"), ("a: 1", "has no node `chosen`"), ("\x00", "cannot be read")):
        selected.write_text(text)
        with pytest.raises(UserError, match=words):
            read(selected)


def test_the_clips_of_a_choice_are_no_tables(monkeypatch, mini_data):
    monkeypatch.setenv("VXBENCH_MINI_DATA", str(mini_data))
    train = build(composed(["+sweep=fep_select", "dataset.per_class=null"]), "dataset")
    test = build(composed(["+table=fep_1", "dataset.per_class=null"]), "dataset")
    assert train.clips
    assert not {ref.id for ref in train.clips} & {ref.id for ref in test.clips}
    # EPIC's split may be our own draw by dataset.seed: with a seed other than a table's, training clips would be its.
    epic, table = composed(["+sweep=fep_select", "dataset=epic_object"]), composed(["+table=fep_2"])
    assert epic.dataset.seed == table.dataset.seed
    for wrong, key in (("dataset.split=test", "dataset.split"), ("select.criterion=spt", "select.criterion")):
        with pytest.raises(OutOfRange, match=key):
            check_settings(composed(["+sweep=fep_select", wrong]))


def script(runner, *words):
    command = [sys.executable, str(ROOT / "scripts" / "select_fep.py"), *words]
    return subprocess.run(
        command, cwd=runner.folder, env=runner.environment, capture_output=True, text=True, timeout=300, check=False
    )


def test_the_script_chooses_among_what_it_is_given(runner):
    """r_l = 1 leaves no room for r_h = 0.1, and r_l = 0.6 has no series over r_h."""
    points = ("explainer.r_l=0.6,1.0", "explainer.r_h=0.0,0.1", "dataset.per_class=1", "explainer.iterations=10")
    done = script(runner, "profile=smoke", *points)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 cells, 16 clips computed, 0 clips failed, 0 cells failed" in done.stdout
    content = read(runner.results / "selected" / "fep.yaml")
    assert content["r_l"]["r2plus1d"]["ucf101_24"] in (0.6, 1.0)
    why = content["chosen"]["r2plus1d"]["ucf101_24"]
    grid = pd.read_csv(runner.results / "selected" / why["grid"])
    assert why["mean"] == grid[grid.metric == "stc"]["mean"].max()
    assert "of the annotation without the test list, drawn by seed 0" in why["clips"]


def test_a_wrong_setting_is_one_line_before_anything_is_computed(runner):
    done = script(runner, "dataset.split=test")
    assert done.returncode == 2
    assert done.stderr.strip() == "error: dataset.split = test is not one of train"
    assert not runner.results.exists()
