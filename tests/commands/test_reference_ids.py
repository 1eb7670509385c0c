"""The cells of all tables are those of the results that ship: whatever moves in the code, no identity changes."""

import json

import pytest
from helpers.paths import MINI, ROOT

from vxbench.datasets.mini.generate import is_complete
from vxbench.datasets.mini.plan import Plan
from vxbench.runner import assemble
from vxbench.runner.assemble import Assembled
from vxbench.runner.multirun import cells
from vxbench.tables.published import tables

pytestmark = pytest.mark.slow

PROVENANCE = json.loads((ROOT / "results" / "reference" / "mini" / "provenance.json").read_text())


@pytest.fixture(scope="module")
def data(made_once):
    """The mini data of `make mini`, or all of them made anew (a minute)."""
    return MINI if is_complete(MINI, Plan()) else made_once("whole")


def identifiers(key: str) -> list[str]:
    datasets = {}
    cells_of_table = cells(f"+table={key}", ["profile=mini"])
    return sorted(Assembled(config, datasets=datasets).cell.id for config in cells_of_table)


@pytest.mark.parametrize("key", tables())
def test_every_table_has_the_cells_that_ship(key, data, monkeypatch):
    """A timed cell belongs to the machine it was timed on, which is taken from the record."""
    facts = PROVENANCE[key]
    monkeypatch.setenv("VXBENCH_MINI_DATA", str(data))
    monkeypatch.setattr(assemble, "hardware", lambda device: facts["hardware"][0])
    assert identifiers(key) == facts["cells"]


def test_they_are_the_257_cells_of_the_reference():
    assert sum(len(facts["cells"]) for facts in PROVENANCE.values()) == 257
