"""The dry run says what a run then does, and writes nothing."""

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from helpers.configs import composed
from helpers.counting import Counter
from torch import nn

from vxbench.commands.plan import lacking, main
from vxbench.config import build, options
from vxbench.costs import pace
from vxbench.costs import show as plan
from vxbench.costs.pace import Part, Timing
from vxbench.costs.plan import CellPlan, Planner
from vxbench.explainers.base import Passes
from vxbench.explainers.perturbation.pyramid import Pyramid
from vxbench.runner import assemble, job
from vxbench.runner.assemble import Assembled
from vxbench.runner.multirun import cells

pytestmark = pytest.mark.slow

SMALL = ("runner.batch_size=4", "runner.pictures=3")
LOOK = Passes(forward=4 + 4 + 1)  # at a new cell's network: a batch twice, and a clip alone


@pytest.fixture
def at(monkeypatch, mini_data, tmp_path):
    """Overrides for mini data and results in tmp_path."""
    monkeypatch.setenv("VXBENCH_MINI_DATA", str(mini_data))
    return [f"paths.results={tmp_path}/results", *SMALL]


@pytest.fixture
def empty(monkeypatch, tmp_path):
    """A machine without data and checkpoints."""
    monkeypatch.setenv("VXBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("VXBENCH_CHECKPOINTS", str(tmp_path / "weights"))
    monkeypatch.setenv("VXBENCH_RESULTS", str(tmp_path / "results"))
    return tmp_path


def planned(*overrides: str, table: str = "fep_1", profile: str = "smoke") -> list[CellPlan]:
    return plan.plan(table, profile, list(overrides), Planner())


def computed(monkeypatch, *overrides: str) -> list[Passes]:
    """Runs cells of fep_1 and counts the clips that their networks see."""
    counters = []

    def counting(config, key):
        made = build(config, key)
        if key == "model":
            counters.append(Counter(made.recognizer.cls_head))
        return made

    monkeypatch.setattr(assemble, "build", counting)
    for config in cells("+table=fep_1", ["profile=smoke", *overrides]):
        outcome = job.run_cell(Assembled(config))
        assert outcome.failed_clips == 0
    return [counter.passes(clips=1) for counter in counters]


def bytes_of(cells: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in cells.glob(pattern))


def test_a_run_does_what_the_plan_said_and_then_nothing_is_left(at, monkeypatch, tmp_path):
    asked = [*at, "model=r2plus1d", "explainer=gradients,fep,random", "profile.iterations=2", "metric.dauc.steps=3"]
    before = planned(*asked)
    assert [(cell.clips, cell.done, cell.left) for cell in before] == 3 * [(8, 0, 8)]
    assert computed(monkeypatch, *asked) == [cell.passes for cell in before]
    rows = bytes_of(tmp_path, "results/cells/*/part-*.parquet")
    pictures = bytes_of(tmp_path, "results/cells/*/pictures/*.npz")
    assert 0 < rows + pictures <= sum(cell.bytes for cell in before)
    assert pictures > 0
    state = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    after = planned(*asked)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == state
    assert [(cell.clips, cell.done, cell.left) for cell in after] == 3 * [(8, 8, 0)]
    assert [(cell.passes, cell.bytes, cell.network) for cell in after] == 3 * [(Passes(), 0, "")]
    assert [cell.missing for cell in before + after] == 6 * [[]]


def test_what_a_metric_costs_once_a_run_and_a_run_that_is_half_done(at, monkeypatch):
    sanity = ["metric=sanity", "metric.sanity.calibration=4", "metric.sanity.stages=[{layer4:[recognizer.backbone]}]"]
    asked = [*at, *sanity, "model=r2plus1d", "explainer=gradients"]
    [half] = planned(*asked, "shard.count=2")
    # look at the calibration's clips, calibration; class, map, map of two stages
    assert half.passes == LOOK + Passes(4 + 4 * (1 + 1 + 2), 4 * (1 + 2))
    assert computed(monkeypatch, *asked, "shard.count=2") == [half.passes]
    [rest] = planned(*asked)
    assert (rest.clips, rest.done) == (8, 4)
    assert half.passes == LOOK + rest.passes


def test_whichever_class_is_explained_the_prediction_is_asked_for(at):
    asked = [*at, "model=r2plus1d", "explainer=gradients"]
    [predicted], [label] = planned(*asked, "target=predicted"), planned(*asked, "target=label")
    assert predicted.passes == label.passes


def test_what_is_not_applicable_costs_nothing(at, monkeypatch):
    asked = [*at, "model=r2plus1d", "explainer=attention_rollout"]
    [before] = planned(*asked)
    computed(monkeypatch, *asked)
    [after] = planned(*asked)
    assert (before.not_applicable, before.left) == (False, 8)
    assert (after.not_applicable, after.left, after.passes) == (True, 0, Passes())
    assert plan._row([after], {}) == ["8", "n/a", "0", "0", "0.0 s"]


def test_pictures_and_rows_count_as_they_are_kept(at):
    asked = [*at, "model=r2plus1d", "explainer=gradients"]
    [none], [three] = planned(*asked, "runner.pictures=0"), planned(*asked)
    assert three.bytes - none.bytes == 3 * 8 * 64 * 64 * 6  # three colours, a half-precision value, a box
    [quarter] = planned(*asked, "runner.pictures=0", "shard.count=4")
    assert 0 < quarter.bytes < none.bytes


def test_tables_share_cells(at):
    asked = [*at, "model=r2plus1d", "dataset=ucf101_24"]
    third = planned(*asked, "explainer=step,gradcam,random", table="step_3")
    fourth = planned(*asked, "explainer=ep3d_evenly,random,step", table="step_4")
    every = plan.distinct([*third, *fourth])
    assert [cell.names[2] for cell in every] == ["step", "gradcam", "random", "ep3d_evenly"]
    assert all(cell.passes for cell in every)


def test_shards_and_metrics_are_cells_of_their_own(at):
    asked = [*at, "model=r2plus1d", "explainer=random"]
    assert len(plan.distinct(planned(*asked, "shard.index=0,1", "shard.count=2"))) == 2
    assert len(plan.distinct(planned(*asked, "metric=dc_acc_stc,deletion"))) == 2


def run(*words: str) -> int:
    return main(["--no-timing", *words])


def items(text: str) -> list[str]:
    """What is missing, one line each."""
    found = text.partition("Missing on this machine (")[2]
    lines = [line.removeprefix("- ") for line in found.splitlines() if line.startswith("- ")]
    assert int(found.partition(")")[0]) == len(lines)
    return lines


def test_everything_missing_is_said_once(empty, capsys):
    assert run("--paper=step", "--table=1", "--profile=paper") == 1
    found = items(capsys.readouterr().out)
    labels = ["ucf101_24", "epic_object", "epic_action"]
    files = [f"{model}_{label}.safetensors" for model in ("vgg16lstm", "r2plus1d_18") for label in labels]
    for name in ["UCF101-24 is not", "EPIC-Object is not", "EPIC-Action is not", *files]:
        assert sum(name in line.partition(" (")[0] for line in found) == 1, name
    assert len(found) == 9


def test_without_data_the_profile_says_how_many_clips(empty, capsys):
    run("--paper=step", "--table=1", "--profile=paper")
    out = capsys.readouterr().out
    assert "~120" in out
    assert "~100" in out
    assert "clips    ~640, of which 0 are done" in out
    looks = 6 * (8 + 8 + 1)  # at the network of each cell
    assert f"calls    ~{2 * 640 + looks:,} forward and 0 backward are left" in out


def test_nothing_is_written(empty, tmp_path, capsys):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "tsm_r50_ucf101_24.safetensors").write_bytes(b"weights")
    asked = ["model=tsm", "explainer=random", f"paths.mirror={mirror}", "download=true"]
    asked += ["++weights.ucf101_24.url=http://127.0.0.1:9/tsm.safetensors"]  # where nobody answers
    assert run("--paper=fep", "--table=1", "--profile=paper", *asked) == 1
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["mirror", "tsm_r50_ucf101_24.safetensors"]
    out = capsys.readouterr().out
    assert sum("tsm_r50_ucf101_24.safetensors does not exist" in line for line in items(out)) == 1
    assert "download=true fetches it" in out


