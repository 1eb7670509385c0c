"""Compares rows of one column clip by clip: differences, ratios, the rank correlation.

A sample is a row's clips in a column: a DataFrame with the clips as its index and the columns value, weight and group,
no value NaN. Two rows are compared on the clips they have in common. Intervals are those of a paired bootstrap: the
clips are resampled alike for all rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from vxbench.tables.statistics import (
    LEVEL,
    TIED,
    Estimate,
    holm,
    kendall_tau,
    kendall_taus,
    means,
    percentiles,
    resampled_means,
    shares,
    sign_exchange,
    two_sided,
)


@dataclass(frozen=True)
class Pair:
    """Two rows of a column: the mean of a minus the mean of b over their common clips.

    p: of no difference, two-sided: the larger of the paired bootstrap's and of that of Fisher's randomisation test,
    which keeps few clips from being too sure. p_holm: the same, corrected for the number of pairs of the column.
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
        a, b = ([rows.index(two[end]) for two in wanted] for end in (0, 1))
        found |= zip(wanted, _compared(*arrays, a, b), strict=True)
    return found


def _compared(
    values: np.ndarray, weights: np.ndarray, groups: np.ndarray, a: list[int], b: list[int]
) -> Iterator[tuple[Estimate, float]]:
    """The difference and p of each two columns a[i] and b[i]; no value is NaN. Other arguments as in `means`."""
    measured, resampled = means(values, weights, groups), resampled_means(values, weights, groups)
    largest = np.abs(values).max(axis=0)
    tied = TIED * np.maximum(largest[a], largest[b])
    parts = values * shares(weights, groups)
    exchanged = sign_exchange(parts[:, a] - parts[:, b], tied)
    for i, (first, second) in enumerate(zip(a, b, strict=True)):
        drawn = resampled[:, first] - resampled[:, second]
        difference = Estimate(float(measured[first] - measured[second]), *percentiles(drawn), len(values))
        yield difference, max(two_sided(drawn, tied[i]), float(exchanged[i]))


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
