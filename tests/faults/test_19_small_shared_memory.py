"""Neither decoding nor training needs more of /dev/shm than a few kilobytes, as containers keep it small."""

import subprocess
import sys

import pytest
from helpers.paths import ROOT

pytestmark = pytest.mark.slow

SCRIPT = """
import sys
import numpy as np
sys.path.insert(0, {tests!r})
from helpers.videos import encode, noise
from helpers.faulty_datasets import Videos
from vxbench.datasets.base import ClipRef
from vxbench.datasets.pool import DecodePool
from vxbench.datasets.view import Sampler
from vxbench.training.augment import Augmentation
from vxbench.training.clips import TrainingClips, batches
path = encode({video!r}, noise(8), "ffv1", "bgr0")
dataset = Videos(path, frames=8, height=112, width=112)
with DecodePool(2, 60) as pool:
    print(*(clip.frames.nbytes for clip in pool.load(dataset, dataset.clips * 2)))
read = lambda ref, pick: np.zeros((8, 112, 112, 3), np.uint8)
clips = TrainingClips([ClipRef(str(i), path, 0) for i in range(4)], read, Sampler("centre", 8), Augmentation())
print(*(batch["frames"].nbytes for batch in batches(clips, 2, 2, 60)))
"""


def test_processes_send_clips_through_pipes(tmp_path):
    """/dev/shm is 64 kB for this process and those it starts; a clip has 301."""
    small = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=64k tmpfs /dev/shm && exec "$@"', "sh"]
    if subprocess.run([*small, "true"], capture_output=True).returncode:
        pytest.skip("mounting a small /dev/shm is not allowed here")
    code = SCRIPT.format(tests=str(ROOT / "tests"), video=str(tmp_path / "a.avi"))
    done = subprocess.run([*small, sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    size = 8 * 112 * 112 * 3
    assert done.stdout.split() == [str(size)] * 2 + [str(2 * size)] * 2
