"""make_table against numbers worked out by hand."""

import math

import pytest

from vxbench.errors import UserError
from vxbench.report import make_table
from vxbench.report.cells import CellResult, Profile

NAN = math.nan


def entry(table, row, metric, model="r2plus1d"):
    index = next(i for i, c in enumerate(table.columns) if (c.metric, c.model) == (metric, model))
    return table.entries[row][index]


def column(table, metric, model="r2plus1d"):
    return next(c for c in table.columns if (c.metric, c.model) == (metric, model))


def section(table, title):
    return dict(table.notes).get(title, [])


def test_mean_difference_and_interval_beside_the_paper(make_cell, paper_profile):
    cells = [make_cell("fep", dc=[30.0, 30.0, 36.0, 36.0]), make_cell("step", dc=[50.0, 50.0])]
    table = make_table("fep_1", cells, paper_profile)
    measured = entry(table, "fep", "dc")
    assert (measured.estimate.mean, measured.estimate.n) == (33, 4)
    # Means of 4 draws from {30, 36} are Binomial(4, 1/2): P(0) = 6.25 % > 2.5 %, so the interval is the range.
    assert (measured.estimate.low, measured.estimate.high) == (30, 36)
    assert measured.published.value == 32.9
    assert measured.difference == pytest.approx(0.1, abs=1e-12)  # rounding of 33 - 32.9
    assert measured.inside is True
    assert entry(table, "step", "dc").inside is False  # [50, 50] against 34.2


def test_the_interval_is_rounded_as_shown_before_the_paper_is_sought_in_it(make_cell, paper_profile):
    close = make_table("fep_1", [make_cell("fep", dc=[32.94, 32.94])], paper_profile)
    far = make_table("fep_1", [make_cell("fep", dc=[32.96, 32.96])], paper_profile)
    assert entry(close, "fep", "dc").inside is True
    assert entry(far, "fep", "dc").inside is False


def test_a_table_that_is_not_comparable_says_so_and_marks_nothing(make_cell, mini_profile):
    table = make_table("fep_1", [make_cell("fep", dc=[32.9])], mini_profile)
    assert table.title == "F-EP Table 1, profile mini, not comparable with the paper: generated clips, small models"
    assert entry(table, "fep", "dc").inside is None
    assert entry(table, "fep", "dc").published.value == 32.9
    assert any("for the ranking only" in line for line in section(table, "How to read it"))


def test_rows_and_columns_stand_as_printed_with_controls_below(make_cell, paper_profile):
    cells = [make_cell("mine", dc=[1.0]), make_cell("fep", stc=[50.0], area_above_tau=[10.0])]
    table = make_table("fep_1", cells, paper_profile)
    assert [row.display for row in table.rows[6:]] == [
        "STEP", "F-EP (ours)", "mine", "random map", "central blob", "boxes as the map",
    ]  # fmt: skip
    assert [row.kind for row in table.rows[7:10]] == ["paper", "added", "control"]
    headings = [c.heading for c in table.columns]
    assert headings == ["DC ↓", "Acc. ↑", "STC ↑", "Area ≥ τ"] * 2


@pytest.mark.parametrize(
    ("metric", "values", "best", "second"),
    [
        ("dc", {"fep": 10, "step": 20, "ep3d": 30}, {"fep"}, {"step"}),  # lower is better
        ("accuracy", {"fep": 10, "step": 20, "ep3d": 30}, {"ep3d"}, {"step"}),  # higher is better
        ("dc", {"fep": 10.01, "step": 10.04, "ep3d": 30}, {"fep", "step"}, {"ep3d"}),  # tied as shown
        ("dc", {"fep": 10, "step": 20, "ep3d": 20}, {"fep"}, {"step", "ep3d"}),
        ("dc", {"fep": 10, "step": 10}, set(), set()),  # nothing to tell apart
        ("dc", {"fep": 10}, set(), set()),
        ("dc", {"fep": 10, "step": 20, "random": 1, "mine": 2}, {"fep"}, {"step"}),  # only the paper's rows
    ],
)
def test_best_and_second(make_cell, paper_profile, metric, values, best, second):
    cells = [make_cell(row, **{metric: [float(value)]}) for row, value in values.items()]
    table = make_table("fep_1", cells, paper_profile)
    marks = {row.key: entry(table, row.key, metric).mark for row in table.rows}
    assert {row for row, mark in marks.items() if mark == "best"} == best
    assert {row for row, mark in marks.items() if mark == "second"} == second


