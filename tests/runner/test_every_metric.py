"""Every metric of conf/metric through a run, and every explainer's cell ends with a value or a reason."""

import numpy as np
import pandas as pd
import pytest
from helpers.configs import composed

from vxbench.config import build, options
from vxbench.runner.store import Store

pytestmark = pytest.mark.slow

QUICK = (
    "dataset.per_class=1",
    "shard.count=4",
    "++metric.min_preservation_ratio.grid=[0.1,1.0]",
    "++metric.min_preservation_ratio.explainer.iterations=2",
)


def keys_of(name: str) -> set[str]:
    """The keys that the classes of a metric option declare."""
    config = composed(f"metric={name}", "explainer=gradients")
    return {key for node in config.metric for key in build(config, f"metric.{node}").keys}


def cells(runner) -> list[pd.DataFrame]:
    return [Store(folder).rows() for folder in (runner.results / "cells").iterdir()]


def test_every_metric_runs_and_gives_its_keys(runner):
    names = options("metric")
    done = runner.here("-m", f"metric={','.join(set(names) - {'preservation'})}", "explainer=gradients", *QUICK[:2])
    assert done.returncode == 0, done.stdout + done.stderr
    done = runner.here("metric=preservation", "explainer=gradients", *QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    found = cells(runner)
    assert sorted(sorted(keys_of(name)) for name in names) == sorted(sorted(set(rows.metric)) for rows in found)
    for rows in found:
        unexplained = rows.value.isna() & (rows.reason == "")
        assert not unexplained.any(), rows[unexplained]
        assert np.isfinite(rows.value[rows.reason == ""]).all()


def test_a_curve_is_kept_beside_its_area(runner):
    assert runner.here("metric=deletion_insertion", "explainer=gradients", *QUICK[:2]).returncode == 0
    [rows] = cells(runner)
    for row in rows[rows.metric != "overall"].itertuples():
        assert len(row.curve) == 29
        assert np.trapezoid(row.curve) / 28 == pytest.approx(row.value, rel=1e-6)  # the value is float32
