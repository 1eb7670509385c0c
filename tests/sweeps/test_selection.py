"""r_l and r_h chosen on training clips: by which rule, what is kept of it, and how a table takes it."""

import csv
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from helpers.finished_cells import cell
from helpers.paths import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from vxbench.commands.run import finish_sweep
from vxbench.config import build, compose
from vxbench.datasets.base import ClipRef
from vxbench.errors import OutOfRange, UserError
from vxbench.sweeps import selection as select
from vxbench.sweeps.selection import check, choose, composed, overrides, read
from vxbench.sweeps.unseen import Tables, check_held_out, overlapping

SHARES = [(low / 10, high / 10) for low in range(1, 11) for high in range(11 - low)]


def grid_of(points, criterion="stc"):
    """points: [(r_l, r_h, mean, one_sided)]."""
    grid = pd.DataFrame(points, columns=["r_l", "r_h", "mean", "one_sided"])
    return grid.assign(metric=criterion, low=grid["mean"], high=grid["mean"], n=4, profile="mini", cell="", scored="")


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


def refs(*names):
    return [ClipRef(name, Path(name), 0) for name in names]


@pytest.fixture
def three_clips(monkeypatch):
    """Cells of finished_cells are of a data set that is not on disk: its three clips are unseen."""
    monkeypatch.setattr(select, "check_held_out", lambda tables, name, settings: refs("c0", "c1", "c2"))


@pytest.fixture
def selected(tmp_path, three_clips):
    """The file after a selection for two models, and one of them again on another data set."""
    clips = [10.0, 20.0, 30.0]
    first = [cell(tmp_path, "a", 0.5, 0.2, clips), cell(tmp_path, "b", 0.7, 0.0, [50.0, 60.0, 70.0])]
    both = [*first, cell(tmp_path, "c", 0.4, 0.1, clips, model="tsm")]
    finish_sweep(config_of(tmp_path), both)
    finish_sweep(config_of(tmp_path), [cell(tmp_path, "d", 0.2, 0.0, clips, dataset="epic_object")])
    return tmp_path / "selected" / "fep.yaml"


def test_the_file_says_what_was_chosen_and_by_what(selected):
    content = yaml.safe_load(selected.read_text())
    assert content["r_l"] == {"r2plus1d": {"ucf101_24": 0.7, "epic_object": 0.2}, "tsm": {"ucf101_24": 0.4}}
    assert content["r_h"] == {"r2plus1d": {"ucf101_24": 0.0, "epic_object": 0.0}, "tsm": {"ucf101_24": 0.1}}
    why = content["chosen"]["r2plus1d"]["ucf101_24"]
    assert (why["criterion"], why["mean"], why["n"], why["profile"]) == ("stc", 60.0, 3, "mini")
    assert why["low"] < 60 < why["high"]
    assert why["clips"] == "3 clips"
    assert (why["iterations"], why["seed"], why["target"]) == (80, 0, "predicted")
    assert (why["weights"], why["cell"]) == ("12345678e1", "b")
    grid = pd.read_csv(selected.parent / why["grid"])
    assert set(zip(grid.r_l, grid.r_h, strict=True)) == {(0.5, 0.2), (0.7, 0.0)}
    assert not (selected.parents[1] / "figures").exists()  # Figure 5 is not of these clips


def test_a_new_choice_takes_the_place_of_the_old_one_alone(selected):
    results = selected.parents[1]
    finish_sweep(config_of(results), [cell(results, "e", 0.3, 0.3, [99.0, 98.0, 97.0])])
    content = read(selected)
    assert content["r_l"] == {"r2plus1d": {"ucf101_24": 0.3, "epic_object": 0.2}, "tsm": {"ucf101_24": 0.4}}
    assert content["chosen"]["tsm"]["ucf101_24"]["n"] == 3


def test_a_table_takes_the_choices_of_its_models_and_data_set(selected):
    given = overrides(selected, "fep_1")
    configs = {model: compose(["+table=fep_1", f"model={model}", *given]) for model in ("r2plus1d", "tsm")}
    bands = {model: build(config, "explainer").band for model, config in configs.items()}
    assert {model: (band.r_l, band.r_h) for model, band in bands.items()} == {"r2plus1d": (0.7, 0.0), "tsm": (0.4, 0.1)}
    foot = configs["tsm"].table.selected
    how = "by stc on 3 of 3 clips, 80 iterations, seed 0, explained class predicted, weights 12345678e1"
    assert foot == f"r_l and r_h selected on training clips (fep.yaml): r2plus1d {how}; tsm {how}"
    assert "table.settings.r_l.r2plus1d=0.2" in overrides(selected, "fep_2")
    assert overrides(selected, "step_3") == []


