"""Which combinations of a sweep are not run."""

import pytest
from omegaconf import OmegaConf

from vxbench.errors import UserError
from vxbench.runner.multirun import cells, skip_reason
from vxbench.tables.published import layout, published, tables

CHOICES = {"model": "r3d", "dataset": "ucf101", "metric": "deletion_insertion"}


def rules(**table):
    model = {"key": "r3d_variant"}
    return OmegaConf.create({"table": table, "model": model, "explainer": {"r_l": 0.7, "r_h": 0.3}, "seed": 2})


@pytest.mark.parametrize(
    ("only", "run"),
    [
        (None, True),
        ([{"model": "r3d"}], True),
        ([{"model": ["tsm", "r3d"], "dataset": "ucf101"}], True),
        ([{"model": "tsm"}, {"dataset": "ucf101"}], True),
        ([{"model": "r3d", "dataset": "kinetics400"}, {"model": "tsm"}], False),
        ([{"seed": [1, 2]}], True),
        ([{"model.key": "r3d_variant"}], True),
        ([{"model.key": "r3d"}], False),
        ([{"seed": 1}], False),
    ],
)
def test_a_combination_is_run_if_it_fits_one_entry_whole(only, run):
    assert (skip_reason(rules(only=only), CHOICES) == "") is run


@pytest.mark.parametrize(("r_h", "run"), [(0.3, True), (0.30000000000000004, True), (0.31, False), (0, True)])
def test_shares_of_one_whole_sum_to_one_at_most(r_h, run):
    config = rules(sum_at_most_one=["explainer.r_l", "explainer.r_h"])
    config.explainer.r_h = r_h
    assert (skip_reason(config, CHOICES) == "") is run


def test_a_rule_about_an_unknown_key_is_refused():
    with pytest.raises(UserError, match="names modle"):
        skip_reason(rules(only=[{"modle": "r3d"}]), CHOICES)


def test_a_variant_of_a_model_takes_its_place_in_a_table_with_rules():
    """SlowFast-4x16 stands for SlowFast: on Kinetics-400 alone."""
    swept = ["model=slowfast_4x16", "dataset=ucf101,kinetics400", "explainer=random"]
    [config] = cells("+table=aosa_6", ["profile=mini", *swept])
    assert (config.model.key, config.hydra.runtime.choices.dataset) == ("slowfast", "kinetics400")


@pytest.mark.slow
@pytest.mark.parametrize("key", tables())
def test_every_table_runs_each_of_its_cells_once_and_nothing_else(key):
    """The config of each table against its printed layout: (row, model, data set) with a number, or a blank."""
    paper = layout(key)
    ran = []
    for config in cells(f"+table={key}", ["profile=mini"]):
        chosen = config.hydra.runtime.choices
        rows = {explainer: row for row, explainer in (config.table.get("rows") or {}).items()}
        row = config.model.key if paper.rows_are == "models" else rows.get(chosen.explainer, chosen.explainer)
        ran.append((row, config.model.key, chosen.dataset if paper.columns[0].dataset else ""))
    assert len(ran) == len(set(ran))
    printed = {(row, model, dataset) for row, model, dataset, _ in [*published(key), *paper.blanks]}
    assert printed <= set(ran)
    extra = {row for row, _, _ in set(ran) - printed}
    assert extra <= {"random", "centre", "boxes"} | set(paper.rows)
