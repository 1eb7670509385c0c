"""The settings of the papers, as their tables' cells get them at the papers' size."""

import pytest

from vxbench.runner.multirun import cells
from vxbench.tables.published import published

pytestmark = pytest.mark.slow

AREAS = {"r2plus1d": [0.02, 0.05, 0.1, 0.2], "vgg16lstm": [0.05, 0.1, 0.2, 0.3]}  # STEP section 4.1
ANCHORS = {  # stride and side of a hole, pixels: AOSA section IV-A
    ("r3d", "ucf101"): (8, 16),
    ("r2plus1d", "ucf101"): (8, 16),
    ("r3d", "kinetics700"): (4, 8),
    ("r2plus1d", "kinetics700"): (4, 8),
    ("slowfast", "kinetics400"): (10, 20),
    ("timesformer", "kinetics400"): (8, 16),
}
CLIPS = {  # drawn of each class; None: all
    "fep_1": {"ucf101_24": 5},
    "fep_2": {"epic_object": 5},
    "step_1": {"ucf101_24": 5, "epic_object": None, "epic_action": None},
    "step_2": {"ucf101_24": 5, "epic_object": 5},
    "step_3": {"ucf101_24": 5, "epic_object": 5},
    "step_4": {"ucf101_24": 5, "epic_object": 5},
    "step_5": {"epic_action": 5},
    "aosa_1": {"ucf101": None},
    "aosa_2": {"kinetics700": 10},
    "aosa_3": {"kinetics400": 10},
    "aosa_4": {"ucf101_24": None},
    "aosa_5": {"ucf101": 1},
    "aosa_6": {"ucf101": None, "kinetics700": 10, "kinetics400": 10},
    "aosa_7": {"ucf101": None, "ucf101_24": None},
}
METRICS = {
    "fep_1": "dc_acc_stc_deletion", "fep_2": "dc_acc_stc", "step_1": "topk", "step_2": "preservation",
    "step_3": "spatial_pointing", "step_4": "spatial_pointing", "step_5": "temporal_pointing",
    "aosa_1": "deletion_insertion", "aosa_2": "deletion_insertion", "aosa_3": "deletion_insertion",
    "aosa_4": "spatial_pointing", "aosa_5": "seconds", "aosa_6": "deletion_insertion",
}  # fmt: skip


def configs(key: str, *explainers: str):
    """{(row, model, data set): config} of the table's cells with these explainers."""
    rows = f"hydra.sweeper.params.explainer='{','.join(explainers)}'"
    found = cells(f"+table={key}", ["profile=paper", rows])
    return {(c.hydra.runtime.choices.explainer, c.model.key, c.hydra.runtime.choices.dataset): c for c in found}


def notes(key: str, *names: str):
    """{(row, model, data set): {name: number}} of the settings printed beside a table's numbers."""
    found = {}
    for (row, model, dataset, _), value in published(key).items():
        said = dict(item.split("=") for item in value.note.split(";") if "=" in item)
        found[row, model, dataset] = {name: float(said[name]) for name in names if name in said}
    return {place: said for place, said in found.items() if said}


@pytest.mark.parametrize("key", ["fep_1", "fep_2"])
def test_shares_of_frequencies_are_those_printed(key):
    made = configs(key, "fep")
    printed = notes(key, "r_l", "r_h")
    assert {place: {"r_l": c.explainer.r_l, "r_h": c.explainer.r_h} for place, c in made.items()} == printed


@pytest.mark.parametrize("key", ["fep_1", "fep_2"])
def test_fep_and_what_it_is_compared_with_share_a_grid(key):
    for config in configs(key, "fep", "ep3d", "step").values():
        assert (config.explainer.step, config.explainer.sigma) == (13, 23)
        assert (list(config.explainer.areas), config.explainer.iterations, config.target) == ([0.1], 2000, "predicted")


@pytest.mark.parametrize("key", ["fep_1", "fep_2"])
def test_gradcam_is_global_on_3d_networks_in_fep(key):
    weights = {config.model.key: config.explainer.weights for config in configs(key, "gradcam").values()}
    assert weights == {name: {"r2plus1d": "global", "tsm": "per_step"}[name] for name in weights}


@pytest.mark.parametrize("key", ["step_3", "step_4", "step_5"])
def test_areas_by_network(key):
    for config in configs(key, "step", "ep3d").values():
        assert list(config.explainer.areas) == AREAS[config.model.key]
        assert (config.explainer.step, config.explainer.sigma, config.target) == (None, None, "label")


@pytest.mark.parametrize("key", ["step_4", "step_5"])
def test_gaussians_are_as_wide_as_printed(key):
    made = configs(key, "ep3d_gauss_dt1", "ep3d_gauss_dt2", "ep3d_gauss_dt3")
    assert {place: {"delta_t": config.explainer.dt} for place, config in made.items()} == notes(key, "delta_t")


@pytest.mark.parametrize("key", ["aosa_1", "aosa_2", "aosa_3", "aosa_4", "aosa_6"])
def test_anchors_by_network_and_class_list(key):
    for config in configs(key, *(["aosa"] if key == "aosa_6" else ["aosa", "aosa_approx", "osa"])).values():
        stride, hole = ANCHORS[config.model.key, config.dataset.labels]
        assert (config.explainer.stride, config.explainer.get("hole", hole)) == (stride, hole)
        assert config.target == "label"


def test_anchors_of_the_table_of_times():
    made = configs("aosa_5", "aosa_s8", "aosa_s4", "aosa_approx_s8", "aosa_approx_s4")
    strides = {(row, model, ""): {"s": config.explainer.stride} for (row, model, _), config in made.items()}
    assert strides == notes("aosa_5", "s")
    assert all(config.explainer.hole == 2 * config.explainer.stride for config in made.values())


def test_switches_of_the_approximation():
    made = configs("aosa_7", "aosa_approx", "aosa_approx_none", "aosa_approx_cond", "aosa_approx_relu")
    for (row, _, _), config in made.items():
        switches = "cond_relu" if row == "aosa_approx" else row.removeprefix("aosa_approx_")
        assert (config.explainer.cond, config.explainer.relu) == ("cond" in switches, "relu" in switches)


@pytest.mark.choice("aosa.spt_subset")
@pytest.mark.parametrize("key", CLIPS)
def test_clips_of_each_class_and_metrics(key):
    made = configs(key, "centre" if key in ("step_1", "step_2") else "random")
    assert {dataset: config.dataset.per_class for (_, _, dataset), config in made.items()} == CLIPS[key]
    for (_, _, dataset), config in made.items():
        expected = METRICS.get(key) or {"ucf101": "deletion_insertion", "ucf101_24": "spatial_pointing"}[dataset]
        assert config.hydra.runtime.choices.metric == expected


def test_accuracy_is_of_whole_actions():
    made = configs("step_1", "centre")
    assert {config.dataset.testing for (_, _, name), config in made.items() if name == "epic_action"} == {"action"}
