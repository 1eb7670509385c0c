"""Whole runs against the released code, on the synthetic clips and TinyA.

The released sort is not stable; the runs compared with ("stable") had it made so, ties in index order, which is what
`ties=plain` does. The loop does the release's arithmetic operation by operation, so on one machine both give the same
bits (see test_plain_loop.py). The goldens were made with AVX-512. Other vector units round exponentials and
convolutions differently; where the area term's cut falls between two voxels that differ in the last bit, that swaps
them, and the run takes another of a few possible courses. So does the release when a clip moves by one unit in the last
place, and where a run differs from its golden, a run on such a clip must meet it.
"""

import numpy as np
import pytest
import torch
from helpers.perturbation_runs import record
from helpers.toys import golden, golden_clip, tiny_a
from scipy.stats import spearmanr

from vxbench.explainers.perturbation import EP3D, STEP, EP3DEvenly
from vxbench.explainers.perturbation.mask import MaskGenerator

pytestmark = pytest.mark.slow

METHODS = {"ep3d": EP3D, "ep2d": EP3DEvenly, "step": STEP}
RELEASED = {"step": 7, "sigma": 11}
VARIANTS = ["preserve_blur", "preserve_fade", "delete_blur", "delete_fade", "dual_blur"]
CLOSE = 1e-5  # of a seed in [0, 1]
# With AVX2, 8 of the 27 runs leave the golden within 10 updates, by 1.5e-5 to 9e-3; each meets it from one of the moved
# clips. The others are within 3.5e-6, and all are within 7e-7 after one update.
NEIGHBOURS = 24


@pytest.fixture(scope="module")
def small():
    return golden("ep_small")


@pytest.fixture(scope="module")
def big():
    return golden("ep_big")


def both():
    return torch.cat([golden_clip("small0"), golden_clip("small1")])


def run(name, updates, clip, target, **settings):
    explainer = METHODS[name](iterations=updates + 1, **RELEASED, **settings)
    return record(explainer, tiny_a(), clip, torch.from_numpy(target))


