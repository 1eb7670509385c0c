"""Which data a profile takes: the generated ones at the mini size, and never in the place of the real ones."""

import pytest
from helpers.configs import composed

from vxbench.errors import UserError
from vxbench.runner.data import open_dataset


def config(profile, root, dataset="ucf101"):
    overrides = [f"profile={profile}", f"paths.data={root}", f"dataset={dataset}", "dataset.per_class=1"]
    return composed(*overrides, "model=r2plus1d", "model.checkpoint=null", "model.num_classes=8")


@pytest.mark.parametrize("dataset", ["ucf101", "epic_action", "kinetics700"])
def test_only_the_mini_size_is_told_how_to_make_the_generated_data(dataset, tmp_path):
    said = {}
    for profile in ("mini", "smoke", "paper"):
        with pytest.raises(UserError, match="is not complete") as caught:
            open_dataset(config(profile, tmp_path, dataset))
        said[profile] = str(caught.value).splitlines()
    assert (
        said["mini"][-1] == said["smoke"][-1] == f"  for the generated mini data: vxbench make-mini --root {tmp_path}"
    )
    assert not any("make-mini" in line for line in said["paper"])


def test_the_generated_data_are_no_real_ones(mini_root):
    assert open_dataset(config("mini", mini_root)).clips
    with pytest.raises(UserError, match=r"holds the generated mini data, .*profile=paper .*VXBENCH_DATA$") as caught:
        open_dataset(config("paper", mini_root))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["{}", "[1]", "3", "no JSON", "\N{BYTE ORDER MARK}"])
def test_a_manifest_of_another_kind_is_nobodys_business(content, tmp_path):
    (tmp_path / "manifest.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match="is not complete"):
        open_dataset(config("paper", tmp_path))
