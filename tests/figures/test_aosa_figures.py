"""Figures 4 to 8 of AOSA: what they compute is what cells and explainers compute."""

import numpy as np
import pandas as pd
import pytest
import torch

from vxbench.config import build
from vxbench.errors import OutOfRange, UserError
from vxbench.explainers.occlusion.holes import Holes
from vxbench.explainers.occlusion.motion import Tracks
from vxbench.figures import aosa_4, aosa_8
from vxbench.figures import methods as aosa_7
from vxbench.figures.common import composed, variant
from vxbench.figures.drawing.cascade import cascade_figure
from vxbench.figures.methods import block_of
from vxbench.metrics.sanity.similarity import spearman, ssim
from vxbench.runner.assemble import Assembled
from vxbench.runner.one_clip import explain_clip, open_clip

pytestmark = pytest.mark.slow


@pytest.fixture
def config_of(monkeypatch, mini_data, tmp_path):
    monkeypatch.setenv("VXBENCH_MINI_DATA", str(mini_data))
    return lambda key, *overrides: composed(key, [f"paths.results={tmp_path}", *overrides])


def made(paths, key):
    assert [path.name for path in paths] == [f"{key}.png", f"{key}.pdf"]
    assert all(path.stat().st_size > 10_000 for path in paths)  # bytes: pictures, not an empty page


def test_figure_4_is_made_of_the_masks_of_the_explainer(config_of):
    config = config_of("aosa_4", "figure.columns=2")
    assert build(config, "explainer").k == 5
    made(aosa_4.make(config), "aosa_4")


def test_figure_4_refuses_other_explainers_and_anchors(config_of):
    with pytest.raises(UserError, match="use explainer=aosa"):
        aosa_4.make(config_of("aosa_4", "explainer=osa", "~explainer.k"))
    with pytest.raises(OutOfRange, match=r"figure.anchor = 64 is not a whole number in \[0, 63\]"):
        aosa_4.make(config_of("aosa_4", "figure.anchor=64"))


def test_the_squares_of_a_mask_are_what_it_hides():
    draw = torch.Generator().manual_seed(0)
    ranges = [torch.randint(0, 9, (3, 4, 5, 2), generator=draw).sort(dim=-1).values.short() for _ in range(2)]
    holes = Holes(*ranges, torch.zeros(3, dtype=torch.long), 8, 8)
    for number in range(3):
        hidden = np.zeros((5, 8, 8), bool)
        for square in aosa_4.squares_of(holes, number):
            for t, (top, bottom, left, right) in enumerate(square):
                hidden[t, top:bottom, left:right] = True
        assert (hidden == holes.hidden()[number].numpy()).all()


@pytest.fixture
def tracks():
    """Nine anchors, 8 apart, over three frames. Anchor 4 goes 2 right and 1 up; 8 farther, but dies after a frame."""
    y, x = (np.tile(array.ravel(), (3, 1)) for array in np.mgrid[4:28:8, 4:28:8])
    displacement = np.zeros((2, 2, 9), np.float32)
    displacement[:, :, 4], displacement[:, 0, 8] = (2, -1), (1.5, 90)
    alive = np.ones((3, 9), bool)
    alive[1:, 8] = False
    return Tracks(y, x, alive, displacement)


def test_the_anchor_shown_is_the_one_that_goes_farthest_while_it_lives(tracks):
    assert aosa_4.farthest(tracks) == 4


def test_arrows_are_of_every_other_anchor_and_the_masks_own_as_long_as_they_live(tracks):
    arrows = aosa_4.arrows_of(tracks, 4, stride=8, every=2)
    assert list(zip(arrows.x[0], arrows.y[0], strict=True)) == [(4, 4), (20, 4), (12, 12), (4, 20), (20, 20)]
    assert arrows.own == 2
    assert (arrows.dx[:, 2] == 2).all()
    assert (arrows.dy[:, 2] == -1).all()
    assert arrows.dx[0, 4] == 1.5
    assert np.isnan(arrows.dx[1, 4])
    assert np.isnan(arrows.dy[1, 4])
    assert arrows.apart == 16
    assert aosa_4.arrows_of(tracks, 4, stride=8, every=1).dx.shape == (2, 9)


def test_figure_7_has_the_four_variants_of_each_network_on_one_clip(config_of):
    config = config_of("aosa_7", "figure.columns=2", "figure.models=[r2plus1d_50,r3d]")
    drawn, facts = block_of(config, "ucf101", None)
    assert drawn.headings == [f"{name}, t = {t}" for name in ("R(2+1)D-50", "R3D") for t in (0, 7)]
    assert [row.name for row in drawn.rows] == ["frames", "neither", "conditional sampling", "ReLU", "both"]
    assert [f"clip {drawn.subtitle};" in fact for fact in facts] == [True, True]
    settings = {name: build(variant(config, f"explainer={name}"), "explainer") for name in config.figure.explainers}
    assert [(one.cond, one.relu) for one in settings.values()] == [
        (False, False),
        (True, False),
        (False, True),
        (True, True),
    ]