def test_rank_correlation_over_the_papers_rows(make_cell, paper_profile):
    # Printed DC on R(2+1)D: gradcam 42.7, ep3d 37.9, step 34.2, fep 32.9. Measured with the last two exchanged.
    values = {"gradcam": 40, "ep3d": 30, "step": 10, "fep": 20, "random": 0, "mine": 99}
    cells = [make_cell(row, dc=[float(value)]) for row, value in values.items()]
    dc = column(make_table("fep_1", cells, paper_profile), "dc")
    assert dc.tau == pytest.approx(4 / 6, rel=1e-12)  # 5 pairs agree, 1 does not; rounding
    assert (dc.ranked, dc.printed) == (4, 8)
    assert column(make_table("fep_1", cells[:2], paper_profile), "dc").tau is None


def test_what_has_no_number_says_why(make_cell, paper_profile):
    cells = [
        make_cell("gradcam", flags={"not_applicable": "no layer named layer4"}),
        make_cell("step", flags={"error": "out of memory"}),
        make_cell("fep", failed={"clip0": "nan_map: NaN in the map"}),
        make_cell("ep3d", dc=[30.0], stc=[NAN]),
    ]
    table = make_table("fep_1", cells, paper_profile)
    found = {row: entry(table, row, "stc").state for row in ("gradcam", "step", "fep", "ep3d", "gradients")}
    assert found == {
        "gradcam": "not_applicable", "step": "failed", "fep": "failed", "ep3d": "no_value", "gradients": "not_run",
    }  # fmt: skip
    lines = section(table, "Cells without a number")
    assert "Grad-CAM on R(2+1)D: – (no layer named layer4)" in lines
    assert "STEP on R(2+1)D: failed (out of memory)" in lines
    assert "F-EP (ours) on R(2+1)D: failed (every clip failed, see below)" in lines
    assert "EP on R(2+1)D: not run (accuracy was not computed)" in lines
    assert "Gradients: not run" in lines  # on both models
    assert "STEP on TSM: not run" in lines


def test_failed_clips_are_listed_once_with_the_cells_they_failed_in(make_cell, paper_profile):
    broken = {"clip1": "undecodable: no video stream"}
    cells = [make_cell(row, dc=[1.0], failed=broken) for row in ("step", "ep3d", "random")]
    cells[0] = make_cell("step", dc=[1.0], failed={**broken, "clip2": "nan_map: NaN in the map"})
    assert section(make_table("fep_1", cells, paper_profile), "Clips") == [
        "ucf101_24: 3 clips in 3 cells; 2 failed: 1 nan_map, 1 undecodable.",
        "clip1: undecodable: no video stream (all 3 cells)",
        "clip2: nan_map: NaN in the map (1 of 3 cells: step on r2plus1d)",
    ]


def test_failed_skipped_and_degenerate_clips_are_counted(make_cell, paper_profile):
    cell = make_cell("step", dc=[1.0, 2.0], stc=[NAN, 5.0], degenerate=[1], failed={"clip9": "missing: no file"})
    table = make_table("fep_1", [cell], paper_profile)
    stc = entry(table, "step", "stc")
    assert (stc.estimate.n, stc.estimate.skipped, stc.failed, stc.degenerate) == (1, 1, 1, 1)
    assert section(table, "Clips without a value") == [
        "stc: 1 clip skipped, no box in the sampled frames (the only cell)"
    ]
    assert section(table, "Degenerate maps") == ["STEP on R(2+1)D: 1 of 2 maps constant"]


def test_the_common_number_of_clips_is_the_most_frequent(make_cell, paper_profile):
    cells = [make_cell("step", dc=[1.0, 2.0]), make_cell("ep3d", dc=[1.0, 2.0]), make_cell("fep", dc=[1.0] * 3)]
    assert column(make_table("fep_1", cells, paper_profile), "dc").n == 2


