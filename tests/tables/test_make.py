"""From the outcomes of a table run to its files: which cells count, and what the table says of itself."""

from pathlib import Path

import pytest

from vxbench.commands.run import Summary
from vxbench.config import compose
from vxbench.runner.outcome import Outcome
from vxbench.runner.store import CLIPS, Store, frame
from vxbench.tables.make import make_and_show
from vxbench.tables.record import read_records
from vxbench.tables.settings import given, networks_used, profile_of, settings

DIGEST = "0123456789abcdef"


@pytest.fixture
def compose_table(tmp_path):
    """compose_table("aosa_7", *overrides): the config that the end of its multirun is given."""

    def composed(key, *overrides):
        folders = (f"paths.results={tmp_path}/results", f"hydra.sweep.dir={tmp_path}/jobs")
        return compose([f"+table={key}", *folders, *overrides], with_hydra=True)

    return composed


def row(clip, metric, value):
    known = {"clip": clip, "label": 0, "target": 0, "status": "ok", "metric": metric, "value": value}
    return known | {"reason": "", "degenerate": False}


def store(results, cell, values, clips=None, metrics=("deletion",)) -> str:
    """A cell of clips c0, c1, ... with these values; clips: how many it has in all."""
    kept = Store(Path(results) / "cells" / cell)
    kept.note(CLIPS, "".join(f"c{i}\n" for i in range(clips or len(values))))
    kept.commit(frame(row(f"c{i}", metric, value) for i, value in enumerate(values) for metric in metrics))
    return cell


def finish(config, outcomes):
    """The end of a multirun whose jobs left these outcomes, in this order."""
    for number, outcome in enumerate(outcomes):
        outcome.write(Path(config.hydra.sweep.dir) / str(number))
    Summary().on_multirun_end(config)


def table_of(config, name) -> str:
    return (Path(config.paths.results) / "tables" / f"{name}.md").read_text()


PLACES = {("ucf101", "aosa"): "deletion", ("ucf101_24", "spt"): "s_pt"}  # of AOSA Table VII


def outcomes_of_aosa_7(results, explainers, shards):
    """What its jobs leave, by data set, metric, explainer and shard; of the four pairs two are cells."""
    for dataset in ("ucf101", "ucf101_24"):
        for metric in ("aosa", "spt"):
            for explainer in explainers:
                names, stored = ("r3d", dataset, explainer), PLACES.get((dataset, metric))
                if not stored:
                    yield from [Outcome(*names, status="left_out", message="table.only does not list it")] * shards
                    continue
                cell = store(results, "-".join(names), [0.25, 0.75], metrics=[stored])
                yield from [Outcome(*names, cell, clips=1, computed=1)] * shards


@pytest.mark.parametrize("shards", [1, 2])
def test_combinations_left_out_hide_no_cell_of_the_same_name(compose_table, capsys, shards):
    config = compose_table("aosa_7", f"shard.count={shards}")
    finish(config, outcomes_of_aosa_7(config.paths.results, ["aosa_approx", "random"], shards))
    assert f"4 cells, {4 * shards} clips computed, 0 clips failed, 0 cells failed" in capsys.readouterr().out
    [record] = read_records(config.paths.results)
    table = record.table()
    measured = {
        (column.metric, entry.estimate.mean)
        for column, entry in zip(table.columns, table.entries["aosa_approx_cond_relu"], strict=True)
        if entry.measured
    }
    assert measured == {("deletion", 0.5), ("s_pt", 0.5)}
    assert len(record.outcomes) == 4


def test_one_is_singular(compose_table, capsys):
    config = compose_table("aosa_1")
    finish(config, [Outcome("r3d", "ucf101", "osa", store(config.paths.results, "a", [0.5]), clips=1, computed=1)])
    assert "1 cell, 1 clip computed, 0 clips failed, 0 cells failed" in capsys.readouterr().out


def test_the_networks_are_named_with_their_weights():
    outcomes = [
        Outcome("r2plus1d", "ucf101", "fep", network="R(2+1)D-50", weights=DIGEST),
        Outcome("r2plus1d", "ucf101", "osa", network="R(2+1)D-50", weights=DIGEST),
        Outcome("r3d", "kinetics700", "osa", network="R3D", weights="random-0"),
        Outcome("r3d", "ucf101", "osa", status="failed"),
    ]
    assert networks_used(outcomes) == [
        "networks on kinetics700: R3D (random weights)",
        f"networks on ucf101: R(2+1)D-50 (weights {DIGEST})",
    ]


