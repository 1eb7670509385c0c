"""How a checkpoint numbers the classes must be known where a data set knows several numberings."""

import pytest
from helpers.configs import composed

from vxbench.errors import UserError
from vxbench.runner.weights import weights_digest

PAPER = ("model=r3d", "profile=paper", "dataset=kinetics700")


def entry(tmp_path, **more):
    path = tmp_path / "mine.pth"
    path.write_bytes(b"weights")
    words = {"file": path, "format": "3d_resnets", **more}
    return f"model.checkpoint={{{', '.join(f'{name}: {value}' for name, value in words.items())}}}"


@pytest.mark.parametrize("dataset", ["kinetics400", "kinetics700"])
def test_classes_of_the_3d_resnets_are_never_taken_for_alphabetical(dataset, tmp_path):
    config = composed("model=r3d", "profile=paper", f"dataset={dataset}", entry(tmp_path), "model.num_classes=700")
    with pytest.raises(UserError, match=r"3d_resnets .* class_order: train_csv .* dataset\.class_order=") as caught:
        weights_digest(config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "overrides"),
    [
        ({"class_order": "train_csv"}, []),
        ({}, ["dataset.class_order=train_csv"]),
        ({}, ["dataset.class_order=label_map"]),  # said, not assumed
        ({"format": "torchvision"}, []),  # alphabetical
        ({}, ["dataset=ucf101"]),  # which has one numbering
    ],
)
def test_what_is_said_or_has_one_numbering_is_taken(more, overrides, tmp_path):
    assert len(weights_digest(composed(*PAPER, entry(tmp_path, **more), *overrides))) == 16