@pytest.mark.parametrize(("key", "column", "shown"), [("step_4", 2, 50.0), ("aosa_4", 1, 0.5)])
def test_a_stored_share_stands_in_the_unit_of_the_table(make_cell, paper_profile, key, column, shown):
    table = make_table(key, [make_cell("step", s_pt=[0.25, 0.75])], paper_profile)
    assert table.columns[column].model == "r2plus1d"
    assert table.entries["step"][column].estimate.mean == shown


def test_rows_may_be_models(make_cell, paper_profile):
    cells = [make_cell("ep3d", model="r2plus1d", min_preservation_ratio=[0.1, 0.2])]
    table = make_table("step_2", cells, paper_profile)
    assert [row.key for row in table.rows] == ["r2plus1d", "vgg16lstm"]
    found = table.entries["r2plus1d"][1]
    assert found.estimate.mean == pytest.approx(0.15, rel=1e-12)  # rounding
    assert found.published.value == 0.170


def test_a_printed_blank_is_kept(make_cell, paper_profile):
    table = make_table("step_5", [make_cell("step", dataset="epic_action", t_pt=[1.0])], paper_profile)
    assert table.entries["eb_r"][0].blank == "/"
    assert section(table, "Printed without a number")[0].startswith("EB-R on R(2+1)D: the paper prints '/'")


def test_settings_doubts_and_the_meaning_of_stc_are_said(make_cell):
    profile = Profile("paper", "x", True, ["seed = 3"], protocol="released", stc_norm="iou", stc_tau=0.4)
    table = make_table("fep_1", [make_cell("fep", stc=[1.0])], profile)
    assert section(table, "Settings")[0].startswith("protocol = released")
    assert section(table, "Settings")[1] == "seed = 3"
    assert [line[:3] for line in section(table, "Doubts about the printed numbers")] == ["D8:", "D9:", "D10"]
    reading = " ".join(section(table, "How to read it"))
    assert "95% interval: percentile bootstrap, 10,000 resamples" in reading
    assert "STC = intersection over union" in reading
    assert "τ = 0.4 (norm = iou" in reading


def test_cells_of_other_tables_are_named(make_cell, paper_profile):
    table = make_table("fep_1", [make_cell("step", model="r3d", dc=[1.0])], paper_profile)
    assert section(table, "Given but not in this table") == ["r3d/ucf101_24/step"]


def test_the_order_of_the_cells_does_not_matter(make_cell, paper_profile):
    cells = [make_cell(row, model=model, dc=[float(i), 9.0]) for i, row in enumerate(("fep", "step", "ep3d"))
             for model in ("tsm", "r2plus1d")]  # fmt: skip
    forward, backward = (make_table("fep_1", order, paper_profile) for order in (cells, cells[::-1]))
    assert forward == backward


def test_two_cells_for_one_place_are_refused(make_cell, paper_profile):
    with pytest.raises(UserError, match="two cells for one place, r2plus1d/ucf101_24/fep and"):
        make_table("fep_1", [make_cell("fep", dc=[1.0]), make_cell("fep", dc=[2.0])], paper_profile)


def test_cells_that_cannot_be_reported_are_refused(make_cell, paper_profile):
    good = make_cell("fep", dc=[1.0, 2.0])
    lacking = CellResult("tsm", "ucf101_24", "fep", good.rows.drop(columns="reason"))
    twice = CellResult("tsm", "ucf101_24", "fep", good.rows.assign(clip="clip0"))
    odd = CellResult("tsm", "ucf101_24", "fep", good.rows.assign(status="done"))
    for cell, message in [
        (lacking, "lack the column 'reason'"),
        (twice, "clip clip0 has two lines for dc"),
        (odd, "status 'done'"),
        (make_cell("fep", dc=[101.0]), r"dc = 101 is outside \[0, 100\]"),
        (make_cell("fep", s_pt=[47.5]), r"s_pt = 47.5 is outside \[0, 1\]"),
    ]:
        with pytest.raises(UserError, match=message):
            make_table("fep_1", [cell], paper_profile)
