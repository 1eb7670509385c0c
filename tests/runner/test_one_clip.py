"""One clip outside a cell: loaded, explained and scored as a cell does it."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.configs import composed

from vxbench.config import build
from vxbench.datasets.base import Clip
from vxbench.errors import ClipError, UserError
from vxbench.explainers import Gradients
from vxbench.runner import assemble
from vxbench.runner.assemble import Assembled
from vxbench.runner.job import run_cell
from vxbench.runner.one_clip import explain_clip, kept_frames, open_clip, present_to_model, probabilities_of_kept
from vxbench.runner.store import Store

CHOICES = {"model": "r2plus1d", "dataset": "ucf101_24", "explainer": "smoothgrad"}


def config_of(data: Path, *overrides: str):
    return composed(f"paths.data={data}", "profile=smoke", *overrides)


@pytest.fixture(scope="module")
def config(mini_data):
    return config_of(mini_data, "explainer=smoothgrad", "explainer.samples=3")


@pytest.fixture(scope="module")
def one(config):
    return open_clip(Assembled(config))


def test_the_map_is_the_one_a_cell_keeps(tmp_path, mini_data, one):
    """A method that draws random numbers gets the same clip, generator and scaling."""
    # One clip alone in its shard, so that both compute it in a batch of one.
    given = ("explainer=smoothgrad", "explainer.samples=3", f"paths.results={tmp_path}", "shard.count=8")
    config = config_of(mini_data, *given)
    outcome = run_cell(Assembled(config, CHOICES))
    [picture] = Store(tmp_path / "cells" / outcome.cell).pictures()
    assert picture.clip == one.id
    np.testing.assert_array_equal(picture.frames, one.frames)
    np.testing.assert_array_equal(picture.boxes, one.boxes)
    saliency = explain_clip(one, Assembled(config).explainer)
    # The store keeps float16: half a unit in the last place of values up to 1 is 2^-12.
    np.testing.assert_allclose(saliency, picture.saliency, atol=2**-12, rtol=0)
    assert saliency.dtype == np.float32
    other_draws = explain_clip(replace(one, id="another"), Assembled(config).explainer)
    assert np.abs(other_draws - saliency).max() > 0.01


def test_the_gpu_is_chosen_before_anything_is_put_on_it(config, monkeypatch):
    """A figure that then runs a cell would else hold one network on the first GPU and another on its own."""
    order = []
    monkeypatch.setattr(assemble, "own_gpu", lambda device: order.append(device))
    monkeypatch.setattr(assemble, "build", lambda config, key: order.append(key) or build(config, key))
    open_clip(Assembled(config))
    assert order == ["cpu", "model"]


def test_a_map_of_ones_keeps_the_whole_clip(one):
    ones = np.ones(one.frames.shape[:3], np.float32)
    np.testing.assert_array_equal(probabilities_of_kept(one, ones), one.probabilities)
    np.testing.assert_array_equal(kept_frames(one, ones), one.frames)
    assert one.probabilities.sum() == pytest.approx(1, abs=1e-5)  # float32 softmax of eight classes
    assert one.p == one.probabilities[int(one.target)]


def test_what_the_map_does_not_keep_is_blurred(one):
    left = np.zeros(one.frames.shape[:3], np.float32)
    left[:, :, :32] = 1
    shown = kept_frames(one, left).astype(int)
    np.testing.assert_array_equal(shown[:, :, :32], one.frames[:, :, :32])
    inside = shown[:, 16:48, 40:56]  # blurred at sigma 20: neighbours differ by less than the frame's own do
    assert np.abs(np.diff(inside, axis=2)).max() <= 2
    assert np.abs(np.diff(one.frames[:, 16:48, 40:56].astype(int), axis=2)).max() > 10
    assert not np.array_equal(probabilities_of_kept(one, left), one.probabilities)


def test_the_class_explained_is_the_label_or_what_is_predicted(config):
    """A wrong label shows which of the two is asked; the last class is none that comes about by default."""
    one = open_clip(Assembled(config), build(config, "dataset").clips[-1].id)
    assert one.probabilities.argmax() > 0
    wrong = (int(one.probabilities.argmax()) + 1) % len(one.classes)
    clip = Clip(one.frames, one.boxes)
    for target, label, expected in [
        ("label", wrong, wrong),
        ("predicted", wrong, one.probabilities.argmax()),
        ("label", None, one.probabilities.argmax()),  # a user's own video
    ]:
        asked = config.copy()
        asked.target = target
        found = present_to_model(Assembled(asked), "mine", clip, one.classes, label)
        assert (int(found.target), found.label) == (expected, label)
        assert found.target_name == one.classes[expected]


class Watcher(Gradients):
    def explain(self, classifier, clip, target, context):
        self.saw = (clip, target, context.boxes)
        return super().explain(classifier, clip, target, context)


def test_the_explainer_sees_the_clip_its_class_and_its_boxes(config, one):
    watcher, other = Watcher(), torch.tensor([(int(one.target) + 1) % len(one.classes)])
    explain_clip(replace(one, target=other), watcher)
    clip, target, boxes = watcher.saw
    assert torch.equal(clip, one.tensor)
    assert torch.equal(target, other)
    assert np.array_equal(boxes[0].numpy(), one.boxes)


class Broken(Gradients):
    def explain(self, classifier, clip, target, context):
        return super().explain(classifier, clip, target, context) * torch.nan


def test_a_map_of_nan_is_said_not_drawn(config, one):
    with pytest.raises(ClipError, match=f"{one.id}: the map holds NaN") as caught:
        explain_clip(one, Broken())
    assert caught.value.kind == "nan_map"


def test_an_unknown_clip_names_those_near(config, one):
    with pytest.raises(UserError, match=f"^clip {one.id}x is not among the 8 clips .* did you mean {one.id}") as caught:
        open_clip(Assembled(config), f"{one.id}x")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=f"there are {one.id}, "):
        open_clip(Assembled(config), "?")


def test_a_clip_that_cannot_be_decoded_is_said_in_one_line(tmp_path, mini_data, one):
    data = tmp_path / "mini"
    shutil.copytree(mini_data, data)
    [video] = data.rglob(f"{Path(one.id).name}.*")
    if video.is_file():
        video.write_bytes(b"no video")
    else:
        pytest.fail("the mini clip is expected to be a video file")
    with pytest.raises(ClipError, match=video.stem) as caught:
        open_clip(Assembled(config_of(data, "explainer=gradients")), one.id)
    assert caught.value.kind == "undecodable"
