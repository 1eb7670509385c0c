"""Gathers what the page's script is given: values clip by clip, each cell once, and the methods of each table."""

from collections.abc import Iterator
from typing import Any

import matplotlib
import numpy as np

from vxbench.figures.drawing.maps import COLOURS, OPACITY
from vxbench.figures.drawing.tiles import BOX
from vxbench.page.data import PageCell, PageTable
from vxbench.page.embed import finite
from vxbench.tables.published import display_names
from vxbench.tables.table import Table

Place = tuple[str, str, str]  # table, model, dataset


def script_data(pages: list[PageTable], shown: dict[Place, list[dict]], images: dict[str, str]) -> dict[str, Any]:
    """The data of the gallery and of the values. shown, images: see `gallery.gather`.

    clips: {data set: ids}. cells: {id: values}, see `_values`. sets: one a table, model and data set, see `_set`.
    scale: how maps are coloured.
    """
    clips = clips_of(pages)
    places = {dataset: {clip: i for i, clip in enumerate(ids)} for dataset, ids in clips.items()}
    cells = {cell.id: _values(cell, places[cell.result.dataset]) for page in pages for cell in page.cells if cell.id}
    sets = [
        _set(page, *where, places[where[1]], shown.get((page.name, *where), []))
        for page in pages
        for where in combinations(page)
    ]
    return {"clips": clips, "cells": cells, "sets": sets, "images": images, "scale": colour_scale()}


def colour_scale() -> dict[str, Any]:
    """The figures' colours: 256 times red, green, blue in 0 ... 255; the map's opacity at 0 and at 1; that of boxes."""
    levels = matplotlib.colormaps[COLOURS](np.arange(256), bytes=True)[:, :3]
    return {"colours": levels.ravel().tolist(), "opacity": OPACITY, "box": BOX}


def clips_of(pages: list[PageTable]) -> dict[str, list[str]]:
    """Ids of all clips that any cell of these tables has a line for, by data set, sorted."""
    found: dict[str, set[str]] = {}
    for page in pages:
        for cell in page.cells:
            found.setdefault(cell.result.dataset, set()).update(cell.result.rows["clip"])
    return {dataset: sorted(ids) for dataset, ids in sorted(found.items())}


def combinations(page: PageTable) -> list[tuple[str, str]]:
    """(model, data set) of the cells, in their order."""
    return list(dict.fromkeys((cell.result.model, cell.result.dataset) for cell in page.cells))


def methods(page: PageTable, model: str, dataset: str) -> Iterator[tuple[str, PageCell]]:
    """(name, cell) of one model and data set, in the order of the table; cells that have no place in it stand last."""
    names = {row.key: row.display for row in page.table.rows}
    mine = [cell for cell in page.cells if (cell.result.model, cell.result.dataset) == (model, dataset)]
    order = list(names)
    mine.sort(key=lambda cell: order.index(cell.result.row) if cell.result.row in names else len(order))
    for cell in mine:
        yield names.get(cell.result.row, cell.result.row), cell


def _set(page: PageTable, model: str, dataset: str, places: dict[str, int], pictures: list[dict]) -> dict[str, Any]:
    """clips: places of the table's own clips of the data set, which other tables may share or not."""
    listed = [
        {"name": name, "row": cell.result.row, "cell": cell.id, "why": cell.message}
        for name, cell in methods(page, model, dataset)
    ]
    return {
        "table": page.name,
        "model": display_names("models").get(model, model),
        "dataset": dataset,
        "datasetName": display_names("datasets").get(dataset, dataset),
        "methods": listed,
        "metrics": _metrics(page, model, dataset),
        "clips": [places[clip] for clip in clips_of([page])[dataset]],
        "pictures": pictures,
    }


def _metrics(page: PageTable, model: str, dataset: str) -> list[dict[str, Any]]:
    """The metrics of a set in the table's words and units: its columns first, then what else the cells hold."""
    columns = [c for c in page.table.columns if c.model in ("", model) and c.dataset in ("", dataset)]
    titles = {column.metric: column.heading for column in columns if not column.ratio_to}
    for _, cell in methods(page, model, dataset):
        for metric in cell.result.scored["metric"].unique():
            titles.setdefault(metric, metric)
    shown = {column.metric: (column.unit, column.decimals) for column in columns}
    return [_metric(page.table, key, title, shown.get(key)) for key, title in titles.items()]


def _metric(table: Table, key: str, title: str, shown: tuple[str, int] | None) -> dict[str, Any]:
    """shown: unit and decimals of its column, None without one."""
    known = table.spec.fact(key)
    unit, decimals = shown or known.in_unit(table.layout.unit)
    return {"key": key, "title": title, "factor": known.factor(unit), "decimals": decimals}


def _values(cell: PageCell, places: dict[str, int]) -> dict[str, Any]:
    """values: {metric: [a value or null, a clip]}. reasons: {place of a clip: {metric: why it has none}}.

    The metric of a clip that failed is "". Values are as stored, to 4 digits; a set's metric says by what they are
    multiplied.
    """
    rows = cell.result.rows
    scored = cell.result.scored
    values = {metric: [None] * len(places) for metric in scored["metric"].unique()}
    for clip, metric, value in zip(scored["clip"], scored["metric"], scored["value"].astype(float), strict=True):
        values[metric][places[clip]] = finite(value)
    said = rows[rows["reason"] != ""]
    reasons: dict[int, dict[str, str]] = {}
    for clip, metric, reason in zip(said["clip"], said["metric"], said["reason"], strict=True):
        reasons.setdefault(places[clip], {})[metric] = reason
    return {"values": values, "reasons": reasons}
