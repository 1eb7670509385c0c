"""AOSA Fig. 8: maps while the network's layers are drawn anew, the last first, and how alike they stay."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from vxbench.errors import NotApplicable, UserError
from vxbench.figures.common import clip_of, display, facts, foot, iterations, made_of, span, stem, variant
from vxbench.figures.drawing.cascade import cascade_figure
from vxbench.figures.drawing.maps import FigureClip, block, side_by_side
from vxbench.metrics import SanityCheck
from vxbench.metrics.sanity.cascade import ORIGINAL
from vxbench.metrics.sanity.check import MEASURES
from vxbench.runner.assemble import Assembled
from vxbench.runner.batch import present
from vxbench.runner.job import Job, run_cell
from vxbench.runner.one_clip import OneClip, explain_clip, open_clip
from vxbench.tables.statistics import estimate


def make(config: DictConfig) -> list[Path]:
    """results/figures/aosa_8.{png,pdf}. The curves are of the sanity metric's cells, which are computed if need be."""
    one, wanted = open_clip(Assembled(config), config.figure.clip), config.figure
    parts, curves = {}, []
    for name in wanted.explainers:
        mine, method = variant(config, f"explainer={name}"), display(config, name)
        cell = Assembled(mine)
        rows, check = cell_rows(cell), cell.metrics["sanity"]
        stages = [ORIGINAL, *check.stages]
        curves += [{"method": method} | point for point in points(rows, list(wanted.measures), stages)]
        parts[method] = block(stages_of(cell, one, check), [(stage, stage) for stage in stages], wanted.columns)
    title = clip_of(one, {}).label_name
    counted = span([point["n"] for point in curves])
    small = foot(
        config,
        made_of(config, one),
        *iterations(config, wanted.explainers),
        "rows: the layer drawn anew, with all above it; the class explained stays that of the trained network",
        f"curves: mean over {counted} clips with its 95 % bootstrap interval",
    )
    maps = side_by_side(f"{config.model.display}: {title}", one.id, parts)
    return cascade_figure(stem(config), maps, pd.DataFrame(curves), dict(wanted.measures), small, facts(config))


def cell_rows(cell: Assembled) -> pd.DataFrame:
    """The rows of a cell; computed, but for the clips that are done.

    Raises:
        NotApplicable: the method has no meaning for the model.
        UserError: no clip could be scored.
    """
    outcome = run_cell(cell)
    print(outcome.line(), flush=True)
    if outcome.status != "complete":
        raise NotApplicable(outcome.message)
    rows = cell.store.rows()
    scored = rows[rows.status == "ok"]
    if scored.empty:
        raise UserError(f"{outcome.name}: none of its {outcome.clips} clips could be scored: {rows.reason.iloc[0]}")
    return scored


def points(rows: pd.DataFrame, measures: list[str], stages: list[str]) -> Iterator[dict]:
    """Mean and interval over clips of every measure at every stage.

    Raises:
        UserError: the sanity metric has no such measure.
    """
    for measure in measures:
        for stage in stages:
            values = rows[rows.metric == f"{measure}_{stage}"].value
            if values.empty:
                raise UserError(f"figure.measures names {measure}, which is not one of {', '.join(MEASURES)}")
            found = asdict(estimate(values))
            yield {"measure": measure, "stage": stage} | {name: found[name] for name in ("mean", "low", "high", "n")}


def stages_of(cell: Assembled, one: OneClip, check: SanityCheck) -> FigureClip:
    """The clip with its map at every stage."""
    clip = clip_of(one, {})
    clip.maps = dict(stage_maps(cell, one, check))
    return clip


def stage_maps(cell: Assembled, one: OneClip, check: SanityCheck) -> Iterator[tuple[str, np.ndarray]]:
    """(stage, map (T, H, W) in [0, 1]) of the class that the trained network was asked for.

    The metric is calibrated on the clips that the cell is calibrated on, so that its networks are these.
    """
    if check.calibration:
        clips = Job(cell).calibration_clips(check.calibration)
        check.prepare(one.classifier, present(one.classifier, clips, cell.device))
    for stage, network in check.networks(one.classifier):
        yield stage, explain_clip(replace(one, classifier=network), check.explainer)
