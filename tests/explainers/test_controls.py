import math

import pytest
import torch
from helpers.toys import clips

from vxbench.errors import NotApplicable, OutOfRange, UserError
from vxbench.explainers.base import Explainer
from vxbench.explainers.controls import Boxes, Centre, Random

CLIP = clips(2, 3, 4, 20, 30)
TARGET = torch.tensor([0, 0])


class Forbidden(torch.nn.Module):
    def forward(self, clip):
        raise AssertionError("a control ran the network")


def explain(explainer, **context):
    return explainer(Forbidden(), CLIP, TARGET, **context)


def seeds(*values):
    return [torch.Generator().manual_seed(value) for value in values]


def test_random_is_uniform_noise_of_each_clip_s_own_generator():
    noise = explain(Random(), generators=seeds(3, 4))
    assert noise.shape == (2, 4, 20, 30)
    assert noise.min() >= 0
    assert noise.max() < 1
    assert noise.mean().item() == pytest.approx(0.5, abs=0.03)  # 7 standard errors of 4800 draws
    assert not torch.equal(noise[0], noise[1])
    swapped = explain(Random(), generators=seeds(4, 3))
    assert torch.equal(swapped, noise.flip(0))


def test_centre_is_a_still_symmetric_blob():
    blob = explain(Centre())
    assert blob.shape == (2, 4, 20, 30)
    assert torch.equal(blob, blob[:1, :1].expand_as(blob))
    torch.testing.assert_close(blob, blob.flip(-1))
    torch.testing.assert_close(blob, blob.flip(-2))
    frame = blob[0, 0]
    assert frame.argmax() in (9 * 30 + 14, 9 * 30 + 15, 10 * 30 + 14, 10 * 30 + 15)
    assert 0.97 < frame.max() <= 1


def test_centre_s_sigma_is_a_share_of_the_shorter_side():
    blob = Centre(sigma=0.25)(Forbidden(), torch.zeros(1, 3, 1, 101, 201), TARGET[:1])[0, 0]
    assert blob[50, 100] == 1
    assert blob[50, 125].item() == pytest.approx(math.exp(-0.5 * (25 / 25.25) ** 2), rel=1e-5)  # float32
    square = Centre()(Forbidden(), torch.zeros(1, 3, 1, 112, 112), TARGET[:1])
    assert (square >= 0.5).float().mean().item() == pytest.approx(0.27, abs=0.005)  # what its docstring says


def test_centre_s_sigma_is_positive():
    with pytest.raises(OutOfRange, match="sigma = 0 is outside"):
        Centre(sigma=0)


def test_boxes_are_the_annotation():
    boxes = torch.zeros(2, 4, 20, 30, dtype=torch.bool)
    boxes[0, 1:3, 5:9, 7:12] = True
    saliency = explain(Boxes(), boxes=boxes)
    assert saliency.dtype == torch.float32
    assert torch.equal(saliency.bool(), boxes)
    assert saliency.sum() == 2 * 4 * 5
    assert saliency[1].sum() == 0  # no annotation: zeros


def test_boxes_need_an_annotation():
    with pytest.raises(NotApplicable, match="this data set has none"):
        explain(Boxes())


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        (lambda clip: None, r"Wrong\.explain gave NoneType, not a tensor \(B, T, H, W\) = \(2, 4, 8, 8\)"),
        (lambda clip: clip, r"gave \(2, 3, 4, 8, 8\)"),
        (lambda clip: clip[:, 0, 0], r"gave \(2, 8, 8\)"),
    ],
)
def test_a_map_of_another_shape_is_told_with_its_explainer(gives, said):
    class Wrong(Explainer):
        def explain(self, classifier, clip, target, context):
            return gives(clip)

    with pytest.raises(UserError, match=said):
        Wrong()(torch.nn.Identity(), torch.zeros(2, 3, 4, 8, 8), torch.zeros(2, dtype=torch.long))
