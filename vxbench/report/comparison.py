"""Rows of one column compared clip by clip, by a paired bootstrap: differences, ratios, the rank correlation.

A sample is a row's clips in a column: a DataFrame with the clips as its index and the columns value, weight and group,
no value NaN. Two rows are compared on the clips they have in common, resampled alike for both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from vxbench.report.statistics import (
    LEVEL,
    TIED,
    Estimate,
    holm,
    kendall_tau,
    kendall_taus,
    means,
    percentiles,
    resampled_means,
    two_sided,
)


@dataclass(frozen=True)
class Pair:
    """Two rows of a column: the mean of a minus the mean of b over their common clips.

    p: of no difference, two-sided. p_holm: the same, corrected for the number of pairs of the column.
    """

    column: int
    a: str
    b: str
    difference: Estimate
    p: float
    p_holm: float

    @property
    def real(self) -> bool:
        """Whether the difference is told from none at the level of the intervals."""
        return self.p_holm < 1 - LEVEL

    def ahead(self, higher_is_better: bool) -> str:
        """The row that is really better, or ""."""
        if not self.real:
            return ""
        return self.a if (self.difference.mean > 0) == higher_is_better else self.b


@dataclass(frozen=True)
class RankCorrelation:
    """Kendall's tau-b and its interval."""

    tau: float
    low: float
    high: float


def pairs(column: int, samples: Mapping[str, pd.DataFrame]) -> list[Pair]:
    """Each two rows that have a clip in common, in the order of `samples`. column: index, said in the pairs."""
    found = _differences(samples)
    kept = [rows for rows in combinations(samples, 2) if rows in found]
    corrected = holm(np.array([found[rows][1] for rows in kept]))
    return [Pair(column, *rows, *found[rows], float(p)) for rows, p in zip(kept, corrected, strict=True)]


def _differences(samples: Mapping[str, pd.DataFrame]) -> dict[tuple[str, str], tuple[Estimate, float]]:
    """{(a, b): (difference, p)}. Rows with the same common clips are resampled at once."""
    sharing: dict[frozenset, list[tuple[str, str]]] = {}
    for a, b in combinations(samples, 2):
        sharing.setdefault(frozenset(samples[a].index) & frozenset(samples[b].index), []).append((a, b))
    found = {}
    for clips, wanted in sharing.items():
        if not clips:
            continue
        rows = list(dict.fromkeys(row for two in wanted for row in two))
        arrays = _aligned([samples[row].loc[list(clips)] for row in rows])
        measured, resampled = means(*arrays), resampled_means(*arrays)
        for a, b in wanted:
            two = [rows.index(a), rows.index(b)]
            found[a, b] = _difference(arrays[0][:, two], measured[two], resampled[:, two])
    return found


def _difference(values: np.ndarray, measured: np.ndarray, resampled: np.ndarray) -> tuple[Estimate, float]:
    """values: (n, 2). measured: (2,) means. resampled: (R, 2) means."""
    tied = TIED * np.abs(values).max()
    differing = int((np.abs(values[:, 0] - values[:, 1]) > tied).sum())
    drawn = resampled[:, 0] - resampled[:, 1]
    difference = Estimate(float(measured[0] - measured[1]), *percentiles(drawn), len(values))
    return difference, two_sided(drawn, differing, tied)


def ratio(sample: pd.DataFrame, reference: pd.DataFrame) -> Estimate | None:
    """The mean of `sample` divided by that of `reference`, over their common clips; None without one.

    The values of the reference are positive.
    """
    clips = list(set(sample.index) & set(reference.index))
    if not clips:
        return None
    arrays = _aligned([sample.loc[clips], reference.loc[clips]])
    above, below = means(*arrays)
    drawn = resampled_means(*arrays)
    return Estimate(float(above / below), *percentiles(drawn[:, 0] / drawn[:, 1]), len(clips))


def rank_correlation(samples: Sequence[pd.DataFrame], printed: Sequence[float]) -> RankCorrelation | None:
    """Kendall's tau-b of the samples' means with the printed numbers; None as in `kendall_tau`.

    The interval is the percentile bootstrap over all clips of the samples, the same clips for each. A resample that
    ranks nothing, or holds no clip of a row, counts as 0. Resampling adds ties and noise, which pull tau towards 0:
    where the measured tau lies outside its percentiles, the interval is widened to it.
    """
    arrays = _aligned(samples) if samples else ()
    tau = kendall_tau(means(*arrays), printed) if samples else None
    if tau is None:
        return None
    low, high = percentiles(np.nan_to_num(kendall_taus(resampled_means(*arrays), np.asarray(printed, dtype=float))))
    return RankCorrelation(tau, min(low, tau), max(high, tau))


def _aligned(samples: Sequence[pd.DataFrame]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """values, weights and groups, (n, m) each, over all clips in the order of their names; absent values are NaN."""
    names = dict(enumerate(samples))
    columns = (pd.concat({i: s[name] for i, s in names.items()}, axis=1) for name in ("value", "weight", "group"))
    values, weights, groups = (column.sort_index() for column in columns)
    return values.to_numpy(float), weights.fillna(0).to_numpy(float), groups.fillna(0).to_numpy(int)
