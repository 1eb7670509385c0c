"""Settings of all tests, and the fixtures that more than one folder uses."""

import math
import os
from pathlib import Path
from unittest import mock

# Before torch is imported: on small tensors and shared machines more threads are slower, several times over.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import av
import pandas as pd
import pytest
from filelock import FileLock
from helpers.paths import MINI, SHARED
from helpers.run_process import Runner
from helpers.videos import SIZE, frame_number, numbered
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine is not a failure
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts slow modules first where processes share the tests, so that none of them is left over at the end."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True, scope="session")
def _logging_stays_as_it_is():
    """Commands run in a test's own process, where Hydra would close every handler and disable every logger."""
    with mock.patch("logging.config.DictConfigurator.configure"):
        yield


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """made_once(name, **plan): a folder with the mini data of this plan, made by the first process that asks for it."""
    from vxbench.datasets.mini.generate import generate

    mine = tmp_path_factory.getbasetemp()
    shared = mine.parent if "PYTEST_XDIST_WORKER" in os.environ else mine

    def make(name: str, **plan) -> Path:
        folder = shared / name
        with FileLock(f"{folder}.lock"):
            generate(folder, **plan)  # which does nothing where these are complete
        return folder

    return make


@pytest.fixture(scope="session")
def mini_data(made_once) -> Path:
    """Mini UCF101 of two test clips a class."""
    return made_once("two_tests", train_per_class=1, test_per_class=2, only=("ucf101",))


@pytest.fixture(scope="session")
def mini_root(made_once) -> Path:
    """Mini UCF101 of two training clips and one test clip a class, made in one process."""
    return made_once("two_trainings", train_per_class=2, test_per_class=1, only=("ucf101",), processes=1)


@pytest.fixture(scope="session")
def mini_test_split(made_once) -> Path:
    """Mini UCF101 with all its test clips: those of `make mini` if they are there.

    A clip does not depend on how many others are made, so one training clip is enough.
    """
    from vxbench.datasets.mini.generate import Plan, is_complete

    return MINI if is_complete(MINI, Plan()) else made_once("all_tests", train_per_class=1, only=("ucf101",))


@pytest.fixture
def runner(tmp_path, mini_data) -> Runner:
    return Runner(tmp_path, mini_data)


@pytest.fixture
def make_runner(tmp_path, mini_data):
    """make_runner(name, data=None): runners with results of their own."""

    def make(name: str, data: Path | None = None) -> Runner:
        folder = tmp_path / name
        folder.mkdir()
        return Runner(folder, data or mini_data)

    return make


@pytest.fixture(scope="session")
def real_clips():
    """Folder of real videos, which are not part of the project: $VXBENCH_SHARED/clips or ../shared/clips."""
    if not (SHARED / "clips").is_dir():
        pytest.skip(f"no real clips in {SHARED}")
    return SHARED / "clips"


@pytest.fixture
def number_of():
    return frame_number


@pytest.fixture
def make_video():
    """make_video(path, count, codec="mpeg4", container=None, **codec options) writes a video of numbered frames."""

    def make(path, count=60, codec="mpeg4", container=None, **options):
        with av.open(str(path), "w", format=container) as file:
            stream = file.add_stream(codec, rate=25)
            stream.height, stream.width = SIZE
            stream.pix_fmt = "yuv420p"
            stream.codec_context.options = {"g": "12", "qmin": "2", "qmax": "4", **options}
            for index in range(count):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(index), format="rgb24")))
            file.mux(stream.encode())
        return Path(path)

    return make


def _lines(metric, values, degenerate):
    for number, value in enumerate(values):
        reason = "no box in the sampled frames" if math.isnan(value) else ""
        yield f"clip{number}", "ok", metric, value, reason, number in degenerate


@pytest.fixture
def make_cell():
    """make_cell(row, dc=[...], failed={clip: reason}): clips are clip0, clip1, ... in the order of the values."""

    def build(row, model="r2plus1d", dataset="ucf101_24", failed=None, degenerate=(), flags=None, **metrics):
        lines = [line for metric, values in metrics.items() for line in _lines(metric, values, degenerate)]
        lines += [(clip, "failed", "", math.nan, reason, False) for clip, reason in (failed or {}).items()]
        from vxbench.tables.results import COLUMNS, CellResult

        return CellResult(model, dataset, row, pd.DataFrame(lines, columns=COLUMNS), **(flags or {}))

    return build


@pytest.fixture
def paper_profile():
    from vxbench.tables.results import RunInfo

    return RunInfo("paper", "UCF101-24, 120 clips", comparable=True, settings=["seed = 0"])


@pytest.fixture
def mini_profile():
    from vxbench.tables.results import RunInfo

    return RunInfo("mini", "generated clips, small models", comparable=False, settings=["seed = 0"])