def test_all_there(at, capsys):
    assert run("--paper=fep", "--table=1", *at, "model=r2plus1d", "explainer=random,centre") == 0
    out = capsys.readouterr().out
    assert "fep_1: 2 cells" in out
    assert out.endswith("Nothing is missing on this machine.\n")


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_an_absent_gpu_and_launcher_are_missing_and_the_rest_is_planned(at, capsys):
    asked = ["model=r2plus1d", "explainer=random,centre", "device=cuda"]
    launcher = ["hydra/launcher=ray", "hydra.launcher.n_jobs=2"]
    assert main(["--paper=fep", "--table=1", *at, *asked, *launcher]) == 1
    out = capsys.readouterr().out
    assert [line.partition(":")[0].partition(" but")[0] for line in items(out)] == [
        "hydra/launcher=ray",
        "device = cuda",
    ]
    assert "time     ? on cuda, which is not here" in out
    assert "clips    32, of which 0 are done" in out


def test_launchers_that_are_installed_are_not_missing():
    assert lacking(["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=1"]) == []
    [line] = lacking(["hydra/launcher=joblib", "hydra/launcher=ray"])
    assert "hydra-ray-launcher" in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--table=1", "model=r2plus2d"], "model=r2plus2d does not exist; did you mean r2plus1d"),
        (["--table=1", "--paper=fep", "no_such_key=1"], "no_such_key"),
        (["--table=9"], "table 9"),
        (["--table=1", "--jobz=2"], "--jobz"),
    ],
)
def test_a_wrong_command_is_one_line(words, said, capsys):
    assert run(*words) == 2
    out, err = capsys.readouterr()
    [line] = err.splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert not out


