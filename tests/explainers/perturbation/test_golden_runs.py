"""Whole runs against the released code, on the synthetic clips and TinyA.

The released sort is not stable; the runs compared with ("stable") had it made so, ties in index order, which is what
`ties=plain` does. Rounding still differs: the release blurs by convolution and interpolates its windows, and the sort
of the area term turns a last bit into a swap of two voxels.
"""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from perturbation_runs import record
from scipy.stats import spearmanr
from toys import golden, golden_clip, tiny_a

from vxbench.explainers.perturbation import EP3D, STEP, EP3DEvenly

METHODS = {"ep3d": EP3D, "ep2d": EP3DEvenly, "step": STEP}
RELEASED = {"step": 7, "sigma": 11}
VARIANTS = ["preserve_blur", "preserve_fade", "delete_blur", "delete_fade", "dual_blur"]


class Close(NamedTuple):
    """What may differ after so many updates: any seed, the share of seeds off by more than 1e-4, Spearman's rank
    correlation of all seeds, and the energy's terms (relative, mean of ten iterations)."""

    seed: float
    off: float
    rank: float
    energy: float


# What the release itself does when its input moves by 1e-7 (its stable runs, small clip) bounds what can be asked.
# Largest difference of a mask / Spearman there:
#      10 updates: ep3d .006 / .9999, ep2d 3e-6 / 1.0000, step 8e-7 / 1.0000; advice for another computer: .01
#     100 updates: ep3d .7 / .9817, ep2d .08 / .9998, step 2e-7 / 1.0000
#     300 updates: step 6e-8 / 1.0000
# Measured here, worst of all cases below (seed / off / Spearman):
#       1 update: 8e-7 / 0 / .99999
#      10 updates: 9e-4 / .011 / .999998 (the worst is fade + delete; 6e-5 for ep3d and 2e-7 for step at area .1)
#     100 updates: ep3d .9999 by rank; 300 updates: step 3e-6
# Each tolerance lies between the two.
CLOSE = {
    "1": Close(seed=1e-5, off=0, rank=0.9999, energy=1e-5),
    "10": Close(seed=0.01, off=0.05, rank=0.9999, energy=1e-3),
    "100 ep": Close(seed=1, off=1, rank=0.99, energy=1e-2),
    "100 step": Close(seed=1e-4, off=0, rank=0.9999, energy=1e-4),
    "299 step": Close(seed=1e-4, off=0, rank=0.9999, energy=1e-4),
    # At area .2 the cut of the first sort over the whole clip falls among 320 voxels (40 mirror images of each other
    # in each of 8 frames) that differ by 3e-7 at most, so the last bit ranks them: as with another order of ties, for
    # which the release gives 1e-3 after 1 update and .13, Spearman .997, after 10. Measured 8e-4; .034, .9987.
    "1 tied": Close(seed=1e-3, off=0.2, rank=0.997, energy=1e-5),
    "10 tied": Close(seed=0.13, off=1, rank=0.997, energy=1e-2),
}


def assert_seed(actual: torch.Tensor, expected: np.ndarray, close: Close):
    actual = actual.numpy().reshape(expected.shape)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=close.seed)
    assert (np.abs(actual - expected) > 1e-4).mean() <= close.off
    assert spearmanr(actual.ravel(), expected.ravel())[0] >= close.rank


def run(name, updates, clip, target, **settings):
    explainer = METHODS[name](iterations=updates + 1, **RELEASED, **settings)
    return record(explainer, tiny_a(), clip, torch.from_numpy(target))


@pytest.fixture(scope="module")
def small():
    return golden("ep_small")


@pytest.fixture(scope="module")
def big():
    return golden("ep_big")


@pytest.mark.parametrize(("name", "updates"), [("ep3d", 100), ("ep2d", 100), ("step", 299)])
def test_a_run_on_a_small_clip(small, name, updates):
    saliency, steps = run(name, updates, golden_clip("small0"), small["small0_target"], areas=(0.1,))
    key = f"{name}_a10_stable"
    for done in (1, 10, 100):
        close = CLOSE[str(done) if done < 100 else f"100 {name[:2] if name != 'step' else name}"]
        assert_seed(steps[done].seed, small[f"{key}_seed_{done}"], close)
        assert_energy(steps, small[f"{key}_hist"], done, close)
    if name == "step":  # the mask that is returned is made before the last, the 300th, update
        assert_seed(steps[299].seed, small[f"{key}_seed_for_mask_300"], CLOSE["299 step"])
        assert_energy(steps, small[f"{key}_hist"], 299, CLOSE["299 step"])
        np.testing.assert_allclose(saliency[0, 3], small[f"{key}_mask_300_frame3"], rtol=0, atol=1e-4)


def assert_energy(steps, history, done, close):
    """Means of the up to ten iterations before: a single one may fall on either side of a swap."""
    window = slice(max(0, done - 10), done)
    energy = [[step.reward.item(), step.penalty.item()] for step in steps[window]]
    assert np.mean(energy, axis=0) == pytest.approx(history[:, window].mean(axis=1), rel=close.energy)


@pytest.mark.parametrize("name", METHODS)
def test_gradients_on_the_way(small, name):
    steps = run(name, 10, golden_clip("small0"), small["small0_target"], areas=(0.1,))[1]
    for iteration in (1, 10):
        expected = small[f"{name}_a10_stable_grad_{iteration}"]
        # In iteration 10 a swap at the cut of the sort may move single entries by 2 x 300 / n, n = 8 x 78 x 78.
        tolerance = 1e-5 * np.abs(expected).max() + (0 if iteration == 1 else 600 / (8 * 78 * 78))
        np.testing.assert_allclose(steps[iteration - 1].gradient[0], expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("area", [5, 20])
def test_other_areas(small, name, area):
    steps = run(name, 10, golden_clip("small0"), small["small0_target"], areas=(area / 100,))[1]
    tied = " tied" if area == 20 and name != "ep2d" else ""
    for done in (1, 10):
        assert_seed(steps[done].seed, small[f"{name}_a{area:02d}_stable_seed_{done}"], CLOSE[f"{done}{tied}"])


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_two_clips_at_once_in_every_mode(small, name, variant):
    mode, perturbation = variant.split("_")
    clip = torch.cat([golden_clip("small0"), golden_clip("small1")])
    steps = run(name, 10, clip, small["batch2_target"], areas=(0.1,), mode=mode, perturbation=perturbation)[1]
    for done in (1, 10):
        assert_seed(steps[done].seed, small[f"batch2_{name}_{variant}_seed_{done}"], CLOSE[str(done)])
    first = torch.stack([steps[0].reward, steps[0].penalty], dim=1)
    np.testing.assert_allclose(first, small[f"batch2_{name}_{variant}_hist"][:, :, 0], rtol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_a_clip_of_the_papers_size(big, name):
    steps = run(name, 10, golden_clip("big"), big["target"], areas=(0.1,))[1]
    key = f"{name}_a10_stable"
    for done in (1, 10):
        assert_seed(steps[done].seed, big[f"{key}_seed_{done}"], CLOSE[str(done)])
    gradient = big[f"{key}_grad_1"]
    np.testing.assert_allclose(steps[0].gradient[0], gradient, rtol=0, atol=1e-5 * np.abs(gradient).max())
    first = [steps[0].reward.item(), steps[0].penalty.item()]
    assert first == pytest.approx(big[f"{key}_hist"][:, 0], rel=1e-5)
