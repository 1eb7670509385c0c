"""make_table against numbers worked out by hand."""

import itertools
import math

import pytest

from vxbench.errors import UserError
from vxbench.metrics import SpatiotemporalConsistency as STC
from vxbench.tables.build import make_table
from vxbench.tables.results import CellResult, RunInfo

NAN = math.nan
DIFFERENCES = "Differences that are real (p < 0.05, corrected)"


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


def test_the_title_names_a_protocol_that_is_not_the_papers_words(make_cell):
    profile = RunInfo("mini", "generated clips", comparable=False, protocol="released")
    table = make_table("step_3", [], profile)
    assert table.title == (
        "STEP Table 3, profile mini, protocol released, not comparable with the paper: generated clips"
    )
    assert section(table, "Settings") == [
        "protocol = released: boxes and pointing games as STEP's authors' evaluation code has them, defects included; "
        "other metrics do not depend on it"
    ]


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
    assert dc.rank.tau == pytest.approx(4 / 6, rel=1e-12)  # 5 pairs agree, 1 does not; rounding
    assert (dc.ranked, dc.numbers) == (4, 8)
    assert column(make_table("fep_1", cells[:2], paper_profile), "dc").rank is None


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


def test_one_clip_and_one_cell_are_not_many(make_cell, paper_profile):
    cell = make_cell("step", stc=[NAN], degenerate=[0])
    table = make_table("fep_1", [cell], paper_profile)
    assert section(table, "Clips") == ["ucf101_24: 1 clip in 1 cell; none failed."]
    scored = make_table("fep_1", [make_cell("step", dc=[1.0], degenerate=[0])], paper_profile)
    assert section(scored, "Degenerate maps") == ["STEP on R(2+1)D: 1 of 1 map constant"]


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


@pytest.mark.parametrize("explainer", ["centre", "ep3d"])
def test_rows_may_be_models(make_cell, paper_profile, explainer):
    """Any one explainer's cell will do, a control's too: its map is not looked at."""
    cells = [make_cell(explainer, model="r2plus1d", min_preservation_ratio=[0.1, 0.2])]
    table = make_table("step_2", cells, paper_profile)
    assert [row.key for row in table.rows] == ["r2plus1d", "vgg16lstm"]
    found = table.entries["r2plus1d"][1]
    assert found.estimate.mean == pytest.approx(0.15, rel=1e-12)  # rounding
    assert found.published.value == 0.170
    assert section(table, "Given but not in this table") == []


def test_a_model_has_one_cell_a_data_set(make_cell, paper_profile):
    cells = [make_cell(row, model="r2plus1d", top1=[1.0]) for row in ("centre", "random")]
    with pytest.raises(UserError, match="step_1: two cells for one place"):
        make_table("step_1", cells, paper_profile)


def test_a_printed_blank_is_kept_and_is_a_dash_for_the_same_reason(make_cell, paper_profile):
    cells = [make_cell("step", dataset="epic_action", t_pt=[1.0])]
    table = make_table("step_5", cells, paper_profile)
    blank = table.entries["eb_r"][0]
    assert (blank.state, blank.blank, blank.reason) == ("not_applicable", "/", "EB-R is made for CNN-RNN networks only")
    assert table.entries["eb_r"][1].state == "not_run"  # V16L has a number
    assert section(table, "Printed without a number") == [
        "EB-R on R(2+1)D: the paper prints '/'; EB-R is made for CNN-RNN networks only. "
        "Not run here, for the same reason"
    ]
    own = make_cell("eb_r", dataset="epic_action", flags={"not_applicable": "no recurrent layer"})
    lines = section(make_table("step_5", [own], paper_profile), "Printed without a number")
    assert lines[0].endswith("only. Here: – (no recurrent layer)")


def test_a_blank_that_was_measured_stands_beside_the_paper_s_sign(make_cell, paper_profile):
    cells = [make_cell("eb_r", dataset="epic_action", t_pt=[1.0, 0.0])]
    table = make_table("step_5", cells, paper_profile)
    entry = table.entries["eb_r"][0]
    assert (entry.state, entry.estimate.mean, entry.blank, entry.inside) == ("measured", 50, "/", None)
    assert section(table, "Printed without a number")[0].endswith("Measured here")


def kinetics(make_cell, row, model="slowfast", **metrics):
    return make_cell(row, model=model, dataset="kinetics400", **metrics)