def test_a_wrong_setting_is_a_line_and_no_traceback(at, capsys):
    assert run("--paper=fep", "--table=1", *at, "model=r2plus1d", "explainer=random", "shard.count=0") == 1
    assert items(capsys.readouterr().out) == ["shard.count = 0 is not a whole number in [1, inf)"]


PER_CLASS = "dataset.per_class=null"


@pytest.mark.parametrize(
    ("overrides", "clips"),
    [
        (["dataset=ucf101_24"], 120),
        (["dataset=ucf101"], 3783),
        (["dataset=epic_object"], 100),
        (["dataset=epic_action"], 100),
        (["dataset=kinetics400"], 4000),
        (["dataset=kinetics700"], 7000),
        (["dataset=ucf101_24", PER_CLASS], 910),
        (["dataset=ucf101_24", "dataset.labels=ucf101"], 120),  # a network of 101 classes, clips of 24
        (["dataset=epic_object", PER_CLASS], 100),
        (["dataset=epic_action", "dataset.per_class=2"], 40),
        (["dataset=kinetics400", PER_CLASS], None),
        (["dataset=ucf101", "dataset.fold=2"], None),
        (["dataset=ucf101_24", "dataset.split=train"], None),
        (["dataset=ucf101_24", "profile=mini"], None),
    ],
)
def test_clips_the_profile_asks_for(overrides, clips):
    assert Assembled(composed("profile=paper", *overrides)).clips_asked_for == clips


def large(explainer: str, metric: str = "deletion_insertion", **values) -> CellPlan:
    names = {"model": "r2plus1d_50", "dataset": "kinetics700", "explainer": explainer, "metric": metric}
    passes = Passes(123_456_789, 12_345_678)
    facts = {"clips": 19_881, "about": True, "passes": passes, "network": "net", "bytes": 3_000_000}
    return CellPlan(Assembled(composed(), names), key=(explainer,), **(facts | values))


def test_the_largest_numbers_fit_100_columns(capsys):
    cells = [large("integrated_gradients"), large("aosa_approx_cond"), large("fep", clips=None, passes=None)]
    plan.show({"aosa_2": cells}, cells, {"net": Timing(0.1, 0.4)})
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines[: lines.index("aosa_2: 3 cells")])) <= 100
    rows = [line for line in lines if "r2plus1d_50" in line]
    assert len(rows) == 3
    words = "r2plus1d_50 kinetics700 integrated_gradients ~19,881 0 ~123,456,789 ~12,345,678 4,458.2 h"
    assert rows[0].split() == words.split()  # nothing is folded or cut
    assert rows[2].split()[-5:] == ["?", "0", "?", "?", "?"]


def test_a_table_of_two_metrics_fits_100_columns(capsys):
    few = {"clips": 3783, "passes": Passes(1_123_456, 3_783)}
    cells = [large("aosa_approx_cond", **few), large("aosa_approx_relu", "spatial_pointing", **few)]
    plan.show({"aosa_7": cells}, cells, {"net": Timing(0.1, 0.4)})
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines[: lines.index("aosa_7: 2 cells")])) <= 100
    metrics = [line.split()[3] for line in lines if "r2plus1d_50" in line]
    assert metrics == ["deletion_insertion", "spatial_pointing"]  # nothing is folded or cut