@pytest.mark.parametrize(("weights", "comparable"), [(DIGEST, True), ("random-0", False)])
def test_random_weights_are_not_comparable_with_the_paper_and_the_title_says_so(compose_table, weights, comparable):
    config = compose_table("aosa_1", "profile=paper")
    outcomes = [
        Outcome("r3d", "ucf101", "osa", network="R3D", weights=DIGEST),
        Outcome("r2plus1d", "ucf101", "osa", network="R(2+1)D-50", weights=weights),
    ]
    profile = profile_of(config, outcomes)
    assert profile.comparable is comparable
    before = "" if comparable else "random weights of R(2+1)D-50, else "
    assert profile.title_line == f"{before}the real data, checkpoints and sizes of the paper"


def test_what_the_command_changed_is_said(compose_table):
    changed = [
        "model=r2plus1d_50",
        "explainer=step,osa",
        "profile.iterations=7",
        "+explainer.x=1",
        "++seed=3",
        "table.settings.r=1",
    ]
    unsaid = [
        "profile=mini",
        "device=cuda:1",
        "runner.batch_size=2",
        "shard.count=2",
        "tracker=wandb",
        "hydra.verbose=true",
    ]
    config = compose_table("aosa_1")
    config.hydra.overrides.task = ["+table=aosa_1", "paths.results=/nowhere", *changed, *unsaid[:-1]]
    assert given(config) == changed
    assert f"given: {' '.join(changed)}" in settings(config)
    assert not [line for line in settings(compose_table("aosa_1", *unsaid)) if line.startswith("given")]


@pytest.mark.parametrize(
    ("overrides", "comparable"),
    [
        (["explainer.iterations=5"], False),
        (["model.checkpoint=mine.pth"], False),
        (["profile.iterations=7", "dataset.only_present=true"], False),
        (["dataset.only_present=true"], True),
        (["+metric.spatial_pointing.radius=15"], True),
    ],
)
def test_the_title_says_what_ran(compose_table, overrides, comparable):
    picks = ["model=r3d", "explainer=aosa,random", "seed=3", "explainer.chunk=8", "table.also=[stc]"]
    config = compose_table("aosa_1", "profile=paper")
    config.hydra.overrides.task = ["+table=aosa_1", "profile=paper", *picks, *overrides]
    profile = profile_of(config, [Outcome("r3d", "ucf101", "aosa", weights=DIGEST)])
    assert profile.title_line == f"the real data, checkpoints and sizes of the paper, but with {' '.join(overrides)}"
    assert profile.comparable is comparable


def test_only_what_the_command_left_alone_is_fixed_by_the_table(compose_table):
    def fixed(key, *overrides):
        config = compose_table(key)
        config.hydra.overrides.task = [f"+table={key}", *overrides]
        return [line for line in settings(config) if line.startswith("fixed by the table: ")]

    bands, cam = "r_l r2plus1d 0.5, tsm 0.5; r_h r2plus1d 0.2, tsm 0.1", "cam_weights r2plus1d global, tsm per_step"
    assert fixed("fep_1") == [f"fixed by the table: step 7; sigma 13; {cam}; {bands}"]
    assert fixed("fep_1", "explainer.step=9", "table.settings.sigma=3") == [f"fixed by the table: {cam}; {bands}"]
    [line] = fixed("fep_1", "explainer.weights=global", "table.settings.r_l.tsm=0.3", "++table.settings.r_h={}")
    assert line == "fixed by the table: step 7; sigma 13; r_l r2plus1d 0.5"
    assert fixed("aosa_1", "explainer.stride=4", "explainer.hole=8") == []


SELECTED = (
    "table.settings.r_l.tsm=0.3",
    "+table.selected='r_l and r_h selected by stc on 16 training clips (tsm): fep.yaml'",
)


def test_selected_shares_are_not_said_to_be_the_tables(compose_table):
    def fixed(config):
        [line] = [line for line in settings(config) if line.startswith("fixed by the table: ")]
        return [item.split()[0] for item in line.partition(": ")[2].split("; ")]

    assert fixed(compose_table("fep_1")) == ["step", "sigma", "cam_weights", "r_l", "r_h"]
    config = compose_table("fep_1", *SELECTED)
    assert fixed(config) == ["step", "sigma", "cam_weights"]
    assert settings(config)[-2:] == [config.table.selected, "given: table.settings.r_l.tsm=0.3"]


