from pathlib import Path

import pytest

from vxbench.datasets.mini.generate import Plan, generate, is_complete


@pytest.fixture(scope="session")
def conf_dir() -> Path:
    return Path(__file__).parents[2] / "conf"


@pytest.fixture(scope="session")
def mini_test_split(tmp_path_factory) -> Path:
    """A folder with the mini test split of UCF101: the user's own if it is there, else made anew (about 10 s).

    A clip does not depend on how many others are made, so few training clips are.
    """
    here = Path(__file__).parents[2] / "data" / "mini"
    if is_complete(here, Plan()):
        return here
    made = tmp_path_factory.mktemp("mini") / "data"
    generate(made, train_per_class=1, only=("ucf101",))
    return made