def test_a_number_that_is_not_scored_is_marked_and_enters_nothing(make_cell, paper_profile):
    """D3: STEP on SlowFast prints a deletion of 0.237; measured so, it would be inside and last of four."""
    cells = [kinetics(make_cell, row, deletion=[value] * 8)
             for row, value in {"gradcam": 0.1, "osa": 0.2, "smoothgrad": 0.3, "step": 0.237}.items()]  # fmt: skip
    cells.append(kinetics(make_cell, "step", "timesformer", deletion=[0.237] * 8))
    table = make_table("aosa_3", cells, paper_profile)
    on = {c.model: i for i, c in enumerate(table.columns) if c.metric == "deletion"}
    assert table.entries["step"][on["slowfast"]].inside is None
    assert table.entries["step"][on["timesformer"]].inside is True
    # Printed 0.146, 0.167, 0.041: gradcam < osa agrees, smoothgrad below both does not. STEP would add three pairs.
    slowfast = table.columns[on["slowfast"]]
    assert slowfast.rank.tau == pytest.approx(-1 / 3, rel=1e-12)  # rounding
    assert (slowfast.ranked, slowfast.numbers) == (3, 6)
    assert section(table, "The paper's orders") == [
        "SlowFast del. ↓: 10 printed; 1 confirmed, 2 reversed (SmoothGrad before Grad-CAM, SmoothGrad before OSA), "
        "0 undecided, 7 not measured",
        "SlowFast ins. ↑: 10 printed; 0 confirmed, 0 reversed, 0 undecided, 10 not measured",
        "TSFormer del. ↓: 21 printed; 0 confirmed, 0 reversed, 0 undecided, 21 not measured",
        "TSFormer ins. ↑: 21 printed; 0 confirmed, 0 reversed, 0 undecided, 21 not measured",
        "Over-all SlowFast ↑: 10 printed; 0 confirmed, 0 reversed, 0 undecided, 10 not measured",
        "Over-all TSFormer ↑: 21 printed; 0 confirmed, 0 reversed, 0 undecided, 21 not measured",
        "All columns: 93 printed; 1 confirmed, 2 reversed, 0 undecided, 90 not measured",
    ]


def test_either_assignment_of_two_rows_is_compared(make_cell, paper_profile):
    rows = {"aosa_approx_cond": 0.25, "aosa_approx_relu": 0.224, "aosa_approx_none": 0.244}
    cells = [make_cell(row, model="r3d", dataset="ucf101", deletion=[value] * 2) for row, value in rows.items()]
    table = make_table("aosa_7", cells, paper_profile)
    assert section(table, "Either assignment of the two rows in doubt") == [
        "R3D del. ↓, cond. (assigned): 0.250 [0.250, 0.250]; printed 0.224 as assigned, 0.258 if exchanged",
        "R3D del. ↓, ReLU (assigned): 0.224 [0.224, 0.224]; printed 0.258 as assigned, 0.224 if exchanged",
    ]
    assert [table.entries[row][0].inside for row in rows] == [None, None, True]


def test_real_differences_are_told_by_column(make_cell, paper_profile):
    apart = [10.0, 30.0, 20.0, 50.0, 40.0, 60.0, 15.0, 25.0, 35.0, 45.0]
    values = {"fep": 0, "step": 1, "ep3d": 2, "gradcam": 2, "mine": 5, "random": 9}
    cells = [make_cell(row, dc=[v + more for v in apart]) for row, more in values.items()]
    table = make_table("fep_1", cells, paper_profile)
    assert section(table, DIFFERENCES) == [
        "R(2+1)D DC ↓: 1 F-EP (ours), 2 STEP, 3 Grad-CAM, 4 EP, 5 mine. Ahead: 1 of 2–5; 2 of 3–5; 3, 4 of 5."
    ]
    # Printed DC: fep 32.9, step 34.2, ep3d 37.9, gradcam 42.7; ep3d before gradcam is not told from a tie.
    assert section(table, "The paper's orders")[0] == (
        "R(2+1)D DC ↓: 28 printed; 5 confirmed, 0 reversed, 1 undecided, 22 not measured"
    )
    assert {(pair.a, pair.b) for pair in table.pairs} == set(
        itertools.combinations(["gradcam", "ep3d", "step", "fep", "mine"], 2)
    )


@pytest.mark.parametrize(
    ("clips", "rows", "said"),
    [(1, 2, "No telling: 1 clip cannot decide 1 pair."), (5, 2, "No telling: 5 clips cannot decide 1 pair."),
     (6, 2, "Ahead: 1 of 2."), (10, 8, "No telling: 10 clips cannot decide 28 pairs."),
     (11, 8, "Ahead: 1 of 2–8; 2 of 3–8; 3 of 4–8; 4 of 5–8; 5 of 6–8; 6 of 7, 8; 7 of 8.")],
)  # fmt: skip
def test_few_clips_are_said_to_be_too_few(make_cell, paper_profile, clips, rows, said):
    """2^(1 - 5) is above 0.05, 2^(1 - 6) below; so are 28 times 2^(1 - 10) and 2^(1 - 11)."""
    paper = [row.key for row in make_table("fep_1", [], paper_profile).of_kind("paper")]
    cells = [make_cell(row, dc=[float(value)] * clips) for value, row in enumerate(paper[:rows])]
    (line,) = section(make_table("fep_1", cells, paper_profile), DIFFERENCES)
    assert line.partition(". ")[2] == said


