"""Sweeps under every launcher. SLURM is stood in for by scripts, GPUs by their number, Ray by its config."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import pytest
from helpers.paths import ROOT
from helpers.run_process import Runner
from hydra.core.config_store import ConfigNode, ConfigStore
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vxbench import config, device
from vxbench.commands import reproduce
from vxbench.errors import UserError
from vxbench.runner import job
from vxbench.runner.assemble import Assembled
from vxbench.runner.store import Store

pytestmark = pytest.mark.slow

SLURM = ROOT / "tests" / "helpers" / "slurm"
CHEAP = ("explainer=centre", "dataset.per_class=1")


def launcher(*overrides: str) -> DictConfig:
    return config.compose(list(overrides), with_hydra=True).hydra.launcher


def runs(runner) -> list[dict]:
    return [run for path in runner.results.glob("cells/*/provenance.json") for run in json.loads(path.read_text())]


def until(condition, process) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


# --- processes of one machine


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor has nothing to share")
def test_joblib_shares_the_processors_among_its_workers(runner):
    del runner.environment["OMP_NUM_THREADS"]
    done = runner("-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", *CHEAP, "explainer.sigma=0.2,0.3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(runs(runner)) == 2
    assert all(2 * run["hardware"]["threads"] <= os.cpu_count() for run in runs(runner))


def test_reproduce_leaves_a_launcher_that_is_chosen_alone(monkeypatch):
    commands = []
    monkeypatch.setattr(reproduce, "run", commands.append)
    given = Namespace(profile="mini", jobs=2)
    reproduce.run_table("fep_1", given, ["hydra/launcher=slurm"], cells=[])
    reproduce.run_table("fep_1", given, [], cells=[])
    chosen = [[word for word in command if word.startswith("hydra/launcher=")] for command in commands]
    assert chosen == [["hydra/launcher=slurm"], ["hydra/launcher=joblib"]]


# --- one GPU a process


def gpu_process(folder: Path, *names: str) -> subprocess.Popen:
    """A process that takes one of the GPUs, says which, and keeps it until it is killed."""
    code = (
        "import sys, pathlib; from vxbench.device import lease_gpu;"
        f"print(lease_gpu({list(names)}, pathlib.Path({str(folder)!r})), flush=True); sys.stdin.read()"
    )
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, **streams)


@pytest.fixture
def processes():
    started: list[subprocess.Popen] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def test_processes_started_at_once_have_a_gpu_each(processes, tmp_path):
    processes += [gpu_process(tmp_path, "0", "1", "2") for _ in range(3)]
    assert sorted(int(process.stdout.readline()) for process in processes) == [0, 1, 2]


def test_a_process_more_than_gpus_is_the_second_on_one_and_a_killed_one_leaves_its_own(processes, tmp_path):
    for expected in (0, 1, 0):
        processes.append(gpu_process(tmp_path, "a", "b"))
        assert int(processes[-1].stdout.readline()) == expected
    processes[1].kill()
    processes[1].wait()
    processes.append(gpu_process(tmp_path, "a", "b"))
    assert int(processes[-1].stdout.readline()) == 1


def test_gpus_are_told_apart_by_their_names_not_their_places(processes, tmp_path):
    for visible, expected in (("2", "3"), 0), (("3", "2"), 0), (("MIG-1/2/0", "2"), 0):
        processes.append(gpu_process(tmp_path, *visible))
        assert int(processes[-1].stdout.readline()) == expected


@pytest.mark.parametrize(
    ("asked", "visible", "set_to"),
    [("cuda", 2, [0]), ("cuda", 1, []), ("cuda", 0, []), ("cuda:1", 2, []), ("cpu", 2, [])],
)
def test_cuda_means_the_gpu_of_this_process(monkeypatch, tmp_path, asked, visible, set_to):
    current = []
    monkeypatch.setattr("torch.cuda.device_count", lambda: visible)
    monkeypatch.setattr("torch.cuda.set_device", current.append)
    monkeypatch.setattr(device, "lease_folder", lambda: tmp_path)
    monkeypatch.setattr(device, "_lease", None)
    device.own_gpu(asked)
    assert current == set_to


def test_a_process_keeps_its_gpu_for_all_its_cells(monkeypatch, tmp_path):
    monkeypatch.setattr(device, "_lease", None)
    assert [device.lease_gpu(["0", "1"], tmp_path) for _ in range(3)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("listed", "names"),
    [(None, ["0", "1"]), ("", ["0", "1"]), ("3, 1,-1", ["3", "1"]), ("GPU-a,MIG-b", ["GPU-a", "MIG-b"])],
)
def test_names_of_gpus(monkeypatch, listed, names):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if listed is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", listed)
    assert device.gpu_names(2) == names


def test_a_job_of_slurm_shares_its_gpus_with_no_other(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    folders = [device.lease_folder()]
    for number in ("7", "8"):
        monkeypatch.setenv("SLURM_JOB_ID", number)
        folders.append(device.lease_folder())
    assert len(set(folders)) == 3


def test_a_cell_takes_its_gpu_before_anything_is_built(monkeypatch):
    def taken(device):
        raise UserError(f"asked for {device}")

    monkeypatch.setattr(job, "own_gpu", taken)
    composed = config.compose(["paths.data=nowhere"])
    with pytest.raises(UserError, match="asked for cpu"):
        job.run_cell(Assembled(composed))


def test_as_many_workers_as_gpus(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    assert launcher("hydra/launcher=gpus").n_jobs == 4
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(OmegaConfBaseException, match="no usable GPU; hydra/launcher=joblib uses the processors"):
        _ = launcher("hydra/launcher=gpus").n_jobs


# --- submitit


SLOW = """
import subprocess, time
start = subprocess.Popen.__init__
def slow(self, command, *given, **named):
    start(self, command, *given, **named)
    if "submitit.local._local" in str(command):
        time.sleep(3)
