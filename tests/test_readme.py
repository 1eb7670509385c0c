"""What README.md prints (an explainer, a metric, a table, a data set) works as printed, in a copy of the checkout."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.paths import ROOT

from vxbench.page.collect import make_report

NAMED = re.compile(r"```\w+\n((?:# @package _global_\n)?# ((?:vxbench|conf)/\S+)\n.*?)```", re.DOTALL)
COPIED = ("vxbench", "conf", "scripts", "tests/helpers", "tests/explainers/test_conformance.py", "pyproject.toml")
QUICK = ("profile=smoke", "dataset.per_class=1", "shard.count=4", "runner.pictures=0")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of the parts that are needed, with the files that README.md prints."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in COPIED:
        place = copy / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, place)
    for text, name in NAMED.findall((ROOT / "README.md").read_text(encoding="utf-8")):
        assert not (copy / name).exists(), f"README.md prints {name}, which there is"
        (copy / name).write_text(text, encoding="utf-8")
    return copy


@pytest.fixture
def start(checkout, mini_data, tmp_path):
    """start("-m", "pytest", ...): Python in the copy, whose vxbench comes before the installed one."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(checkout),
        "VXBENCH_MINI_DATA": str(mini_data),
        "VXBENCH_RESULTS": str(tmp_path),
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "200",
    }

    def run(*words: str) -> str:
        command = [sys.executable, *words]
        done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_readme_prints_an_explainer_a_metric_a_table_and_a_data_set():
    names = {name for _, name in NAMED.findall((ROOT / "README.md").read_text(encoding="utf-8"))}
    files = {"vxbench/explainers/mine.py", "vxbench/metrics/concentration.py", "vxbench/datasets/folders.py"}
    own = {f"conf/{group}/mine.yaml" for group in ("explainer", "metric", "table")} | {"conf/dataset/folders.yaml"}
    assert names == files | own


def test_the_explainer_keeps_the_contract(start):
    out = start("-m", "pytest", "tests/explainers/test_conformance.py", "-k", "mine", "-p", "no:cacheprovider", "-rA")
    assert len(re.findall(r"^PASSED .*\[mine", out, re.MULTILINE)) >= 6


def test_the_table_has_the_explainer_and_the_metric(start, tmp_path):
    start("scripts/run.py", "+table=mine", *QUICK)
    text = (tmp_path / "tables" / "mine.md").read_text()
    assert text.startswith("# Two methods on one network, profile smoke: ")
    head, _, first, second, *_ = [line for line in text.splitlines() if line.startswith("|")]
    assert [cell.strip() for cell in head.split("|")[1:-1]] == ["Method", "DC ↓", "Conc. ↑"]
    assert (first.split("|")[1].strip(), second.split("|")[1].strip()) == ("My method", "Grad-CAM")
    assert "Conc.: Share of the map in its strongest tenth, in fractions (higher is better)" in text
    page = make_report(tmp_path).read_text()  # by a process that does not know the metric
    assert "Two methods on one network" in page
    assert "Conc. ↑" in page


def test_the_data_set_is_explained(start, mini_data, tmp_path):
    videos = sorted((mini_data / "ucf101" / "videos").glob("*/*.avi"))
    for video in (videos[0], videos[-1]):
        (tmp_path / "data" / "folders" / video.parent.name).mkdir(parents=True)
        shutil.copy(video, tmp_path / "data" / "folders" / video.parent.name)
    words = ("dataset=folders", f"paths.data={tmp_path}/data", "model.checkpoint=null", "model.num_classes=2")
    out = start("scripts/run.py", *words, "explainer=centre", "metric=topk", "profile=smoke")
    assert "r2plus1d x folders x centre: 2 of 2 clips computed" in out
