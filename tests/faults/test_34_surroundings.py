"""Locale, zone, umask, home, the terminal's encoding and a notebook's environment change neither numbers nor files."""

import os
import subprocess
import sys

import pytest
from helpers.paths import ROOT

pytestmark = pytest.mark.slow

TABLE = ("+table=fep_1", "profile=smoke", "model=r2plus1d", "hydra.sweeper.params.explainer=centre")
STRANGE = {
    "LANG": "de_DE.ISO-8859-1",
    "LC_ALL": "tr_TR.ISO-8859-9",
    "TZ": "Asia/Kathmandu",
    "HOME": "/proc/no/home",
    "XDG_CACHE_HOME": "/proc/no/cache",
    "MPLCONFIGDIR": "/proc/no/matplotlib",
    "PYTHONIOENCODING": "ascii",
    "PYTHONUTF8": "0",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "JPY_PARENT_PID": "1",
    "COLUMNS": "7",
    "TERM": "dumb",
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory, mini_data):
    return made(tmp_path_factory.mktemp("plain"), mini_data, {})


def made(folder, data, changes, umask=0o022):
    """The run of a small table, and its files."""
    environment = {**os.environ, "VXBENCH_MINI_DATA": str(data), "VXBENCH_RESULTS": str(folder), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "run.py"), *TABLE], cwd=folder, env=environment | changes, umask=umask,
        capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    return done, folder


def table(folder, ending):
    return (folder / "tables" / f"fep_1{ending}").read_bytes()


def test_a_strange_environment_makes_the_same_files(plain, tmp_path, mini_data):
    expected, before = plain
    done, folder = made(tmp_path, mini_data, STRANGE, umask=0o077)
    assert expected.returncode == done.returncode == 0, done.stderr
    assert done.stderr == expected.stderr == b""
    assert done.stdout.isascii()
    for ending in (".md", ".csv", ".tex"):
        assert table(folder, ending) == table(before, ending), ending
    modes = {path.stat().st_mode & 0o077 for path in folder.rglob("*")}
    assert modes == {0}