subprocess.Popen.__init__ = slow
"""


def under_submitit(runner, *words) -> subprocess.CompletedProcess:
    """Runs it as a module, as `python -m vxbench`.

    On a machine so busy that a job runs before submitit has made the folder for its log.
    """
    (runner.folder / "sitecustomize.py").write_text(SLOW)
    command = [sys.executable, "-m", "vxbench", "run", *words, "hydra/launcher=submitit"]
    environment = runner.environment | {"PYTHONPATH": f"{ROOT}{os.pathsep}{runner.folder}"}
    return subprocess.run(
        command, cwd=runner.folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def test_a_table_in_shards_under_submitit_with_a_cell_that_fails(runner):
    swept = ("hydra.sweeper.params.model='r2plus1d,r3d'", "hydra.sweeper.params.explainer=centre")
    shards = ("shard.count=2", "shard.index=0,1")
    done = under_submitit(runner, "+table=fep_1", "profile=smoke", *swept, *shards)
    assert done.returncode == 1, done.stderr
    assert "2 cells, 8 clips computed, 0 clips failed, 1 cell failed" in done.stdout, done.stderr
    assert done.stdout.count("r3d has no weights for the classes of ucf101_24") == 1
    assert "Traceback" not in done.stderr
    with open(runner.results / "tables" / "fep_1.csv") as file:
        lines = {(line["model"], line["row"], line["metric"]): line for line in csv.DictReader(file)}
    assert lines["r2plus1d", "centre", "stc"]["n"] == "8"


def children(number: str) -> list[str]:
    """Processes that a process started; none once it has ended."""
    try:
        return Path(f"/proc/{number}/task/{number}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def test_a_job_that_is_killed_is_one_line_and_a_failed_run(runner):
    """SIGKILL is what the machine sends when memory runs out."""
    process = runner.start("-m", "hydra/launcher=submitit", *CHEAP)
    tasks = []

    def started() -> bool:
        """The job is a shell, its child submitit's controller, and the child of that the task."""
        jobs = [path.name for path in runner.results.glob("runs/*/.submitit/*") if path.name.isdigit()]
        tasks[:] = [task for number in jobs for controller in children(number) for task in children(controller)]
        return bool(tasks)

    until(started, process)
    os.kill(int(tasks[0]), signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert said.startswith("error: UncompletedJobError: ")
    assert len(said.strip().splitlines()) == 1, said


# --- SLURM


@pytest.fixture(scope="module")
def slurm(tmp_path_factory, mini_data):
    """Two cells, one task at a time; the first is preempted when it has computed a clip, as SLURM does it."""
    runner = Runner(tmp_path_factory.mktemp("slurm"), mini_data)
    runner.slurm = runner.folder / "slurm"
    runner.environment |= {
        "PATH": f"{SLURM}{os.pathsep}{os.environ['PATH']}",
        "STANDIN_SLURM": str(runner.slurm),
        "OMP_NUM_THREADS": "3",
    }
    settings = {"partition": "gpu", "array_parallelism": 1, "timeout_min": 90, "cpus_per_task": 1, "mem_gb": 12}
    given = [f"hydra.launcher.{key}={value}" for key, value in settings.items()]
    cells = ("explainer=gradients", "dataset.per_class=2", "runner.batch_size=1", "target=label,predicted")
    process = runner.start("-m", "hydra/launcher=slurm", *given, *cells)
    until(lambda: list(runner.results.glob("cells/*/part-*.parquet")), process)
    preempt = ["scancel", "1000_0", "--signal", "USR2"]
    subprocess.run(preempt, env=runner.environment, check=True)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    runner.said = out
    return runner


def test_the_batch_script_says_what_the_config_says(slurm):
    (script,) = slurm.slurm.glob("*.sh")
    lines = dict(re.findall(r"#SBATCH --([\w-]+)=(.*)", script.read_text()))
    expected = {"partition": "gpu", "gpus-per-node": "1", "cpus-per-task": "1", "time": "90", "mem": "12GB"}
    expected |= {"array": "0-1%1", "nodes": "1", "ntasks-per-node": "1", "job-name": "vxbench", "signal": "USR2@120"}
    assert {key: lines[key] for key in expected} == expected


def test_a_job_works_with_the_processors_it_was_given(slurm):
    assert {run["hardware"]["threads"] for run in runs(slurm)} == {1}
    assert [path.read_text() for path in slurm.slurm.glob("*.cpus")] == ["1", "1"]


def test_a_preempted_job_is_queued_again_and_goes_on_where_it_was(slurm):
    stored = [json.loads(path.read_text()) for path in slurm.results.glob("cells/*/provenance.json")]
    interrupted, undisturbed = sorted(stored, key=len, reverse=True)
    first, second = interrupted
    assert first["finished"] is None
    assert 0 < second["clips"] < 16
    assert [run["clips"] for run in undisturbed] == [16]
    assert f"2 cells, {second['clips'] + 16} clips computed, 0 clips failed, 0 cells failed" in slurm.said
    (log,) = slurm.results.glob("runs/*/.submitit/1000_0/*_log.out")
    assert ": failed: " not in log.read_text()
    assert [Store(cell).rows()["clip"].nunique() for cell in (slurm.results / "cells").iterdir()] == [16, 16]


def test_a_job_out_of_time_is_queued_again_too():
    assert launcher("hydra/launcher=slurm").max_num_timeout > 0


# --- names, Ray


def test_an_unknown_launcher_gets_the_nearest():
    with pytest.raises(UserError, match=r"hydra/launcher=slrum does not exist; did you mean slurm"):
        config.check_choices(["hydra/launcher=slrum"])


def test_ray_that_is_not_installed_is_one_line(monkeypatch):
    monkeypatch.setattr(config, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="Ray is not installed"):
        config.check_choices(["hydra/launcher=ray_cluster"])
    config.check_choices(["hydra/launcher=slurm"])


@pytest.fixture
def ray_plugin(monkeypatch):
    """The plug-in's own config, for where it is not installed."""
    plain = OmegaConf.create({"_target_": "plug-in", "ray": {"init": {"address": None}, "remote": {}}})
    node = ConfigNode("ray.yaml", plain, "hydra/launcher", None, "test")
    monkeypatch.setitem(ConfigStore.instance().repo["hydra"]["launcher"], "ray.yaml", node)


def test_ray_joins_a_cluster_that_runs_and_gives_each_job_a_gpu(ray_plugin, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    composed = launcher("hydra/launcher=ray_cluster", "hydra.launcher.ray.remote.num_cpus=2")
    assert composed._target_ == "plug-in"
    assert composed.ray.init.address == "10.0.0.1:6379"
    assert composed.ray.init.object_store_memory is None
    assert (composed.ray.remote.num_gpus, composed.ray.remote.num_cpus) == (1, 2)