def test_what_was_not_chosen_or_under_another_profile_is_refused(selected, tmp_path):
    content = read(selected)
    del content["chosen"]["r2plus1d"]["epic_object"]["weights"]
    selected.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=r"r2plus1d on epic_object lacks weights; run .* dataset=epic_object"):
        overrides(selected, "fep_2")
    content["chosen"]["r2plus1d"]["epic_object"]["weights"] = "12"
    del content["chosen"]["tsm"]
    selected.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=r"no choice for tsm on ucf101_24; run vxbench select-fep model=tsm"):
        overrides(selected, "fep_1")
    with pytest.raises(UserError, match=r"r2plus1d on epic_object was chosen with profile=mini; run .* profile=paper"):
        overrides(selected, "fep_2", "paper")
    with pytest.raises(UserError, match=r"none.yaml is not there; choose first"):
        read(tmp_path / "none.yaml")
    for text, words in (("{", "cannot be read"), ("a: 1", "has no node `chosen`"), ("\x00", "cannot be read")):
        selected.write_text(text)
        with pytest.raises(UserError, match=words):
            read(selected)


@pytest.mark.parametrize(("lost", "best"), [(["c0"], "a"), ([], "b")])
def test_a_cell_that_lacks_a_clip_of_the_others_is_no_candidate(tmp_path, three_clips, capsys, lost, best):
    """Without the clip that all do worst on, cell b has the best mean."""
    values = [float("nan") if f"c{i}" in lost else value for i, value in enumerate([10.0, 90.0, 95.0])]
    cells = [cell(tmp_path, "a", 0.5, 0.2, [10.0, 50.0, 60.0]), cell(tmp_path, "b", 0.7, 0.0, values)]
    finish_sweep(config_of(tmp_path), cells)
    assert read(tmp_path / "selected" / "fep.yaml")["chosen"]["r2plus1d"]["ucf101_24"]["cell"] == best
    said = "b is no candidate: 2 clips have a value, of other cells 3"
    assert (said in capsys.readouterr().out) == bool(lost)


def test_cells_that_lack_different_clips_are_not_compared(tmp_path, three_clips):
    none = float("nan")
    cells = [cell(tmp_path, "a", 0.5, 0.2, [none, 5.0, 6.0]), cell(tmp_path, "b", 0.7, 0.0, [9.0, none, 9.0])]
    with pytest.raises(UserError, match=r"r2plus1d on ucf101_24: a and b lack different clips"):
        finish_sweep(config_of(tmp_path), cells)


def test_a_part_of_a_cells_clips_is_not_enough(tmp_path, three_clips):
    """One of two shards was run."""
    cells = [cell(tmp_path, "a", 0.5, 0.2, [5.0, 6.0], marked=()), cell(tmp_path, "b", 0.7, 0.0, [9.0, 9.0], marked=())]
    with pytest.raises(UserError, match=r"r2plus1d on ucf101_24: a lacks 1 of its 3 clips; .* every shard.index"):
        finish_sweep(config_of(tmp_path), cells)
    assert not (tmp_path / "selected" / "fep.yaml").exists()


def test_a_pair_without_a_candidate_leaves_the_others_their_choice(tmp_path, three_clips):
    every = {"marked": (100.0, 100.0, 0.0)}
    cells = [cell(tmp_path, "a", 0.1, 0.0, [1.0, 1.0, 1.0], **every)]
    cells += [cell(tmp_path, "b", 0.7, 0.0, [50.0, 60.0, 70.0], model="tsm")]
    cells += [cell(tmp_path, "c", 0.7, 0.0, [5.0, 6.0, 7.0], dataset="ucf101", **every)]
    with pytest.raises(UserError, match=r"^r2plus1d on ucf101_24: .* no cell has a value .*; r2plus1d on ucf101: .*"):
        finish_sweep(config_of(tmp_path), cells)
    assert read(tmp_path / "selected" / "fep.yaml")["r_l"] == {"tsm": {"ucf101_24": 0.7}}
    grids = {path.name for path in (tmp_path / "selected").glob("*.csv")}
    assert grids == {f"fep_mini_{of}.csv" for of in ("r2plus1d_ucf101_24", "tsm_ucf101_24", "r2plus1d_ucf101")}


def settings_of(config):
    return OmegaConf.to_container(config.dataset, resolve=True)


def test_the_clips_of_a_choice_are_no_tables(monkeypatch, mini_data):
    monkeypatch.setenv("VXBENCH_MINI_DATA", str(mini_data))
    config = composed(["+sweep=fep_select", "dataset.per_class=null"])
    train = check_held_out(Tables.of(config), "ucf101_24", settings_of(config))
    test = build(composed(["+table=fep_1", "dataset.per_class=null"]), "dataset")
    assert train
    assert not {ref.id for ref in train} & {ref.id for ref in test.clips}
    for wrong, key in (("dataset.split=test", "dataset.split"), ("select.criterion=spt", "select.criterion")):
        with pytest.raises(OutOfRange, match=key):
            check([wrong])


@pytest.mark.parametrize(
    "swept", ["dataset.split=train,test", "seed=0,1", "explainer.iterations=choice(5,10)", "++dataset.per_class=1,2"]
)
def test_a_sweep_over_anything_else_is_refused_before_it_begins(swept):
    key = swept.lstrip("+").split("=")[0]
    with pytest.raises(UserError, match=f"cells of different {key} cannot be compared; what can be swept: model, data"):
        check(["-m", swept])


