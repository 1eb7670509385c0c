"""A cell's provenance says under which switches its numbers were computed, and a network's own switches do not hold."""

import json
import sys

import pytest
import torch

NETWORK = """
import torch

torch.backends.cudnn.benchmark = True
torch.backends.cudnn.deterministic = False
torch.backends.cudnn.allow_tf32 = True
torch.set_float32_matmul_precision("high")


class Fast(torch.nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.fc = torch.nn.Linear(3, num_classes)

    def forward(self, clip):
        return self.fc(clip.mean(dim=(2, 3, 4)))
"""
EXACT = {
    "cudnn_deterministic": True,
    "cudnn_benchmark": False,
    "cudnn_tf32": False,
    "matmul_tf32": False,
    "matmul_precision": "highest",
}
OWN = ("model=custom", "model.network._target_=fast_net.Fast", "allow=[fast_net]", "model.num_classes=8")


@pytest.fixture
def fast_net(tmp_path, monkeypatch):
    """A network whose module asks torch for speed as it is imported."""
    (tmp_path / "fast_net.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("fast_net", None)
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, False
    torch.set_float32_matmul_precision("highest")


@pytest.mark.slow
def test_the_switches_are_on_record_as_they_were_when_it_was_computed(runner, fast_net):
    runner.environment["MKL_CBWR"] = "COMPATIBLE"
    done = runner.here(*OWN, "explainer=random", "metric=topk", "dataset.per_class=1")
    assert done.returncode == 0, done.stdout + done.stderr
    [note] = runner.results.glob("cells/*/provenance.json")
    [run] = json.loads(note.read_text())
    assert run["determinism"].items() >= EXACT.items()
    assert run["determinism"]["environment"]["MKL_CBWR"] == "COMPATIBLE"
    assert run["hardware"]["threads"] == torch.get_num_threads()
