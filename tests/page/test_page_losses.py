"""Every cell, clip and value without a number is listed once, with its reason."""

from helpers.pages import cell, page_table

from vxbench.page import PageTable
from vxbench.page.origins import failed_clips, lost_cells, machine_line, origins, unscored


def test_cells_without_numbers_failures_first():
    found = lost_cells([page_table()])
    assert [(lost.cell, lost.status, lost.reason) for lost in found] == [
        ("r2plus1d/ucf101_24/ep3d", "failed", "out of luck"),
        ("r2plus1d/ucf101_24/gradcam", "not applicable", "it has no layer"),
    ]


def test_a_clip_of_a_cell_of_two_tables_is_listed_once():
    pages = [page_table(), page_table(name="fep_1_released")]
    [lost] = failed_clips(pages)
    assert lost == ("ucf101_24", "clip b", "", "undecodable: broken", ["r2plus1d/ucf101_24/fep"])
    [value] = unscored(pages)
    assert value == ("ucf101_24", "clip b", "stc", "no box in the sampled frames", ["r2plus1d/ucf101_24/gradients"])


def test_cells_that_lose_a_clip_for_one_reason_are_gathered():
    page = page_table()
    lost = page.cells[1].result.rows
    pages = [PageTable("fep_1", page.table, [cell("fep", lost), cell("step", lost), cell("step", lost, model="tsm")])]
    [line] = failed_clips(pages)
    assert line.cells == ["r2plus1d/ucf101_24/fep", "r2plus1d/ucf101_24/step", "tsm/ucf101_24/step"]


def test_origins_keep_what_cells_share_once():
    found = origins([page_table(), page_table(name="fep_1_released")])
    assert len(found.cells) == 6  # one of the seven never came into the store
    assert all(cell.tables == ["fep_1", "fep_1_released"] for cell in found.cells)
    assert {tuple(cell.environments) for cell in found.cells} == {("machine 1",)}
    assert {cell.clip_list for cell in found.cells} == {"list 1"}
    fep = next(cell for cell in found.cells if cell.row == "fep")
    assert (fep.clips, fep.computed, fep.seconds, fep.weights) == (2, 1, 2.5, "w1")
    unfinished = "2026-01-01T00:00:00+00:00 to an end that it did not reach: 2 clips in 2.5 s; vxbench run"
    assert fep.runs[0].startswith(unfinished)
    assert machine_line(found.environments["machine 1"]) == "a processor, cpu"
