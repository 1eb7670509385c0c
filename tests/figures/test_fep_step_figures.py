"""The figures of F-EP and STEP that are made from one clip or from a table's cells, and the command that makes them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vxbench.commands import figure as cli
from vxbench.config import build, options
from vxbench.errors import ClipError, UserError
from vxbench.figures import fep_2, fep_3, fep_4, fep_6, step_2, step_3
from vxbench.figures import methods as recognised
from vxbench.figures.common import composed, display, foot, iterations, made_of, span, variant
from vxbench.metrics import MinimumPreservationRatio
from vxbench.metrics.base import Batch
from vxbench.runner.assemble import Assembled
from vxbench.runner.batch import generator_of
from vxbench.runner.one_clip import explain_clip, open_clip, probabilities_of_kept
from vxbench.runner.outcome import Outcome
from vxbench.runner.store import Store, failure, frame
from vxbench.tables.record import new_record, write_record
from vxbench.tables.results import RunInfo

pytestmark = pytest.mark.slow

MINE = ("fep_2", "fep_3", "fep_4", "fep_6", "step_2", "step_3")


@pytest.fixture
def config_of(mini_data, tmp_path):
    def make(key, *overrides):
        return composed(key, [f"paths.data={mini_data}", f"paths.results={tmp_path}", "profile=smoke", *overrides])

    return make


@pytest.fixture(scope="module")
def one(mini_data):
    return open_clip(Assembled(composed("fep_2", [f"paths.data={mini_data}", "profile=smoke"])))


# The command.


def test_every_figure_has_a_config_of_its_name_and_a_module():
    assert set(MINE) <= set(options("figure"))
    for key in MINE:
        config = composed(key, [])
        assert config.figure.key == key
        assert config.table.key in (f"{key[:4]}1", "step_2", "step_3")


@pytest.mark.parametrize(("given", "near"), [("fep_9", "fep_"), ("step2", "step_2")])
def test_an_unknown_figure_is_one_line_with_the_nearest(capsys, given, near):
    assert cli.main([given, "model=tsm"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"figure {given} does not exist; did you mean {near}" in said


def test_an_unknown_model_is_refused_before_anything_is_made(capsys):
    assert cli.main(["fep_2", "model=r2plus1"]) == 2
    assert "did you mean r2plus1d" in capsys.readouterr().err


def stand_in(monkeypatch, tmp_path, outcomes):
    """Figures whose making ends as told: a list of files, or an exception."""

    class Module:
        def __init__(self, name):
            self.outcome = outcomes[name.rpartition(".")[2]]

        def make(self, config):
            if isinstance(self.outcome, Exception):
                raise self.outcome
            return self.outcome

    monkeypatch.setattr(cli, "import_module", Module)
    monkeypatch.setattr(cli, "options", lambda group: list(outcomes))


def test_all_are_made_though_some_fail(monkeypatch, tmp_path, capsys):
    outcomes = {
        "fep_2": UserError("no weights;\nsecond line"),
        "fep_3": ClipError("undecodable", "clip x is broken"),
        "fep_6": ["made.png", "made.pdf"],
        "step_2": ZeroDivisionError("a bug"),
    }
    stand_in(monkeypatch, tmp_path, outcomes)
    assert cli.main([f"paths.results={tmp_path}"]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines() == ["wrote made.png", "wrote made.pdf"]
    trace = tmp_path / "figures" / "step_2.traceback.txt"
    assert err.splitlines() == [
        "error: fep_2: no weights;",
        "error: fep_3: clip x is broken",
        f"error: step_2: ZeroDivisionError: a bug (see {trace})",
    ]
    assert "ZeroDivisionError" in trace.read_text()


def test_only_those_named_are_made_and_all_well_is_0(monkeypatch, tmp_path, capsys):
    stand_in(monkeypatch, tmp_path, {"fep_2": UserError("not asked for"), "fep_6": ["made.png"]})
    assert cli.main(["fep_6"]) == 0
    assert capsys.readouterr().err == ""


def test_an_override_that_fits_nothing_is_one_line(tmp_path, capsys):
    assert cli.main(["fep_6", "figure.columms=4"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "columms" in said
    assert said.count("\n") == 1


# What figures share.


def test_a_variant_keeps_the_overrides_and_adds_its_own():
    config = composed("fep_6", ["seed=3", "model=tsm", "explainer=gradcam"])
    other = variant(config, "explainer=fep")
    assert (other.seed, other.model.key, other.figure.key) == (3, "tsm", "fep_6")
    assert other.explainer.r_h == 0.1  # F-EP Table 1, TSM
    assert config.explainer != other.explainer


def test_names_are_the_papers_without_ours():
    assert display(composed("fep_6", []), "fep") == "F-EP"
    assert display(composed("step_3", []), "ep3d") == "EP-3D"
    assert display(composed("fep_6", []), "rise") == "rise"


def test_the_foot_says_how_it_was_made(config_of):
    lines = foot(config_of("fep_6", "seed=5"), "made of this").splitlines()
    assert lines[0].startswith("profile smoke: ")
    assert lines[0].endswith("seed 5")
    assert lines[1:] == ["made of this"]


def test_iterations_are_said_of_the_methods_that_have_them(config_of, one):
    """Not of the explainer of the config, which is none of the figure's."""
    config = config_of("fep_6", "profile.iterations=30")
    assert iterations(config, ["gradcam", "ep3d", "fep"]) == ["perturbation methods: 30 iterations"]
    assert iterations(config, ["gradcam", "centre"]) == []
    assert "iterations" not in made_of(config, one)


