"""The cells of all tables are those of the results that ship: whatever moves in the code, no identity changes."""

import json

import pytest
from helpers.paths import ROOT

from vxbench.config import build
from vxbench.datasets.mini.generate import generate, is_complete
from vxbench.datasets.mini.plan import Plan
from vxbench.runner.cell import cell_of
from vxbench.runner.multirun import cells
from vxbench.runner.weights import weights_digest
from vxbench.tables.published import tables

PROVENANCE = json.loads((ROOT / "results" / "reference" / "mini" / "provenance.json").read_text())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The mini data of `make mini`, or all of them made anew (a minute)."""
    made = ROOT / "data" / "mini"
    if not is_complete(made, Plan()):
        made = tmp_path_factory.mktemp("whole") / "mini"
        generate(made)
    return made


def identifiers(key: str, hardware: dict) -> list[str]:
    found = []
    for _, config in cells(key, "mini", []):
        timed = hardware if "seconds" in config.metric else None  # a timed cell belongs to the machine it was timed on
        digest = build(config, "dataset").digest()
        found.append(cell_of(config, dict(config.hydra.runtime.choices), weights_digest(config), digest, timed).id)
    return sorted(found)


@pytest.mark.parametrize("key", tables())
def test_every_table_has_the_cells_that_ship(key, data, monkeypatch):
    monkeypatch.setenv("VXBENCH_MINI_DATA", str(data))
    facts = PROVENANCE[key]
    assert identifiers(key, facts["hardware"][0]) == facts["cells"]


def test_they_are_the_257_cells_of_the_reference():
    assert sum(len(facts["cells"]) for facts in PROVENANCE.values()) == 257
