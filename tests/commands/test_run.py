"""Runs as a user starts them: what is said, what is written, and the exit status."""

import json

import pytest

pytestmark = pytest.mark.slow

CHEAP = ("explainer=gradients", "dataset.per_class=1")


def test_a_cell_is_computed_once(runner):
    first = runner(*CHEAP)
    assert first.returncode == 0, first.stderr
    assert "8 of 8 clips computed" in first.stdout
    rows = runner.rows()
    assert set(rows["metric"]) == {"dc", "accuracy", "stc", "area_above_tau"}
    assert rows["clip"].nunique() == 8
    (cell,) = (runner.results / "cells").iterdir()
    (run,) = json.loads((cell / "provenance.json").read_text())
    assert run["clips"] == 8
    assert run["versions"]["torch"]
    assert run["weights"]
    assert (cell / "config.yaml").exists()
    assert sorted((cell / "clips.txt").read_text().splitlines()[1:]) == sorted(set(rows["clip"]))  # behind its digest
    before = {path: path.stat().st_mtime_ns for path in cell.rglob("*")}

    second = runner(*CHEAP)
    assert "8 clips, all computed before" in second.stdout
    assert {path: path.stat().st_mtime_ns for path in cell.rglob("*")} == before


def test_more_clips_of_the_same_cell_compute_only_what_is_missing(runner):
    assert runner.here("-m", *CHEAP, "shard.index=0", "shard.count=2").returncode == 0
    done = runner.here(*CHEAP)
    assert "4 of 8 clips computed" in done.stdout


def test_a_sweep_goes_on_after_a_failing_cell_and_says_so(runner):
    done = runner.here("-m", "explainer=fep", "explainer.r_l=0.9,0.1", "explainer.iterations=1", "dataset.per_class=1")
    assert done.returncode == 1
    assert "8 of 8 clips computed" in done.stdout
    assert "2 cells, 8 clips computed, 0 clips failed, 1 cell failed" in done.stdout
    assert done.stdout.count("explainer.r_l + r_h = 0.9 + 0.2 = 1.1 is outside [0, 1]") == 2
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("overrides", "status", "words"),
    [
        (["explainer=fepp"], 2, "did you mean fep"),
        (["model=tsn"], 2, "did you mean tsm"),
        (["explainer.rl=0.4"], 2, "explainer.rl"),
        (["explainer.r_l=1.4"], 1, "explainer.r_l = 1.4 is outside [0, 1]"),
        (["explainer._target_=os.system"], 1, "not allowed"),
        (["device=cuda:7"], 1, "device = cuda:7"),
        (["device=mps"], 1, "device = mps is not one of cpu, cuda, cuda:<number>"),
        (["~metric"], 1, "metric"),
        (
            ["metric=deletion_insertion", "+metric.dauc={_target_: vxbench.metrics.DeletionCurve}"],
            1,
            "both give 'deletion'",
        ),
        (["target=none"], 1, "target = none is not one of label, predicted"),
        (["model.checkpoint=nowhere.pth"], 1, "nowhere.pth does not exist"),
        (["shard.index=2", "shard.count=2"], 1, "shard.index = 2"),
    ],
)
def test_a_mistake_gets_one_line_and_no_traceback(runner, overrides, status, words):
    done = runner.here(*overrides)
    said = (done.stdout + done.stderr).strip()
    assert done.returncode == status
    assert words in said
    assert len(said.splitlines()) == 1, said


def test_data_that_are_missing_are_listed_below_one_line(runner):
    done = runner.here("paths.data=nowhere")
    error, *listed = (done.stdout + done.stderr).strip().splitlines()
    assert done.returncode == 1
    assert "missing below nowhere" in error
    assert any("ucf101/videos" in line for line in listed)
    assert all(line.startswith("  ") for line in listed)


def test_a_model_of_other_classes_than_the_data_sets_is_refused(runner):
    done = runner.here(*CHEAP, "model.checkpoint=null", "model.num_classes=10")
    assert done.returncode == 1
    assert "model.num_classes = 10, but dataset.labels = ucf101_24 has 8 classes" in done.stdout


def test_a_pair_without_weights_is_one_line_that_says_what_to_give(runner):
    done = runner.here("explainer=gradients", "model=tsm", "dataset=ucf101")
    assert done.returncode == 1
    assert "tsm has no weights for the classes of ucf101 (known: ucf101_24)" in done.stdout


def test_a_failed_variant_of_a_model_keeps_its_place_and_its_reason_in_the_table(runner):
    table = ("-m", "+table=aosa_1", "profile=smoke", "model=r2plus1d_50", "explainer=random")
    done = runner.here(*table, "model.checkpoint=nowhere.pth")
    assert done.returncode == 1
    assert "1 cell, 0 clips computed, 0 clips failed, 1 cell failed" in done.stdout
    said = (runner.results / "tables" / "aosa_1.md").read_text()
    assert "random map on R(2+1)D: failed (checkpoint nowhere.pth does not exist" in said
    assert "given: model=r2plus1d_50 explainer=random model.checkpoint=nowhere.pth" in said


def test_a_command_without_a_place_in_its_table_is_one_line_and_leaves_the_table(runner):
    kept = runner.results / "tables" / "aosa_6.md"
    kept.parent.mkdir(parents=True)
    kept.write_text("what an earlier run made")
    done = runner.here("-m", "+table=aosa_6", "model=r3d", "dataset=kinetics400", "explainer=random")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: aosa_6: no combination of the command belongs to the table (table.only says which do); nothing is made"
    ]
    assert [path.name for path in kept.parent.iterdir()] == ["aosa_6.md"]
    assert kept.read_text() == "what an earlier run made"


def test_an_explainer_without_meaning_for_a_model_is_a_result(runner):
    """Random on a table prints numbers; Grad-CAM on a layer that has no maps prints a dash and why."""
    cell = ("explainer=gradcam", "explainer.layer=recognizer.cls_head.fc_cls", "dataset.per_class=1")
    first, second = runner.here(*cell), runner.here(*cell)
    assert first.returncode == second.returncode == 0
    assert "not applicable" in first.stdout
    assert first.stdout == second.stdout


def test_a_tracker_that_breaks_does_not_break_the_run(runner):
    runner.environment["VXBENCH_RESULTS"] = str(runner.results)
    (runner.folder / "in_the_way").write_text("not a folder")
    done = runner(*CHEAP, "tracker=wandb", "tracker.folder=in_the_way/wandb")
    assert done.returncode == 0
    assert "8 of 8 clips computed" in done.stdout
    assert "the run goes on without it" in done.stderr


def test_wandb_offline_needs_no_account(runner):
    done = runner(*CHEAP, "tracker=wandb")
    assert done.returncode == 0
    assert "goes on without" not in done.stderr
    assert list((runner.results / "wandb").rglob("*.wandb"))


def test_a_rule_of_ones_own_makes_no_sweep_and_failed_cells_fail_the_run(runner):
    rule = "+sweep.sum_at_most_one=[explainer.r_l,explainer.r_h]"
    done = runner.here("-m", "explainer.r_h=0.1,0.9", "paths.data=nowhere", rule)
    assert done.returncode == 1
    assert "1 cell, 0 clips computed, 0 clips failed, 1 cell failed" in done.stdout  # 0.5 + 0.9 > 1 is none


def test_what_a_table_cannot_have_is_refused_before_its_cells(runner):
    done = runner.here("+table=fep_1", "+table.colums=[dc]")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: table.colums is no key of a table; did you mean columns?\n"
    assert not runner.results.exists()