def test_totals_count_a_shared_cell_once(capsys):
    mine, shared = large("fep", about=False), large("step", about=False, done=1)
    plan.show({"step_3": [mine, shared], "step_4": [shared]}, [mine, shared], {"net": Timing(0.5, 1.0)})
    out = capsys.readouterr().out
    assert "step_3, step_4: 2 cells, 1 of them in several tables and counted once" in out
    assert "clips    39,762, of which 1 are done" in out
    assert "calls    246,913,578 forward and 24,691,356 backward are left" in out
    assert "about 6 MB" in out


@pytest.mark.parametrize(("seconds", "said"), [(0, "0.0 s"), (59.9, "59.9 s"), (90, "1.5 min"), (9000, "2.5 h")])
def test_times(seconds, said):
    assert plan._time(seconds) == said


def test_a_backward_pass_has_its_forward_pass():
    assert Timing(forward=2, both=5).seconds(Passes(10, 4)) == 6 * 2 + 4 * 5


def test_what_was_timed_by_itself_does_not_count_as_passes_too():
    """One part of 3 passes there and back and 1 there, on 5 clips, and one that was not timed."""
    known, unknown = Part("fep", 5, Passes(4, 3) * 5), Part("slow metric", 5, Passes(2) * 5)
    pace = Timing(forward=2, both=5, parts={"fep": 100.0}, start=7.0)
    assert pace.seconds(Passes(1 + 6 * 5, 3 * 5), [known, unknown]) == 7 + 5 * 100 + (1 + 2 * 5) * 2


def test_parts_are_the_methods_that_iterate_and_the_metrics_that_run_none(at):
    asked = [*at, "model=r2plus1d"]
    [fep] = planned(*asked, "explainer=fep")
    assert {type(thing).__name__ for thing in fep.things.values()} >= {"FEP", "Faithfulness", "DeletionCurve"}
    assert [part.clips for part in fep.parts] == [8] * len(fep.parts)
    besides = Passes(forward=8) + LOOK  # F-EP explains the predicted class
    assert sum((part.passes for part in fep.parts), besides) == fep.passes
    [gradients] = planned(*asked, "explainer=gradients")
    assert set(gradients.things) == set(fep.things) - {fep.parts[0].key}
    [timed] = planned(*asked, "explainer=fep", "metric=seconds", "metric.time.warmup=2")
    [own, again] = timed.parts
    assert (own.clips, again.clips) == (8, 8 + 2)  # the metric runs the method again, and warms up
    [ratio] = planned(*asked, "explainer=random", "metric=preservation")
    [part] = ratio.parts
    assert (type(ratio.things[part.key]).__name__, part.clips) == ("EP3D", 8)


def test_a_finished_cell_has_no_parts(at, monkeypatch):
    asked = [*at, "model=r2plus1d", "explainer=fep", "profile.iterations=1", "metric=topk"]
    computed(monkeypatch, *asked)
    [after] = planned(*asked)
    assert (after.parts, after.things, after.network) == ([], {}, "")


def test_every_network_is_timed_once(at, capsys, monkeypatch):
    timed = []
    monkeypatch.setattr(plan, "measure", lambda parts, *_: timed.append(parts.model) or Timing(3600, 3600))
    asked = ["model=r2plus1d,tsm", "explainer=random,centre", "metric=topk"]
    assert main(["--paper=fep", "--table=1", *at, *asked]) == 0
    assert sorted(timed) == ["r2plus1d", "tsm"]
    # 4 cells x (16 clips x (class + accuracy) + the look at their networks)
    assert "time     164.0 h on " in capsys.readouterr().out


class Toy(nn.Module):
    """Holds no more than two clips at once."""

    def __init__(self):
        super().__init__()
        self.sizes, self.fits = [], 2

    def forward(self, clip):
        if len(clip) > self.fits:
            raise torch.OutOfMemoryError("too many clips")
        self.sizes.append(len(clip))
        return clip.mean(dim=(2, 3, 4)).repeat(1, 4)


@pytest.fixture
def toy(monkeypatch):
    toy = Toy()
    monkeypatch.setattr(pace, "network", lambda parts: toy)
    return toy


