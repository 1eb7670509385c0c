"""What conf/ hands to the perturbation methods: the papers' settings, by table, model and method."""

import pytest
from helpers.configs import composed

from vxbench.explainers.perturbation.mask import Geometry


def explainer(*overrides):
    return composed("profile=paper", "model=r2plus1d", *overrides).explainer


@pytest.mark.choice("fep.baselines_grid")
@pytest.mark.parametrize("name", ["ep3d", "ep3d_evenly", "ep3d_gaussian", "step"])
def test_rows_beside_fep_take_its_grid_from_the_table_and_the_released_one_without(name):
    inside, outside = explainer(f"explainer={name}", "+table=fep_1"), explainer(f"explainer={name}")
    assert (inside.step, inside.sigma) == (13, 23)
    assert (outside.step, outside.sigma) == (None, None)  # 7, and 11 or 23 by the clip's width
    released = [f"explainer={name}", "+table=fep_1", "table.settings.step=null", "table.settings.sigma=null"]
    assert (explainer(*released).step, explainer(*released).sigma) == (None, None)
    assert (Geometry(112, 13, 23).seed, Geometry(112, 7, 11).seed) == (9, 16)


@pytest.mark.parametrize("name", ["fep", "fep_on_step"])
@pytest.mark.parametrize("table", [[], ["+table=fep_1"]])
def test_fep_has_its_own_grid_everywhere(name, table):
    config = explainer(f"explainer={name}", *table)
    assert (config.step, config.sigma) == (13, 23)


@pytest.mark.parametrize(("name", "step", "sigma"), [("fep", 13, 23), ("ep3d", 7, 11)])
def test_mini_masks_have_the_papers_share_of_a_frame(name, step, sigma):
    """Frames are 64 wide instead of 112; a rounding apart, but for STEP's seeds, which stay 7 pixels apart."""
    config = explainer(f"explainer={name}", "profile=mini")
    assert config.sigma == pytest.approx(sigma * 64 / 112, abs=1)
    assert config.step == (7 if name == "ep3d" else pytest.approx(step * 64 / 112, abs=1))


@pytest.mark.choice("fep.rl")
@pytest.mark.choice("fep.rh")
def test_bands_by_model_and_by_hand():
    """UCF101-24: (.5, .2) for R(2+1)D and (.5, .1) for TSM."""
    for model, bands in (("r2plus1d", (0.5, 0.2)), ("tsm", (0.5, 0.1))):
        config = explainer("explainer=fep", "+table=fep_1", f"model={model}")
        assert (config.r_l, config.r_h) == bands
    config = explainer("explainer=fep", "+table=fep_1", "explainer.r_l=0.7", "explainer.r_h=0")
    assert (config.r_l, config.r_h) == (0.7, 0)


@pytest.mark.choice("ep.iters")
def test_the_paper_profile_runs_as_long_as_the_release():
    assert explainer("explainer=ep3d", "profile=paper").iterations == 2000
    assert explainer("explainer=ep3d", "profile=paper", "explainer.iterations=800").iterations == 800


def test_step_and_ep_weigh_their_terms_as_released():
    ep, step = explainer("explainer=ep3d"), explainer("explainer=step")
    assert (ep.reward_weight, ep.area_weight, ep.area_growth) == (100, 300, 1.0)
    assert (step.reward_weight, step.area_weight, step.area_growth, step.core_weight) == (1, 300, 1.0008668, 300)
    assert explainer("explainer=step", "profile=paper").core_start == 100
