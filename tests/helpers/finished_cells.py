"""Cells in a store as finished runs leave them, without running anything."""

import yaml

from vxbench.runner.outcome import Outcome
from vxbench.runner.store import Store, frame


def row(clip, metric, value, **more):
    known = {"clip": clip, "label": 0, "target": 0, "status": "ok", "metric": metric, "value": value}
    return known | {"reason": "", "degenerate": False} | more


def cell(results, name, r_l, r_h, stc, marked=(30.0, 40.0, 100.0), model="r2plus1d", dataset="ucf101_24", **more):
    """A finished cell of clips with these STC values and shares of marked voxels; its outcome.

    more: of its config, besides what F-EP's have; `iterations` is the explainer's.
    """
    store = Store(results / "cells" / name)
    explainer = {"r_l": r_l, "r_h": r_h, "iterations": more.pop("iterations", 80)}
    known = {"explainer": explainer, "dataset": {"split": "train"}, "weights": "12345678e1", "seed": 0}
    store.note("config.yaml", yaml.safe_dump(known | {"target": "predicted"} | more))
    rows = [row(f"c{i}", "stc", value) for i, value in enumerate(stc)]
    store.commit(frame(rows + [row(f"c{i}", "area_above_tau", value) for i, value in enumerate(marked)]))
    return Outcome(model, dataset, "fep", cell=name, clips=len(stc), selection="3 clips")
