"""Mean and bootstrap interval over clips, and rank correlation between two columns of a table."""

from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95
SEED = 0
MIN_RANKED = 3  # rows; fewer say nothing about a ranking
_DRAWS_AT_ONCE = 2_000_000  # bounds memory to some 32 MB


@dataclass(frozen=True)
class Estimate:
    """mean and its interval [low, high] over n clips; `skipped` more clips had no value (NaN)."""

    mean: float
    low: float
    high: float
    n: int
    skipped: int = 0


def estimate(
    values, weights=None, groups=None, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = SEED
) -> Estimate:
    """Mean with the percentile bootstrap interval over clips (Efron 1979). values: (N,), NaN is skipped.

    weights: (N,), what each clip counts. groups: (N,) integers; the mean is then that of the groups' means.
    The resamples are seeded and the clips sorted first, so the answer depends on neither the order of the
    clips nor on other cells. One clip, or equal values, give an interval of no width; no clip gives NaN.
    """
    values = np.asarray(values, dtype=float).ravel()
    weights = np.ones_like(values) if weights is None else np.asarray(weights, dtype=float)
    groups = np.zeros_like(values, dtype=int) if groups is None else np.asarray(groups, dtype=int)
    skipped = int(np.isnan(values).sum())
    kept = [column[~np.isnan(values)] for column in (values, weights, groups)]
    order = np.lexsort(kept[::-1])  # by value, then weight, then group
    values, weights, groups = (column[order] for column in kept)
    if len(values) == 0:
        return Estimate(np.nan, np.nan, np.nan, 0, skipped)
    if values[0] == values[-1]:
        constant = float(values[0])
        return Estimate(constant, constant, constant, len(values), skipped)
    tail = (1 - level) / 2
    low, high = np.quantile(_resampled_means(values, weights, groups, resamples, seed), [tail, 1 - tail])
    everyone = np.arange(len(values))[None]
    return Estimate(float(_means(values, weights, groups, everyone)[0]), float(low), float(high), len(values), skipped)


def _resampled_means(values, weights, groups, resamples: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    block = max(1, _DRAWS_AT_ONCE // len(values))
    sizes = [min(block, resamples - start) for start in range(0, resamples, block)]
    draws = (generator.integers(len(values), size=(size, len(values))) for size in sizes)
    return np.concatenate([_means(values, weights, groups, drawn) for drawn in draws])


def _means(values, weights, groups, drawn: np.ndarray) -> np.ndarray:
    """For each row of drawn indices the mean over its groups of their weighted means."""
    means = []
    for group in np.unique(groups):
        counted = weights * (groups == group)
        total = counted[drawn].sum(axis=1)
        mass = (values * counted)[drawn].sum(axis=1)
        means.append(np.divide(mass, total, out=np.full(len(drawn), np.nan), where=total > 0))
    return means[0] if len(means) == 1 else np.nanmean(means, axis=0)


def kendall_tau(measured, printed) -> float | None:
    """Kendall's tau-b between two columns (Kendall 1945); None below 3 rows or when either is constant."""
    from scipy.stats import kendalltau

    if len(measured) < MIN_RANKED or len(set(measured)) == 1 or len(set(printed)) == 1:
        return None
    return float(kendalltau(measured, printed).statistic)