@pytest.mark.parametrize(("counts", "said"), [([14, 15, 16, 14], "14 to 16"), ([9, 9], "9"), ([100, 9], "9 to 100")])
def test_several_counts_are_said_by_the_least_and_the_largest(counts, said):
    assert span(counts) == said


@pytest.mark.parametrize(
    ("module", "key", "drawing", "said"),
    [
        (fep_3, "fep_3", "kept_figure", "perturbation methods: 1 iterations"),
        (fep_6, "fep_6", "maps_print", "perturbation methods: 1 iterations"),
        (step_3, "step_3", "maps_print", "perturbation methods: 1 iterations"),
        (step_2, "step_2", "maps_print", "EP-3D: 2 iterations an area"),
    ],
)
def test_the_foot_and_the_facts_are_those_of_the_figure(config_of, monkeypatch, module, key, drawing, said):
    """The explainer of step_2's config is none of the figure's: its masks are those of the metric's explainer."""
    drawn = []
    monkeypatch.setattr(module, drawing, lambda *given: drawn.append(given) or [])
    ratio = "metric.min_preservation_ratio"
    settings = {
        "step_2": [f"{ratio}.explainer.iterations=2", f"{ratio}.grid=[0.5,1]", "figure.models=[r2plus1d]"],
        "step_3": ["figure.panels=[{model: r2plus1d, dataset: ucf101_24, clip: null, explainers: [centre, ep3d]}]"],
    }
    explainers = ["figure.explainers=[centre,ep3d]"]
    module.make(config_of(key, "profile.iterations=1", *settings.get(key, explainers)))
    [words] = [value for value in drawn[0] if isinstance(value, str) and value.startswith("profile")]
    [facts] = [value for value in drawn[0] if isinstance(value, dict) and "made" in value]
    assert said in words.splitlines()
    assert facts["profile"] == "smoke"


# F-EP 2.


def test_the_share_is_of_the_explainers_own_iterations(config_of, monkeypatch):
    drawn = []
    monkeypatch.setattr(fep_2, "signed_figure", lambda *given: drawn.append(given) or [])
    fep_2.make(config_of("fep_2", "figure.after=0.5", "explainer.iterations=4"))
    [(_, _, _, words, facts)] = drawn
    assert "after 2 of 4 iterations" in words
    assert facts["profile"] == "smoke"


