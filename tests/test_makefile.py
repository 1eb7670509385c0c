"""What make is given and cannot use is refused before anything is made."""

import shutil
import subprocess

import pytest
from helpers.paths import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


def made(*words):
    return subprocess.run(["make", "-s", "help", *words], cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("word", ["PAPR=fep", "ARG=x", "profile=paper", "JOB=2", "PAPR="])
def test_a_variable_that_nothing_reads_is_refused(word):
    done = made(word)
    assert done.returncode == 2
    assert f"there is no variable {word.partition('=')[0]}; there are PYTHON PROFILE PAPER" in done.stderr


@pytest.mark.parametrize("jobs", ["0", "-1", "two", "1.5", "0x2", "2 3"])
def test_jobs_is_a_number_of_jobs(jobs):
    done = made(f"JOBS={jobs}")
    assert done.returncode == 2
    assert f"JOBS={jobs} is no number of jobs" in done.stderr


@pytest.mark.parametrize("words", [(), ("JOBS=2",), ("JOBS=",), ("PAPER=fep", "ARGS=a='b, c'"), ("VXBENCH_RESULTS=x",)])
def test_what_is_read_is_taken(words):
    done = made(*words)
    assert (done.returncode, done.stderr) == (0, "")
