from pathlib import Path

import pytest
from run_process import Runner


@pytest.fixture(scope="session")
def mini_data(tmp_path_factory) -> Path:
    """A mini data set of two test clips a class (about 2 s)."""
    from vxbench.datasets.mini.generate import generate

    root = tmp_path_factory.mktemp("runner") / "mini"
    generate(root, train_per_class=1, test_per_class=2, only=("ucf101",))
    return root


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
