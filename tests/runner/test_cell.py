"""A cell's id is a hash of exactly what decides its numbers."""

import pytest
from helpers.configs import composed

from vxbench.runner.batch import generator_of
from vxbench.runner.cell import cell_of

CHOICES = {"model": "r2plus1d", "dataset": "ucf101_24", "explainer": "fep"}


def identity(*overrides, weights="w", data="d", machine=None):
    return cell_of(composed(*overrides), CHOICES, weights, data, machine).id


@pytest.mark.parametrize(
    "override",
    [
        "explainer.r_l=0.4",
        "explainer.iterations=99",
        "seed=1",
        "target=predicted",
        "protocol=released",
        "dataset.per_class=3",
        "dataset.seed=1",
        "metric.stc.tau=0.4",
        "model.input.frames=16",
        "model.cam_layer=recognizer.backbone.layer3",
        "+model.overrides.backbone.cache=1",
        "+explainer.inner={chunk: 3}",
        "+explainer.root=here",
        "+metric.stc.display=2",
        "profile=smoke",
    ],
)
def test_what_changes_a_number_makes_another_cell(override):
    assert identity(override) != identity()


@pytest.mark.parametrize(
    "override",
    [
        "runner.chunk=3",
        "runner.batch_size=5",
        "runner.workers=3",
        "paths.data=elsewhere",
        "paths.results=elsewhere",
        "device=cuda",
        "tracker=wandb",
        "model.display=X",
        "model.seed=3",
        "model.checkpoint=mine.pth",
        "dataset.cache=elsewhere",
        "+model.cam_at=slow",
        "+model.cam_layers={slow: a}",
        "model.stages=[]",
        "shard.count=2",
    ],
)
def test_what_changes_no_number_leaves_the_cell(override):
    assert identity(override) == identity()


def test_stages_make_another_cell_where_they_are_randomised():
    assert identity("metric=sanity", "model.stages=[]") != identity("metric=sanity")
    assert identity("metric=sanity", "runner.chunk=3") == identity("metric=sanity")


def test_other_weights_or_data_make_another_cell():
    assert len({identity(), identity(weights="other"), identity(data="other")}) == 3


def test_a_clip_draws_the_same_numbers_wherever_it_is():
    import torch

    def draw(seed, clip):
        return torch.rand(4, generator=generator_of(seed, clip))

    assert torch.equal(draw(0, "a"), draw(0, "a"))
    assert not torch.equal(draw(0, "a"), draw(0, "b"))
    assert not torch.equal(draw(0, "a"), draw(1, "a"))


def test_where_time_is_measured_another_machine_or_batch_of_masks_makes_another_cell():
    here = identity("metric=seconds", machine={"cpu": "a", "threads": 2})
    assert identity("metric=seconds", machine={"cpu": "a", "threads": 1}) != here
    assert identity("metric=seconds", "metric.time.batch=8", machine={"cpu": "a", "threads": 2}) != here
