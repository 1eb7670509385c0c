"""F-EP Figure 5: what a sweep over r_l and r_h left, for every network and data set it was run on."""

from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from vxbench.errors import UserError
from vxbench.figures.common import facts
from vxbench.figures.drawing.plots import Bands, bands_figure
from vxbench.metrics.facts import fact
from vxbench.sweeps.grid import Pair, read_grids
from vxbench.tables.published import display_names


def make(config: DictConfig) -> list[Path]:
    """Draws the CSVs of the sweep `figure.sweep` that were made under the config's profile.

    Raises:
        UserError: there are none, or none has `figure.metric`.
    """
    results, wanted = Path(config.paths.results), config.figure
    grids = read_grids(results, wanted.sweep, config.profile.name)
    panels = [panel_of(pair, grid, wanted.metric) for pair, grid in grids.items()]
    metric = fact(wanted.metric).name
    stem = results / "figures" / wanted.key
    return bands_figure(stem, panels, f"{metric} (%)", list(wanted.r_l), foot_of(config, panels), facts(config))


def panel_of(pair: Pair, grid: pd.DataFrame, metric: str) -> Bands:
    of = grid[grid.metric == metric]
    if of.empty:
        known = ", ".join(sorted(set(grid.metric)))
        raise UserError(f"figure.metric = {metric} is not in the sweep of {' on '.join(pair)}, which has {known}")
    model, dataset = (display_names(kind).get(key, key) for kind, key in zip(("models", "datasets"), pair, strict=True))
    return Bands(f"{model} on {dataset}", of)


def foot_of(config: DictConfig, panels: list[Bands]) -> list[str]:
    """How it was made, and what the paper leaves open."""
    counts = {int(n) for panel in panels for n in panel.grid.n}
    clips = " to ".join(map(str, sorted({min(counts), max(counts)})))
    shares = ", ".join(f"{share:g}" for share in config.figure.r_l)
    paper = "" if config.profile.comparable else ", not comparable with the paper"
    hollow = any((panel.grid.one_sided > 0.5).any() for panel in panels)
    made = [facts_of(panels, "iterations", "{} iterations"), facts_of(panels, "seed", "seed {}")]
    made.append(facts_of(panels, "target", "explained class: {}"))
    return [
        f"{config.profile.title}{paper}; {clips} clips a point, 95 % bootstrap intervals",
        ", ".join(filter(None, made)),
        *(["hollow: most maps are above the threshold of STC everywhere or nowhere"] if hollow else []),
        f"series over r_h at r_l = {shares}: the paper's caption (0.3, 0.4, 0.5) and text (0.4, 0.5, 0.6) differ",
    ]


def facts_of(panels: list[Bands], column: str, words: str) -> str:
    """What the cells have in a column, in words; of several numbers the least and the greatest."""
    values = sorted({value for panel in panels for value in panel.grid[column].dropna()})
    if not values:
        return ""
    if isinstance(values[0], str):
        return words.format(", ".join(values))
    return words.format(" to ".join(f"{value:g}" for value in dict.fromkeys((values[0], values[-1]))))