def test_the_gradients_are_those_of_the_iteration(config_of, one):
    config = config_of("fep_2")
    steps = []
    explainer = build(config, "explainer")
    explainer.observer = steps.append
    explain_clip(one, explainer)
    raw, modulated = fep_2.gradients(config, one, 3)
    size = one.frames.shape[1:3]
    np.testing.assert_array_equal(modulated, fep_2.on_frame(steps[3].gradient[0], size, explainer.step))
    assert not np.allclose(raw, modulated)
    assert not np.array_equal(modulated, fep_2.on_frame(steps[2].gradient[0], size, explainer.step))


def test_a_filter_that_passes_all_changes_nothing(config_of, one):
    raw, modulated = fep_2.gradients(config_of("fep_2", "explainer.r_l=1", "explainer.r_h=0"), one, 1)
    # A cosine transform and back in float32: some units in the last place of the largest value.
    np.testing.assert_allclose(modulated, raw, rtol=0, atol=1e-5 * np.abs(raw).max())


def test_an_explainer_without_modulation_is_refused(config_of, one):
    for overrides in (["explainer=ep3d"], ["explainer.tensor=mask"]):
        with pytest.raises(UserError, match="use explainer=fep"):
            fep_2.gradients(config_of("fep_2", *overrides), one, 1)


