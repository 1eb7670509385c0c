"""F-EP Fig. 4: deletion curves of all rows of Table 1, from the cells of a run of that table."""

from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from vxbench.errors import UserError
from vxbench.figures.common import display, facts, foot, span, stem
from vxbench.figures.drawing.plots import Curve, curves_figure
from vxbench.tables.published import display_names, layout
from vxbench.tables.record import FOLDER, TableRun, read_record, record_name
from vxbench.tables.results import CONTROLS, CellResult

LABELS = ("share of the clip's voxels deleted, most salient first", "probability of the explained class")


def make(config: DictConfig) -> list[Path]:
    """results/figures/fep_4.{png,pdf}: means over clips, the lowest area first in the legend.

    Raises:
        UserError: the table was not made under this profile and protocol, or without deletion curves.
    """
    record = record_of(config)
    found = {cell.row: curves_of(cell) for cell in record.cells() if cell.model == config.model.key}
    found = {row: curves for row, curves in found.items() if len(curves)}
    if not found:
        raise UserError(
            f"no cell of {record.name} on {config.model.key} holds a deletion curve; run it with metric=deletion"
        )
    dataset = next(cell.dataset for cell in record.cells() if cell.row in found)
    title = f"Deletion: {config.model.display} on {display_names('datasets').get(dataset, dataset)}"
    curves = [curve(config, row, found[row]) for row in order(found)]
    x = np.linspace(0, 1, len(curves[0].y))
    small = foot(config, *counted(record, found), *record.profile.settings)
    heading = "area under the curve, lower is better"
    return curves_figure(stem(config), title, x, curves, LABELS, heading, small, facts(config))


def record_of(config: DictConfig) -> TableRun:
    """The run of the figure's table."""
    name = record_name(config.table.key, config.protocol.name)
    path = Path(config.paths.results) / FOLDER / f"{name}.json"
    paper, number = config.table.key.split("_")
    again = f"vxbench reproduce --paper {paper} --table {number} --profile {config.profile.name}"
    if not path.exists():
        raise UserError(f"{path} is not there; make the table first: {again}")
    record = read_record(path)
    if record.profile.name != config.profile.name:
        raise UserError(
            f"{path} is of profile {record.profile.name}; give profile={record.profile.name}, or run {again}"
        )
    return record


def curves_of(cell: CellResult) -> np.ndarray:
    """(clips, steps + 1): p of the explained class on the way from the whole clip to nothing, of the clips scored."""
    rows = cell.scored[(cell.scored.metric == "deletion") & cell.scored.value.notna()]
    return np.array([list(curve) for curve in rows.curve]) if len(rows) else np.empty((0, 0))


def curve(config: DictConfig, row: str, curves: np.ndarray) -> Curve:
    """The mean over clips; its area is the mean of the clips' areas."""
    mean, rows = curves.mean(axis=0), list(CONTROLS if row in CONTROLS else layout(config.table.key).rows)
    place = rows.index(row) if row in rows else len(rows)
    return Curve(CONTROLS.get(row, display(config, row)), mean, place, f"{area(mean):.3f}", row in CONTROLS)


def area(curve: np.ndarray) -> float:
    """Trapezoids over [0, 1]."""
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))


def order(found: dict[str, np.ndarray]) -> list[str]:
    """Sorted by the area, the controls last."""
    return sorted(found, key=lambda row: (row in CONTROLS, area(found[row].mean(axis=0))))


def counted(record: TableRun, found: dict[str, np.ndarray]) -> list[str]:
    """How many clips the means are of."""
    counts = span([len(curves) for curves in found.values()])
    return [f"table {record.name} of {record.made}: means over {counts} clips"]
