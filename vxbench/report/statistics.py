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


def estimate(values, resamples: int = RESAMPLES, level: float = LEVEL, seed: int = SEED) -> Estimate:
    """Mean with the percentile bootstrap interval over clips (Efron 1979). values: (N,), NaN is skipped.

    The resamples are seeded and the values sorted first, so the answer depends on neither the order of the
    clips nor on other cells. One clip, or equal values, give an interval of no width; no clip gives NaN.
    """
    values = np.asarray(values, dtype=float).ravel()
    kept = np.sort(values[~np.isnan(values)])
    skipped = len(values) - len(kept)
    if len(kept) == 0:
        return Estimate(np.nan, np.nan, np.nan, 0, skipped)
    if kept[0] == kept[-1]:
        constant = float(kept[0])
        return Estimate(constant, constant, constant, len(kept), skipped)
    tail = (1 - level) / 2
    low, high = np.quantile(_resampled_means(kept, resamples, seed), [tail, 1 - tail])
    return Estimate(float(kept.mean()), float(low), float(high), len(kept), skipped)


def _resampled_means(values: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    block = max(1, _DRAWS_AT_ONCE // len(values))
    sizes = [min(block, resamples - start) for start in range(0, resamples, block)]
    draws = (generator.integers(len(values), size=(size, len(values))) for size in sizes)
    return np.concatenate([values[drawn].mean(axis=1) for drawn in draws])


def kendall_tau(measured, printed) -> float | None:
    """Kendall's tau-b between two columns (Kendall 1945); None below 3 rows or when either is constant."""
    from scipy.stats import kendalltau

    if len(measured) < MIN_RANKED or len(set(measured)) == 1 or len(set(printed)) == 1:
        return None
    return float(kendalltau(measured, printed).statistic)
