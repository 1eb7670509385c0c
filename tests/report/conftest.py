"""Hand-made cells: one long-form line per clip and metric."""

import math

import pandas as pd
import pytest

from vxbench.report.cells import COLUMNS, CellResult, Profile


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
        return CellResult(model, dataset, row, pd.DataFrame(lines, columns=COLUMNS), **(flags or {}))

    return build


@pytest.fixture
def paper_profile():
    return Profile("paper", "UCF101-24, 120 clips", comparable=True, settings=["seed = 0"])


@pytest.fixture
def mini_profile():
    return Profile("mini", "generated clips, small models", comparable=False, settings=["seed = 0"])