SPANS = st.none() | st.tuples(st.integers(0, 4), st.integers(1, 2)).map(lambda of: (of[0], of[0] + of[1]))
CLIPS = st.lists(st.tuples(st.sampled_from("ab"), SPANS), max_size=4)


@given(CLIPS, CLIPS)
def test_clips_overlap_that_share_a_frame(ours, theirs):
    ours, theirs = ([ClipRef(video, Path(video), 0, span) for video, span in of] for of in (ours, theirs))
    seen = {frame for clip in theirs for frame in frames(clip)}
    assert overlapping(ours, theirs) == [clip for clip in ours if frames(clip) & seen]


def frames(clip):
    return {(clip.path, t) for t in range(*(clip.span or (0, 20)))}


@pytest.fixture(scope="module")
def epic(tmp_path_factory):
    """Annotation of EPIC-KITCHENS for a draw of our own: 20 actions of each of 6 verbs, and none of the videos."""
    root = tmp_path_factory.mktemp("epic")
    tables = root / "epic55" / "annotations"
    tables.mkdir(parents=True)
    (root / "epic55" / "videos").mkdir()
    actions = [(uid, "P01_01", f"verb{uid % 6}", 200 * uid, 200 * uid + 60, 0) for uid in range(1, 121)]
    columns = ("uid", "video_id", "verb", "start_frame", "stop_frame", "noun_class")
    write_csv(tables / "EPIC_train_action_labels.csv", columns, actions)
    video = ("video", "resolution", "duration", "fps")
    write_csv(tables / "EPIC_video_info.csv", video, [("P01_01", "320x240", 500.0, 60)])
    return root


def write_csv(path, columns, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def test_clips_of_our_own_draw_are_a_tables_under_another_seed(epic, tmp_path):
    given = ["dataset=epic_action", "dataset.per_class=null", f"dataset.root={epic}"]
    check(given)
    config = composed(["+sweep=fep_select", "dataset=epic_action", f"dataset.root={epic}"])
    whole = Tables.of(config).clips("epic_action", "described", settings_of(config))
    assert len(whole) == 60  # 10 of each of 6 verbs
    with pytest.raises(UserError, match=r"clips of epic_action, such as verb\d/P01_01_\d+, are test clips of a table"):
        check([*given, "dataset.seed=1"])
    # The cells' own settings count, and where the command has the data: its `dataset` may be one of several.
    config = config_of(tmp_path, f"dataset.root={epic}")
    for seed, words in ((0, "a lacks 180 of its 180 clips"), (1, "are test clips of a table")):
        settings = settings_of(composed(["+sweep=fep_select", *given, f"dataset.seed={seed}"]))
        del settings["root"]  # as in a cell, which does not know where its data lay
        made = cell(tmp_path, "a", 0.5, 0.2, [1.0, 2.0, 3.0], dataset="epic_action")
        identity = tmp_path / "cells" / "a" / "config.yaml"
        identity.write_text(yaml.safe_dump(yaml.safe_load(identity.read_text()) | {"dataset": settings}))
        with pytest.raises(UserError, match=rf"r2plus1d on epic_action: .*{words}"):
            finish_sweep(config, [made])


def test_cells_of_test_clips_are_refused_whatever_the_command_says(tmp_path):
    made = cell(tmp_path, "a", 0.5, 0.2, [1.0, 2.0, 3.0])
    identity = tmp_path / "cells" / "a" / "config.yaml"
    identity.write_text(identity.read_text().replace("split: train", "split: test"))
    with pytest.raises(UserError, match=r"r2plus1d on ucf101_24: dataset.split = test is not one of train"):
        finish_sweep(config_of(tmp_path), [made])


def script(runner, *words):
    command = [sys.executable, str(ROOT / "scripts" / "select_fep.py"), *words]
    return subprocess.run(
        command, cwd=runner.folder, env=runner.environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.slow
def test_the_script_chooses_among_what_it_is_given(runner):
    """r_l = 1 leaves no room for r_h = 0.1, and r_l = 0.6 has no series over r_h."""
    points = ("explainer.r_l=0.6,1.0", "explainer.r_h=0.0,0.1", "dataset.per_class=1", "explainer.iterations=20")
    done = script(runner, "profile=smoke", *points)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 cells, 16 clips computed, 0 clips failed, 0 cells failed" in done.stdout
    content = read(runner.results / "selected" / "fep.yaml")
    assert content["r_l"]["r2plus1d"]["ucf101_24"] in (0.6, 1.0)
    why = content["chosen"]["r2plus1d"]["ucf101_24"]
    grid = pd.read_csv(runner.results / "selected" / why["grid"])
    assert why["mean"] == grid[grid.metric == "stc"]["mean"].max()
    assert "of the annotation without the test list, drawn by seed 0" in why["clips"]


@pytest.mark.slow
def test_a_wrong_setting_is_one_line_before_anything_is_computed(runner):
    done = script(runner, "dataset.split=test")
    assert done.returncode == 2
    assert done.stderr.strip() == "error: dataset.split = test is not one of train"
    assert not runner.results.exists()
