"""A network of the user's own, from its file to a finished cell."""

import pandas as pd
import pytest
import torch
from helpers.configs import composed
from helpers.model_configs import blank, noise
from helpers.run_process import Runner

from vxbench.config import build
from vxbench.errors import UserError

SOURCE = """
from torch import nn

class TinyNet(nn.Module):
    def __init__(self, num_classes, width=4):
        super().__init__()
        self.conv, self.fc = nn.Conv3d(3, width, 3), nn.Linear(width, num_classes)

    def forward(self, clip):
        return self.fc(self.conv(clip).relu().mean(dim=(2, 3, 4)))
"""
OWN = ("model=custom", "model.network._target_=own_nets.TinyNet")


@pytest.fixture
def own_nets(tmp_path, monkeypatch):
    """A folder on the path of imports with the user's own module."""
    (tmp_path / "own_nets.py").write_text(SOURCE)
    (tmp_path / "broken_nets.py").write_text("def (")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def custom(*overrides, allow="[own_nets]"):
    return build(composed("model=custom", "model.num_classes=5", f"++allow={allow}", *overrides), "model")


@pytest.mark.parametrize("allow", ["[own_nets]", "[own_nets.]", "[own_nets.TinyNet]"])
def test_it_is_built_with_its_arguments_and_runs(own_nets, allow):
    built = custom(OWN[1], "+model.network.width=7", allow=allow)
    assert type(built.recognizer).__module__ == "own_nets"
    assert built.recognizer.conv.out_channels == 7
    assert (built.display, built.outputs, built.cam_layer) == ("own_nets.TinyNet", "logits", None)
    assert torch.equal(built(noise(built)), built.recognizer(noise(built)))
    assert built(blank(built)).shape == (1, 5)


@pytest.mark.parametrize("allow", ["[]", "[own]", "[own_nets.Tiny]", "[other_nets]"])
def test_it_is_refused_unless_its_module_is_named(own_nets, allow):
    with pytest.raises(
        UserError, match=r"^model\.network\._target_ = own_nets\.TinyNet is not allowed; .*allow=\[own_n"
    ):
        custom(OWN[1], allow=allow)


@pytest.mark.parametrize("allow", ["own_nets", "['']", "[.]", "[3]", "null"])
def test_a_list_of_modules_is_asked_for(own_nets, allow):
    with pytest.raises(UserError, match=r"^allow = .* is not a list of modules, such as allow=\[my_nets\]$"):
        custom(OWN[1], allow=allow)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("absent_nets.Net", "cannot be imported: No module named 'absent_nets'; put its folder on PYTHONPATH"),
        (
            "own_nets.Absent",
            r"own_nets\.Absent cannot be imported: No module named 'own_nets\.Absent'[^;]*; 'own_nets' is",
        ),
        ("broken_nets.Net", r"cannot be imported: invalid syntax \(broken_nets\.py, line 1\)$"),
    ],
)
def test_what_cannot_be_imported_is_said_in_one_line(own_nets, target, message):
    with pytest.raises(UserError, match=message) as caught:
        custom(f"model.network._target_={target}", allow="[own_nets,absent_nets,broken_nets]")
    assert str(caught.value).startswith(f"model.network._target_ = {target} ")
    assert "\n" not in str(caught.value)


def test_a_wrong_argument_is_said_in_one_line(own_nets):
    with pytest.raises(UserError, match=r"^model\.network: .*unexpected keyword argument 'wdith'$"):
        custom(OWN[1], "+model.network.wdith=7")


def test_its_weights_come_from_the_seed_or_from_its_state_dict(own_nets):
    one, again, other = (custom(OWN[1], f"model.seed={seed}").recognizer for seed in (1, 1, 2))
    assert torch.equal(one.fc.weight, again.fc.weight)
    assert not torch.equal(one.fc.weight, other.fc.weight)
    torch.save(one.state_dict(), own_nets / "one.pth")
    loaded = custom(OWN[1], f"model.checkpoint={own_nets / 'one.pth'}", "model.seed=2").recognizer
    assert torch.equal(loaded.fc.weight, one.fc.weight)


def test_what_is_not_named_stays_refused_elsewhere(own_nets):
    config = composed("explainer._target_=os.getcwd", "++allow=[own_nets]")
    with pytest.raises(UserError, match=r"^explainer\._target_ = os\.getcwd is not allowed"):
        build(config, "explainer")


@pytest.mark.slow
def test_a_sweep_in_two_processes_gives_a_cell_for_each_setting(own_nets, tmp_path, mini_test_split):
    """Joblib's workers are fresh processes: they find the network by PYTHONPATH, as the first one does."""
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    (tmp_path / "run").mkdir()
    runner = Runner(tmp_path / "run", mini_test_split)
    runner.environment["PYTHONPATH"] = str(own_nets)
    launcher = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    sweep = ("+model.network.width=2,3", "model.num_classes=8", "explainer=gradients", "profile=smoke")
    done = runner("-m", *OWN, "++allow=[own_nets]", *sweep, *launcher)
    assert done.returncode == 0, done.stdout + done.stderr
    cells = list((runner.results / "cells").iterdir())
    assert len(cells) == 2
    for cell in cells:
        rows = pd.concat(pd.read_parquet(part) for part in cell.glob("part-*.parquet"))
        assert set(rows.status) == {"ok"}
        assert rows["clip"].nunique() == 8