def test_rows_that_do_not_differ_are_not_ahead(make_cell, paper_profile):
    cells = [make_cell(row, dc=[1.0] * 9) for row in ("fep", "step")]
    lines = section(make_table("fep_1", cells, paper_profile), DIFFERENCES)
    assert lines[0].endswith(" None is ahead of another.")


def test_over_all_is_taken_before_rounding(make_cell, paper_profile):
    """0.1004 and 0.3006 are shown as 0.100 and 0.301; their difference 0.2002 is shown as 0.200."""
    cell = make_cell("aosa", model="r3d", dataset="ucf101", deletion=[0.1004], insertion=[0.3006], overall=[0.2002])
    table = make_table("aosa_1", [cell], paper_profile)
    found = {c.metric: table.entries["aosa"][i] for i, c in enumerate(table.columns) if c.model == "r3d"}
    assert round(found["overall"].estimate.mean, 3) == 0.2
    assert found["overall"].estimate.n == 1
    assert [line[:3] for line in section(table, "Doubts about the printed numbers")] == ["D4:"]


def times(make_cell, **seconds):
    return [make_cell(row, model="r3d", dataset="ucf101", seconds=values) for row, values in seconds.items()]


def test_seconds_are_compared_as_ratios(make_cell, paper_profile):
    # Printed: Grad-CAM 0.021 s and AOSA (s=8) 0.728 s, a ratio of 0.029; STEP 18.706 s, 25.695.
    cells = times(make_cell, gradcam=[0.029, 0.058], aosa_s8=[1.0, 2.0], step=[10.0, 20.0])
    table = make_table("aosa_5", cells, paper_profile)
    assert [c.heading for c in table.columns] == ["Computation time (sec) ↓", "ratio to AOSA (s=8) ↓"]
    found = {row: table.entries[row] for row in ("gradcam", "aosa_s8", "step", "osa")}
    assert [found[row][0].inside for row in found] == [None] * 4
    assert [found[row][1].inside for row in found] == [True, None, False, None]
    assert found["step"][1].estimate.mean == pytest.approx(10, rel=1e-12)  # rounding
    assert found["step"][1].published.value == pytest.approx(18.706 / 0.728, rel=1e-12)
    assert found["osa"][1].state == "not_run"
    assert (table.columns[0].rank.tau, table.columns[1].rank) == (1, None)
    assert {pair.column for pair in table.pairs} == {0}


def test_ratios_without_their_reference_say_so(make_cell, paper_profile):
    table = make_table("aosa_5", times(make_cell, step=[10.0]), paper_profile)
    assert (table.entries["step"][1].state, table.entries["step"][1].reason) == (
        "not_run", "AOSA (s=8) was not measured",
    )  # fmt: skip
    apart = [*times(make_cell, step=[NAN, 10.0]), *times(make_cell, aosa_s8=[1.0])]
    assert make_table("aosa_5", apart, paper_profile).entries["step"][1].state == "no_value"


def test_settings_doubts_and_the_meaning_of_stc_are_said(make_cell):
    profile = RunInfo("paper", "x", True, ["seed = 3"], protocol="released", described=STC.describe("iou", 0.4))
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


def pooled(cell, **columns):
    return CellResult(cell.model, cell.dataset, cell.row, cell.rows.assign(**columns))


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
        (make_cell("fep", min_preservation_ratio=[6.4]), r"min_preservation_ratio = 6.4 is outside \[0, 1\]"),
        (make_cell("fep", overall=[-1.5]), r"overall = -1.5 is outside \[-1, 1\]"),
        (make_cell("fep", seconds=[0.0]), r"seconds = 0 is outside"),
        (make_cell("fep", stc=[math.inf]), r"stc is infinite for a clip"),
        (pooled(good, weight=[1.0, 0.0]), "clip clip1 has weight 0; it must be a number above 0"),
        (pooled(good, weight=[NAN, 1.0]), "clip clip0 has weight nan"),
        (pooled(good, group=[0.5, 1.0]), "clip clip0 has group 0.5; it must be a whole number"),
    ]:
        with pytest.raises(UserError, match=message):
            make_table("fep_1", [cell], paper_profile)
