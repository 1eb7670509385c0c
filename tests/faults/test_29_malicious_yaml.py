"""A config runs nothing: neither by a tag of YAML, nor by a `_target_`, nor by a `type` of mmaction2's."""

from pathlib import Path

import pytest
from helpers.configs import composed
from omegaconf import OmegaConf

from vxbench.config import build
from vxbench.errors import UserError

pytestmark = pytest.mark.slow

MINI_TSM = ("model=tsm", "dataset=ucf101_24", "model.checkpoint=null")
RUNS = "{type: subprocess.check_output, _delete_: true, args: touch owned, shell: true}"


@pytest.fixture(autouse=True)
def nothing_is_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("part", ["backbone", "cls_head", "backbone.norm_cfg", "data_preprocessor"])
def test_a_type_that_no_registry_has_is_not_imported(part):
    config = composed(*MINI_TSM, f"++model.overrides.{part}={RUNS}")
    with pytest.raises(UserError, match="cannot build this model: Failed to get subprocess.check_output"):
        build(config, "model")


@pytest.mark.parametrize("kind", ["subprocess.check_output", "os.system", "shutil.rmtree", "mmengine.dump"])
def test_nor_is_one_in_place_of_a_network(kind):
    config = composed(*MINI_TSM, "model.config=null", "model.overrides=null", f"++model.network={{type: {kind}}}")
    with pytest.raises(UserError, match=rf"^model\.network\.type = {kind} is not in mmaction2's registry"):
        build(config, "model")
