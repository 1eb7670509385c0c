"""A target that is no class, or not one a clip, is refused in one line by explainers, metrics and commands."""

import pytest
import torch
from helpers.configs import composed
from helpers.toys import GapFC, clips, seeded

from vxbench.commands.explain import main
from vxbench.errors import OutOfRange, UserError
from vxbench.explainers import EP3D, OSA, RISE, GradCAM, Gradients, Random, SaliencyTubes
from vxbench.metrics import DropInConfidence
from vxbench.metrics.base import Batch
from vxbench.runner.assemble import Settings

EXPLAINERS = {
    "gradients": Gradients,
    "Grad-CAM": lambda: GradCAM("features"),
    "tubes": lambda: SaliencyTubes("features"),
    "EP-3D": lambda: EP3D(iterations=1, step=3, sigma=4),
    "OSA": OSA,
    "RISE": lambda: RISE(masks=2),
    "random": Random,  # which looks at no class
}
WRONG = {
    "a class behind the last": (torch.tensor([0, 4]), r"target = 4 is no class of the network, .* from 0 to 3"),
    "a negative one": (torch.tensor([-1, 0]), "target = -1 is no class of the network"),
    "a class of many": (torch.tensor([2**40, 0]), f"target = {2**40} is no class of the network"),
    "one for both": (torch.tensor([1]), r"target must be int64 \(B,\) = \(2,\), .* it is torch.int64 \(1,\)"),
    "none": (torch.tensor(1), r"target must be int64 \(B,\) = \(2,\), .* it is torch.int64 \(\)"),
    "a row each": (torch.zeros(2, 4, dtype=torch.int64), r"it is torch.int64 \(2, 4\)"),
    "a float": (torch.tensor([0.0, 1.0]), r"it is torch.float32 \(2,\)"),
    "a truth": (torch.tensor([True, False]), r"it is torch.bool \(2,\)"),
}


def network():
    made = seeded(GapFC())
    made.num_classes = 4
    return made


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", EXPLAINERS)
def test_an_explainer_refuses_it(name, wrong):
    target, message = WRONG[wrong]
    with pytest.raises(UserError, match=message) as caught:
        EXPLAINERS[name]()(network(), clips(2, 3, 4, 12, 10), target)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wrong", WRONG)
def test_a_metric_refuses_it(wrong):
    target, message = WRONG[wrong]
    batch = Batch(clips(2, 3, 4, 12, 10), target, torch.tensor([0, 1]))
    with pytest.raises(UserError, match=message):
        DropInConfidence()(network(), batch, torch.rand(2, 4, 12, 10))


def test_a_network_that_does_not_say_how_many_classes_it_has_is_asked_for_any():
    target = torch.tensor([0, 3])
    assert torch.equal(
        Gradients()(seeded(GapFC()), clips(2, 3, 4, 12, 10), target),
        Gradients()(network(), clips(2, 3, 4, 12, 10), target),
    )


def test_which_class_is_explained_is_the_label_or_what_is_predicted():
    with pytest.raises(OutOfRange, match="target = lable is not one of label, predicted"):
        Settings.of(composed("target=lable"))


@pytest.mark.slow
@pytest.mark.parametrize("target", ["8", "-1", "ClockwiseFromWst", "1.5", ""])
def test_a_class_that_the_user_asks_for_and_that_is_none_is_one_line(target, mini_test_split, monkeypatch, capsys):
    monkeypatch.setenv("VXBENCH_MINI_DATA", str(mini_test_split))
    [video] = mini_test_split.glob("ucf101/videos/ClockwiseFromWest/v_ClockwiseFromWest_g01_c01.avi")
    assert main([f"video={video}", f"target={target}", "explainer=centre"]) != 0
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "target" in line