def parts_of(*overrides):
    return Assembled(composed("runner.chunk=8", *overrides))


def test_a_batch_that_does_not_fit_is_halved(toy):
    found = pace.measure(parts_of())
    assert toy.sizes[-1] == 2
    assert min(found.forward, found.both) > 0


def test_a_slow_network_is_timed_clip_by_clip(toy, monkeypatch):
    toy.fits = 8
    monkeypatch.setattr(pace, "SLOW_S", 0)
    pace.measure(parts_of())
    assert set(toy.sizes) == {1}


def test_a_clip_that_does_not_fit_is_said(toy, at, capsys):
    toy.fits = 0
    assert main(["--paper=fep", "--table=1", *at, "model=tsm", "explainer=random"]) == 1
    assert items(capsys.readouterr().out) == ["tsm cannot be timed: too many clips"]


class Clock:
    """Goes one second on whenever it is asked."""

    def __init__(self):
        self.seconds = 0

    def __call__(self, device):
        self.seconds += 1
        return self.seconds


def test_a_method_s_time_is_that_of_its_areas_and_iterations(toy, monkeypatch):
    """2 clips at once. The clock is asked at the beginning and in each iteration, so the beginning takes nothing."""
    toy.fits = 8
    monkeypatch.setattr(pace, "now", Clock())
    method = parts_of("explainer=step", "explainer.areas=[0.1,0.2,0.3]", "explainer.iterations=40").explainer
    before = dict(vars(method))
    assert pace._method(toy, parts_of(), method, 2) == 40 * 1 * 3 / 2
    assert toy.sizes == [2] * pace.ITERATIONS
    assert vars(method) == before  # what the plan was made with


def test_the_beginning_of_a_method_counts_once_an_area(toy, monkeypatch):
    toy.fits = 8
    clock = Clock()
    monkeypatch.setattr(pace, "now", clock)
    method = parts_of("explainer=ep3d", "explainer.iterations=4").explainer
    plain = pace._method(toy, parts_of(), method, 1)
    original = Pyramid.__init__

    def slow(self, *arguments, **settings):
        clock.seconds += 10
        original(self, *arguments, **settings)

    monkeypatch.setattr(Pyramid, "__init__", slow)
    assert pace._method(toy, parts_of(), method, 1) == plain + 10


@pytest.mark.parametrize("name", options("metric"))
def test_every_metric_that_runs_no_method_can_be_timed(toy, name):
    toy.fits = 8
    parts = parts_of(f"metric={name}")
    for metric in parts.metrics.values():
        if not metric.calibration and metric.explainer is None:
            assert pace._metric(toy, parts, metric, 2) > 0


def test_to_begin_a_cell_takes_until_its_first_batch_is_there(toy, monkeypatch):
    class Loads:
        batches: ClassVar[list[int]] = []

        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def load(self, dataset, refs):
            self.batches.append(len(refs))
            time.sleep(0.2)

    monkeypatch.setattr(pace, "DecodePool", Loads)
    data = SimpleNamespace(clips=[None] * 20)
    assert pace.measure(parts_of(), {}, data).start >= 0.2
    assert Loads.batches == [8]
    pace.measure(parts_of())
    assert Loads.batches == [8]  # without clips nothing is decoded


def test_a_real_network_is_timed(empty):
    """At its paper's size, TSM would take minutes; mini's takes milliseconds. Its weights are not asked for."""
    config = composed("model=tsm", "model.checkpoint=/no/such/file", "runner.chunk=2")
    found = pace.measure(Assembled(config))
    assert min(found.forward, found.both) > 0
    assert config.model.checkpoint == "/no/such/file"


@pytest.mark.parametrize("given", [["model=r3d"], ["dataset._target_=my_data.Mine"], ["dataset._target_=this.s"]])
def test_a_cell_that_cannot_be_told_apart_is_planned_as_far_as_it_goes(given, empty, capsys):
    """Without weights not even the number of classes is known; what is not on the allow-list is not imported."""
    words = ["--table=1", "--paper=fep", "--profile=paper", "--no-timing", "explainer=random"]
    assert main([*words, *(f"hydra.sweeper.params.{word}" if word == "model=r3d" else word for word in given)]) == 1
    said = capsys.readouterr()
    assert items(said.out)
    assert not [line for line in said.err.splitlines() if "Error" in line]
    assert "this" not in sys.modules