def test_a_method_that_does_not_apply_is_a_dash_with_its_reason(config_of):
    config = config_of("aosa_7", "figure.models=[r3d]", "figure.explainers=[attention_rollout,aosa_approx]")
    drawn, facts = block_of(config, "ucf101", None)
    assert {row.missing for row in drawn.rows} == {"–"}
    assert [[picture is None for picture in row.pictures] for row in drawn.rows[1:]] == [[True] * 4, [False] * 4]
    assert "–: attention_rollout does not apply to R3D: r3d has no attention blocks" in facts
    made(aosa_7.make(config), "aosa_7")


def test_the_settings_are_the_tables(config_of):
    """AOSA IV-A: s = 4 and holes of 8 on Kinetics-700, 8 and 16 on UCF101, 10 and 20 for SlowFast on Kinetics-400."""
    sizes = {}
    for key, model, dataset in [
        ("aosa_5", "r2plus1d_50", "ucf101"),
        ("aosa_5", "r3d", "kinetics700"),
        ("aosa_6", "slowfast", "kinetics400"),
        ("aosa_6", "timesformer", "kinetics400"),
    ]:
        mine = config_of(key, f"model={model}", f"dataset={dataset}", "explainer=aosa")
        sizes[model] = (mine.explainer.stride, mine.explainer.hole, mine.explainer.k)
    assert sizes == {"r2plus1d_50": (8, 16, 3), "r3d": (4, 8, 3), "slowfast": (10, 20, 3), "timesformer": (8, 16, 3)}


def without(rows, metric):
    """One clip less has a value of the metric."""
    place = rows.index[rows.metric == metric][0]
    return rows.assign(value=rows.value.where(rows.index != place))


def test_figure_8_shows_the_maps_that_the_curves_are_of(config_of, capsys, monkeypatch):
    """The stages' maps, computed for the picture, give the cell's values of that clip."""
    words = ("figure.explainers=[aosa_approx_cond]", "dataset.per_class=1", "metric.sanity.calibration=4")
    config = config_of("aosa_8", *words, "figure.columns=2")
    drawn = []
    monkeypatch.setattr(aosa_8, "cascade_figure", lambda *given: drawn.append(given) or cascade_figure(*given))
    spoilt = aosa_8.points
    monkeypatch.setattr(aosa_8, "points", lambda rows, *given: spoilt(without(rows, "rank_fc"), *given))
    made(aosa_8.make(config), "aosa_8")
    assert "curves: mean over 9 to 10 clips with its 95 % bootstrap interval" in drawn[0][4].splitlines()
    mine, one = variant(config, "explainer=aosa_approx_cond"), open_clip(Assembled(config))
    cell = Assembled(mine)
    rows, check = aosa_8.cell_rows(cell), cell.metrics["sanity"]
    assert "all computed before" in capsys.readouterr().out.splitlines()[-1]
    own = rows[rows["clip"] == one.id].set_index("metric").value
    maps = {stage: torch.as_tensor(found)[None].double() for stage, found in aosa_8.stage_maps(cell, one, check)}
    given = torch.as_tensor(explain_clip(one, Assembled(mine).explainer))[None].double()
    for stage in ("original", "fc", "layer4", "layer3", "layer2", "layer1"):
        # float32 rounding: a cell explains its clips together, the figure this one alone.
        assert float(spearman(given, maps[stage])) == pytest.approx(own[f"rank_{stage}"], abs=1e-3)
        assert float(ssim(given, maps[stage]).mean()) == pytest.approx(own[f"ssim_{stage}"], abs=1e-3)
    assert own["rank_original"] == pytest.approx(1, abs=1e-3)
    assert own["rank_layer1"] < 0.9  # the network did forget


def test_the_curves_are_the_means_of_the_cells_rows(config_of):
    values = {"rank_original": [1.0, 1.0], "rank_fc": [0.5, float("nan")], "rank_abs_fc": [9.0, 9.0]}
    rows = pd.DataFrame([{"metric": key, "value": value} for key, both in values.items() for value in both])
    points = list(aosa_8.points(rows, ["rank"], ["original", "fc"]))
    assert [(point["stage"], point["mean"], point["n"]) for point in points] == [("original", 1, 2), ("fc", 0.5, 1)]
    with pytest.raises(UserError, match=r"figure.measures names rnk, which is not one of rank, rank_abs, ssim"):
        list(aosa_8.points(rows, ["rnk"], ["original"]))
