"""Every metric of conf/metric through a run, and every explainer's cell ends with a value or a reason."""

import numpy as np
import pandas as pd
import pytest

from vxbench.config import options
from vxbench.runner.store import Store

pytestmark = pytest.mark.slow

KEYS = {
    "dc_acc_stc": {"dc", "accuracy", "stc", "area_above_tau"},
    "deletion_insertion": {"deletion", "insertion", "overall"},
    "spatial_pointing": {"s_pt", "constant_frames"},
    "temporal_pointing": {"t_pt"},
    "deletion": {"deletion"},
    "dc_acc_stc_deletion": {"dc", "accuracy", "stc", "area_above_tau", "deletion"},
    "seconds": {"seconds"},
    "topk": {"top1", "top5"},
    "preservation": {"min_preservation_ratio"},
    "sanity": {
        f"{what}_{stage}"
        for what in ("rank", "rank_abs", "ssim")
        for stage in ("original", "fc", "layer4", "layer3", "layer2", "layer1")
    },
}
QUICK = (
    "dataset.per_class=1",
    "shard.count=4",
    "++metric.min_preservation_ratio.grid=[0.1,1.0]",
    "++metric.min_preservation_ratio.explainer.iterations=2",
)


def cells(runner) -> list[pd.DataFrame]:
    return [Store(folder).rows() for folder in (runner.results / "cells").iterdir()]


def test_every_metric_runs_and_gives_its_keys(runner):
    names = options("metric")
    done = runner.here("-m", f"metric={','.join(set(names) - {'preservation'})}", "explainer=gradients", *QUICK[:2])
    assert done.returncode == 0, done.stdout + done.stderr
    done = runner.here("metric=preservation", "explainer=gradients", *QUICK)
    assert done.returncode == 0, done.stdout + done.stderr
    found = cells(runner)
    assert sorted(map(sorted, KEYS.values())) == sorted(sorted(set(rows.metric)) for rows in found)
    assert set(KEYS) == set(names)
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