@given(st.integers(8, 40), st.integers(8, 40), st.integers(1, 13))
def test_every_pixel_takes_its_nearest_seed(height, width, step):
    seeds = -(-height // step), -(-width // step)
    values = torch.arange(2 * seeds[0] * seeds[1], dtype=torch.float32).view(2, *seeds)
    shown = fep_2.on_frame(values, (height, width), step)
    assert shown.shape == (2, height, width)
    np.testing.assert_array_equal(shown[:, ::step, ::step], values.numpy())
    for y in range(height):
        row = int(shown[0, y, 0]) // seeds[1]
        assert abs(row * step - y) == min(abs(seed * step - y) for seed in range(seeds[0]))


# F-EP 3, 6 and STEP 3: maps and what they keep.


def test_notes_say_what_is_recognised_and_what_does_not_apply(config_of, one):
    config = config_of("fep_6")
    clip, rows = recognised.recognised(config, one, ["gradcam", "eb_r"])
    assert rows == [("gradcam", "Grad-CAM"), ("eb_r", "eb_r")]
    assert set(clip.maps) == {"gradcam"}
    p = probabilities_of_kept(one, clip.maps["gradcam"])
    assert clip.notes["gradcam"] == f"{one.classes[p.argmax()]}\np = {p.max():.2f}"
    assert clip.notes[""] == f"{one.classes[one.probabilities.argmax()]}\np = {one.probabilities.max():.2f}"
    assert clip.notes["eb_r"] == "does not apply"


@pytest.mark.parametrize("key", ["fep_3", "fep_6"])
def test_a_figure_of_one_clip_is_made_as_png_and_pdf(config_of, tmp_path, key, capsys, mini_data):
    given = [f"paths.data={mini_data}", f"paths.results={tmp_path}", "profile=smoke"]
    assert cli.main([key, *given, "figure.explainers=[gradcam,centre]"]) == 0
    paths = sorted((tmp_path / "figures").iterdir())
    assert [path.name for path in paths] == [f"{key}.pdf", f"{key}.png"]
    assert cli.main([key, *given, "figure.clip=nobody"]) == 1
    assert "clip nobody is not among the 8 clips" in capsys.readouterr().err


# STEP 2.


@pytest.fixture
def ratio(config_of):
    return build(config_of("step_2", "metric.min_preservation_ratio.grid=[0.1,0.5,1]"), "metric.min_preservation_ratio")


def test_the_area_is_the_metrics_ratio_and_the_mask_keeps_the_class(ratio, one):
    ratio.slack = 0.3
    batch = Batch(one.tensor, one.target, one.target, generators=[generator_of(0, one.id)])
    expected = ratio(one.classifier, batch, torch.zeros_like(batch.clip[:, 0]))["min_preservation_ratio"].item()
    area, p, mask = step_2.smallest(ratio, one, 0)
    assert area == expected
    assert area < 1  # else the mask is not looked at
    assert p >= one.p - 0.3
    # The optimiser's own forward pass and this one round differently: float32, eight classes.
    assert probabilities_of_kept(one, mask.numpy())[int(one.target)] == pytest.approx(p, abs=1e-5)


def test_where_no_share_is_enough_the_whole_clip_is_kept(ratio, one):
    ratio.explainer.iterations, ratio.grid = 1, [0.5, 1.0]
    ratio.slack = -0.5  # more than the whole clip's probability: out of reach
    area, p, mask = step_2.smallest(ratio, one, 0)
    assert (area, p) == (1.0, one.p)
    assert mask.shape == one.frames.shape[:3]
    assert (mask == 1).all()


def test_the_metric_of_the_figure_is_the_tables(config_of):
    config = config_of("step_2")
    ratio = build(config, "metric.min_preservation_ratio")
    assert isinstance(ratio, MinimumPreservationRatio)
    assert ratio.explainer.iterations == config.profile.iterations


# F-EP 4.


CURVES = {
    "fep": [[1.0, 0.2, 0.0], [0.8, 0.4, 0.0]],
    "gradcam": [[0.9, 0.1, 0.1], [0.9, 0.0, 0.0]],
    "random": [[1, 1, 0]],
}


def a_record(results, profile="smoke", metric="deletion"):
    outcomes = []
    for row, curves in CURVES.items():
        rows = [ok(f"c/{i}", metric, curve) for i, curve in enumerate(curves)]
        rows.append(ok("c/nan", metric, curves[0]) | {"value": float("nan")})
        Store(results / "cells" / row).commit(frame([*rows, failure("c/bad", 0, "missing", "gone")]))
        outcomes.append(Outcome("r2plus1d", "ucf101_24", row, cell=row))
    Store(results / "cells" / "tsm").commit(frame([ok("c/0", metric, [0.5, 0.5, 0.5])]))
    outcomes.append(Outcome("tsm", "ucf101_24", "fep", cell="tsm"))  # another network's curve stays out
    write_record(new_record("fep_1", RunInfo(profile, "small", False), outcomes, results, {}))


def ok(clip, metric, curve):
    shared = {"clip": clip, "label": 0, "target": 0, "status": "ok", "degenerate": False, "reason": ""}
    return shared | {"metric": metric, "value": fep_4.area(np.array(curve)), "curve": curve}


def test_curves_are_means_over_clips_ordered_by_their_area(config_of, tmp_path, monkeypatch):
    a_record(tmp_path)
    drawn = []
    monkeypatch.setattr(fep_4, "curves_figure", lambda *given: drawn.append(given) or [])
    fep_4.make(config_of("fep_4"))
    [(path, title, x, curves, _, _, words, facts)] = drawn
    assert path == tmp_path / "figures" / "fep_4"
    assert title == "Deletion: R(2+1)D on UCF101-24"
    assert x.tolist() == [0, 0.5, 1]
    assert [(curve.name, curve.note, curve.control) for curve in curves] == [
        ("Grad-CAM", "0.263", False),  # ((.9 + .1) / 2 + .1) / 2 = .3 and (.9 / 2) / 2 = .225: their mean
        ("F-EP", "0.375", False),
        ("random map", "0.750", True),
    ]
    np.testing.assert_allclose(curves[1].y, [0.9, 0.3, 0.0], atol=1e-12)
    assert "means over 1 to 2 clips" in words
    assert facts["profile"] == "smoke"


def test_a_table_that_is_not_there_is_one_line_with_the_command(config_of, tmp_path):
    with pytest.raises(UserError, match=r"make the table first: vxbench reproduce --paper fep --table 1 "):
        fep_4.make(config_of("fep_4"))
    a_record(tmp_path, profile="mini")
    with pytest.raises(UserError, match="is of profile mini; give profile=mini"):
        fep_4.make(config_of("fep_4"))


def test_a_table_without_curves_is_said(config_of, tmp_path):
    a_record(tmp_path, metric="stc")
    with pytest.raises(UserError, match="no cell of fep_1 on r2plus1d holds a deletion curve"):
        fep_4.make(config_of("fep_4"))
