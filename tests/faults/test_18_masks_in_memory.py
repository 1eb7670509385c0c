"""Masks are built a few at a time: four times as many need no more memory, as none is held dense with all others."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import json, sys, torch
from torch import nn
from vxbench.explainers.occlusion import AOSA, OSA, RISE, AOSAApprox

class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv3d(3, 2, 1), nn.Linear(2, 3)

    def forward(self, clip):
        return self.fc(self.conv(clip[..., ::8, ::8]).relu().mean((2, 3, 4)))

def resident(key):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key)) / 1024

def peak(explainer):
    model, clip = Tiny(), torch.rand(1, 3, 16, 112, 112) * 4 - 2
    with open("/proc/self/clear_refs", "w") as refs:
        refs.write("5")  # the high-water mark starts again
    before = resident("VmRSS")
    explainer(model, clip, torch.tensor([1]))
    return resident("VmHWM") - before

options = {"mean": [114] * 3, "std": [57] * 3, "chunk": 8}
pairs = {
    "osa": [OSA(stride, 8, chunk=8) for stride in (28, 14)],
    "aosa": [AOSA(stride=stride, **options) for stride in (8, 4)],
    "approx": [AOSAApprox(stride=stride, **options) for stride in (8, 4)],
    "rise": [RISE(masks, chunk=8) for masks in (30, 120)],
}
peak(pairs["aosa"][0])  # what is loaded and allocated once
peak(pairs["approx"][0])
print(json.dumps({name: [peak(explainer) for explainer in pair] for name, pair in pairs.items()}))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc")
def test_peak_memory_does_not_grow_with_the_number_of_masks():
    """At 16 x 112 x 112; one dense mask is .8 MB (.2 MB as bytes), a masked clip 2.4 MB, and AOSA gets 588 more."""
    environment = {"MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}  # what is freed leaves the process
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    for name, (few, many) in json.loads(done.stdout).items():
        assert few > 1, name
        assert many <= 1.2 * few, f"{name}: {few:.1f} MB, with four times the masks {many:.1f} MB"