def one_ulp_away(clip, seed):
    """Every other value, drawn at random, is the next larger float."""
    moved = torch.rand(clip.shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    return torch.where(moved, clip.nextafter(torch.full_like(clip, torch.inf)), clip)


def distances(steps, expected, done) -> np.ndarray:
    """Largest difference of a seed, one a clip."""
    seed = steps[done].seed.numpy()
    return np.abs(seed - expected.reshape(seed.shape)).max(axis=(1, 2, 3))


def assert_meets(name, clip, target, arrays, key, **settings):
    """Seeds after 1 and 10 updates; after 10, each clip's or those of the same clip one unit in the last place away."""
    steps = run(name, 10, clip, target, **settings)[1]
    assert distances(steps, arrays[f"{key}_seed_1"], 1).max() <= CLOSE
    expected = arrays[f"{key}_seed_10"]
    best = distances(steps, expected, 10)
    for neighbour in range(NEIGHBOURS):
        if best.max() <= CLOSE:
            break
        moved = run(name, 10, one_ulp_away(clip, neighbour), target, **settings)[1]
        best = np.minimum(best, distances(moved, expected, 10))
    assert best.max() <= CLOSE
    return steps


@pytest.mark.choice("ep.areas")
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("area", [5, 10, 20])
def test_a_small_clip_at_every_area(small, name, area):
    key = f"{name}_a{area:02d}_stable"
    clip, target = golden_clip("small0"), small["small0_target"]
    steps = assert_meets(name, clip, target, small, key, areas=(area / 100,))
    first = small[f"{key}_grad_1"]
    np.testing.assert_allclose(steps[0].gradient[0], first, rtol=0, atol=1e-5 * np.abs(first).max())
    # By then seeds may differ by 1e-5 and a swap at the cut moves single entries by 2 x 300 / n, n = 8 x 78 x 78.
    tenth = small[f"{key}_grad_10"]
    np.testing.assert_allclose(
        steps[9].gradient[0], tenth, rtol=0, atol=1e-5 * np.abs(tenth).max() + 600 / (8 * 78 * 78)
    )
    assert_energy(steps, small[f"{key}_hist"], 10, 1e-5)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_two_clips_at_once_in_every_mode(small, name, variant):
    mode, perturbation = variant.split("_")
    settings = {"areas": (0.1,), "mode": mode, "perturbation": perturbation}
    key = f"batch2_{name}_{variant}"
    steps = assert_meets(name, both(), small["batch2_target"], small, key, **settings)
    first = torch.stack([steps[0].reward, steps[0].penalty], dim=1)
    np.testing.assert_allclose(first, small[f"{key}_hist"][:, :, 0], rtol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_a_clip_of_the_papers_size(big, name):
    key = f"{name}_a10_stable"
    steps = assert_meets(name, golden_clip("big"), big["target"], big, key, areas=(0.1,))
    for done in (1, 10):
        gradient = big[f"{key}_grad_{done}"]
        swap = 0 if done == 1 else 600 / (16 * 134 * 134)
        np.testing.assert_allclose(
            steps[done - 1].gradient[0], gradient, rtol=0, atol=1e-5 * np.abs(gradient).max() + swap
        )
    assert_energy(steps, big[f"{key}_hist"], 10, 1e-5)


def assert_energy(steps, history, done, relative):
    """Reward and penalty, means of the ten iterations before: a single one may fall on either side of a swap."""
    window = slice(done - 10, done)
    energy = [[step.reward.item(), step.penalty.item()] for step in steps[window]]
    assert np.mean(energy, axis=0) == pytest.approx(history[:, window].mean(axis=1), rel=relative)


# What the release itself does after so many updates on the small clip when its clip moves by 1e-7 or its ties are
# settled otherwise: Spearman of all mask values, share of the top tenth in common, and its objective, relative, over
# the last ten iterations (its largest change in any run of 2000). STEP pulls back together, EP does not.
DRIFT = {
    ("ep3d", 100): (0.98, 0.85, 0.06),
    ("ep3d", 299): (0.96, 0.81, 0.06),
    ("ep2d", 100): (0.99, 0.87, 0.03),
    ("ep2d", 299): (0.99, 0.90, 0.03),
    ("step", 100): (0.9999, 0.99, 0.003),
    ("step", 299): (0.9999, 0.99, 0.003),
}


@pytest.mark.parametrize("name", METHODS)
def test_a_long_run_stays_as_near_as_the_release_to_itself(small, name):
    saliency, steps = run(name, 299, golden_clip("small0"), small["small0_target"], areas=(0.1,))
    key = f"{name}_a10_stable"
    generator = MaskGenerator(56, 56, 7, 11)
    for done, expected in ((100, small[f"{key}_seed_100"]), (299, small[f"{key}_seed_for_mask_300"])):
        rank, overlap, energy = DRIFT[name, done]
        mask, released = (
            generator.crop(generator(seed)).flatten() for seed in (steps[done].seed[0], torch.from_numpy(expected))
        )
        assert spearmanr(mask, released)[0] >= rank
        assert top_tenth_in_common(mask, released) >= overlap
        assert_energy(steps, small[f"{key}_hist"], done, energy)
    frame = small[f"{key}_mask_300_frame3"]
    assert spearmanr(saliency[0, 3].flatten(), frame.ravel())[0] >= DRIFT[name, 299][0]
    if name == "step":  # measured 3e-6
        np.testing.assert_allclose(saliency[0, 3], frame, rtol=0, atol=1e-4)


def top_tenth_in_common(mask, other) -> float:
    """Intersection over union of the highest tenth of the voxels."""
    one, two = (set(values.topk(len(values) // 10).indices.tolist()) for values in (mask, other))
    return len(one & two) / len(one | two)
