import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.faulty_datasets import Scripted, Videos, WithProcess
from helpers.paths import ROOT
from helpers.videos import encode, noise

from vxbench.datasets.base import Clip, ClipRef
from vxbench.datasets.pool import DecodePool
from vxbench.datasets.ucf101_24 import UCF101_24
from vxbench.errors import ClipError, OutOfRange, UserError

pytestmark = pytest.mark.slow

HERE = ROOT / "tests"
PATIENCE = 30  # seconds until a clip counts as hung where none should


def outcomes(clips):
    return [clip.kind if isinstance(clip, ClipError) else int(clip.frames.flat[0]) for clip in clips]


def load(*ids, timeout_s=PATIENCE, workers=2):
    dataset = Scripted(*ids)
    with DecodePool(workers, timeout_s) as pool:
        return pool.load(dataset, dataset.clips)


def test_order_is_kept_whoever_is_first():
    assert outcomes(load("slow-1", "good-2", "slow-3", "good-4")) == [1, 2, 3, 4]


@pytest.mark.parametrize("deed", ["exit", "segfault"])
def test_a_crash_costs_the_guilty_clip_only(deed):
    clips = load("good-1", f"{deed}-2", "good-3", f"{deed}-4", "good-5")
    assert outcomes(clips) == [1, "undecodable", 3, "undecodable", 5]
    assert "crashed" in clips[1].message
    assert f"{deed}-2" in clips[1].message


@pytest.mark.parametrize("deed", ["hang", "stall"])
def test_a_hang_costs_the_guilty_clip_only(deed):
    # 3 s: longer than a process takes to start, or good clips would be called hung.
    clips = load("good-1", f"{deed}-2", "good-3", timeout_s=3)
    assert outcomes(clips) == [1, "timeout", 3]
    assert "3 s" in clips[1].message


def test_a_clip_error_comes_back_as_it_was_and_a_bug_as_error():
    clips = load("refuse-1", "fail-2", "good-3")
    assert outcomes(clips) == ["missing", "error", 3]
    assert clips[0].message == "gone"
    assert clips[1].message == "fail-2: ZeroDivisionError: a bug"


def test_what_was_submitted_ahead_survives_a_crash():
    first, second = Scripted("good-1", "segfault-2"), Scripted("slow-3", "good-4")
    with DecodePool(2, PATIENCE) as pool:
        ahead = [pool.submit(dataset, dataset.clips) for dataset in (first, second)]
        assert [outcomes(loading.result()) for loading in ahead] == [[1, "undecodable"], [3, 4]]
        assert outcomes(pool.load(second, second.clips)) == [3, 4]


def test_no_clips_no_work():
    assert load() == []


def test_clips_are_loaded_elsewhere_and_without_torch():
    with DecodePool(1, PATIENCE) as pool:
        clip = pool.load(WithProcess(), [ClipRef("a", Path("a"), 0)])[0]
    process, has_torch, _ = clip.frames.tolist()
    assert process != os.getpid()
    assert not has_torch


def test_the_main_script_is_not_imported_again(tmp_path):
    """Scripts of the project may import torch at their top; the decoding processes must not."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(HERE)!r})\n"
        "parse = 'only in the main script'\n"
        "from pathlib import Path\n"
        "from helpers.faulty_datasets import WithProcess\n"
        "from vxbench.datasets.base import ClipRef\n"
        "from vxbench.datasets.pool import DecodePool\n"
        f"with DecodePool(1, {PATIENCE}) as pool:\n"
        "    print(int(pool.load(WithProcess(), [ClipRef('a', Path('a'), 0)])[0].frames[2]))\n"
    )
    assert subprocess.run([sys.executable, script], check=True, capture_output=True, text=True).stdout == "0\n"


def test_a_real_data_set_loads_the_same_in_a_pool(mini_root):
    dataset = UCF101_24(mini_root, frames=4, height=32, width=32)
    with DecodePool(2, PATIENCE) as pool:
        pooled = pool.load(dataset, dataset.clips)
    for ref, clip in zip(dataset.clips, pooled, strict=True):
        assert isinstance(clip, Clip)
        assert (clip.frames == dataset.load(ref).frames).all()


def test_each_data_set_of_a_pool_loads_its_own_way(tmp_path):
    path = encode(tmp_path / "clip.avi", noise(9, (80, 80)), "ffv1", "bgr0")
    datasets = [Videos(path, frames=frames, height=16, width=16) for frames in (1, 2, 3)]
    with DecodePool(1, PATIENCE) as pool:
        ahead = [pool.submit(dataset, dataset.clips) for dataset in datasets]
        assert [len(loading.result()[0].frames) for loading in ahead] == [1, 2, 3]


def test_a_data_set_of_the_main_script_is_refused(monkeypatch):
    monkeypatch.setattr(Scripted, "__module__", "__main__")
    with pytest.raises(UserError, match="Scripted is defined in the main script"):
        load("good-1")


def test_bad_values_are_refused():
    with pytest.raises(OutOfRange, match="workers = 0"):
        DecodePool(0)
    with pytest.raises(OutOfRange, match="timeout_s = 0"):
        DecodePool(1, 0)


def alive(process):
    """Whether a process runs; a zombie that nobody has collected does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes through /proc")
@pytest.mark.parametrize("busy", ["good-1", "hang-1"])
def test_no_process_outlives_a_parent_killed_by_9(tmp_path, busy):
    script = (
        f"import sys; sys.path.insert(0, {str(HERE)!r})\n"
        "from pathlib import Path\n"
        "from helpers.faulty_datasets import Scripted, WithProcess\n"
        "from vxbench.datasets.base import ClipRef\n"
        "from vxbench.datasets.pool import DecodePool\n"
        f"pool, dataset = DecodePool(1, {PATIENCE}), Scripted({busy!r})\n"
        "print(pool.load(WithProcess(), [ClipRef('a', Path('a'), 0)])[0].frames[0], flush=True)\n"
        "pool.load(dataset, dataset.clips)\n"
        "input()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    helper = int(parent.stdout.readline())
    assert alive(helper)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + PATIENCE
    while alive(helper) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(helper)