def test_a_table_of_selected_shares_has_files_of_its_own(compose_table, tmp_path):
    outcomes = [Outcome("tsm", "ucf101_24", "fep", store(tmp_path / "results", "a", [50.0], metrics=["dc"]))]
    make_and_show(compose_table("fep_1"), outcomes)
    before = {path.name: path.read_text() for path in (tmp_path / "results" / "tables").glob("fep_1[._]*")}
    _, written = make_and_show(compose_table("fep_1", *SELECTED), outcomes)
    after = {path.name: path.read_text() for path in (tmp_path / "results" / "tables").glob("fep_1[._]*")}
    assert before.items() < after.items()
    assert {path.name for path in written} - {"index.md"} == after.keys() - before.keys()
    assert "[F-EP Table 1](fep_1_selected.md) | " in table_of(compose_table("fep_1"), "index")
    assert " | mini, selected | " in table_of(compose_table("fep_1"), "index")


def test_a_table_that_lacks_clips_says_of_which_cells(compose_table):
    config = compose_table("aosa_1")
    cells = {"osa": (2, 4), "step": (2, 4), "gradcam": (1, 4), "random": (4, 4)}
    outcomes = [
        Outcome("r3d", "ucf101", row, store(config.paths.results, row, [0.5] * done, clips))
        for row, (done, clips) in cells.items()
    ]
    outcomes.append(Outcome("r3d", "ucf101", "aosa", store(config.paths.results, "n", [], 4), "not_applicable", "no"))
    outcomes.append(Outcome("r3d", "ucf101", "smoothgrad", status="failed", message="out of memory"))
    make_and_show(config, outcomes)
    lines = [line for line in table_of(config, "aosa_1").splitlines() if "incomplete" in line]
    assert lines == [
        "- incomplete: 1 of 4 clips of r3d/ucf101/gradcam",
        "- incomplete: 2 of 4 clips of r3d/ucf101/osa, r3d/ucf101/step",
    ]
    store(config.paths.results, "gradcam", [0.5] * 4)
    make_and_show(config, outcomes)
    assert "1 of 4" not in table_of(config, "aosa_1")


def test_the_index_has_the_rank_correlations_of_the_table(compose_table):
    config = compose_table("aosa_1")
    rows = ["step", "aosa", "osa", "smoothgrad", "gradcam"]
    outcomes = [
        Outcome("r3d", "ucf101", row, store(config.paths.results, row, [i / 10, i / 9 + 0.01], metrics=["deletion"]))
        for i, row in enumerate(rows)
    ]
    make_and_show(config, outcomes)
    [record] = read_records(config.paths.results)
    [deletion] = [column for column in record.table().columns if column.rank]
    assert len(record.taus) == len([column for column in record.table().columns if column.compared])
    assert [tau for tau in record.taus if tau != "–"] != []
    assert any(tau.startswith(f"{deletion.rank.tau:.2f}".replace("-", "−")) for tau in record.taus)
    assert f" | {', '.join(record.taus)} | " in table_of(config, "index")


def network(seen, right, outputs=400, name="R3D", weights=DIGEST):
    return Outcome("r3d", "kinetics400", "osa", network=name, weights=weights, outputs=outputs, seen=seen, right=right)


def test_how_often_a_network_is_right_stands_below_the_table(compose_table):
    outcomes = [
        network(16, 12),
        network(15, 11),
        network(0, 0, name="TSM"),
        network(8, 1, name="X", weights="random-0"),
    ]
    assert networks_used(outcomes) == [
        f"networks on kinetics400: R3D (weights {DIGEST}, top-1 75.0% of 16 clips), TSM (weights {DIGEST}), "
        "X (random weights, top-1 12.5% of 8 clips)"
    ]
    assert not [line for line in profile_of(compose_table("aosa_1"), outcomes).settings if line.startswith("warning")]


@pytest.mark.parametrize(
    ("seen", "right", "outputs", "guessed"),
    [
        (4000, 10, 400, True),  # a numbering of another release: 1 of 400 is chance
        (4000, 30, 400, False),
        (4000, 3000, 400, False),
        (4, 0, 700, True),
        (16, 2, 8, True),
        (16, 8, 8, False),
        (4000, 2000, 2, True),
        (10, 10, 1, False),  # where there is one class nothing can be wrong
        (0, 0, 400, False),
    ],
)
def test_a_network_that_is_right_as_often_as_guesses_is_told(compose_table, seen, right, outputs, guessed):
    lines = profile_of(compose_table("aosa_1"), [network(seen, right, outputs)]).settings
    told = [
        line for line in lines if line.startswith(f"warning: R3D is right on {right} of {seen} clips of kinetics400")
    ]
    assert bool(told) is guessed
